import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration {
    /// What is wrong is refused with a code and a remedy, and leaves nothing behind.
    @Suite(.serialized) struct BadInputTests {
        private struct BadCreate: Sendable, CustomTestStringConvertible {
            var what: String
            var code: APIError.Code
            /// What the message must name.
            var names: String
            var change: @Sendable (inout CreateVirtualMachineRequest, Roostd) -> Void
            var testDescription: String { what }
        }

        private static func badName(_ name: String, _ what: String) -> BadCreate {
            BadCreate(what: what, code: .invalidArgument, names: "") { request, _ in request.name = name }
        }

        private static let badCreates: [BadCreate] = [
            BadCreate(what: "name exists", code: .exists, names: "\"bystander\"") { request, _ in
                request.name = "bystander"
            },
            badName("..", "dots"), badName(".", "dot"), badName("a/b", "slash"), badName("", "empty name"),
            badName("a\u{7}b", "control character"), badName("a\nb", "line feed"),
            badName(String(repeating: "x", count: 101), "101 characters"),
            BadCreate(what: "unknown version", code: .unsupported, names: "13.0") { request, _ in
                request.version = "13.0"
            },
            BadCreate(what: "version of a later level", code: .unsupported, names: "9.0") { request, _ in
                request.version = "9.0"
            },
            BadCreate(what: "no version", code: .invalidArgument, names: "newest") { request, _ in
                request.version = "newest"
            },
            BadCreate(what: "generation 3", code: .invalidArgument, names: "3") { request, _ in request.generation = 3
            },
            BadCreate(what: "unknown switch", code: .notFound, names: "\"Nowhere\"") { request, _ in
                request.switchName = "Nowhere"
            },
            BadCreate(what: "unknown template", code: .invalidArgument, names: "Nobody") { request, _ in
                request.generation = 2
                request.secureBoot = "Nobody"
            },
            BadCreate(what: "Secure Boot for generation 1", code: .unsupported, names: "generation") { request, _ in
                request.secureBoot = "MicrosoftWindows"
            },
            BadCreate(what: "missing image", code: .notFound, names: "/nonexistent/image.qcow2") { request, _ in
                request.image = "/nonexistent/image.qcow2"
            },
            BadCreate(what: "missing disk", code: .notFound, names: "/nonexistent/disk.qcow2") { request, _ in
                request.disk = "/nonexistent/disk.qcow2"
            },
            BadCreate(what: "relative image", code: .invalidArgument, names: "image.qcow2") { request, _ in
                request.image = "image.qcow2"
            },
            BadCreate(what: "folder as image", code: .invalidArgument, names: "/var/tmp") { request, _ in
                request.image = "/var/tmp"
            },
            BadCreate(what: "corrupt image", code: .corrupt, names: "corrupt.qcow2") { request, roostd in
                // The magic number of qcow2 with nonsense behind it.
                let bytes = Data(
                    [0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 3] + (0..<2000).map { UInt8(truncatingIfNeeded: $0 &* 37) }
                )
                try? Files.write(bytes, "\(roostd.base)/corrupt.qcow2")
                request.image = "\(roostd.base)/corrupt.qcow2"
            },
            BadCreate(what: "image and disk", code: .invalidArgument, names: "both") { request, _ in
                request.image = Laboratory.guest
                request.disk = Laboratory.guest
            },
            BadCreate(what: "disk smaller than its image", code: .invalidArgument, names: "MiB") { request, _ in
                request.image = Laboratory.guest
                request.diskSizeBytes = 1 << 20
            },
            BadCreate(what: "no processors", code: .invalidArgument, names: "0") { request, _ in request.processors = 0
            },
            BadCreate(what: "negative processors", code: .invalidArgument, names: "-1") { request, _ in
                request.processors = -1
            },
            BadCreate(what: "1000 processors", code: .invalidArgument, names: "1000") { request, _ in
                request.processors = 1000
            },
            BadCreate(what: "no memory", code: .invalidArgument, names: "0") { request, _ in request.memoryMiB = 0 },
            BadCreate(what: "memory without bounds", code: .invalidArgument, names: "MiB") { request, _ in
                request.memoryMiB = .max
            },
        ]

        @Test func refusedCreationNamesItsReasonAndLeavesNothing() async throws {
            try await withRoostd("bad-create") { roostd in
                let client = roostd.client
                let bystander = try await roostd.create("bystander")
                try await roostd.start("bystander")
                let qemu = try roostd.qemu(bystander)
                let files = roostd.stateFiles()
                for bad in Self.badCreates {
                    var request = CreateVirtualMachineRequest(name: "new")
                    request.generation = 1
                    bad.change(&request, roostd)
                    let refused = try await refusal { try await client.createVirtualMachine(request, waitSeconds: 60) }
                    #expect(
                        refused?.code == bad.code,
                        "\(bad.what): \(refused.map(String.init(describing:)) ?? "accepted")"
                    )
                    #expect(
                        bad.names.isEmpty || refused?.description.contains(bad.names) == true,
                        "\(bad.what): \(refused?.description ?? "")"
                    )
                    #expect(roostd.stateFiles() == files, "\(bad.what)")
                    #expect(try await client.virtualMachines().map(\.name) == ["bystander"], "\(bad.what)")
                }
                #expect(try roostd.qemu(bystander) == qemu)
                // The name of a refused machine is free again.
                try await roostd.create("new")
            }
        }

        @Test func refusedChangeLeavesTheConfigurationAsItWas() async throws {
            try await withRoostd("bad-set") { roostd in
                let client = roostd.client
                let id = try await roostd.create("vm")
                try await roostd.create("other")
                let before = Files.read(roostd.configuration(id))
                let changes: [(APIError.Code, @Sendable (inout UpdateVirtualMachineRequest) -> Void)] = [
                    (.exists, { $0.name = "other" }), (.invalidArgument, { $0.name = "a/b" }),
                    (.invalidArgument, { $0.name = "" }), (.invalidArgument, { $0.processors = 0 }),
                    (.invalidArgument, { $0.processors = 1000 }), (.invalidArgument, { $0.memoryMiB = 1 }),
                    (.invalidArgument, { $0.automaticStartDelaySeconds = -1 }),
                    (.invalidArgument, { $0.automaticStartDelaySeconds = 86401 }),
                    (.invalidArgument, { $0.integrationServices = ["Telepathy": true] }),
                ]
                for (index, (code, change)) in changes.enumerated() {
                    var request = UpdateVirtualMachineRequest()
                    change(&request)
                    let refused = try await refusal { try await client.updateVirtualMachine("vm", request) }
                    #expect(refused?.code == code, "change \(index): \(refused?.description ?? "accepted")")
                    #expect(Files.read(roostd.configuration(id)) == before, "change \(index)")
                }
                #expect(try await refusal { try await client.virtualMachine("nobody") }?.code == .notFound)
                #expect(try await refusal { try await client.virtualMachine("..") }?.code == .notFound)
                try await roostd.start("vm")
                var request = UpdateVirtualMachineRequest()
                request.memoryMiB = 128
                #expect(
                    try await refusal { try await client.updateVirtualMachine("vm", request) }?.code == .invalidState
                )
                #expect(
                    try await refusal { try await client.removeVirtualMachine("vm", waitSeconds: 9) }?.code
                        == .invalidState
                )
            }
        }

        @Test func startThatCannotSucceedSaysWhyAndLeavesTheMachineOff() async throws {
            try await withRoostd("bad-start") { roostd in
                let client = roostd.client
                let host = try await client.host()
                try await roostd.create("big") { $0.memoryMiB = host.memoryMiB / 2 * 2 + 4096 }
                var refused = try await refusal { try await client.startVirtualMachine("big", waitSeconds: 30) }
                #expect(refused?.code == .insufficientResources)
                #expect(refused?.message.contains("MiB") == true)

                let disk = try await client.createDisk(.init(path: "shared.qcow2", sizeBytes: 1 << 20), waitSeconds: 30)
                    .succeeded()
                let path = try #require(disk.result)
                for name in ["first", "second"] { try await roostd.create(name) { $0.disk = path } }
                try await roostd.start("first")
                refused = try await refusal { try await client.startVirtualMachine("second", waitSeconds: 30) }
                #expect(refused?.code == .busy)
                #expect(refused?.message.contains("second") == true)
                #expect(try await roostd.state("second") == .off)
                #expect(try await roostd.state("first") == .running)

                try await roostd.turnOff("first")
                try Files.remove(path)
                refused = try await refusal { try await client.startVirtualMachine("first", waitSeconds: 30) }
                #expect(refused?.code == .notFound)
                #expect(refused?.message.contains(path) == true)
                let drive = try #require(try await client.virtualMachine("first").drives.first)
                #expect(drive.problem != nil)

                try Files.write(Data([0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 9]), path)
                try await tool("chown", Laboratory.qemuUser, path)
                refused = try await refusal { try await client.startVirtualMachine("first", waitSeconds: 30) }
                #expect(refused?.code == .engineFailure || refused?.code == .corrupt)
                #expect(refused?.cause?.contains("qcow2") == true, "\(refused?.description ?? "")")
                #expect(try await roostd.state("first") == .off)
                #expect(roostd.qemus.isEmpty)
            }
        }

        @Test func requestsThatAreNotTheAPIsAreRefused() async throws {
            try await withRoostd("bad-requests") { roostd in
                let id = try await roostd.create("vm")
                let socket = roostd.client.socketPath
                let requests: [(String, String, String, Int, String)] = [
                    ("GET", "/", "", 404, "notFound"), ("GET", "/v2/vms", "", 404, "notFound"),
                    ("GET", "/v1/nothing", "", 404, "notFound"), ("PUT", "/v1/vms", "{}", 404, "notFound"),
                    ("GET", "/v1/vms/%FF", "", 400, "invalidArgument"),
                    ("GET", "/v1/vms/%zz", "", 400, "invalidArgument"),
                    ("GET", "/v1/vms/%2e%2e%2fhost", "", 404, "notFound"),
                    ("POST", "/v1/vms", "", 400, "invalidArgument"), ("POST", "/v1/vms", "{", 400, "invalidArgument"),
                    ("POST", "/v1/vms", "[]", 400, "invalidArgument"), ("POST", "/v1/vms", "{}", 400, "name"),
                    ("POST", "/v1/vms", #"{"name": 5}"#, 400, "name"),
                    ("POST", "/v1/vms", #"{"name": "a", "memoryMiB": "much"}"#, 400, "memoryMiB"),
                    ("POST", "/v1/vms", #"{"name": "a", "memoryMiB": -1}"#, 400, "no CreateVirtualMachineRequest"),
                    ("POST", "/v1/vms", #"{"name": "a", "processors": 1e99}"#, 400, "no CreateVirtualMachineRequest"),
                    ("PATCH", "/v1/vms/vm", #"{"automaticStartAction": "Perhaps"}"#, 400, "automaticStartAction"),
                    ("POST", "/v1/vms/vm/stop", #"{"timeoutSeconds": -5}"#, 400, "-5"),
                    ("POST", "/v1/vms/vm/start?wait=soon", "", 400, "wait"), ("GET", "/v1/jobs/x", "", 400, "x"),
                    ("GET", "/v1/jobs/999", "", 404, "999"), ("GET", "/v1/jobs/1?wait=-1", "", 400, "wait"),
                    ("GET", "/v1/jobs/1?wait=nan", "", 400, "wait"), ("GET", "/v1/jobs/1?wait=1e300", "", 400, "wait"),
                    ("GET", "/v1/events?since=-1", "", 400, "since"),
                    ("GET", "/v1/events?since=1e300", "", 400, "since"),
                    ("DELETE", "/v1/vms/vm/disks/over:there", "", 400, "over:there"),
                    ("DELETE", "/v1/vms/vm/disks/scsi:0:99", "", 404, "scsi:0:99"),
                    ("DELETE", "/v1/switches/Default%20Switch", "", 400, "Default Switch"),
                    ("POST", "/v1/disks", #"{"path": "x.qcow2", "sizeBytes": 1000}"#, 200, "512"),
                    ("POST", "/v1/vms", "{\"name\": \"\(String(repeating: "x", count: 5 << 20))\"}", 400, ""),
                    ("POST", "/v1/vms", String(repeating: "[", count: 100_000), 400, "invalidArgument"),
                ]
                for (method, target, body, status, words) in requests {
                    let wait = target == "/v1/disks" ? "?wait=20" : ""
                    let answer = try await RawAnswer.to(socket, method, target + wait, body: body)
                    let what: Comment =
                        "\(method) \(target) \(body.prefix(60)): \(answer.status) \(answer.body.prefix(300))"
                    #expect(answer.status == status, what)
                    #expect(words.isEmpty || answer.body.contains(words), what)
                    if answer.status >= 400 {
                        #expect((try? JSONDecoder().decode(APIError.self, from: Data(answer.body.utf8))) != nil, what)
                    }
                }
                for garbage in ["\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
                    let raw = try RawSocket(socket)
                    raw.send(garbage)
                    try await raw.read(until: nil)
                }
                #expect(try await roostd.client.virtualMachines().map(\.id.uppercased) == [id])
            }
        }

        @Test func brokenFilesAreListedAndKeptAndDisturbNoOther() async throws {
            try await withRoostd("broken-files") { roostd in
                let good = try await roostd.create("good")
                let copied = try await roostd.create("copied")
                let source = try #require(Files.read(roostd.configuration(copied)))
                try await roostd.client.removeVirtualMachine("copied", waitSeconds: 30).succeeded()
                try await roostd.start("good")
                await roostd.kill9()

                let contents: [String: Data] = [
                    "11111111-1111-1111-1111-111111111111": source.prefix(source.count / 2),
                    "22222222-2222-2222-2222-222222222222": Data(
                        (0..<8192).map { UInt8(truncatingIfNeeded: $0 &* 131) }
                    ),
                    "33333333-3333-3333-3333-333333333333": Data("<?xml version=\"1.0\"?><something/>".utf8),
                    "44444444-4444-4444-4444-444444444444": Data(),
                    // The configuration of another machine under a name that is not its own.
                    "55555555-5555-5555-5555-555555555555": source,
                ]
                for (id, bytes) in contents { try Files.write(bytes, roostd.configuration(id)) }
                let folder = "66666666-6666-6666-6666-666666666666"
                try FileManager.default.createDirectory(
                    atPath: roostd.configuration(folder),
                    withIntermediateDirectories: false
                )
                try Files.write("hello", "\(roostd.virtualMachines)/readme.vmcx")

                for _ in 0..<2 {
                    try await roostd.start()
                    let list = try await roostd.client.virtualMachines()
                    let broken = list.filter { $0.state == .broken }
                    #expect(Set(broken.map(\.id.uppercased)).isSuperset(of: contents.keys))
                    #expect(broken.allSatisfy { $0.reason?.isEmpty == false })
                    #expect(list.filter { $0.state != .broken }.map(\.name) == ["good"])
                    #expect(try await roostd.state("good") == .running)
                    for (id, bytes) in contents {
                        #expect(Files.read(roostd.configuration(id)) == bytes, "\(id)")
                        let start = try await refusal {
                            try await roostd.client.startVirtualMachine(id, waitSeconds: 9)
                        }
                        #expect(
                            start?.code == .invalidState || start?.code == .corrupt,
                            "\(id): \(start?.description ?? "")"
                        )
                        var change = UpdateVirtualMachineRequest()
                        change.notes = "new"
                        #expect(
                            try await refusal { try await roostd.client.updateVirtualMachine(id, change) } != nil,
                            "\(id)"
                        )
                    }
                    await roostd.kill9()
                }
                try await roostd.start()
                try await roostd.turnOff("good")
                try await roostd.start("good")
                #expect(try roostd.qemu(good).isAlive)
                // What needs its QEMU says that it is broken, not only that it does not run.
                let id = "22222222-2222-2222-2222-222222222222"
                let picture = try await refusal { _ = try await roostd.client.screenshot(id) }
                #expect(picture?.code == .corrupt)
                // Removing a broken machine keeps its bytes, its UEFI variables and its seed beside it, and nothing else of it.
                try Files.write("variables", "\(roostd.virtualMachines)/\(id).vmgs")
                try Files.write("seed", "\(roostd.virtualMachines)/\(id).seed.iso")
                try Files.write("record", "\(roostd.virtualMachines)/\(id).vmrs")
                let removal = try await roostd.client.removeVirtualMachine(id, waitSeconds: 30).succeeded()
                let kept = try #require(
                    roostd.stateFiles().first { $0.contains("\(id).vmcx.removed-") },
                    "\(removal.warnings)"
                )
                #expect(Files.read("\(roostd.stateDirectory)/\(kept)") == contents[id])
                let left = roostd.stateFiles().filter { $0.contains(id) }
                for name in ["vmgs", "seed.iso"] {
                    #expect(left.contains { $0.contains("\(id).\(name).removed-") }, "\(left)")
                }
                #expect(left.allSatisfy { $0.contains(".removed-") || $0.contains(".damaged-") }, "\(left)")
            }
        }

        @Test func sizesAndInterfacesThatCannotBeAreNamed() async throws {
            try await withRoostd("bounds") { roostd in
                let client = roostd.client
                for (name, bytes, bound) in [
                    ("a.vhdx", UInt64(65) << 40, "64 TiB"), ("a.qcow2", UInt64(3) << 60, "TiB at most"),
                ] {
                    let job = try await client.createDisk(.init(path: name, sizeBytes: bytes), waitSeconds: 30)
                    #expect(job.error?.code == .invalidArgument && job.error?.message.contains(bound) == true, "\(job)")
                }
                #expect(try await client.disks().isEmpty)
                let missing = CreateSwitchRequest(name: "out", type: .external, interface: "nosuch0")
                let refused = try await refusal { _ = try await client.createSwitch(missing) }
                #expect(refused?.code == .notFound && refused?.message.contains("nosuch0") == true)
            }
        }

        @Test func roostdWithoutAUsableQEMUSaysSo() async throws {
            for (qemu, code) in [
                ("/nonexistent/qemu", APIError.Code.notFound), ("/bin/false", .engineFailure),
                ("/bin/true", .engineFailure),
            ] {
                let roostd = try Roostd("qemu-missing-\(qemu.split(separator: "/").last ?? "")")
                let exit = try await roostd.startExpectingEnd(["--qemu", qemu])
                #expect(exit == .exited(code.exitCode), "\(qemu): \(exit)")
                #expect(roostd.logText.contains(qemu))
                await roostd.tearDown()
            }
        }

        @Test func twoRoostdsNeverShareAStateDirectory() async throws {
            try await withRoostd("two") { roostd in
                try await roostd.create("vm")
                let exit = try await roostd.startExpectingEnd()
                #expect(exit == .exited(APIError.Code.busy.exitCode))
                // The first one still answers on its socket.
                #expect(try await roostd.client.virtualMachines().count == 1)
                // Another one with folders of its own runs beside it.
                try await withRoostd("beside") { other in
                    #expect(try await other.client.virtualMachines().isEmpty)
                    try await other.create("vm")
                    try await other.start("vm")
                    #expect(try await roostd.state("vm") == .off)
                }
            }
        }

        @Test func runDirectoryThatIsTooLongIsRefused() async throws {
            let roostd = try Roostd("long-run-directory", runDirectoryLength: 52)
            let exit = try await roostd.startExpectingEnd()
            #expect(exit == .exited(APIError.Code.invalidArgument.exitCode))
            await roostd.tearDown()
        }

        @Test func machinesStartInTheLongestRunDirectory() async throws {
            let roostd = try Roostd("longest-run-directory", runDirectoryLength: 51)
            do {
                try await roostd.start()
                _ = try await roostd.create("vm")
                try await roostd.start("vm")
                try await roostd.turnOff("vm")
            } catch {
                await roostd.tearDown()
                throw error
            }
            await roostd.tearDown()
        }
    }
}
