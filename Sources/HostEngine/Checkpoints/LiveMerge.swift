import QEMUDriver
import QMP
import VMConfiguration

/// Merging disk files that a running QEMU has open.
extension RunningMachine {
    /// What Roost's job is called; one at a time.
    private static let mergeJob = "roost-merge"

    /// The files that a drive is read from.
    struct Chain: Sendable {
        /// From the one that the guest writes to down to the lowest.
        var paths: [String] = []
        /// The nodes that have them open, in the same order.
        var nodes: [String] = []
        /// The size that the guest sees, in bytes.
        var size: UInt64 = 0

        /// The node of a file.
        func node(_ path: String) -> String? { paths.firstIndex(of: path).map { nodes[$0] } }

        /// The file that stands on another one; nil for the one that the guest writes to.
        func above(_ path: String) -> String? {
            guard let index = paths.firstIndex(of: path), index > 0 else { return nil }
            return paths[index - 1]
        }
    }

    /// The files that the machine's drives are read from now.
    func chains() async throws -> [Chain] {
        let nodes = try await monitor.execute(QMPCommands.QueryNamedBlockNodes())
            .filter { $0.driver != "file" && $0.driver != "host_device" }
        let named = Dictionary(nodes.compactMap { node in node.name.map { ($0, node) } }) { first, _ in first }
        let filed = Dictionary(nodes.compactMap { node in node.path.map { ($0, node) } }) { first, _ in first }
        return try await monitor.execute(QMPCommands.QueryBlock()).compactMap { device in
            guard let name = device.inserted?.name, let top = named[name] else { return nil }
            var chain = Chain(size: top.virtualSizeInBytes)
            var next: BlockNode? = top
            while let node = next, let path = node.path, let name = node.name, !chain.paths.contains(path) {
                chain.paths.append(path)
                chain.nodes.append(name)
                next = node.backingPath.flatMap { filed[$0] }
            }
            return chain
        }
    }

    /// Writes what a file holds into the one that it stands on.
    ///
    /// For a file that the guest writes to it returns when both hold the same, and goes on with that until
    /// ``completeMerge()`` or ``endMerge()``. Else QEMU has closed the upper file when it returns, and the one above
    /// stands on the lower one. A cancelled task gives it up; the upper file reads as before then.
    ///
    /// - Parameter onProgress: called with fractions from 0 to 1.
    /// - Throws: `EngineError` with QEMU's reason.
    func merge(
        _ upper: String,
        into lower: String,
        of chain: Chain,
        onProgress: @Sendable (Double) async -> Void
    ) async throws {
        guard let top = chain.nodes.first, let from = chain.node(upper), let to = chain.node(lower) else {
            throw EngineError(.failed, "QEMU does not have the disk \(upper) over \(lower)")
        }
        let above = chain.above(upper)
        try await monitor.execute(
            QMPCommands.BlockCommit(
                jobID: Self.mergeJob,
                device: top,
                topNode: from,
                baseNode: to,
                backingFile: above.map { DiskImages.reference(to: lower, from: $0) }
            )
        )
        do {
            try await waitForMerge(above == nil ? "ready" : "concluded", looking: .milliseconds(50)) { job in
                guard job.total > 0 else { return }
                await onProgress(min(1, Double(job.current) / Double(job.total)))
            }
        } catch {
            if !(error is EngineError) { try await uncancelled { try await endMerge() } }
            throw error
        }
    }

    /// Lets the guest go on in the lower file of a merge that is ready; its processors must stand still.
    ///
    /// What QEMU holds of both files is on the disk when it returns.
    func completeMerge() async throws {
        try await monitor.execute(QMPCommands.JobComplete(id: Self.mergeJob))
        try await waitForMerge("concluded", looking: .milliseconds(2))
        // A machine that stands still writes out what its disks hold all the same.
        try await monitor.execute(QMPCommands.Stop())
    }

    /// Gives a merge up, or waits for its end where that has begun; nothing to do when there is none.
    func endMerge() async throws {
        guard let job = try await job() else { return }
        if ["created", "running", "paused", "ready", "standby"].contains(job.status) {
            // One that has come to its end meanwhile takes no command.
            _ = try? await monitor.execute(QMPCommands.JobCancel(id: Self.mergeJob))
        }
        do {
            try await waitForMerge("concluded", looking: .milliseconds(2))
        } catch is EngineError {
            // Given up, as was wanted.
        }
    }

    /// Closes the files that nothing reads any more.
    func close(_ path: String) async throws {
        for node in try await monitor.execute(QMPCommands.QueryNamedBlockNodes()) where node.path == path {
            guard let name = node.name, node.driver != "file", node.driver != "host_device" else { continue }
            try await monitor.execute(QMPCommands.BlockdevDelete(nodeName: name))
        }
    }

    private func job() async throws -> QEMUJob? {
        try await monitor.execute(QMPCommands.QueryJobs()).first { $0.id == Self.mergeJob }
    }

    /// Looks at the job until it has a status; one that has concluded is forgotten.
    private func waitForMerge(
        _ status: String,
        looking pause: Duration,
        _ seen: @Sendable (QEMUJob) async -> Void = { _ in }
    ) async throws {
        while true {
            guard let job = try await job() else { throw EngineError(.failed, "QEMU has lost the merge of a disk") }
            await seen(job)
            if job.status == "concluded" {
                try await monitor.execute(QMPCommands.JobDismiss(id: Self.mergeJob))
                guard let reason = job.error else { return }
                let isFull = reason.contains("No space left")
                throw EngineError(isFull ? .insufficientResources : .failed, "a disk cannot be merged", cause: reason)
            }
            if job.status == status { return }
            try await Task.sleep(for: pause)
        }
    }
}
