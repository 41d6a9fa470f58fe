/// The firmware of a virtual machine (Hyper-V: Get-VMFirmware, Get-VMBios).
public struct FirmwareInfo: Codable, Hashable, Sendable {
    /// `UEFI` or `BIOS`.
    public var type: String
    /// Whether Secure Boot is on; nil for generation 1.
    public var secureBoot: Bool?
    /// The Secure Boot template's name; nil for generation 1.
    public var secureBootTemplate: String?
    /// The certificate authorities that the machine's variable store trusts, by common name, with the end of validity.
    public var trustedAuthorities: [CertificateInfo]
    /// The boot order: for generation 1 device kinds, for generation 2 drive locations and adapter names.
    public var bootOrder: [String]
    /// The boot entries that the guest's firmware holds, in its order; empty before the first start.
    public var firmwareBootEntries: [String]
    /// Whether the machine has started since its variable store was made.
    public var hasStarted: Bool

    /// A record of the given fields.
    public init(
        type: String,
        secureBoot: Bool?,
        secureBootTemplate: String?,
        trustedAuthorities: [CertificateInfo],
        bootOrder: [String],
        firmwareBootEntries: [String],
        hasStarted: Bool
    ) {
        self.type = type
        self.secureBoot = secureBoot
        self.secureBootTemplate = secureBootTemplate
        self.trustedAuthorities = trustedAuthorities
        self.bootOrder = bootOrder
        self.firmwareBootEntries = firmwareBootEntries
        self.hasStarted = hasStarted
    }
}

/// A certificate in a variable store.
public struct CertificateInfo: Codable, Hashable, Sendable {
    /// The subject's common name.
    public var commonName: String
    /// The end of validity, as RFC 3339 text in UTC.
    public var notAfter: String?

    /// A certificate of a name.
    public init(commonName: String, notAfter: String?) {
        self.commonName = commonName
        self.notAfter = notAfter
    }
}

/// The body of `PATCH /v1/vms/{vm}/firmware` (Hyper-V: Set-VMFirmware).
///
/// The machine must be off.
public struct UpdateFirmwareRequest: Codable, Hashable, Sendable {
    /// A Secure Boot template's name, or `off`, or `on` for the template that is set.
    public var secureBoot: String?
    /// The owner's own certificates, PEM text, added to what the template trusts.
    public var ownCertificates: [String]?
    /// The boot order, first first: drive locations or adapter names (generation 2), device kinds (generation 1).
    public var bootOrder: [String]?
    /// Whether to replace the variable store of a machine that has started before, which loses what the guest stored
    /// in it (boot entries, enrolled keys).
    public var force: Bool?

    /// A request that changes nothing yet.
    public init() {}
}
