import NIOPosix
import QMP
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// A machine's state, memory and devices, as QEMU sends and takes it over a socket in the machine's folder.
extension RunningMachine {
    /// Lets QEMU send its state, whose processors must stand still, and gives the bytes to `take` as they come, a MiB at a time.
    ///
    /// The guest can go on when this throws. When it returns QEMU has let go of the disks, and can only be ended.
    ///
    /// - Parameters:
    ///   - user: QEMU's user, who connects.
    ///   - whenRunning: given when QEMU is to let the processors run again as soon as it can, and sends the memory as it was
    ///     in that moment; called then. It keeps the disks and the guest goes on in this case.
    ///   - onProgress: called with fractions from 0 to 1.
    ///   - take: called on a thread of its own, which may block; what it throws ends the sending.
    /// - Throws: what `take` throws; `EngineError` with QEMU's reason.
    package func sendState(
        as user: QEMUUser,
        whenRunning: (@Sendable () -> Void)? = nil,
        onProgress: @Sendable (Double) async -> Void,
        take: @escaping @Sendable ([UInt8]) throws -> Void
    ) async throws {
        let path = folder.stateSocket
        let listener = try listenOnUnixSocket(path, backlog: 1, inOwnFolder: false)
        defer { unlink(path) }
        try user.takeOwnership(of: path)
        // A roostd that was killed may have left this on, and the guest would go on behind its saved state.
        if whenRunning == nil { _ = await obstacleToBackground(turningOn: false) }
        // Memory goes through a socket of this host: nothing else needs the room.
        try await monitor.execute(QMPCommands.MigrateSetParameters(["max-bandwidth": .int(1 << 40)]))
        let isOver = Flag()
        let taken = Task {
            let connected = Mutex<OwnedDescriptor?>(nil)
            try await onThreadOfItsOwn {
                let connection = try connection(of: listener, unless: isOver)
                connected.withLock { $0 = connection }
            }
            guard let connection = connected.withLock({ $0 }) else { return }
            let feed = StateFeed(ahead: 4) { try readPiece(of: connection) }
            try await feed.pass(to: take)
        }
        do {
            try await monitor.execute(QMPCommands.Migrate(uri: "unix:\(MachineFolder.stateSocketName)"))
            if let whenRunning {
                try await waitForProcessors()
                whenRunning()
            }
            try await followMigration(onProgress)
        } catch {
            isOver.set()
            await Task { await endMigration() }.value
            try await Self.reason(taken)
            throw error
        }
        isOver.set()
        try await taken.value
    }

    /// Lets QEMU send the next state while the guest goes on, or not; returns why it cannot.
    ///
    /// The host's kernel must let QEMU's user follow writes (userfaultfd(2)): `vm.unprivileged_userfaultfd` is 1. A QEMU before 8.1
    /// never ends to protect the memory when the sending is cancelled or its other end goes away, and the guest is stuck for
    /// good then: such a one is not let.
    package func obstacleToBackground(turningOn wanted: Bool) async -> String? {
        if wanted, version < QEMUVersion(8, 1, 0) { return "QEMU \(version) cannot write it otherwise (8.1 can)" }
        let command = QMPCommands.MigrateSetCapabilities(["background-snapshot": wanted])
        do {
            try await monitor.execute(command)
            return nil
        } catch {
            return "QEMU cannot write it otherwise (it may with sysctl vm.unprivileged_userfaultfd=1): \(error)"
        }
    }

    /// The processor features that the machine's model has and this host lacks, so that the guest does without; nil when QEMU
    /// does not say.
    package func missingProcessorFeatures() async -> [String]? {
        guard let path = try? await monitor.execute(QMPCommands.QueryProcessors()).first else { return nil }
        let query = QMPCommands.QOMGet(path: path, property: "unavailable-features")
        return try? await monitor.execute(query).arrayValue?.compactMap(\.stringValue).sorted()
    }

