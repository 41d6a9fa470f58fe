import FoundationEssentials
import HostEngine
import Hummingbird
import RoostAPI

/// `/v1/host`.
struct HostRoutes {
    let host: Host

    func add(to api: RouterGroup<APIServer.Context>) {
        let host = host
        api.get("host") { _, _ in try Response.json(host.info()) }
        api.get("host/versions") { _, _ in try Response.json(host.versions()) }
        api.post("host/scrub") { request, _ in
            _ = try request.number("wait")
            return try await host.answer(request, try await host.startScrub())
        }
        api.post("host/stop-guests") { request, _ in
            try await host.answer(request, "host.stop-guests", subject: "all virtual machines") { reporter in
                for sentence in try await host.stopGuests(timeoutSeconds: 120) { await reporter.warn(sentence) }
                return nil
            }
        }
    }
}

/// `/v1/disks` and the drives of machines.
struct DiskRoutes {
    let host: Host

    func add(to api: RouterGroup<APIServer.Context>) {
        let host = host
        api.get("disks") { _, _ in try Response.json(try await host.disks()) }
        api.get("disks/orphans") { _, _ in try Response.json(try await host.orphanedDisks()) }
        api.post("disks") { request, _ in
            let body = try await request.decode(CreateDiskRequest.self)
            return try await host.answer(request, "disk.create", subject: body.path) { _ in
                try await host.createDisk(body)
            }
        }
        api.post("disks/resize") { request, _ in
            let body = try await request.decode(ResizeDiskRequest.self)
            return try await host.answer(request, "disk.resize", subject: body.path) { _ in
                try await host.resizeDisk(body)
                return body.path
            }
        }
        api.get("vms/:vm/disks") { _, context in
            try Response.json(try await host.machine(try context.argument("vm")).inspectDrives())
        }
        api.post("vms/:vm/disks") { request, context in
            let body = try await request.decode(AttachDiskRequest.self)
            return try Response.json(try await host.attachDisk(to: try context.argument("vm"), body))
        }
        api.delete("vms/:vm/disks/:location") { _, context in
            try await host.machine(try context.argument("vm")).detach(try context.argument("location"))
            return Response.nothing
        }
    }
}

/// `/v1/nics` and `/v1/switches`.
struct NetworkRoutes {
    let host: Host

    func add(to api: RouterGroup<APIServer.Context>) {
        let host = host
        api.get("nics") { _, _ in try Response.json(await host.networkAdapters()) }
        api.get("vms/:vm/nics") { _, context in
            try Response.json(try await host.machine(try context.argument("vm")).networkAdapters())
        }
        api.get("switches") { _, _ in try Response.json(await host.switchList()) }
        api.post("switches") { request, _ in
            let body = try await request.decode(CreateSwitchRequest.self)
            return try Response.json(try await host.context.switches.create(body), status: HTTPResponse.Status.created)
        }
        api.delete("switches/:name") { _, context in
            try await host.removeSwitch(try context.argument("name"))
            return Response.nothing
        }
    }
}

/// `/v1/jobs` and `/v1/events`.
struct JobRoutes {
    let host: Host

    func add(to api: RouterGroup<APIServer.Context>) {
        let jobs = host.context.jobs
        let events = host.context.events
        api.get("jobs") { _, _ in try Response.json(await jobs.list()) }
        api.get("jobs/:id") { request, context in
            let id = try Self.jobID(context)
            guard let seconds = try request.number("wait") else { return try Response.json(try await jobs.job(id)) }
            return try Response.json(try await jobs.wait(id, seconds: seconds))
        }
        api.post("jobs/:id/cancel") { _, context in
            let id = try Self.jobID(context)
            _ = try await jobs.cancel(id)
            return try Response.json(try await jobs.wait(id, seconds: 10))
        }
        api.get("events") { request, _ in
            let since = try request.number("since").map { UInt64($0.rounded()) }
            let stream = events.listen(since: since)
            return Response(
                status: .ok,
                headers: [.contentType: "application/x-ndjson"],
                body: .init { writer in
                    let encoder = JSONEncoder()
                    encoder.outputFormatting = [.withoutEscapingSlashes]
                    for await event in stream {
                        var line = try encoder.encode(event)
                        line.append(10)
                        try await writer.write(ByteBuffer(bytes: line))
                    }
                    try await writer.finish(nil)
                }
            )
        }
    }

    private static func jobID(_ context: APIServer.Context) throws -> Int {
        let text = try context.argument("id")
        guard let id = Int(text) else { throw APIError(.invalidArgument, "\"\(text)\" is no job number") }
        return id
    }
}
