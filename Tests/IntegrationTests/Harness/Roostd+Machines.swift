import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Roostd {
    /// Creates a machine and returns its identifier.
    ///
    /// Without further settings it is of generation 1 and has no disk: its firmware runs and waits, which is all that many
    /// tests need and takes no time.
    @discardableResult
    nonisolated func create(
        _ name: String,
        _ configure: (inout CreateVirtualMachineRequest) -> Void = { _ in }
    ) async throws -> String {
        var request = CreateVirtualMachineRequest(name: name)
        request.generation = 1
        request.memoryMiB = 64
        configure(&request)
        let job = try await client.createVirtualMachine(request, waitSeconds: 120).succeeded()
        return try #require(job.result)
    }

    /// Creates a machine from the small guest's image.
    @discardableResult
    nonisolated func createGuest(
        _ name: String,
        generation: Int,
        secureBoot: String? = nil,
        _ configure: (inout CreateVirtualMachineRequest) -> Void = { _ in }
    ) async throws -> String {
        try await create(name) { request in
            request.generation = generation
            request.memoryMiB = generation == 1 ? 256 : 384
            request.image = Laboratory.guest
            request.secureBoot = secureBoot
            configure(&request)
        }
    }

    nonisolated func start(_ vm: String) async throws {
        try await client.startVirtualMachine(vm, waitSeconds: 60).succeeded()
    }

    nonisolated func turnOff(_ vm: String) async throws {
        try await client.stopVirtualMachine(vm, .init(turnOff: true), waitSeconds: 60).succeeded()
    }

    nonisolated func summary(_ vm: String) async throws -> VirtualMachineSummary {
        try await client.virtualMachine(vm).summary
    }

    nonisolated func state(_ vm: String) async throws -> VirtualMachineState { try await summary(vm).state }

    /// The QEMU of a machine, as the kernel shows it.
    nonisolated func qemu(_ id: String) throws -> QEMUProcess {
        let own = qemus.filter { $0.uuid == id.lowercased() }
        try #require(own.count == 1, "\(id) has \(own.count) QEMUs")
        return own[0]
    }

    /// Waits until a machine's row in the list is as wanted.
    @discardableResult
    nonisolated func wait(
        for vm: String,
        within seconds: Double = 30,
        _ isAsWanted: @escaping @Sendable (VirtualMachineSummary) -> Bool
    ) async throws -> VirtualMachineSummary {
        let client = client
        return try await within(seconds, "the awaited state of \(vm)") {
            let first = try await client.virtualMachine(vm).summary
            if isAsWanted(first) { return first }
            // The stream begins with everything that has happened, so nothing falls between asking and listening.
            for try await event in client.events(since: 0)
            where event.virtualMachine == first.id && event.kind == "vm.state" {
                let now = try await client.virtualMachine(vm).summary
                if isAsWanted(now) { return now }
            }
            throw Failure("the event stream ended")
        }
    }

    @discardableResult
    nonisolated func wait(
        for vm: String,
        _ state: VirtualMachineState,
        within seconds: Double = 30
    ) async throws -> VirtualMachineSummary {
        try await wait(for: vm, within: seconds) { $0.state == state }
    }

    /// The files of the state directory that mean something, with their sizes; folders end in `/`.
    nonisolated func stateFiles() -> Set<String> {
        var result: Set<String> = []
        guard let found = FileManager.default.enumerator(atPath: stateDirectory) else { return result }
        for case let path as String in found where !path.hasPrefix("cache") && path != "jobs.ndjson" {
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: "\(stateDirectory)/\(path)", isDirectory: &isFolder)
            result.insert(isFolder.boolValue ? path + "/" : path)
        }
        return result
    }
}

extension Job {
    /// The job, which must have succeeded.
    @discardableResult
    func succeeded() throws -> Job {
        guard state == .succeeded else {
            throw Failure("\(kind) of \(subject) is \(state.rawValue): \(error?.description ?? "no error")")
        }
        return self
    }
}

/// The error of a request that must be refused, at once or by its job; nil when it was not refused.
func refusal<Answer>(_ request: () async throws -> Answer) async throws -> APIError? {
    do {
        let answer = try await request()
        guard let job = answer as? Job else { return nil }
        return job.error
    } catch let error as APIError {
        return error
    }
}
