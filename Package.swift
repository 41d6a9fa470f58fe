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
    targets: [
        // Base
        target("RoostPrimitives"),
        // Formats: values without I/O
        target("HyperVStorage", ["RoostPrimitives"]),
        // Contract: wire types
        target("RoostAPI", ["RoostPrimitives"]),
        // Tests
        tests("RoostPrimitivesTests", ["RoostPrimitives"]),
    ]
)
