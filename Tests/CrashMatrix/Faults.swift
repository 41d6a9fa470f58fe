import DurableFiles
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// What goes wrong on a simulated disk.
package final class Faults: Sendable {
    /// The kinds of calls.
    enum Call: Sendable {
        case open, read, write, sync, names, folder
    }

    /// What a failing call does.
    package enum Failure: Sendable, Hashable, CaseIterable {
        /// The file system is full.
        case noSpace
        /// The device reports an error; of a sync, some of the sectors are lost.
        case ioError
        /// A write stores some of the bytes and then fails.
        case shortWrite
    }

    /// A fault of the storage code, imitated below it, that the matrix must notice.
    package enum Planted: String, Sendable, CaseIterable {
        /// Every third sync does nothing.
        case syncDropped = "sync dropped"
        /// The last sector before each sync is written behind it.
        case wrongOrder = "wrong order"
        /// A second copy's newest state is overwritten by the next, instead of the older one.
        case liveCopyOverwritten = "live copy overwritten"
        /// A log that is not whole is given right checksums before it is read.
        case checksumSkipped = "checksum skipped"
    }

    enum SyncOutcome {
        case done
        case nothing
        case failed(MatrixRandom)
    }

    private struct State {
        var calls = 0
        var syncs = 0
        var failing: (call: Int, failure: Failure)?
        var planted: Planted?
        var met = false
    }

    private let state = Mutex(State())

    package init() {}

    /// Lets the call with a number fail, counted from now.
    func fail(call: Int, with failure: Failure) {
        state.withLock { ($0.calls, $0.failing, $0.met) = (0, (call, failure), false) }
    }

    /// Lets no further call fail; returns whether one has.
    func heal() -> Bool {
        state.withLock {
            $0.failing = nil
            return $0.met
        }
    }

    var planted: Planted? {
        get { state.withLock { $0.planted } }
        set { state.withLock { $0.planted = newValue } }
    }

    private func next() -> Failure? {
        state.withLock { state in
            state.calls += 1
            guard let failing = state.failing, state.calls == failing.call else { return nil }
            state.met = true
            return failing.failure
        }
    }

    func meet(_ call: Call, _ path: String) throws(FileError) {
        guard let failure = next() else { return }
        throw FileError("cannot use \(path)", number: failure == .noSpace ? ENOSPC : EIO)
    }

    /// How many bytes a write takes.
    func count(ofWrite wanted: Int) throws(FileError) -> Int {
        switch next() {
        case nil: return wanted
        case .noSpace: throw FileError("cannot write", number: ENOSPC)
        case .ioError: throw FileError("cannot write", number: EIO)
        case .shortWrite:
            guard wanted > 1 else { throw FileError("cannot write", number: ENOSPC) }
            // The rest of it fails.
            state.withLock { $0.failing = ($0.calls + 1, .noSpace) }
            return wanted / 2
        }
    }

    func outcomeOfSync() -> SyncOutcome {
        if next() != nil { return .failed(MatrixRandom(seed: UInt64(state.withLock { $0.calls }))) }
        return state.withLock { state in
            state.syncs += 1
            return state.planted == .syncDropped && state.syncs % 3 == 0 ? .nothing : .done
        }
    }

    var sectorsLeftBehind: Int { planted == .wrongOrder ? 1 : 0 }

    /// Where a write goes: with a planted fault, a state for the older slot of a copy goes to the newer one's.
    func offset(_ offset: Int, inFileOf bytes: [UInt8]) -> Int {
        guard planted == .liveCopyOverwritten, bytes.starts(with: "RoostCpy".utf8) else { return offset }
        return (offset + bytes.count / 2) % bytes.count
    }
}
