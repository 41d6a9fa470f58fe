import ArgumentParser
import RoostAPI
import RoostClient
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

struct VMConsole: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "console",
        abstract: "Connect to a virtual machine's serial console.",
        discussion: help(
            """
            On a terminal every key goes to the guest, Ctrl-C too; Ctrl-] leaves. When standard input is a file or a \
            pipe, its bytes are typed, and the console stays open until the machine stops, for --linger seconds, or until \
            Ctrl-C.

            With --output json, --log prints an object whose "log" is the text; bytes that are no UTF-8 are replaced.
            """,
            cmdlet: "vmconnect",
            example: """
                roost vm console web
                roost vm console web --log
                printf 'uptime\\n' | roost vm console web --linger 2
                """
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var name: String

    @Flag(help: "Print what the guest wrote lately (up to 64 KiB) and return.")
    var log = false

    @Option(
        help: "Seconds to stay after the end of standard input, when that is no terminal. (default: no end)",
        transform: Value.number(0...86_400)
    )
    var linger: Int?

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if global.output == .json, !log {
            throw ValidationError("What a console shows is no JSON: --output json goes with --log only.")
        }
    }

    func run() async throws {
        if log {
            let bytes = try await global.client.consoleLog(name)
            switch global.output {
            case .json: try global.show(["log": String(decoding: bytes, as: UTF8.self)], sentence: "")
            case .table: try FileDescriptor.standardOutput.write(bytes)
            }
        } else {
            try await connect()
        }
    }

    private func connect() async throws {
        let terminal = FileDescriptor.standardInput.isTerminal
        let raw = Mutex<RawTerminal?>(nil)
        let keys = ConsoleInput(escape: terminal ? ConsoleInput.escape : nil, lingerSeconds: terminal ? 0 : linger)
        defer { raw.withLock { $0 }?.restore() }
        let client = global.client
        let name = name
        let interrupted = try await Signals.interrupting([SIGINT, SIGTERM, SIGHUP]) {
            try await client.console(name, input: keys.chunks) {
                guard terminal else { return }
                try? FileDescriptor.standardError.write("Connected to \(printable(name)); Ctrl-] leaves.\n")
                raw.withLock { $0 = RawTerminal(descriptor: FileDescriptor.standardInput.number) }
            } output: {
                try FileDescriptor.standardOutput.write($0)
            }
        }
        raw.withLock { $0 }?.restore()
        guard terminal else { return }
        let how = keys.hasEnded || interrupted ? "Left" : "The machine has ended"
        try FileDescriptor.standardError.write("\n\(how) the console of \(printable(name)).\n")
    }
}

/// What is typed on a console, until the escape key or the end of the input.
final class ConsoleInput: Sendable {
    /// Ctrl-], as in telnet and virsh.
    static let escape: UInt8 = 0x1D

    private let escape: UInt8?
    private let lingerSeconds: Int?
    private let source: StandardInput
    private let ended = Mutex(false)

    /// Input in which `escape`, if any, means the end.
    ///
    /// After its own end it lingers, for ever when `lingerSeconds` is nil.
    init(escape: UInt8?, lingerSeconds: Int?, source: StandardInput = StandardInput()) {
        self.escape = escape
        self.lingerSeconds = lingerSeconds
        self.source = source
    }

    /// Whether the user left.
    var hasEnded: Bool { ended.withLock { $0 } }

    /// The input, read as fast as it is taken.
    var chunks: AsyncStream<[UInt8]> { AsyncStream { await self.next() } }

    private func next() async -> [UInt8]? {
        guard !hasEnded else { return nil }
        guard let chunk = await source.next() else {
            await linger()
            ended.withLock { $0 = true }
            return nil
        }
        guard let escape, let end = chunk.firstIndex(of: escape) else { return chunk }
        ended.withLock { $0 = true }
        return end == chunk.startIndex ? nil : Array(chunk[..<end])
    }

    /// Waits; being cancelled ends it early, which is why the error is of no interest.
    private func linger() async {
        guard let lingerSeconds else {
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(86_400)) }
            return
        }
        try? await Task.sleep(for: .seconds(lingerSeconds))
    }
}
