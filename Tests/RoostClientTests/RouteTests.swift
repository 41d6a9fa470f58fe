import RoostAPI
import RoostClient
import ScriptedRoostd
import Testing

/// One method of the client, and the request that it has to send.
private struct Route: Sendable {
    var expected: String
    var body: String
    var call: @Sendable (RoostClient) async throws -> Void

    init(_ expected: String, body: String = "", _ call: @escaping @Sendable (RoostClient) async throws -> Void) {
        self.expected = expected
        self.body = body
        self.call = call
    }
}

@Suite struct RouteTests {
    private static let routes: [Route] = [
        Route("GET /v1/host") { _ = try await $0.host() },
        Route("GET /v1/vms") { _ = try await $0.virtualMachines() },
        Route("POST /v1/vms?wait=7", body: #"{"name":"web"}"#) {
            _ = try await $0.createVirtualMachine(CreateVirtualMachineRequest(name: "web"), waitSeconds: 7)
        },
        Route("POST /v1/imports?wait=7", body: #"{"path":"x"}"#) {
            _ = try await $0.importVirtualMachine(ImportVirtualMachineRequest(path: "x"), waitSeconds: 7)
        },
        Route("POST /v1/imports/plan", body: #"{"path":"x"}"#) {
            _ = try await $0.importPlan(ImportVirtualMachineRequest(path: "x"))
        },
        Route("POST /v1/vms/web/export", body: #"{"directory":"x","vhdx":true}"#) {
            _ = try await $0.exportVirtualMachine("web", ExportVirtualMachineRequest(directory: "x", vhdx: true))
        },
        Route("GET /v1/vms/web") { _ = try await $0.virtualMachine("web") },
        Route("PATCH /v1/vms/web", body: "{}") {
            _ = try await $0.updateVirtualMachine("web", UpdateVirtualMachineRequest())
        },
        Route("DELETE /v1/vms/web", body: #"{"removeDisks":true}"#) {
            _ = try await $0.removeVirtualMachine("web", RemoveVirtualMachineRequest(removeDisks: true))
        },
        Route("POST /v1/vms/web/start?wait=0", body: "{}") {
            _ = try await $0.startVirtualMachine("web", waitSeconds: 0)
        },
        Route("POST /v1/vms/web/save") { _ = try await $0.saveVirtualMachine("web") },
        Route("DELETE /v1/vms/web/saved-state") { _ = try await $0.discardSavedState(of: "web") },
        Route("POST /v1/vms/web/pause") { _ = try await $0.pauseVirtualMachine("web") },
        Route("POST /v1/vms/web/resume") { _ = try await $0.resumeVirtualMachine("web") },
        Route("POST /v1/vms/web/stop", body: #"{"turnOff":true}"#) {
            _ = try await $0.stopVirtualMachine("web", StopVirtualMachineRequest(turnOff: true))
        },
        Route("POST /v1/vms/web/restart", body: "{}") { _ = try await $0.restartVirtualMachine("web") },
        Route("GET /v1/vms/web/screenshot") { _ = try await $0.screenshot("web") },
        Route("GET /v1/vms/web/console") { _ = try await $0.consoleLog("web") },
        Route("POST /v1/vms/web/console") {
            try await $0.console("web", input: AsyncStream<[UInt8]> { nil }, output: { _ in })
        },
        Route("GET /v1/vms/web/checkpoints") { _ = try await $0.checkpoints(of: "web") },
        Route("POST /v1/vms/web/checkpoints?wait=7", body: #"{"kind":"Standard","name":"a"}"#) {
            let request = CreateCheckpointRequest(name: "a", kind: .standard)
            _ = try await $0.createCheckpoint(of: "web", request, waitSeconds: 7)
        },
        Route("GET /v1/vms/web/checkpoints/a%2Fb") { _ = try await $0.checkpoint(of: "web", "a/b") },
        Route("PATCH /v1/vms/web/checkpoints/a", body: #"{"name":"b"}"#) {
            _ = try await $0.updateCheckpoint(of: "web", "a", UpdateCheckpointRequest(name: "b"))
        },
        Route("POST /v1/vms/web/checkpoints/a/apply", body: #"{"checkpointFirst":true,"turnOff":true}"#) {
            _ = try await $0.applyCheckpoint(
                to: "web",
                "a",
                ApplyCheckpointRequest(checkpointFirst: true, turnOff: true)
            )
        },
        Route("POST /v1/vms/web/checkpoints/a/verify?wait=9", body: #"{"command":"true","timeoutSeconds":60}"#) {
            let request = VerifyCheckpointRequest(command: "true", timeoutSeconds: 60)
            _ = try await $0.verifyCheckpoint(of: "web", "a", request, waitSeconds: 9)
        },
        Route("POST /v1/vms/web/checkpoints/a/export", body: #"{"directory":"e"}"#) {
            _ = try await $0.exportCheckpoint(of: "web", "a", ExportVirtualMachineRequest(directory: "e"))
        },
        Route("POST /v1/vms/web/checkpoints/a/new-vm?wait=7", body: #"{"name":"b"}"#) {
            let request = NewVirtualMachineFromCheckpointRequest(name: "b")
            _ = try await $0.createVirtualMachine(fromCheckpoint: "a", of: "web", request, waitSeconds: 7)
        },
        Route("DELETE /v1/vms/web/checkpoints/a", body: #"{"subtree":true}"#) {
            _ = try await $0.removeCheckpoint(of: "web", "a", RemoveCheckpointRequest(subtree: true))
        },
        Route("GET /v1/vms/web/disks") { _ = try await $0.drives(of: "web") },
        Route("POST /v1/vms/web/disks", body: #"{"path":"a"}"#) {
            _ = try await $0.attachDisk(to: "web", AttachDiskRequest(path: "a"))
        },
        Route("DELETE /v1/vms/web/disks/scsi%3A0%3A1") { try await $0.detachDisk(from: "web", location: "scsi:0:1") },
        Route("GET /v1/disks") { _ = try await $0.disks() },
        Route("GET /v1/disks/orphans") { _ = try await $0.orphanedDisks() },
        Route("POST /v1/disks", body: #"{"path":"a","sizeBytes":1}"#) {
            _ = try await $0.createDisk(CreateDiskRequest(path: "a", sizeBytes: 1))
        },
        Route("POST /v1/disks/resize", body: #"{"path":"a","sizeBytes":1}"#) {
            _ = try await $0.resizeDisk(ResizeDiskRequest(path: "a", sizeBytes: 1))
        },
        Route("GET /v1/nics") { _ = try await $0.networkAdapters() },
        Route("GET /v1/vms/web/nics") { _ = try await $0.networkAdapters(of: "web") },
        Route("GET /v1/switches") { _ = try await $0.switches() },
        Route("POST /v1/switches", body: #"{"name":"lab","type":"Private"}"#) {
            _ = try await $0.createSwitch(CreateSwitchRequest(name: "lab", type: .private))
        },
        Route("DELETE /v1/switches/Default%20Switch") { try await $0.removeSwitch("Default Switch") },
        Route("GET /v1/vms/web/firmware") { _ = try await $0.firmware(of: "web") },
        Route("PATCH /v1/vms/web/firmware", body: "{}") {
            _ = try await $0.updateFirmware(of: "web", UpdateFirmwareRequest())
        },
        Route("GET /v1/events?since=7") { for try await _ in $0.events(since: 7) {} },
        Route("GET /v1/events") { for try await _ in $0.events() {} },
        Route("GET /v1/jobs") { _ = try await $0.jobs() },
        Route("GET /v1/jobs/12?wait=3600") { _ = try await $0.job(12, waitSeconds: Int.max) },
        Route("POST /v1/jobs/12/cancel") { _ = try await $0.cancelJob(12) },
    ]

