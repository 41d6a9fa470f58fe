import NIOPosix
import QEMUDriver
import QMP
import RoostPrimitives
import Testing
import VMConfiguration

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct MachineArgumentsTests {
    /// The pinned arguments of a shape; run the tests with `ROOST_WRITE_FIXTURES=1` to write them anew, and read the diff.
    private static func fixture(_ shape: MachineShape) -> String {
        let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        return "/\(folder)/Fixtures/\(shape.rawValue).args"
    }

    @Test(arguments: MachineShape.allCases)
    func argumentsOfAShapeAreThePinnedOnes(shape: MachineShape) throws {
        let machine = try ShapedMachine(shape)
        // One option with its value on each line.
        let text =
            MachineArguments.build(machine.configuration, machine.plan)
            .reduce(into: "") { $0 += ($1.hasPrefix("-") ? "\n" : " ") + $1 }.dropFirst() + "\n"
        if getenv("ROOST_WRITE_FIXTURES") != nil {
            let descriptor = open(Self.fixture(shape), O_WRONLY | O_CREAT | O_TRUNC, 0o644)
            _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            close(descriptor)
        }
        let pinned = try #require(readSmallFile(Self.fixture(shape)))
        #expect(String(decoding: pinned, as: UTF8.self) == text)
    }

    @Test(arguments: MachineShape.allCases.filter { ![.generationTwoNewVersion, .generationTwoNetworks].contains($0) })
    func installedQEMUTakesTheShape(shape: MachineShape) async throws {
        try await launch(shape) { _ in }
    }

    @Test func installedQEMUTakesSeveralAdapters() async throws {
        try await launch(.generationTwoNetworks) { request in
            let plan = request.plan
            request.plan = { monitor, agent, serial in
                // A real tap needs rights that not every host gives.
                var changed = plan(monitor, agent, serial)
                changed.networks = changed.networks.mapValues { $0 == .tap(descriptor: 6) ? .disconnected : $0 }
                return changed
            }
        }
    }

    @Test func featuresThatTheHostLacksAreNamed() async throws {
        try await launch(
            .generationOneMinimal,
            look: { running in #expect(await running.missingProcessorFeatures() == []) }
        )
        // Software emulation has no AVX-512.
        try await launch(.generationOneMinimal) { request in
            let plan = request.plan
            request.plan = { monitor, agent, serial in
                var changed = plan(monitor, agent, serial)
                changed.processorModel = "Icelake-Server-noTSX"
                return changed
            }
        } look: { running in
            let missing = try #require(await running.missingProcessorFeatures())
            #expect(missing.contains("avx512f") && missing == missing.sorted(), "\(missing)")
        }
    }

    private func launch(
        _ shape: MachineShape,
        _ change: (inout RunningMachine.LaunchRequest) -> Void = { _ in },
        look: (RunningMachine) async throws -> Void = { _ in }
    ) async throws {
        let folder = TemporaryFolder()
        let user = try Host.user()
        let machine = try ShapedMachine(shape, folder: folder.path)
        let images = try DiskImages()
        for file in machine.files {
            let format = file.hasSuffix(".qcow2") ? "qcow2" : "raw"
            try await images.create(file, sizeBytes: 1 << 20, format: format)
            try user.takeOwnership(of: file)
        }
        if let variables = machine.plan.variablesPath {
            let bytes = try #require(readSmallFile("/usr/share/OVMF/OVMF_VARS_4M.ms.fd", limit: 1 << 20))
            folder.write("variables.fd", "", mode: 0o600)
            let descriptor = open(variables, O_WRONLY)
            _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            close(descriptor)
            try user.takeOwnership(of: variables)
        }
        let plan = machine.plan
        var request = RunningMachine.LaunchRequest(
            qemuPath: Host.qemu,
            user: user,
            folder: MachineFolder("\(folder.path)/run"),
            configuration: machine.configuration
        ) { _, _, _ in plan }
        change(&request)
        let running = try await RunningMachine.launch(
            request,
            group: MultiThreadedEventLoopGroup.singleton,
            onSpawn: { _ in }
        )
        try await look(running)
        let status = try await running.monitor.execute(QMPCommands.QueryStatus())
        #expect(status.state.rawValue == "prelaunch")
        let found = RunningMachine.findUnrecorded(
            folder: running.folder,
            uuid: machine.configuration.id.lowercased,
            user: user
        )
        #expect(found?.identity == running.process.identity)
        try await running.monitor.execute(QMPCommands.Quit())
        #expect(await running.process.end() == .exited(0))
        running.disconnect()
    }

    @Test func refusedArgumentsAreReportedInQEMUsWords() async throws {
        let folder = TemporaryFolder()
        let machine = try ShapedMachine(.generationOneMinimal)
        var plan = machine.plan
        plan.machineType = "pc-from-the-future"
        let wrong = plan
        let request = RunningMachine.LaunchRequest(
            qemuPath: Host.qemu,
            user: try Host.user(),
            folder: MachineFolder("\(folder.path)/run"),
            configuration: machine.configuration
        ) { _, _, _ in wrong }
        let error = await #expect(throws: EngineError.self) {
            _ = try await RunningMachine.launch(
                request,
                group: MultiThreadedEventLoopGroup.singleton,
                onSpawn: { _ in }
            )
        }
        #expect(error?.message == "QEMU did not start (exit code 1)")
        #expect(error?.cause?.contains("pc-from-the-future") == true || error?.cause?.contains("machine type") == true)
    }

    @Test func launchThatIsEndedFromOutsideLeavesNoProcess() async throws {
        let folder = TemporaryFolder()
        let machine = try ShapedMachine(.generationOneMinimal)
        let plan = machine.plan
        let request = RunningMachine.LaunchRequest(
            qemuPath: Host.qemu,
            user: try Host.user(),
            folder: MachineFolder("\(folder.path)/run"),
            configuration: machine.configuration
        ) { _, _, _ in plan }
        let error = await #expect(throws: EngineError.self) {
            _ = try await RunningMachine.launch(request, group: MultiThreadedEventLoopGroup.singleton) {
                $0.signal(SIGKILL)
            }
        }
        #expect(error?.message == "QEMU did not start (signal 9 (Killed))")
        #expect(
            RunningMachine.findUnrecorded(
                folder: request.folder,
                uuid: machine.configuration.id.lowercased,
                user: request.user
            ) == nil
        )
    }
}
