import HostEngine
import Hummingbird
import RoostAPI

/// `/v1/imports`, and the exports of machines.
struct ImportRoutes {
    let host: Host

    func add(to api: RouterGroup<APIServer.Context>) {
        let host = host
        api.post("imports") { request, _ in
            let body = try await request.decode(ImportVirtualMachineRequest.self)
            return try await host.answer(request, "vm.import", subject: body.name ?? body.path) { reporter in
                try await host.importMachine(body, reporter)
            }
        }
        api.post("imports/plan") { request, _ in
            let body = try await request.decode(ImportVirtualMachineRequest.self)
            return try Response.json(try await host.importPlan(body))
        }
        api.post("vms/:vm/export") { request, context in
            let body = try await request.decode(ExportVirtualMachineRequest.self)
            let reference = try context.argument("vm")
            let machine = try await host.machine(reference)
            return try await host.answer(
                request,
                "vm.export",
                subject: await machine.name,
                machine: machine.id
            ) { reporter in
                try await host.export(reference, body, reporter)
            }
        }
    }
}
