import FoundationEssentials
import RoostAPI
import Testing

@testable import roost

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@Suite struct InputTests {
    /// A pipe whose reading end is a standard input.
    private func withPipe(_ body: (_ read: Int32, _ write: Int32) async throws -> Void) async throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        try await body(ends[0], ends[1])
        close(ends[0])
    }

    private func send(_ text: String, _ descriptor: Int32) {
        #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
    }

    @Test func inputIsReadToItsEnd() async throws {
        try await withPipe { read, write in
            send("uptime\n", write)
            close(write)
            let input = ConsoleInput(escape: nil, lingerSeconds: 0, source: StandardInput(descriptor: read))
            var typed: [UInt8] = []
            for await chunk in input.chunks { typed += chunk }
            #expect(String(decoding: typed, as: UTF8.self) == "uptime\n")
            #expect(input.hasEnded)
        }
    }

    @Test func escapeKeyEndsTheInputAlthoughMoreFollows() async throws {
        try await withPipe { read, write in
            send("ls\n\u{1D}rm -rf /\n", write)
            let source = StandardInput(descriptor: read)
            let input = ConsoleInput(escape: ConsoleInput.escape, lingerSeconds: 0, source: source)
            var typed: [UInt8] = []
            for await chunk in input.chunks { typed += chunk }
            #expect(String(decoding: typed, as: UTF8.self) == "ls\n")
            #expect(input.hasEnded)
            close(write)
        }
    }

    @Test func pipedInputMayHoldTheEscapeByte() async throws {
        try await withPipe { read, write in
            send("a\u{1D}b", write)
            close(write)
            let input = ConsoleInput(escape: nil, lingerSeconds: 0, source: StandardInput(descriptor: read))
            var typed: [UInt8] = []
            for await chunk in input.chunks { typed += chunk }
            #expect(typed == Array("a\u{1D}b".utf8))
        }
    }

    @Test func cancelledReaderReturnsAlthoughNothingIsTyped() async throws {
        try await withPipe { read, write in
            let source = StandardInput(descriptor: read)
            let task = Task { await source.next() }
            task.cancel()
            #expect(await task.value == nil)
            close(write)
        }
    }

    @Test func inputThatLingersForEverEndsWhenCancelled() async throws {
        try await withPipe { read, write in
            close(write)
            let input = ConsoleInput(escape: nil, lingerSeconds: nil, source: StandardInput(descriptor: read))
            let task = Task { for await _ in input.chunks {} }
            task.cancel()
            await task.value
        }
    }

    @Test func fileIsReplacedAndReadBack() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "roost-\(UUID()).txt").path
        defer { unlink(path) }
        try Files.write(Array(repeating: 0x61, count: 200_000), to: path, what: "picture")
        try Files.write(Array("Grüße".utf8), to: path, what: "picture")
        #expect(try Files.text(path, what: "notes") == "Grüße")
        let long = #expect(throws: APIError.self) { try Files.text(path, what: "notes", limit: 3) }
        #expect(long?.code == .invalidArgument)
        try Files.write([0xFF, 0xFE], to: path, what: "picture")
        let binary = #expect(throws: APIError.self) { try Files.text(path, what: "notes") }
        #expect(binary?.message == "the notes \(path) is not UTF-8 text")
    }

    @Test func fileInAMissingFolderIsNotFound() {
        let error = #expect(throws: APIError.self) { try Files.write([], to: "/nonexistent/x.png", what: "picture") }
        #expect(error?.code == .notFound)
        #expect(error?.message == "cannot write the picture /nonexistent/x.png")
    }

    @Test func signalCancelsTheWork() async throws {
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let work = Task {
            try await Signals.interrupting([SIGUSR1]) {
                start.yield()
                try await Task.sleep(for: .seconds(3600))
            }
        }
        for await _ in started { break }
        kill(getpid(), SIGUSR1)
        #expect(try await work.value)
    }

    @Test func workThatEndsByItselfIsNotInterrupted() async throws {
        #expect(try await Signals.interrupting([SIGUSR2]) {} == false)
    }
}
