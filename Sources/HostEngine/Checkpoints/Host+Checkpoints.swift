import ConfigStore
import Logging
package import RoostAPI
import RoostPrimitives
import VMConfiguration

extension Host {
    /// Reads all checkpoints; one bad file hides no other.
    func readCheckpoints() async {
        let shelf = context.keeper.shelf
        do {
            try await onDisk { try shelf.read() }
        } catch {
            context.log.error("cannot read the checkpoints", metadata: ["error": "\(error)"])
        }
        for (id, reason) in shelf.damaged {
            context.log.error("a checkpoint cannot be used", metadata: ["id": "\(id)", "reason": "\(reason)"])
        }
        for id in shelf.machines where machines[id] == nil {
            context.log.warning(
                "there are checkpoints of a virtual machine that this host does not have",
                metadata: ["machine": "\(id)"]
            )
        }
    }

    /// Completes or undoes what an earlier roostd was doing with checkpoints; returns the machines whose disk files are still
    /// to be merged.
    func settleCheckpoints() async -> [VirtualMachine] {
        let directory = context.directory
        let noted = (try? await onDisk { try BranchingNote.machines(in: directory) }) ?? []
        var unmerged: [VirtualMachine] = []
        for id in Set(noted).union(context.keeper.shelf.machinesWithArmed).sorted() {
            if let machine = machines[id], await machine.settleCheckpointsAtStart() { unmerged.append(machine) }
        }
        return unmerged
    }

    /// Looks at every byte of all checkpoints' configurations and UEFI variables, and puts right what is damaged.
    ///
    /// - Throws: `CancellationError` only.
    func scrubCheckpoints(pause: Duration) async throws -> (reports: [StorageReport], problems: [String]) {
        let (shelf, directory) = (context.keeper.shelf, context.directory.ofCheckpoints)
        var reports: [StorageReport] = []
        var problems = shelf.damaged.sorted { $0.key < $1.key }.map { "the checkpoint \($0.key): \($0.value)" }
        for id in shelf.machines.sorted() {
            for checkpoint in shelf.checkpoints(of: id) {
                // What is wrong with one hides no other.
                do {
                    reports += try await shelf.using { store in
                        let store = store.configurations
                        let variables = directory.guestState(checkpoint.id)
                        var found = try store.scrub(id: checkpoint.id, path: checkpoint.path)
                        if checkpoint.record.receipt.hasVariables { found += try store.scrubKept(variables) }
                        return found
                    }
                } catch {
                    problems.append(
                        "the checkpoint \(checkpoint.record.name): \(APIError(translating: error).description)"
                    )
                }
                guard checkpoint.record.receipt.memoryInBytes != nil else { continue }
                guard
                    let problem = try await savedStateDamage(
                        directory.savedState(checkpoint.id),
                        pause: pause
                    ),
                    // Removed meanwhile, it needs no memory.
                    shelf.checkpoints(of: id).contains(where: { $0.id == checkpoint.id })
                else { continue }
                problems.append(
                    "the checkpoint \(checkpoint.record.name): \(problem); its disks can be had with 'roost checkpoint new-vm'"
                )
            }
        }
        return (reports, problems)
    }

    /// Takes a checkpoint of a machine.
    package func createCheckpoint(
        _ reference: String,
        _ request: CreateCheckpointRequest,
        _ reporter: JobCenter.Reporter
    ) async throws -> String {
        let machine = try machine(reference)
        do {
            return try await machine.createCheckpoint(
                request,
                besides: await disksInUse(besides: machine.id) ?? [],
                onWarning: { await reporter.warn($0) },
                onProgress: { await reporter.progress($0) }
            )
        } catch {
            await mergeWhatIsSpare(of: machine)
            throw error
        }
    }

    /// Merges what a checkpoint that came to nothing, or an earlier roostd, has left, as a job of its own.
    func mergeWhatIsSpare(of machine: VirtualMachine) async {
        let id = machine.id
        guard let configuration = try? await machine.load(), !configuration.spareDisks.isEmpty else { return }
        _ = await context.jobs.run("checkpoint.merge", subject: await machine.name, virtualMachine: id) { reporter in
            try await machine.mergeLeftovers(besides: { await self.disksInUse(besides: id) }, reporter)
            return nil
        }
    }

    /// Runs `body` with what a checkpoint keeps, and then merges the disk files that were left alone meanwhile.
    func reading<Result: Sendable>(
        _ checkpoint: String,
        of machine: VirtualMachine,
        _ what: String,
        _ body: @Sendable (KeptMachine) async throws -> Result
    ) async throws -> Result {
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await machine.withCheckpoint(checkpoint, what, body))
        } catch {
            result = .failure(error)
        }
        if await machine.takeMergePutOff() { await mergeWhatIsSpare(of: machine) }
        return try result.get()
    }

    /// Starts a throw-away copy of what a checkpoint keeps, has a look at it, and writes what it finds into the receipt;
    /// returns that.
    ///
    /// The machine may run, start and change meanwhile; checkpoints are neither applied nor removed.
    ///
    /// - Throws: `APIError` `.corrupt` when the checkpoint does not pass; what keeps it from being tried, and then nothing is
    ///   written.
    package func verifyCheckpoint(
        _ reference: String,
        _ checkpoint: String,
        _ request: VerifyCheckpointRequest
    ) async throws -> String {
        let limit = request.timeoutSeconds ?? 300
        guard (1...86_400).contains(limit) else {
            throw APIError(.invalidArgument, "a time-out of \(limit) s is not within 1 to 86400")
        }
        let machine = try machine(reference)
        return try await reading(checkpoint, of: machine, "verify a checkpoint of") { kept in
            try await machine.verify(kept, request.command, within: .seconds(limit))
        }
    }

    /// Gives a machine the state of one of its checkpoints.
    package func applyCheckpoint(
        _ reference: String,
        _ checkpoint: String,
        _ request: ApplyCheckpointRequest,
        _ reporter: JobCenter.Reporter
    ) async throws {
        let machine = try machine(reference)
        let id = machine.id
        try await machine.applyCheckpoint(
            checkpoint,
            request,
            besides: { await self.disksInUse(besides: id) },
            reporter
        )
    }

    /// Removes a checkpoint of a machine, or one with all that came from it.
    package func removeCheckpoint(
        _ reference: String,
        _ checkpoint: String,
        _ request: RemoveCheckpointRequest,
        _ reporter: JobCenter.Reporter
    ) async throws {
        let machine = try machine(reference)
        let id = machine.id
        try await machine.removeCheckpoint(
            checkpoint,
            request,
            besides: { await self.disksInUse(besides: id) },
            reporter
        )
    }
}
