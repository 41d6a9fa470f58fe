import ArgumentParser
import RoostAPI
import Testing

@testable import roost

/// The command that a line means; what it throws is what the user would see.
func parse<Command: ParsableCommand>(_ type: Command.Type = Command.self, _ words: String...) async throws -> Command {
    try #require(try await Roost.asyncParseAsRoot(words) as? Command)
}

/// How a line ends that asks for help, or is no command.
func ending(_ words: String...) async -> Ending {
    do {
        var command = try await Roost.asyncParseAsRoot(words)
        try command.run()
        return Ending(code: -1)
    } catch {
        return Roost.ending(after: error)
    }
}

@Suite struct ParseTests {
    @Test(arguments: [
        ("vm frobnicate", "'roost vm frobnicate'", "update-version"),
        ("vm creat web", "did you mean 'roost vm create'?", "create"),
        ("--run-dir /tmp disks list", "did you mean 'roost disk'?", "switch"),
        ("vm create web --memory -5", "--memory=-5", "cannot be negative"),
    ])
    func hintSaysWhatIsWrongWithTheCommandLine(line: String, first: String, second: String) async throws {
        let words = line.split(separator: " ").map(String.init)
        do {
            _ = try await Roost.asyncParseAsRoot(words)
            Issue.record("\(line) was understood")
        } catch {
            let ending = Roost.ending(after: error, arguments: words)
            #expect(ending.code == APIError.Code.invalidArgument.exitCode)
            #expect(ending.standardError.contains(first) && ending.standardError.contains(second), "\(ending)")
            let json = Roost.ending(after: error, .json, arguments: words)
            #expect(json.standardError.contains(first), "\(json)")
        }
    }

    @Test func runDirectoryIsUnderstoodAtAnyPlace() async throws {
        #expect(try await parse(VMList.self, "--run-dir", "/a", "vm", "list").global.runDirectory == "/a")
        #expect(try await parse(VMList.self, "vm", "--run-dir", "/a", "list").global.runDirectory == "/a")
        #expect(try await parse(VMList.self, "vm", "list", "--run-dir=/a").global.runDirectory == "/a")
        #expect(try await parse(VMList.self, "--output", "json", "vm", "list").global.output == .json)
        #expect(try await parse(VMList.self, "vm", "list").global.runDirectory == nil)
    }

    @Test(arguments: [
        (nil, "", "/run/roost/roost.sock"), (nil, "/env", "/env/roost.sock"), ("/option", "/env", "/option/roost.sock"),
        ("/option/", "", "/option/roost.sock"), ("relative", "", "relative/roost.sock"),
    ])
    func socketIsInTheRunDirectory(option: String?, environment: String, path: String) {
        #expect(GlobalOptions.socketPath(option: option, environment: environment) == path)
    }

    @Test func createWithEverythingAsksForEverything() async throws {
        let command = try await parse(
            VMCreate.self,
            "vm",
            "create",
            "web",
            "--generation",
            "2",
            "--memory",
            "512MiB",
            "--processors",
            "2",
            "--image",
            "/images/debian.qcow2",
            "--disk-size",
            "10GiB",
            "--switch",
            "Default Switch",
            "--secure-boot",
            "MicrosoftUEFICertificateAuthority",
            "--version",
            "8.0",
            "--notes",
            "mine",
            "--start"
        )
        var expected = CreateVirtualMachineRequest(name: "web")
        expected.generation = 2
        expected.memoryMiB = 512
        expected.processors = 2
        expected.image = "/images/debian.qcow2"
        expected.diskSizeBytes = 10 << 30
        expected.switchName = "Default Switch"
        expected.secureBoot = "MicrosoftUEFICertificateAuthority"
        expected.version = "8.0"
        expected.notes = "mine"
        #expect(try command.request() == expected)
        #expect(command.start)
    }

    @Test func createWithANameAloneLeavesTheRestToRoostd() async throws {
        let command = try await parse(VMCreate.self, "vm", "create", "web")
        #expect(try command.request() == CreateVirtualMachineRequest(name: "web"))
    }

    @Test func missingCloudInitFileIsNotFound() async throws {
        let command = try await parse(VMCreate.self, "vm", "create", "web", "--cloud-init", "/nonexistent/user-data")
        let error = #expect(throws: APIError.self) { try command.request() }
        #expect(error?.code == .notFound)
        #expect(error?.message == "cannot read the cloud-init file /nonexistent/user-data")
    }

    @Test func setAsksForWhatIsNamedOnly() async throws {
        let command = try await parse(
            VMSet.self,
            "vm",
            "set",
            "web",
            "--start-action",
            "startifrunning",
            "--integration-service",
            "Heartbeat=off",
            "--integration-service",
            "Guest Service Interface=on"
        )
        var expected = UpdateVirtualMachineRequest()
        expected.automaticStartAction = .startIfRunning
        expected.integrationServices = ["Heartbeat": false, "Guest Service Interface": true]
        #expect(command.request == expected)
    }

    @Test func namesAreTakenOnceEach() async throws {
        let command = try await parse(VMStop.self, "vm", "stop", "a", "b", "a", "--timeout", "5")
        #expect(command.machines.unique == ["a", "b"])
        #expect(command.stop.request == StopVirtualMachineRequest(timeoutSeconds: 5))
    }

    @Test func nameBehindTheTerminatorMayLookLikeAnOption() async throws {
        #expect(try await parse(VMStart.self, "vm", "start", "--", "--odd").machines.unique == ["--odd"])
    }

