// swift-tools-version:6.2
import PackageDescription

/// Every target is built with these: warnings are errors, and the language rules of the next Swift already hold.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
    .treatWarning("DeprecatedDeclaration", as: .warning),
]

func target(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let package = Package(
    name: "roost",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "HyperVStorage", targets: ["HyperVStorage"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    ],
    targets: [
        // Base
        .target(name: "CRoostBytes"),
        target("RoostPrimitives", ["CRoostBytes"]),
        // Formats: values without I/O
        target("HyperVStorage", ["RoostPrimitives"]),
        target("VMConfiguration", ["HyperVStorage", "RoostPrimitives"]),
        target("QMP", ["RoostPrimitives"]),
        target("UEFIVariables", ["RoostPrimitives"]),
        // Drivers
        .target(name: "CRoostLinux"),
        target("DurableFiles", ["CRoostLinux"]),
        target(
            "QEMUDriver",
            [
                "CRoostLinux", "QMP", "RoostPrimitives", "VMConfiguration",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        target("ConfigStore", ["CLZ4", "DurableFiles", "HyperVStorage", "RoostPrimitives", "VMConfiguration"]),
        // Engines
        target(
            "HostEngine",
            [
                "ConfigStore", "HyperVStorage", "QEMUDriver", "QMP", "RoostAPI", "RoostPrimitives", "UEFIVariables",
                "VMConfiguration",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        // Contract: wire types
        target("RoostAPI", ["RoostPrimitives"]),
        // Surface
        target(
            "RoostServer",
            [
                "HostEngine", "RoostAPI", "RoostPrimitives",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]
        ),
        target(
            "RoostClient",
            [
                "RoostAPI", "RoostPrimitives",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]
        ),
        // Executables
        .executableTarget(
            name: "roostd",
            dependencies: [
                "CRoostLinux", "ConfigStore", "HostEngine", "RoostAPI", "RoostServer",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "roost",
            dependencies: [
                "ConfigStore", "DurableFiles", "HyperVStorage", "RoostAPI", "RoostClient", "RoostPrimitives",
                "VMConfiguration",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings
        ),
        // Tests
        .target(
            name: "ScriptedRoostd",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/ScriptedRoostd",
            swiftSettings: settings
        ),
        .target(
            name: "CrashMatrix",
            dependencies: ["ConfigStore", "DurableFiles", "HyperVStorage", "RoostPrimitives", "VMConfiguration"],
            path: "Tests/CrashMatrix",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "crash-matrix",
            dependencies: ["CrashMatrix"],
            path: "Tests/CrashMatrixCommand",
            swiftSettings: settings
        ),
        tests(
            "CrashMatrixTests",
            ["ConfigStore", "CrashMatrix", "DurableFiles", "RoostPrimitives", "VMConfiguration"]
        ),
        tests("RoostPrimitivesTests", ["RoostPrimitives"]),
        tests("HyperVStorageTests", ["HyperVStorage", "RoostPrimitives"]),
        tests("VMConfigurationTests", ["HyperVStorage", "RoostPrimitives", "VMConfiguration"]),
        tests("QMPTests", ["QMP", "RoostPrimitives"]),
        tests("UEFIVariablesTests", ["RoostPrimitives", "UEFIVariables"]),
        tests("DurableFilesTests", ["DurableFiles"]),
        tests(
            "ConfigStoreTests",
            ["ConfigStore", "DurableFiles", "HyperVStorage", "RoostPrimitives", "VMConfiguration"]
        ),
        tests(
            "QEMUDriverTests",
            [
                "QEMUDriver", "QMP", "RoostPrimitives", "VMConfiguration",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            exclude: ["Fixtures"]
        ),
        tests(
            "HostEngineTests",
            ["ConfigStore", "HostEngine", "QEMUDriver", "RoostAPI", "RoostPrimitives", "VMConfiguration"]
        ),
        tests("RoostClientTests", ["RoostAPI", "RoostClient", "RoostPrimitives", "ScriptedRoostd"]),
        tests(
            "RoostCommandTests",
            [
                "roost", "ConfigStore", "DurableFiles", "HyperVStorage", "RoostAPI", "RoostClient", "RoostPrimitives",
                "ScriptedRoostd", "VMConfiguration",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        tests("IntegrationTests", ["HyperVStorage", "RoostAPI", "RoostClient", "RoostPrimitives", "VMConfiguration"]),
    ]
)
