import Testing

@testable import QMP

/// Answers as the guest agent 7.2 gave them, shortened.
@Suite struct GuestAgentCommandTests {
    private func read<Command: QMPCommand>(
        _ command: Command.Type,
        _ text: String
    ) throws -> Command.Response {
        try Command.response(from: try JSONValue(parsing: text.utf8))
    }

    @Test func answersAboutTheSystemAreRead() throws {
        let info = try read(
            GuestAgentCommands.GetInfo.self,
            #"""
            {"version": "7.2.22", "supported_commands": [
              {"enabled": false, "name": "guest-get-devices", "success-response": true},
              {"enabled": true, "name": "guest-shutdown", "success-response": false}]}
            """#
        )
        #expect(info.version == "7.2.22")
        #expect(info.commands.map(\.isEnabled) == [false, true])
        #expect(info.commands.map(\.answersOnSuccess) == [true, false])
        let system = try read(
            GuestAgentCommands.GetOSInfo.self,
            #"{"name": "Debian GNU/Linux", "version-id": "12", "machine": "x86_64", "id": "debian"}"#
        )
        #expect(system.id == "debian")
        #expect(system.versionID == "12")
        #expect(try read(GuestAgentCommands.GetHostName.self, #"{"host-name": "vm"}"#) == "vm")
        #expect(try read(GuestAgentCommands.GetTime.self, "1795470015462838000") == 1_795_470_015_462_838_000)
        let interfaces = try read(
            GuestAgentCommands.NetworkGetInterfaces.self,
            #"""
            [{"name": "eth0", "ip-addresses": [{"ip-address-type": "ipv4", "ip-address": "192.0.2.2", "prefix": 24}],
              "statistics": {"tx-packets": 29}, "hardware-address": "02:fc:00:00:00:01"}, {"name": "ifb0"}]
            """#
        )
        let address = GuestNetworkInterface.Address(family: "ipv4", address: "192.0.2.2", prefixLength: 24)
        #expect(interfaces.map(\.addresses) == [[address], []])
        #expect(interfaces.map(\.hardwareAddress) == ["02:fc:00:00:00:01", nil])
    }

    @Test func answersAboutProgramsAreRead() throws {
        #expect(try read(GuestAgentCommands.Exec.self, #"{"pid": 9500}"#) == 9500)
        let ended = try read(
            GuestAgentCommands.ExecStatus.self,
            #"{"exited": true, "exitcode": 3, "out-data": "aGkK", "out-truncated": true}"#
        )
        #expect(ended.exitCode == 3)
        #expect(ended.output == "hi\n".bytes)
        #expect(ended.isOutputTruncated)
        let running = try read(GuestAgentCommands.ExecStatus.self, #"{"exited": false}"#)
        #expect(running.exitCode == nil)
        let processors = try read(
            GuestAgentCommands.GetVCPUs.self,
            #"[{"online": true, "can-offline": false, "logical-id": 0}]"#
        )
        #expect(processors == [GuestProcessor(id: 0, isOnline: true, canGoOffline: false)])
        let blocks = try read(
            GuestAgentCommands.GetMemoryBlocks.self,
            #"[{"online": false, "can-offline": true, "phys-index": 188}]"#
        )
        #expect(blocks == [GuestMemoryBlock(index: 188, isOnline: false, canGoOffline: true)])
    }

    @Test func answersAboutFilesAreRead() throws {
        let fileSystems = try read(
            GuestAgentCommands.GetFSInfo.self,
            #"[{"name": "vda", "total-bytes": 10, "mountpoint": "/", "disk": [], "used-bytes": 7, "type": "ext4"}]"#
        )
        let root = GuestFileSystem(name: "vda", mountPoint: "/", type: "ext4", usedInBytes: 7, totalInBytes: 10)
        #expect(fileSystems == [root])
        #expect(try read(GuestAgentCommands.FSFreezeStatus.self, #""frozen""#))
        #expect(try !read(GuestAgentCommands.FSFreezeStatus.self, #""thawed""#))
        #expect(throws: QMPError.self) { try read(GuestAgentCommands.FSFreezeStatus.self, #""melted""#) }
        #expect(try read(GuestAgentCommands.FSFreezeThaw.self, "0") == 0)
        let content = try read(
            GuestAgentCommands.FileRead.self,
            #"{"count": 3, "buf-b64": "dm0K", "eof": true}"#
        )
        #expect(content == GuestFileContent(bytes: "vm\n".bytes, isAtEnd: true))
        #expect(throws: QMPError.self) {
            try read(GuestAgentCommands.FileRead.self, #"{"count": 3, "buf-b64": "d!", "eof": true}"#)
        }
    }

    @Test func argumentsAreNamedAsOnTheWire() {
        let exec = GuestAgentCommands.Exec(
            path: "/bin/cat",
            programArguments: ["-n"],
            environment: ["A=1"],
            input: "hi\n".bytes
        )
        #expect(
            exec.arguments == [
                "path": "/bin/cat", "arg": ["-n"], "env": ["A=1"], "input-data": "aGkK", "capture-output": true,
            ]
        )
        #expect(GuestAgentCommands.SetTime().arguments == [:])
        #expect(GuestAgentCommands.SetTime(nanoseconds: 5).arguments == ["time": 5])
        #expect(GuestAgentCommands.Shutdown(mode: .reboot).arguments == ["mode": "reboot"])
        #expect(GuestAgentCommands.FSFreezeFreezeList(mountPoints: ["/a"]).arguments == ["mountpoints": ["/a"]])
        #expect(GuestAgentCommands.FileOpen(path: "/x").arguments == ["path": "/x", "mode": "r"])
    }
}
