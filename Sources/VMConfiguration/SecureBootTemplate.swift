public import RoostPrimitives

/// Whose signatures the firmware of a Generation 2 virtual machine trusts.
public struct SecureBootTemplate: Hashable, Sendable {
    /// The identifier that a configuration stores; a template that this release does not know has another one.
    public var id: GUID

    /// The template with an identifier, known or not.
    public init(id: GUID) { self.id = id }

    /// The certificates of Windows itself.
    public static let microsoftWindows = SecureBootTemplate(literal: "1734C6E8-3154-4DDA-BA5F-A874CC483422")
    /// The certificate authority that signs other makers' loaders, such as those of Linux distributions.
    public static let microsoftUEFICertificateAuthority = SecureBootTemplate(
        literal: "272E7447-90A4-4563-A4B9-8E4AB00526CE"
    )
    /// No certificates of Microsoft: the virtual machine's own ones.
    public static let openSourceShieldedVM = SecureBootTemplate(literal: "4292AE2B-EE2C-42B5-A969-DD8F8689F6F3")

    /// The templates that this release knows.
    public static let all: [SecureBootTemplate] = [
        .microsoftWindows, .microsoftUEFICertificateAuthority, .openSourceShieldedVM,
    ]

    /// Hyper-V's name of the template; nil when this release does not know it.
    public var name: String? {
        switch self {
        case .microsoftWindows: "MicrosoftWindows"
        case .microsoftUEFICertificateAuthority: "MicrosoftUEFICertificateAuthority"
        case .openSourceShieldedVM: "OpenSourceShieldedVM"
        default: nil
        }
    }

    /// The template with one of Hyper-V's names, in any case; nil for any other name.
    public init?(name: some StringProtocol) {
        let wanted = name.lowercased()
        guard let known = Self.all.first(where: { $0.name?.lowercased() == wanted }) else { return nil }
        self = known
    }

    private init(literal: StaticString) { id = GUID("\(literal)") ?? .zero }
}

extension SecureBootTemplate: CustomStringConvertible {
    /// The name, or the identifier of a template that this release does not know.
    public var description: String { name ?? id.uppercased }
}
