extension GuestAgentCommands {
    /// `guest-exec`: starts a program in the guest; returns its process number for ``ExecStatus``.
    package struct Exec: GuestAgentCommand {
        package static let name = "guest-exec"

        package var path: String
        package var programArguments: [String]
        /// The environment as `NAME=VALUE`; nil for the agent's own.
        package var environment: [String]?
        /// What the program reads from its standard input.
        package var input: [UInt8]?
        /// Whether to keep what it writes.
        package var capturesOutput: Bool

        package init(
            path: String,
            programArguments: [String] = [],
            environment: [String]? = nil,
            input: [UInt8]? = nil,
            capturesOutput: Bool = true
        ) {
            self.path = path
            self.programArguments = programArguments
            self.environment = environment
            self.input = input
            self.capturesOutput = capturesOutput
        }

        package var arguments: [String: JSONValue] {
            ["path": .string(path), "arg": JSONValue(programArguments), "capture-output": .bool(capturesOutput)]
                .setting("env", environment.map { JSONValue($0) })
                .setting("input-data", input.map { .string(Base64.encode($0)) })
        }

        package static func response(from value: JSONValue) throws(QMPError) -> Int64 {
            try ReplyReader(value, of: name).int("pid")
        }
    }

    /// `guest-exec-status`: how a program does; the agent forgets it once it has told its end.
    package struct ExecStatus: GuestAgentCommand {
        package static let name = "guest-exec-status"

        package var processID: Int64

        package init(processID: Int64) { self.processID = processID }

        package var arguments: [String: JSONValue] { ["pid": .int(processID)] }

        package static func response(from value: JSONValue) throws(QMPError) -> GuestProcessStatus {
            let reader = ReplyReader(value, of: name)
            return GuestProcessStatus(
                hasExited: try reader.bool("exited"),
                exitCode: try reader.optionalInt("exitcode"),
                signal: try reader.optionalInt("signal"),
                output: try reader.optionalBytes("out-data") ?? [],
                errorOutput: try reader.optionalBytes("err-data") ?? [],
                isOutputTruncated: try reader.optionalBool("out-truncated") ?? false,
                isErrorOutputTruncated: try reader.optionalBool("err-truncated") ?? false
            )
        }
    }

    /// `guest-get-vcpus`: the guest's processors.
    package struct GetVCPUs: GuestAgentCommand {
        package static let name = "guest-get-vcpus"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [GuestProcessor] {
            try ReplyReader(value, of: name).map { (processor) throws(QMPError) in
                GuestProcessor(
                    id: try processor.int("logical-id"),
                    isOnline: try processor.bool("online"),
                    canGoOffline: try processor.optionalBool("can-offline") ?? false
                )
            }
        }
    }

    /// `guest-get-memory-blocks`: the guest's blocks of memory.
    package struct GetMemoryBlocks: GuestAgentCommand {
        package static let name = "guest-get-memory-blocks"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [GuestMemoryBlock] {
            try ReplyReader(value, of: name).map { (block) throws(QMPError) in
                GuestMemoryBlock(
                    index: try block.uint64("phys-index"),
                    isOnline: try block.bool("online"),
                    canGoOffline: try block.optionalBool("can-offline") ?? false
                )
            }
        }
    }
}

/// How a program in the guest does.
package struct GuestProcessStatus: Hashable, Sendable {
    package var hasExited: Bool
    /// The exit code; nil while it runs and when a signal ended it.
    package var exitCode: Int64?
    /// The signal that ended it.
    package var signal: Int64?
    /// What it wrote, once it has ended.
    package var output: [UInt8]
    package var errorOutput: [UInt8]
    /// Whether the agent dropped some of the output.
    package var isOutputTruncated: Bool
    package var isErrorOutputTruncated: Bool
}

/// A processor of the guest.
package struct GuestProcessor: Hashable, Sendable {
    package var id: Int64
    package var isOnline: Bool
    package var canGoOffline: Bool
}

/// A block of the guest's memory.
package struct GuestMemoryBlock: Hashable, Sendable {
    package var index: UInt64
    package var isOnline: Bool
    package var canGoOffline: Bool
}
