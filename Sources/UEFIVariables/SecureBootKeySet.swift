package import RoostPrimitives

/// What a Secure Boot template puts into `db`: whose boot loaders a virtual machine starts.
///
/// The raw values are Hyper-V's names of the templates.
package enum SecureBootKeySet: String, CaseIterable, Hashable, Sendable {
    /// Windows, and nothing else that Microsoft signs.
    case microsoftWindows = "MicrosoftWindows"

    /// What Microsoft signs for others, such as the shim of Linux distributions; not Windows itself.
    case microsoftUEFICertificateAuthority = "MicrosoftUEFICertificateAuthority"

    /// Only what the certificates of the virtual machine's owner have signed.
    case openSourceShieldedVM = "OpenSourceShieldedVM"

    /// The subjects of the certificates that the template trusts, oldest first; each counts where the host has it.
    ///
    /// The authority for option ROMs (`Microsoft Option ROM UEFI CA 2023`) is in none: the option ROMs of a virtual
    /// machine come from its host, and OVMF starts them unverified.
    package var trustedSubjects: [String] {
        switch self {
        case .microsoftWindows: ["Microsoft Windows Production PCA 2011", "Windows UEFI CA 2023"]
        case .microsoftUEFICertificateAuthority: ["Microsoft Corporation UEFI CA 2011", "Microsoft UEFI CA 2023"]
        case .openSourceShieldedVM: []
        }
    }

    /// The key set of a template by the identifier that configurations store; nil for an unknown template.
    package init?(id: GUID) {
        guard let known = Self.allCases.first(where: { $0.id == id }) else { return nil }
        self = known
    }

    /// The identifier under which Hyper-V knows the template.
    package var id: GUID {
        let text =
            switch self {
            case .microsoftWindows: "1734C6E8-3154-4DDA-BA5F-A874CC483422"
            case .microsoftUEFICertificateAuthority: "272E7447-90A4-4563-A4B9-8E4AB00526CE"
            case .openSourceShieldedVM: "4292AE2B-EE2C-42B5-A969-DD8F8689F6F3"
            }
        return GUID(text) ?? .zero
    }
}
