/// The version of a virtual machine's configuration: it decides the file format, the features and the virtual hardware.
///
/// A virtual machine keeps its version until its owner upgrades it. Versions order as numbers do.
public struct ConfigurationVersion: RawRepresentable, Hashable, Comparable, Sendable {
    /// major × 256 + minor, as the key `properties/version` stores it: 8.0 is 2048.
    public var rawValue: UInt16

    /// The version with a stored number; see ``isKnown`` for whether this release can run it.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Reads `8.0`: two decimal numbers up to 255 without signs, spaces or leading zeros; nil for any other text.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt8(parts[0]), let minor = UInt8(parts[1]) else { return nil }
        self.init(rawValue: UInt16(major) << 8 | UInt16(minor))
        guard description == text else { return nil }
    }

    /// The number before the point.
    public var major: Int { Int(rawValue >> 8) }

    /// The number behind the point.
    public var minor: Int { Int(rawValue & 0xFF) }

    /// Orders by major, then by minor number.
    public static func < (left: ConfigurationVersion, right: ConfigurationVersion) -> Bool {
        left.rawValue < right.rawValue
    }

    /// Windows Server 2012 R2.
    public static let v5_0 = ConfigurationVersion(rawValue: 0x0500)
    /// A technical preview of Windows Server 2016; the first binary version.
    public static let v6_0 = ConfigurationVersion(rawValue: 0x0600)
    /// A technical preview of Windows Server 2016.
    public static let v6_2 = ConfigurationVersion(rawValue: 0x0602)
    /// A technical preview of Windows Server 2016.
    public static let v7_0 = ConfigurationVersion(rawValue: 0x0700)
    /// A technical preview of Windows Server 2016.
    public static let v7_1 = ConfigurationVersion(rawValue: 0x0701)
    /// Windows Server 2016.
    public static let v8_0 = ConfigurationVersion(rawValue: 0x0800)
    /// Windows Server 2019.
    public static let v9_0 = ConfigurationVersion(rawValue: 0x0900)

    /// The versions that this release knows, oldest first.
    public static let known: [ConfigurationVersion] = [.v5_0, .v6_0, .v6_2, .v7_0, .v7_1, .v8_0, .v9_0]

    /// Whether this release knows the version; any other is refused before anything is touched.
    public var isKnown: Bool { Self.known.contains(self) }
}

extension ConfigurationVersion {
    /// How a configuration is stored.
    public enum FileFormat: String, Hashable, Sendable, CaseIterable {
        /// A text file, up to version 5.0.
        case xml
        /// A binary, transactional HyperVStorage file.
        case vmcx

        /// The extension of the file's name, without the point.
        public var fileExtension: String { rawValue }
    }

    /// The format of the file that holds a configuration of this version.
    public var fileFormat: FileFormat { self <= .v5_0 ? .xml : .vmcx }

    /// The release of QEMU whose virtual hardware the version pins, as in `pc-q35-7.2`.
    public var machineVersion: String {
        switch self {
        case ..<ConfigurationVersion.v6_0: "5.2"
        case ..<ConfigurationVersion.v9_0: "7.2"
        default: "10.0"
        }
    }
}

extension ConfigurationVersion: CustomStringConvertible {
    /// The version as people write it: `8.0`.
    public var description: String { "\(major).\(minor)" }
}

extension ConfigurationVersion: Codable {
    /// Decodes text such as `8.0`; any other text is a `DecodingError.dataCorrupted`.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let version = ConfigurationVersion(text) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "\"\(text)\" is not a configuration version such as 8.0"
            )
        }
        self = version
    }

    /// Encodes text such as `8.0`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
