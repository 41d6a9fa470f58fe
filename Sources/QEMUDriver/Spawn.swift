import CRoostLinux

#if canImport(Glibc)
    import Glibc
#endif

/// A process that roostd started in a session of its own, or found again.
package struct SpawnedProcess: Sendable {
    package var identity: ProcessIdentity
    /// Readable once the process has ended.
    package var pidfd: OwnedDescriptor

    package init(identity: ProcessIdentity, pidfd: OwnedDescriptor) {
        self.identity = identity
        self.pidfd = pidfd
    }
}

/// What a new process is to be.
package struct SpawnRequest {
    package var path: String
    /// The arguments after the program's own name.
    package var arguments: [String]
    package var environment: [String]
    /// The working directory, entered before privileges are dropped.
    package var directory: String
    /// Descriptor `i` of the new process is a duplicate of `descriptors[i]`.
    package var descriptors: [Int32]
    package var user: QEMUUser
}

/// Starts a process; when this returns the program has been executed.
///
/// - Throws: `EngineError` with the call that failed; no process is left then.
package func spawn(_ request: SpawnRequest) throws(EngineError) -> SpawnedProcess {
    var processID: pid_t = 0
    var pidfd: Int32 = -1
    var step: UnsafePointer<CChar>?
    let result = withCStrings([request.path] + request.arguments) { argv in
        withCStrings(request.environment) { envp in
            request.descriptors.withUnsafeBufferPointer { descriptors in
                request.user.groups.withUnsafeBufferPointer { groups in
                    request.path.withCString { path in
                        request.directory.withCString { directory in
                            var call = roost_spawn_request(
                                path: path,
                                argv: argv,
                                envp: envp,
                                directory: directory,
                                descriptors: descriptors.baseAddress,
                                descriptor_count: descriptors.count,
                                drop_privileges: request.user.isOther ? 1 : 0,
                                uid: request.user.userID,
                                gid: request.user.groupID,
                                groups: groups.baseAddress,
                                group_count: groups.count
                            )
                            return roost_spawn(&call, &processID, &pidfd, &step)
                        }
                    }
                }
            }
        }
    }
    guard result == 0 else {
        let call = step.map { String(cString: $0) } ?? "spawn"
        throw EngineError(
            result == -ENOENT ? .notFound : result == -ENOMEM || result == -EAGAIN ? .insufficientResources : .failed,
            "cannot start \(request.path)",
            cause: "\(call): \(systemErrorText(-result))"
        )
    }
    let descriptor = OwnedDescriptor(pidfd)
    let identity =
        ProcessIdentity.current(processID: processID)
        ?? ProcessIdentity(processID: processID, startTicks: 0, bootID: ProcessIdentity.currentBootID() ?? "")
    return SpawnedProcess(identity: identity, pidfd: descriptor)
}

private func withCStrings<Result>(
    _ strings: [String],
    _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    pointers.append(nil)
    return pointers.withUnsafeBufferPointer { buffer in
        // The buffer is never empty: it ends with nil.
        guard let base = buffer.baseAddress else { preconditionFailure("no terminator") }
        return body(base)
    }
}