    @Test(arguments: routes.indices)
    func methodSendsTheRequestOfItsRoute(index: Int) async throws {
        let route = Self.routes[index]
        try await ScriptedRoostd.run { connection, _ in
            try await connection.answer("404 Not Found", #"{"code":"notFound","message":"as wanted"}"#)
        } _: { server in
            await #expect(throws: APIError(.notFound, "as wanted")) {
                try await route.call(RoostClient(socketPath: server.socketPath))
            }
            let request = try #require(server.requests.first)
            #expect(request.name == route.expected)
            #expect(sorted(request.body) == sorted(route.body))
        }
    }

    @Test(arguments: [
        ("a/b c?d#e%f", "a%2Fb%20c%3Fd%23e%25f"), ("..", "%2E%2E"), (".", "%2E"), ("a.b", "a.b"),
        ("Grüße\r\nX: y", "Gr%C3%BC%C3%9Fe%0D%0AX%3A%20y"), ("", ""),
    ])
    func nameCannotLeaveItsPlaceInThePath(name: String, encoded: String) async throws {
        try await ScriptedRoostd.run { connection, _ in
            try await connection.answer("204 No Content", "")
        } _: { server in
            try await RoostClient(socketPath: server.socketPath).removeSwitch(name)
            #expect(server.requests.map(\.name) == ["DELETE /v1/switches/\(encoded)"])
        }
    }

    /// The characters of a JSON object with few fields, whatever their order.
    private func sorted(_ json: String) -> [Character] { json.sorted() }
}
