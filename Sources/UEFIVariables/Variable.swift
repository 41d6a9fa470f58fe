package import RoostPrimitives

/// One UEFI variable.
package struct Variable: Hashable, Sendable {
    /// What tells a variable from all others: its name within the namespace of a vendor.
    package struct Key: Hashable, Sendable {
        /// The UTF-16 code units of the name, without the final zero.
        package var nameUnits: [UInt16]

        /// The namespace.
        package var vendor: GUID

        /// The key of a name in a namespace.
        package init(_ name: String, _ vendor: GUID) {
            self.init(nameUnits: Array(name.utf16), vendor: vendor)
        }

        init(nameUnits: [UInt16], vendor: GUID) {
            self.nameUnits = nameUnits
            self.vendor = vendor
        }
    }

    /// Where a variable lives and who may write it (UEFI section 8.2).
    package struct Attributes: OptionSet, Hashable, Sendable {
        package var rawValue: UInt32

        package init(rawValue: UInt32) { self.rawValue = rawValue }

        /// The variable outlasts a reset.
        package static let nonVolatile = Attributes(rawValue: 0x01)
        /// Boot loaders see the variable.
        package static let bootServiceAccess = Attributes(rawValue: 0x02)
        /// The operating system sees the variable.
        package static let runtimeAccess = Attributes(rawValue: 0x04)
        /// Only a signed and later-dated value may replace the variable.
        package static let timeBasedAuthenticatedWriteAccess = Attributes(rawValue: 0x20)
    }

    /// The name and its namespace.
    package var key: Key

    /// Where the variable lives and who may write it.
    package var attributes: Attributes

    /// The content.
    package var data: [UInt8]

    /// The time of the last authenticated write; zeros for other variables.
    package var timestamp: EFITime

    /// The counter of a variable with count-based authentication, which UEFI has deprecated; zero for all others.
    package var monotonicCount: UInt64

    /// The index of a key of count-based authentication; zero for all others.
    package var publicKeyIndex: UInt32

    /// A variable that is not authenticated unless a time stamp is given.
    package init(
        _ name: String,
        vendor: GUID,
        attributes: Attributes,
        data: [UInt8],
        timestamp: EFITime = .zero
    ) {
        key = Key(name, vendor)
        self.attributes = attributes
        self.data = data
        self.timestamp = timestamp
        monotonicCount = 0
        publicKeyIndex = 0
    }

    init(
        key: Key,
        attributes: Attributes,
        data: [UInt8],
        timestamp: EFITime,
        monotonicCount: UInt64,
        publicKeyIndex: UInt32
    ) {
        self.key = key
        self.attributes = attributes
        self.data = data
        self.timestamp = timestamp
        self.monotonicCount = monotonicCount
        self.publicKeyIndex = publicKeyIndex
    }

    /// The name; code units that are no text show as U+FFFD.
    package var name: String { String(decoding: key.nameUnits, as: UTF16.self) }

    /// The namespace.
    package var vendor: GUID { key.vendor }
}
