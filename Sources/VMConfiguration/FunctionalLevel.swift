/// What a host can do, by its release of Roost and of QEMU; in a cluster, what all its nodes agreed to use.
public struct FunctionalLevel: Hashable, Comparable, Sendable {
    /// The level's number: 8, 9 or 10.
    public let number: Int

    private init(number: Int) { self.number = number }

    /// Level 8, as Windows Server 2012 R2.
    public static let windowsServer2012R2 = FunctionalLevel(number: 8)
    /// Level 9, as Windows Server 2016.
    public static let windowsServer2016 = FunctionalLevel(number: 9)
    /// Level 10, as Windows Server 2019.
    public static let windowsServer2019 = FunctionalLevel(number: 10)

    /// The levels that this release knows, lowest first.
    public static let all: [FunctionalLevel] = [.windowsServer2012R2, .windowsServer2016, .windowsServer2019]

    /// The level with a number; nil for a number that this release does not know.
    public init?(_ number: Int) {
        guard Self.all.contains(where: { $0.number == number }) else { return nil }
        self.init(number: number)
    }

    /// Orders by number.
    public static func < (left: FunctionalLevel, right: FunctionalLevel) -> Bool { left.number < right.number }

    /// The release of Windows whose level it is.
    public var windowsName: String {
        switch self {
        case .windowsServer2012R2: "Windows Server 2012 R2"
        case .windowsServer2016: "Windows Server 2016"
        default: "Windows Server 2019"
        }
    }

    /// The oldest release of QEMU with which a host has the level.
    public var minimumQEMU: (major: Int, minor: Int) {
        switch self {
        case .windowsServer2012R2: (5, 2)
        case .windowsServer2016: (7, 2)
        default: (10, 0)
        }
    }

    /// The newest configuration version that a host of the level runs.
    public var newestConfigurationVersion: ConfigurationVersion {
        switch self {
        case .windowsServer2012R2: .v5_0
        case .windowsServer2016: .v8_0
        default: .v9_0
        }
    }

    /// The configuration version of a new virtual machine whose maker names none.
    public var defaultConfigurationVersion: ConfigurationVersion { newestConfigurationVersion }

    /// The configuration versions that a host of the level runs, oldest first.
    public var supportedConfigurationVersions: [ConfigurationVersion] {
        ConfigurationVersion.known.filter { $0 <= newestConfigurationVersion }
    }

    /// The highest level of a host with a release of QEMU; nil when the release is too old for any.
    public static func highest(forQEMU version: (major: Int, minor: Int)) -> FunctionalLevel? {
        all.last { version >= $0.minimumQEMU }
    }
}

extension FunctionalLevel: CustomStringConvertible {
    /// The number and what it stands for: `9 (Windows Server 2016)`.
    public var description: String { "\(number) (\(windowsName))" }
}