    @Test func diskNameWithoutASlashIsLeftToRoostd() async throws {
        #expect(
            try await parse(DiskCreate.self, "disk", "create", "a.qcow2", "--size", "1GiB").request.path == "a.qcow2"
        )
        let relative = try await parse(DiskCreate.self, "disk", "create", "./a.qcow2", "--size", "1GiB").request.path
        #expect(relative == Files.workingDirectory + "/a.qcow2")
    }

    @Test func mistakesOfUseEndWithCodeTwoAndSayWhatIsExpected() async {
        let lines: [([String], String)] = [
            (["vm", "create"], "Missing expected argument '<name>'"),
            (["vm", "create", "x", "--memory", "1"], "whole number of MiB"),
            (["vm", "create", "x", "--generation", "3"], "from 1 to 2"),
            (["vm", "create", "x", "--image", "a", "--disk", "b"], "exclude each other"),
            (["vm", "create", "x", "--disk", "b", "--disk-size", "1GiB"], "roost disk resize"),
            (["vm", "create", "x", "--start", "--no-wait"], "--no-wait"),
            (["vm", "set", "x"], "Nothing to change"),
            (["vm", "set", "x", "--checkpoint-type", "Never"], "Disabled, Production, ProductionOnly, Standard"),
            (["vm", "set", "x", "--integration-service", "Heartbeat"], "NAME=on"),
            (["vm", "stop"], "Missing expected argument"),
            (["vm", "stop", "x", "--turn-off", "--timeout", "3"], "--turn-off"),
            (["vm", "list", "--output", "xml"], "'xml'"),
            (["vm", "frobnicate"], "frobnicate"),
            (["disk", "create", "x", "--size", "ten"], "10GiB"),
            (["disk", "attach", "x", "y", "--location", "sata:0:1"], "scsi:0:1"),
            (["switch", "create", "x", "--type", "External"], "--bridge"),
            (["switch", "create", "x", "--type", "Private", "--bridge", "br0"], "external"),
            (["firmware", "set", "x"], "Nothing to change"),
            (["firmware", "set", "x", "--boot-order", "a,,b"], "empty element"),
            (["job", "show", "0"], "from 1"),
            (["completion", "tcsh"], "bash, zsh, fish"),
            (["vm", "console", "x", "--output", "json"], "--log"),
            (["vm", "screenshot", "x", "-", "--output", "json"], "name a file"),
        ]
        for (words, text) in lines {
            var ending = Ending(code: -1)
            do { _ = try await Roost.asyncParseAsRoot(words) } catch { ending = Roost.ending(after: error) }
            #expect(ending.code == 2, "\(words)")
            #expect(ending.standardError.contains(text), "\(words)")
            #expect(ending.standardOutput.isEmpty)
        }
    }

    @Test func helpIsNoFailure() async {
        let ending = await ending("vm", "create", "--help")
        #expect(ending.code == 0)
        #expect(ending.standardOutput.contains("New-VM"))
        #expect(ending.standardError.isEmpty)
    }

    @Test func versionIsRoostsOwnOnlyWhenItStandsAlone() {
        #expect(Roost.versionText(for: ["--version"]) == "roost \(Roost.version)\n")
        #expect(Roost.versionText(for: ["vm", "create", "x", "--version", "8.0"]) == nil)
    }

    @Test(arguments: APIError.Code.allCases)
    func failureEndsWithTheCodeOfItsKind(code: APIError.Code) {
        let ending = Roost.ending(after: APIError(code, "cannot start \u{1B}[31mweb", cause: "deep"))
        #expect(ending == Ending(code: code.exitCode, standardError: "roost: cannot start \\u{1b}[31mweb: deep\n"))
    }

    @Test(arguments: APIError.Code.allCases)
    func failureIsAnObjectOnALineWhereJSONIsAskedFor(code: APIError.Code) {
        let ending = Roost.ending(after: APIError(code, "cannot start \u{1B}web\n", cause: "deep"), .json)
        let line = #"{"cause":"deep","code":"\#(code.rawValue)","message":"cannot start \u001bweb\n"}"# + "\n"
        #expect(ending == Ending(code: code.exitCode, standardError: line))
    }

    @Test func mistakeOfUseIsAnInvalidArgumentWhereJSONIsAskedFor() async throws {
        let error = try #require(
            await #expect(throws: (any Error).self) {
                try await Roost.asyncParseAsRoot(["vm", "frobnicate"])
            }
        )
        let ending = Roost.ending(after: error, .json)
        #expect(ending.code == 2)
        #expect(ending.standardError.hasPrefix(#"{"code":"invalidArgument","message":""#))
        #expect(ending.standardError.hasSuffix("\"}\n"))
        #expect(!ending.standardError.contains("Usage"))
    }

    @Test(
        arguments: [
            ([], .table), (["--output", "json", "vm", "list"], .json), (["vm", "nonsense", "--output=json"], .json),
            (["--output", "json", "--output", "table"], .table), (["vm", "start", "--", "--output", "json"], .table),
            (["vm", "list", "--output"], .table), (["vm", "list", "--output", "xml"], .table),
        ] as [([String], OutputFormat)]
    )
    func formatIsKnownOfALineThatIsNoCommand(words: [String], format: OutputFormat) {
        #expect(OutputFormat(askedForBy: words) == format)
    }

    @Test func lostReaderIsSilent() {
        #expect(Roost.ending(after: BrokenPipe()) == Ending(code: 141))
    }
}
