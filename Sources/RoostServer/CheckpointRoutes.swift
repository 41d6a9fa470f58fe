import HostEngine
import Hummingbird
import RoostAPI

/// `/v1/vms/{vm}/checkpoints`.
struct CheckpointRoutes {
    let host: Host

    func add(to api: RouterGroup<APIServer.Context>) {
        let host = host
        api.get("vms/:vm/checkpoints") { _, context in
            try Response.json(try await host.machine(try context.argument("vm")).checkpoints())
        }
        api.post("vms/:vm/checkpoints") { request, context in
            let body = try await request.decode(CreateCheckpointRequest.self, orEmpty: .init())
            let reference = try context.argument("vm")
            let machine = try await host.machine(reference)
            return try await host.answer(
                request,
                "checkpoint.create",
                subject: await machine.name,
                machine: machine.id
            ) { reporter in
                try await host.createCheckpoint(reference, body, reporter)
            }
        }
        api.get("vms/:vm/checkpoints/:checkpoint") { _, context in
            let machine = try await host.machine(try context.argument("vm"))
            return try Response.json(try await machine.checkpoint(try context.argument("checkpoint")))
        }
        api.patch("vms/:vm/checkpoints/:checkpoint") { request, context in
            let body = try await request.decode(UpdateCheckpointRequest.self)
            let machine = try await host.machine(try context.argument("vm"))
            return try Response.json(
                try await machine.renameCheckpoint(try context.argument("checkpoint"), body)
            )
        }
        api.post("vms/:vm/checkpoints/:checkpoint/apply") { request, context in
            let body = try await request.decode(ApplyCheckpointRequest.self, orEmpty: .init())
            let (reference, checkpoint) = (try context.argument("vm"), try context.argument("checkpoint"))
            let machine = try await host.machine(reference)
            return try await host.answer(
                request,
                "checkpoint.apply",
                subject: await machine.name,
                machine: machine.id
            ) { reporter in
                try await host.applyCheckpoint(reference, checkpoint, body, reporter)
                return nil
            }
        }
        api.post("vms/:vm/checkpoints/:checkpoint/verify") { request, context in
            let body = try await request.decode(VerifyCheckpointRequest.self, orEmpty: .init())
            let (reference, checkpoint) = (try context.argument("vm"), try context.argument("checkpoint"))
            let machine = try await host.machine(reference)
            return try await host.answer(
                request,
                "checkpoint.verify",
                subject: await machine.name,
                machine: machine.id
            ) { _ in
                try await host.verifyCheckpoint(reference, checkpoint, body)
            }
        }
        api.post("vms/:vm/checkpoints/:checkpoint/export") { request, context in
            let body = try await request.decode(ExportVirtualMachineRequest.self)
            let (reference, checkpoint) = (try context.argument("vm"), try context.argument("checkpoint"))
            let machine = try await host.machine(reference)
            return try await host.answer(
                request,
                "checkpoint.export",
                subject: await machine.name,
                machine: machine.id
            ) { reporter in
                try await host.exportCheckpoint(reference, checkpoint, body, reporter)
            }
        }
        api.post("vms/:vm/checkpoints/:checkpoint/new-vm") { request, context in
            let body = try await request.decode(NewVirtualMachineFromCheckpointRequest.self)
            let (reference, checkpoint) = (try context.argument("vm"), try context.argument("checkpoint"))
            return try await host.answer(request, "checkpoint.new-vm", subject: body.name) { reporter in
                try await host.createMachine(fromCheckpoint: checkpoint, of: reference, body, reporter)
            }
        }
        api.delete("vms/:vm/checkpoints/:checkpoint") { request, context in
            let body = try await request.decode(RemoveCheckpointRequest.self, orEmpty: .init())
            let (reference, checkpoint) = (try context.argument("vm"), try context.argument("checkpoint"))
            let machine = try await host.machine(reference)
            return try await host.answer(
                request,
                "checkpoint.remove",
                subject: await machine.name,
                machine: machine.id
            ) { reporter in
                try await host.removeCheckpoint(reference, checkpoint, body, reporter)
                return nil
            }
        }
    }
}
