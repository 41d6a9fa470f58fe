import CRoostLinux
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Calls back while a descriptor can be read, until the watch ends.
///
/// One thread waits for all of them with epoll(7). Dispatch's own sources are no choice on Linux: with many of them coming
/// and going at once libdispatch uses what it has freed (swift-corelibs-libdispatch, issue 949), and roostd would end.
final class ReadWatch: Sendable {
    /// Whether the descriptor is watched further.
    enum Next: Sendable {
        case goOn
        case end
    }

    private let key: Watcher.Key

    /// Watches a descriptor.
    ///
    /// - Parameters:
    ///   - descriptor: stays open until the watch ends.
    ///   - onReadable: called with the descriptor's number on the thread of all watches, which it must not block, one call
    ///     after the other. Nothing may be there to be read all the same.
    init(_ descriptor: OwnedDescriptor, onReadable: @escaping @Sendable (Int32) -> Next) {
        key = Watcher.shared.add(descriptor, onReadable)
    }

    /// Ends the watch, which may be called from anywhere; a call under way is not waited for.
    func cancel() { Watcher.shared.remove(key) }
}

/// The thread that waits for all watches.
private final class Watcher: Sendable {
    static let shared = Watcher()

    /// Names a watch.
    struct Key: Sendable {
        var number: Int32
        var token: UInt64
    }

    private struct Entry {
        var descriptor: OwnedDescriptor
        var onReadable: @Sendable (Int32) -> ReadWatch.Next
    }

    private struct State {
        /// The watches of each descriptor.
        var entries: [Int32: [UInt64: Entry]] = [:]
        var next: UInt64 = 1
    }

    private let state = Mutex(State())
    private let epoll: Int32

    private init() {
        epoll = roost_epoll_make()
        precondition(epoll >= 0, "the kernel has no epoll: \(systemErrorText(-epoll))")
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        // The only work of this pool, for as long as the process lives.
        pool.submit { [self] _ in
            while true { wait() }
        }
    }

    func add(_ descriptor: OwnedDescriptor, _ onReadable: @escaping @Sendable (Int32) -> ReadWatch.Next) -> Key {
        let number = descriptor.number
        return state.withLock { state in
            let key = Key(number: number, token: state.next)
            state.next += 1
            if state.entries[number] == nil {
                let result = roost_epoll_add(epoll, number)
                precondition(result == 0, "a descriptor cannot be watched: \(systemErrorText(-result))")
            }
            state.entries[number, default: [:]][key.token] = Entry(descriptor: descriptor, onReadable: onReadable)
            return key
        }
    }

    func remove(_ key: Key) {
        let removed = state.withLock { state in
            let entry = state.entries[key.number]?.removeValue(forKey: key.token)
            if entry != nil, state.entries[key.number]?.isEmpty == true {
                state.entries[key.number] = nil
                _ = roost_epoll_remove(epoll, key.number)
            }
            return entry
        }
        // Closed only when the kernel has let go of it, and outside of the lock.
        withExtendedLifetime(removed) {}
    }

    private func wait() {
        var numbers = [Int32](repeating: -1, count: 64)
        let count = roost_epoll_wait(epoll, &numbers, Int32(numbers.count))
        guard count > 0 else { return }
        for number in numbers[..<Int(count)] {
            for (token, entry) in state.withLock({ $0.entries[number] ?? [:] }) {
                if entry.onReadable(number) == .end { remove(Key(number: number, token: token)) }
            }
        }
    }
}
