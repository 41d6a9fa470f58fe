import Foundation
import RoostAPI
import RoostClient
import Testing

extension Integration {
    /// Exports that are cut off, of each kind of configuration, and imported again; links on the way in.
    @Suite(.serialized) struct ExportTests {
        private func disk(_ roostd: Roostd, _ vm: String) async throws -> String {
            try #require(try await roostd.client.virtualMachine(vm).drives.first { $0.path != nil }?.path)
        }

        private func names(_ path: String) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        }

        @Test func cancelledOrCutOffExportLeavesNothing() async throws {
            try await withRoostd("export-cut") { roostd in
                let client = roostd.client
                try await roostd.create("vm") { $0.diskSizeBytes = 700 << 20 }
                let disk = try await disk(roostd, "vm")
                try await tool("qemu-io", "-f", "qcow2", "-c", "write -P 0x77 1M 650M", disk)
                let target = "\(roostd.base)/out"
                try Files.makeFolder(target)
                let before = roostd.stateFiles()
                let request = ExportVirtualMachineRequest(directory: target, vhdx: true)

                let job = try await client.exportVirtualMachine("vm", request)
                try await eventually("the export has begun") { try !names(target).isEmpty }
                _ = try await client.cancelJob(job.id)
                #expect(try await client.job(job.id, waitSeconds: 30).state == .cancelled)
                #expect(try names(target).isEmpty)
                #expect(roostd.stateFiles() == before)

                _ = try await client.exportVirtualMachine("vm", request)
                try await eventually("the export has begun") { try !names(target).isEmpty }
                await roostd.kill9()
                try await roostd.start()
                #expect(try names(target).isEmpty)
                #expect(roostd.stateFiles() == before)
                try await client.exportVirtualMachine("vm", request, waitSeconds: 300).succeeded()
                #expect(try names(target) == ["vm"])
                let machines = "\(target)/vm/Virtual Machines"
                let files = try names(machines).filter { $0.hasSuffix(".vmcx") }
                try await otherReaderReads(files.map { "\(machines)/\($0)" })
            }
        }

        @Test func machineOfVersion5IsExportedAsXML() async throws {
            try await withRoostd("export-xml") { roostd in
                let client = roostd.client
                let id = try await roostd.create("old") {
                    $0.version = "5.0"
                    $0.diskSizeBytes = 8 << 20
                }
                try await client.exportVirtualMachine("old", .init(directory: roostd.base), waitSeconds: 60).succeeded()
                let machines = "\(roostd.base)/old/Virtual Machines"
                #expect(try names(machines) == ["\(id).xml"])
                let bytes = try #require(Files.read("\(machines)/\(id).xml"))
                // UTF-16 in little-endian order, as Hyper-V writes it.
                #expect(bytes.prefix(4) == Data([0xFF, 0xFE, 0x3C, 0x00]))
                try await client.removeVirtualMachine("old", .init(removeDisks: true), waitSeconds: 30).succeeded()
                let folder = ImportVirtualMachineRequest(path: "\(roostd.base)/old")
                try await client.importVirtualMachine(folder, waitSeconds: 60).succeeded()
                #expect(try await client.virtualMachine("old").summary.version == "5.0")
                try await roostd.start("old")
                try await roostd.turnOff("old")
            }
        }

        @Test func variablesGoAlongAndAreTakenIn() async throws {
            try await withRoostd("export-variables") { roostd in
                let client = roostd.client
                let id = try await roostd.create("vm") {
                    $0.generation = 2
                    $0.diskSizeBytes = 8 << 20
                }
                try await roostd.start("vm")
                try await roostd.turnOff("vm")
                let own = "\(roostd.virtualMachines)/\(id).vmgs"
                let variables = try #require(Files.read(own))
                try await client.exportVirtualMachine("vm", .init(directory: roostd.base), waitSeconds: 60).succeeded()
                let exported = "\(roostd.base)/vm/Virtual Machines/\(id).vmgs"
                #expect(Files.read(exported) == variables)
                try await client.removeVirtualMachine("vm", .init(removeDisks: true), waitSeconds: 30).succeeded()
                #expect(!roostd.stateFiles().contains { $0.contains(id) })
                let folder = ImportVirtualMachineRequest(path: "\(roostd.base)/vm")
                try await client.importVirtualMachine(folder, waitSeconds: 60).succeeded()
                #expect(Files.read(own) == variables)
                #expect(roostd.stateFiles().contains { $0.hasSuffix("\(id).vmgs.copy") })
            }
        }

        @Test func linksAreFollowedForReadingAndStay() async throws {
            try await withRoostd("import-links") { roostd in
                let client = roostd.client
                try await roostd.create("vm") { $0.diskSizeBytes = 8 << 20 }
                try await client.exportVirtualMachine("vm", .init(directory: roostd.base), waitSeconds: 60).succeeded()
                try await client.removeVirtualMachine("vm", .init(removeDisks: true), waitSeconds: 30).succeeded()
                // The export behind one link, its disk behind another.
                let manager = FileManager.default
                let disks = "\(roostd.base)/vm/Virtual Hard Disks"
                try manager.moveItem(atPath: "\(disks)/vm.qcow2", toPath: "\(roostd.base)/real.qcow2")
                try manager.createSymbolicLink(
                    atPath: "\(disks)/vm.qcow2",
                    withDestinationPath: "\(roostd.base)/real.qcow2"
                )
                try manager.createSymbolicLink(
                    atPath: "\(roostd.base)/link",
                    withDestinationPath: "\(roostd.base)/vm"
                )
                // QEMU's user has to be able to read what is imported.
                try await tool("chmod", "-R", "a+rX", roostd.base + "/vm", "\(roostd.base)/real.qcow2")
                let before = try #require(Files.read("\(roostd.base)/real.qcow2"))
                let request = ImportVirtualMachineRequest(path: "\(roostd.base)/link")
                try await client.importVirtualMachine(request, waitSeconds: 60).succeeded()
                let disk = try await disk(roostd, "vm")
                // A file of its own, not one more link to somebody else's.
                #expect(try manager.attributesOfItem(atPath: disk)[.type] as? FileAttributeType == .typeRegular)
                try await roostd.start("vm")
                try await roostd.turnOff("vm")
                try await client.removeVirtualMachine("vm", .init(removeDisks: true), waitSeconds: 30).succeeded()
                #expect(Files.read("\(roostd.base)/real.qcow2") == before)
                #expect(Files.exists("\(disks)/vm.qcow2"))
            }
        }
    }
}
