import QEMUDriver
import RoostPrimitives
import VMConfiguration

/// The kinds of machines whose arguments are pinned.
enum MachineShape: String, CaseIterable, Sendable {
    case generationOneMinimal = "generation-1-minimal"
    case generationOneFull = "generation-1-full"
    case generationOneOldVersion = "generation-1-version-5.0"
    case generationTwoMinimal = "generation-2-minimal"
    case generationTwoSecureBootOff = "generation-2-secure-boot-off"
    case generationTwoOldVersion = "generation-2-version-5.0"
    case generationTwoNewVersion = "generation-2-version-9.0"
    case generationTwoDisks = "generation-2-disks-and-seed"
    case generationTwoNetworks = "generation-2-networks"
    case generationTwoBootOrder = "generation-2-boot-order"
    case generationOneImported = "generation-1-imported"
    case generationTwoSATA = "generation-2-sata"
    case awkwardNames = "awkward-names"
}

/// A machine of a shape, with everything random pinned.
struct ShapedMachine {
    var configuration: VirtualMachineConfiguration
    var plan: MachinePlan
    /// The disk and image files that the plan names, in the folder given.
    var files: [String] = []

    private struct Constant: RandomNumberGenerator {
        var state: UInt64 = 42
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state
        }
    }

    init(_ shape: MachineShape, folder: String = "/vm") throws {
        let (generation, version): (Generation, ConfigurationVersion) =
            switch shape {
            case .generationOneMinimal, .generationOneFull, .generationOneImported: (.one, .v8_0)
            case .generationOneOldVersion: (.one, .v5_0)
            case .generationTwoOldVersion: (.two, .v5_0)
            case .generationTwoNewVersion: (.two, .v9_0)
            default: (.two, .v8_0)
            }
        var new = NewVirtualMachine(
            name: shape == .awkwardNames ? "it's \"a\", b,c=d é" : "web",
            generation: generation,
            version: version
        )
        new.id = try Self.guid(1)
        new.networkAdapters = []
        new.secureBootEnabled = generation == .two && shape != .generationTwoSecureBootOff
        var random = Constant()
        configuration = try VirtualMachineConfiguration.new(new, using: &random)
        plan = MachinePlan(
            accelerator: .tcg,
            processorModel: "qemu64",
            machineType: MachinePlan.machineType(for: configuration),
            monitorDescriptor: 3,
            agentDescriptor: 4,
            serialDescriptor: 5
        )
        if generation == .two {
            plan.firmware = UEFIFirmware(
                codePath: "/usr/share/OVMF/OVMF_CODE_4M.ms.fd",
                plainVariablesPath: "/usr/share/OVMF/OVMF_VARS_4M.fd",
                keyedVariablesPath: "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
            )
            plan.variablesPath = "\(folder)/variables.fd"
        }
        try addDevices(shape, folder: folder)
    }

    private static func guid(_ number: UInt8) throws -> GUID {
        guard let guid = GUID("11111111-1111-1111-1111-11111111110\(number)") else {
            throw EngineError(.failed, "no GUID")
        }
        return guid
    }

    private mutating func addDevices(_ shape: MachineShape, folder: String) throws {
        switch shape {
        case .generationOneFull:
            try addDrive(DriveLocation(.ide, 0, 0), .hardDisk, "\(folder)/system.qcow2", .qcow2)
            try addDrive(DriveLocation(.ide, 0, 1), .hardDisk, "\(folder)/data.raw", .raw)
            try addDrive(DriveLocation(.scsi, 0, 3), .hardDisk, "\(folder)/more.raw", .raw)
            try configuration.setDrive(
                Drive(location: DriveLocation(.ide, 1, 0), kind: .dvd, path: "\(folder)/install.iso")
            )
            plan.driveFiles[DriveLocation(.ide, 1, 0)] = .init(path: "\(folder)/install.iso", format: .raw)
            files.append("\(folder)/install.iso")
            try addAdapter(2, isLegacy: true, .user)
            try addAdapter(3, .disconnected)
        case .generationTwoDisks:
            try configuration.addScsiController()
            try addDrive(DriveLocation(.scsi, 0, 0), .hardDisk, "\(folder)/system.qcow2", .qcow2)
            try addDrive(DriveLocation(.scsi, 1, 63), .hardDisk, "\(folder)/data.raw", .raw)
            try addDrive(DriveLocation(.scsi, 0, 1), .dvd, "\(folder)/install.iso", .raw)
            try configuration.addDrive(Drive(location: DriveLocation(.scsi, 1, 0), kind: .dvd, path: nil))
            plan.seedPath = "\(folder)/seed.iso"
            files.append("\(folder)/seed.iso")
        case .generationOneImported:
            configuration.roost.adapterModel = .e1000
            try addDrive(DriveLocation(.ide, 0, 0), .hardDisk, "\(folder)/system.qcow2", .qcow2)
            try addAdapter(2, .user)
        case .generationTwoSATA:
            configuration.roost.diskController = .ahci
            configuration.roost.adapterModel = .e1000e
            try addDrive(DriveLocation(.scsi, 0, 0), .hardDisk, "\(folder)/system.qcow2", .qcow2)
            try addDrive(DriveLocation(.scsi, 0, 5), .dvd, "\(folder)/install.iso", .raw)
            try addAdapter(2, .user)
            plan.seedPath = "\(folder)/seed.iso"
            files.append("\(folder)/seed.iso")
        case .generationTwoNetworks:
            try addAdapter(2, .user)
            try addAdapter(3, .disconnected)
            try addAdapter(4, .tap(descriptor: 6))
        case .generationTwoBootOrder:
            try addDrive(DriveLocation(.scsi, 0, 0), .hardDisk, "\(folder)/system.qcow2", .qcow2)
            try addDrive(DriveLocation(.scsi, 0, 1), .hardDisk, "\(folder)/data.raw", .raw)
            try addAdapter(2, .user)
            configuration.firmware.bootOrder = [
                .networkAdapter(try Self.guid(2)), .drive(DriveLocation(.scsi, 0, 1)),
            ]
        case .awkwardNames:
            try addDrive(DriveLocation(.scsi, 0, 0), .hardDisk, "\(folder)/it's \"a\", b=c.raw", .raw)
        default: break
        }
    }

    private mutating func addDrive(
        _ location: DriveLocation,
        _ kind: Drive.Kind,
        _ path: String,
        _ format: RoostSettings.DiskFormat
    ) throws {
        try configuration.addDrive(Drive(location: location, kind: kind, path: path))
        plan.driveFiles[location] = .init(path: path, format: format)
        files.append(path)
    }

    private mutating func addAdapter(
        _ number: UInt8,
        isLegacy: Bool = false,
        _ backend: MachinePlan.NetworkBackend
    ) throws {
        let id = try Self.guid(number)
        try configuration.addNetworkAdapter(
            NetworkAdapter(id: id, macAddress: MACAddress("00-15-5D-00-00-0\(number)"), isLegacy: isLegacy)
        )
        plan.networks[id] = backend
    }
}