    /// Waits until the processors run or the migration has ended.
    ///
    /// QEMU lets them run again itself when it has written down its devices. Since version 9.0 it leaves them as it found
    /// them; there memory is sent once the devices are done.
    private func waitForProcessors() async throws {
        while try await !monitor.execute(QMPCommands.QueryStatus()).isRunning {
            let status = try await monitor.execute(QMPCommands.QueryMigrate())
            if status.state?.isFinal == true { return }
            if version >= QEMUVersion(9, 0, 0), let memory = status.memory,
                memory.remainingInBytes < memory.totalInBytes,
                memory.remainingInBytes > 0
            {
                return try await monitor.execute(QMPCommands.Continue())
            }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Gives QEMU, which was started to wait for it, the state that another one has sent.
    ///
    /// - Throws: what the reading of the state has met; `EngineError` with QEMU's reason. QEMU can only be ended then.
    package func takeState(
        from feed: StateFeed,
        onProgress: @Sendable (Double) async -> Void
    ) async throws {
        let path = folder.stateSocket
        try await monitor.execute(QMPCommands.MigrateIncoming(uri: "unix:\(MachineFolder.stateSocketName)"))
        defer { unlink(path) }
        let given = Task { [process] in
            do {
                let connection = try connected(to: path)
                try await feed.pass { try writeAll($0, to: connection) }
            } catch {
                // It would wait for the rest for ever.
                process.signal(SIGKILL)
                throw error
            }
        }
        do {
            try await followMigration(onProgress)
        } catch {
            let reason = folder.lastWords()
            process.signal(SIGKILL)
            try await Self.reason(given)
            throw (error as? EngineError)
                ?? EngineError(.failed, "QEMU cannot take the state", cause: reason ?? "\(error)")
        }
        try await given.value
    }

    /// Throws what the other end has met, when that is why QEMU could not go on and not what followed from it.
    private static func reason(_ other: Task<Void, any Error>) async throws {
        if case .failure(let error) = await other.result, !(error is EngineError) { throw error }
    }

    /// Ends a migration, when there is one.
    private func endMigration() async {
        // A refusal means that it has ended by itself.
        _ = try? await monitor.execute(QMPCommands.MigrateCancel())
        while let state = try? await monitor.execute(QMPCommands.QueryMigrate()).state, !state.isFinal {
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Waits until a migration has ended.
    private func followMigration(_ onProgress: @Sendable (Double) async -> Void) async throws {
        while true {
            let status = try await monitor.execute(QMPCommands.QueryMigrate())
            if let memory = status.memory, memory.totalInBytes > 0 {
                let left = Double(memory.remainingInBytes) / Double(memory.totalInBytes)
                await onProgress(max(0, 1 - left))
            }
            switch status.state {
            case .completed?: return
            case .failed?, .cancelled?:
                throw EngineError(
                    status.state == .cancelled ? .cancelled : .failed,
                    "QEMU could not pass on the machine's state",
                    cause: status.errorDescription
                )
            default: try await Task.sleep(for: .milliseconds(5))
            }
        }
    }
}

extension MachineFolder {
    /// Where a machine's state goes through, as QEMU, which starts in the folder, reaches it.
    static let stateSocketName = "state.sock"
    var stateSocket: String { "\(path)/\(Self.stateSocketName)" }
}

/// Something that happens once, and that another thread looks at.
private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}

/// Runs something on a thread that does nothing else, for as long as it takes.
func onThreadOfItsOwn(_ body: @escaping @Sendable () throws -> Void) async throws {
    let pool = NIOThreadPool(numberOfThreads: 1)
    pool.start()
    let result: Result<Void, any Error> = await withCheckedContinuation { continuation in
        pool.submit { _ in continuation.resume(returning: Result(catching: body)) }
    }
    try await pool.shutdownGracefully()
    try result.get()
}

/// Waits for somebody to connect; nil when nobody has until the flag was set.
private func connection(of listener: OwnedDescriptor, unless isOver: Flag) throws(EngineError) -> OwnedDescriptor? {
    var entry = pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0)
    while poll(&entry, 1, 100) <= 0 { if isOver.isSet { return nil } }
    let number = accept(listener.number, nil, nil)
    guard number >= 0, fcntl(number, F_SETFD, FD_CLOEXEC) == 0 else {
        throw EngineError(.failed, "cannot accept QEMU", cause: systemErrorText(errno))
    }
    return OwnedDescriptor(number)
}

private func connected(to path: String) throws(EngineError) -> OwnedDescriptor {
    let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { throw EngineError(.failed, "cannot make a socket", cause: systemErrorText(errno)) }
    let owned = OwnedDescriptor(number)
    let result = withUnixAddress(path) { connect(number, $0, $1) }
    guard result == 0 else { throw EngineError(.failed, "cannot reach QEMU at \(path)", cause: systemErrorText(errno)) }
    return owned
}

/// The next piece that QEMU sends, a whole one but for the last; nil at the end.
private func readPiece(of connection: OwnedDescriptor) throws(EngineError) -> [UInt8]? {
    let size = 1 << 20
    var failure: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
        while count < size {
            let got = read(connection.number, buffer.baseAddress.map { $0 + count }, size - count)
            if got < 0, errno == EINTR { continue }
            if got < 0 { failure = errno }
            if got <= 0 { return }
            count += got
        }
    }
    if failure != 0 { throw EngineError(.failed, "cannot read from QEMU", cause: systemErrorText(failure)) }
    return bytes.isEmpty ? nil : bytes
}

private func writeAll(_ bytes: [UInt8], to connection: OwnedDescriptor) throws(EngineError) {
    var done = 0
    while done < bytes.count {
        let count = bytes.withUnsafeBytes { buffer in
            send(connection.number, buffer.baseAddress.map { $0 + done }, buffer.count - done, Int32(MSG_NOSIGNAL))
        }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw EngineError(.failed, "QEMU takes no more", cause: systemErrorText(errno)) }
        done += count
    }
}
