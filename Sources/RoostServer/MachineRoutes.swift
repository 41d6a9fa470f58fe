import HostEngine
import Hummingbird
import RoostAPI

/// `/v1/vms` and what is below it, but for disks and adapters.
struct MachineRoutes {
    let host: Host

    func add(to api: RouterGroup<APIServer.Context>) {
        let host = host
        api.get("vms") { _, _ in Response.json(raw: VirtualMachineSummary.json(host.context.roster.list())) }
        api.post("vms") { request, _ in
            let body = try await request.decode(CreateVirtualMachineRequest.self)
            return try await host.answer(request, "vm.create", subject: body.name) { reporter in
                try await host.create(body, reporter)
            }
        }
        api.get("vms/:vm") { _, context in
            try Response.json(try await host.machine(try context.argument("vm")).detail())
        }
        api.patch("vms/:vm") { request, context in
            let body = try await request.decode(UpdateVirtualMachineRequest.self)
            return try Response.json(try await host.update(try context.argument("vm"), body))
        }
        api.delete("vms/:vm") { request, context in
            let body = try await request.decode(RemoveVirtualMachineRequest.self, orEmpty: .init())
            let reference = try context.argument("vm")
            let machine = try await host.machine(reference)
            return try await host.answer(
                request,
                "vm.remove",
                subject: await machine.name,
                machine: machine.id
            ) { reporter in
                for warning in try await host.remove(reference, disks: body.removeDisks ?? false) {
                    await reporter.warn(warning)
                }
                return nil
            }
        }
        addLifeCycle(to: api)
        addScreens(to: api)
        api.post("vms/:vm/update-version") { request, context in
            let body = try await request.decode(UpdateVersionRequest.self, orEmpty: .init())
            return try Response.json(try await host.machine(try context.argument("vm")).updateVersion(body))
        }
        api.get("vms/:vm/version-history") { _, context in
            try Response.json(try await host.machine(try context.argument("vm")).versionHistory())
        }
        api.get("vms/:vm/firmware") { _, context in
            try Response.json(try await host.machine(try context.argument("vm")).firmwareInfo())
        }
        api.patch("vms/:vm/firmware") { request, context in
            let body = try await request.decode(UpdateFirmwareRequest.self)
            return try Response.json(try await host.machine(try context.argument("vm")).updateFirmware(body))
        }
    }

    private func addLifeCycle(to api: RouterGroup<APIServer.Context>) {
        let host = host
        api.post("vms/:vm/start") { request, context in
            let body = try await request.decode(StartVirtualMachineRequest.self, orEmpty: .init())
            let machine = try await host.machine(try context.argument("vm"))
            return try await host.answer(
                request,
                "vm.start",
                subject: await machine.name,
                machine: machine.id
            ) { reporter in
                try await machine.start(body, reporter)
                return nil
            }
        }
        api.post("vms/:vm/save") { request, context in
            let machine = try await host.machine(try context.argument("vm"))
            return try await host.answer(
                request,
                "vm.save",
                subject: await machine.name,
                machine: machine.id
            ) { reporter in
                try await machine.save(reporter)
                return nil
            }
        }
        api.delete("vms/:vm/saved-state") { request, context in
            let machine = try await host.machine(try context.argument("vm"))
            return try await host.answer(
                request,
                "vm.discard-saved-state",
                subject: await machine.name,
                machine: machine.id
            ) { _ in
                try await machine.discardSavedState()
                return nil
            }
        }
        for (verb, command) in [("pause", LifeCycle.Command.pause), ("resume", .resume)] {
            api.post("vms/:vm/\(verb)") { request, context in
                let machine = try await host.machine(try context.argument("vm"))
                return try await host.answer(
                    request,
                    "vm.\(verb)",
                    subject: await machine.name,
                    machine: machine.id
                ) { _ in
                    try await machine.perform(command)
                    return nil
                }
            }
        }
        for verb in ["stop", "restart"] {
            api.post("vms/:vm/\(verb)") { request, context in
                let body = try await request.decode(StopVirtualMachineRequest.self, orEmpty: .init())
                let seconds = body.timeoutSeconds ?? 120
                guard (1...86400).contains(seconds) else {
                    throw APIError(.invalidArgument, "a time-out of \(seconds) s is not within 1 to 86400")
                }
                let turnOff = body.turnOff ?? false
                let machine = try await host.machine(try context.argument("vm"))
                return try await host.answer(
                    request,
                    "vm.\(verb)",
                    subject: await machine.name,
                    machine: machine.id
                ) { _ in
                    try await machine.perform(
                        verb == "stop"
                            ? .stop(turnOff: turnOff, timeoutSeconds: seconds)
                            : .restart(turnOff: turnOff, timeoutSeconds: seconds)
                    )
                    return nil
                }
            }
        }
    }

    private func addScreens(to api: RouterGroup<APIServer.Context>) {
        let host = host
        api.get("vms/:vm/screenshot") { _, context in
            let png = try await host.machine(try context.argument("vm")).screenshot()
            return Response(
                status: .ok,
                headers: [.contentType: "image/png"],
                body: .init(byteBuffer: ByteBuffer(bytes: png))
            )
        }
        api.get("vms/:vm/console") { _, context in
            let output = try await host.machine(try context.argument("vm")).console().recentOutput
            return Response(
                status: .ok,
                headers: [.contentType: "application/octet-stream"],
                body: .init(byteBuffer: ByteBuffer(bytes: output))
            )
        }
        api.post("vms/:vm/console") { request, context in
            let console = try await host.machine(try context.argument("vm")).console()
            let body = request.body
            // What the guest writes is watched before anything is typed, so that no answer is missed.
            let output = console.watch()
            return Response(
                status: .ok,
                headers: [.contentType: "application/octet-stream"],
                body: .init { writer in
                    let (pieces, continuation) = AsyncStream.makeStream(
                        of: [UInt8].self,
                        bufferingPolicy: .bufferingNewest(1024)
                    )
                    // The end of either side is the end of the conversation.
                    let typing = Task {
                        defer { continuation.finish() }
                        for try await piece in body { await console.type(Array(piece.readableBytesView)) }
                    }
                    let showing = Task {
                        defer { continuation.finish() }
                        for await piece in output { continuation.yield(piece) }
                    }
                    defer {
                        typing.cancel()
                        showing.cancel()
                    }
                    for await piece in pieces { try await writer.write(ByteBuffer(bytes: piece)) }
                    try await writer.finish(nil)
                }
            )
        }
    }
}
