import ConfigStore
import QEMUDriver
import RoostAPI
import RoostPrimitives
import VMConfiguration

#if canImport(Glibc)
    import Glibc
#endif

/// What a start needs of the host, checked and opened.
struct LaunchPreparation: Sendable {
    var machineType: String
    var processorModel: String
    var firmware: UEFIFirmware?
    var variablesPath: String?
    var driveFiles: [DriveLocation: MachinePlan.DriveFile] = [:]
    var networks: [GUID: MachinePlan.NetworkBackend] = [:]
    var seedPath: String?
    var descriptors: [OwnedDescriptor] = []
}

extension LaunchPreparation {
    /// What QEMU is started with for a configuration.
    func request(
        _ configuration: VirtualMachineConfiguration,
        on host: HostContext,
        takesState: Bool
    ) -> RunningMachine.LaunchRequest {
        let accelerator = host.verdict.accelerator
        var request = RunningMachine.LaunchRequest(
            qemuPath: host.installation.path,
            user: host.user,
            folder: host.folder(configuration.id.uppercased),
            configuration: configuration
        ) { monitor, agent, serial in
            var plan = MachinePlan(
                accelerator: accelerator,
                processorModel: processorModel,
                machineType: machineType,
                monitorDescriptor: monitor,
                agentDescriptor: agent,
                serialDescriptor: serial
            )
            plan.firmware = firmware
            plan.variablesPath = variablesPath
            plan.driveFiles = driveFiles
            plan.networks = networks
            plan.seedPath = seedPath
            plan.takesState = takesState
            return plan
        }
        request.descriptors = descriptors
        request.deadline = host.launchDeadline
        return request
    }
}

extension VirtualMachine {
    /// Checks that the host has what the machine needs, and opens it.
    func prepare(_ configuration: VirtualMachineConfiguration) async throws -> LaunchPreparation {
        let roost = configuration.roost
        let machineType = roost.machineType ?? MachinePlan.machineType(for: configuration)
        guard host.installation.machineTypes.contains(machineType) else {
            throw APIError(
                .unsupported,
                "cannot start \(name): its machine type \(machineType) is unknown to QEMU "
                    + "\(host.installation.version) on this host"
            )
        }
        var preparation = LaunchPreparation(
            machineType: machineType,
            processorModel: roost.cpuModel ?? host.processorModel
        )
        try checkMemory(configuration.memory.startup)
        if configuration.generation == .two {
            guard let firmware = host.installation.firmware else {
                throw APIError(
                    .unsupported,
                    "cannot start \(name): the host has no UEFI firmware (Debian: apt-get install ovmf)"
                )
            }
            preparation.firmware = firmware
            preparation.variablesPath = try await prepareVariables(configuration, firmware)
        }
        for drive in configuration.drives {
            guard let path = drive.path else { continue }
            guard drive.kind == .hardDisk || drive.kind == .dvd else {
                throw APIError(
                    .unsupported,
                    "cannot start \(name): this release does not run the \(drive.kind) at \(drive.location): detach it"
                )
            }
            let format = roost.diskFormats[path] ?? (drive.kind == .dvd ? .raw : .qcow2)
            try await checkAccess(path, writable: drive.kind == .hardDisk)
            preparation.driveFiles[drive.location] = MachinePlan.DriveFile(path: path, format: format)
        }
        if let seed = roost.cloudInitSeedPath {
            // One of another folder is the user's own.
            if seed == host.directory.seed(id) { try await checkKept(seed) }
            try await checkAccess(seed, writable: false)
            preparation.seedPath = seed
        }
        for adapter in configuration.networkAdapters {
            try await connect(adapter, &preparation)
        }
        return preparation
    }

    private func checkMemory(_ mebibytes: UInt64) throws {
        let available = availableMemoryMiB()
        guard mebibytes <= available else {
            throw APIError(
                .insufficientResources,
                "cannot start \(name): it needs \(mebibytes) MiB of memory, the host has \(available) MiB available"
            )
        }
    }

    private func checkAccess(_ path: String, writable: Bool) async throws {
        let user = host.user
        do {
            try await onDisk { try user.requireAccess(to: path, writable: writable) }
        } catch {
            var translated = APIError(translating: error)
            translated.message = "cannot start \(name): \(translated.message)"
            throw translated
        }
    }

    private func connect(_ adapter: NetworkAdapter, _ preparation: inout LaunchPreparation) async throws {
        guard adapter.isConnected, let switchID = adapter.switchID else {
            preparation.networks[adapter.id] = .disconnected
            return
        }
        switch try await host.switches.backend(for: switchID, machine: name) {
        case .nat:
            preparation.networks[adapter.id] = .user
        case .bridge(let bridge):
            let tap = try openTap(bridge: bridge)
            let number = RunningMachine.firstFreeDescriptor + preparation.descriptors.count
            preparation.descriptors.append(tap)
            preparation.networks[adapter.id] = .tap(descriptor: number)
        }
    }
}

/// The memory that the host can still give, in MiB (proc(5), `MemAvailable`).
package func availableMemoryMiB() -> UInt64 { memoryValueMiB("MemAvailable:") }

/// The host's memory in MiB (proc(5), `MemTotal`).
package func totalMemoryMiB() -> UInt64 { memoryValueMiB("MemTotal:") }

private func memoryValueMiB(_ key: String) -> UInt64 {
    for line in (readSmallText("/proc/meminfo") ?? "").split(separator: "\n") where line.hasPrefix(key) {
        return (line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0) / 1024
    }
    return 0
}
