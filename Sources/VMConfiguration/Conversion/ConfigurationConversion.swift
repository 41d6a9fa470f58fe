package import HyperVStorage
import RoostPrimitives

/// A configuration in a newer version, with everything in which it differs from the old one.
public struct ConfigurationConversion: Hashable, Sendable {
    /// A key that changed, and why.
    public struct Change: Hashable, Sendable {
        /// Why a key may change when the version does.
        public enum Reason: String, Hashable, Sendable, CaseIterable {
            /// It is the configuration version itself.
            case version
            /// It is the version of a device's data, which the newer version raises.
            case deviceVersion
            /// It counts or spells the manifest's rows, of which the newer version has more.
            case manifest
            /// The newer version has it, the older one does not.
            case added
            /// It would say where a saved state is; there is none, and binary versions keep it elsewhere.
            case savedState
            /// It holds UEFI variables, which binary versions keep in the guest state's file.
            case uefiVariables
            /// It pins the virtual hardware of the older version.
            case virtualHardware
        }

        /// What changed.
        public var difference: ConfigurationDifference
        /// Why.
        public var reason: Reason
    }

    /// The configuration in the newer version.
    public var configuration: VirtualMachineConfiguration
    /// Everything in which the trees differ, but for the order of the keys.
    public var changes: [Change]
    /// The UEFI variables that the old file held; they belong into the guest state's file before the new
    /// configuration takes the place of the old one.
    public var uefiVariables: [UEFIVariable]
}

extension ConfigurationConversion {
    /// Compares both trees and explains every difference.
    ///
    /// - Throws: ``ConfigurationError/Code/lossyConversion`` for a key that is lost or changed without a reason.
    package static func explain(
        _ before: KeyNode,
        _ after: KeyNode,
        from source: ConfigurationVersion,
        to target: ConfigurationVersion
    ) throws(ConfigurationError) -> [Change] {
        var changes: [Change] = []
        for difference in ConfigurationDifference.between(before, after) {
            guard let reason = reason(for: difference, from: source, to: target) else {
                throw ConfigurationError(
                    .lossyConversion,
                    "upgrade to version \(target): the key \(difference) would be "
                        + (difference.after == nil ? "lost" : "changed")
                )
            }
            changes.append(Change(difference: difference, reason: reason))
        }
        return changes
    }

    private static func reason(
        for difference: ConfigurationDifference,
        from source: ConfigurationVersion,
        to target: ConfigurationVersion
    ) -> Change.Reason? {
        let names = difference.path.map(\.name)
        guard let before = difference.before else { return .added }
        if names == ["roost", "machine_type"] { return .virtualHardware }
        guard let after = difference.after else {
            guard source.fileFormat == .xml, target.fileFormat != .xml else { return nil }
            if names.first == "savedstate" { return .savedState }
            let nvram = VirtualMachineConfiguration.nvramPath.split(separator: "/").map(String.init)
            return names.count > nvram.count && names.starts(with: nvram) ? .uefiVariables : nil
        }
        guard before.flags == after.flags else { return nil }
        if let old = before.value.asInteger, let new = after.value.asInteger {
            if names == ["properties", "version"] {
                return old == Int64(source.rawValue) && new == Int64(target.rawValue) ? .version : nil
            }
            if names.count == 2, names[1] == "VDEVVersion" { return new > old ? .deviceVersion : nil }
            if names == ["manifest", "size"] || names == ["manifest", "version"] { return .manifest }
        }
        // The device is the same; only the case of its letters may differ.
        if names.count == 3, names[0] == "manifest", names[2] == "instance",
            let id = GUID(before.value.asString ?? ""), id == GUID(after.value.asString ?? "")
        {
            return .manifest
        }
        return nil
    }
}
