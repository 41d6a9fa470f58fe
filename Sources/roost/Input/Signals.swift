import Dispatch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A source of one signal.
///
/// Sources are safe to use from any thread, although Dispatch does not declare them so.
private struct Watch: @unchecked Sendable {
    let number: Int32
    let source: any DispatchSourceSignal
}

/// Signals as values instead of as the end of the process.
enum Signals {
    /// The signals as they come, until the reader stops; then they end the process again.
    static func stream(_ numbers: [Int32]) -> AsyncStream<Int32> {
        AsyncStream { continuation in
            let watches = numbers.map { number in
                _ = signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number)
                source.setEventHandler { continuation.yield(number) }
                source.activate()
                return Watch(number: number, source: source)
            }
            continuation.onTermination = { _ in
                for watch in watches {
                    watch.source.cancel()
                    _ = signal(watch.number, SIG_DFL)
                }
            }
        }
    }

    /// Runs `body` until it ends or one of the signals comes, which cancels it; tells whether a signal came.
    @discardableResult
    static func interrupting(
        _ numbers: [Int32] = [SIGINT, SIGTERM],
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws -> Bool {
        let signals = stream(numbers)
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body()
                return false
            }
            group.addTask {
                for await _ in signals { return true }
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }
}
