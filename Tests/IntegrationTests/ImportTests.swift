import Foundation
import HyperVStorage
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing
import VMConfiguration

extension Integration {
    /// Import and export of machines with real disk images.
    @Suite(.serialized) struct ImportTests {
        /// An exported folder as Hyper-V writes it, with one disk that begins with a text.
        private struct Folder {
            var path: String
            var disk: String
            var configuration: String
            var id: GUID
        }

        private func exported(
            _ roostd: Roostd,
            _ name: String = "foreign",
            format: String = "vhdx",
            version: ConfigurationVersion = .v8_0,
            diskMiB: Int = 8
        ) async throws -> Folder {
            let path = "\(roostd.base)/\(name)"
            for folder in ["Virtual Machines", "Virtual Hard Disks", "Snapshots"] {
                try FileManager.default.createDirectory(
                    atPath: "\(path)/\(folder)",
                    withIntermediateDirectories: true
                )
            }
            let disk = "\(path)/Virtual Hard Disks/System.\(format)"
            let driver = format == "vhd" ? "vpc" : format
            try await tool("qemu-img", "create", "-q", "-f", driver, disk, "\(diskMiB)M")
            try await tool("qemu-io", "-f", driver, "-c", "write -P 0x5a 0 64k", disk)
            var new = NewVirtualMachine(name: name, generation: .one, version: version)
            new.memory.startup = 64
            new.memory.minimum = 64
            var configuration = try VirtualMachineConfiguration.new(new)
            try configuration.addDrive(
                Drive(location: DriveLocation(.ide, 0, 0), kind: .hardDisk, path: #"C:\Disks\system."# + format)
            )
            configuration.root.children.removeAll { $0.name == "roost" }
            let file = "\(path)/Virtual Machines/\(new.id.uppercased).\(version.fileFormat.fileExtension)"
            let bytes =
                version.fileFormat == .xml
                ? try ConfigurationXML.serialize(configuration.root)
                : try StorageFile.create(tree: KeyNode("", children: [configuration.root])).bytes
            try Files.write(Data(bytes), file)
            return Folder(path: path, disk: disk, configuration: file, id: new.id)
        }

        private func request(_ folder: Folder, _ mode: ImportMode? = nil) -> ImportVirtualMachineRequest {
            var request = ImportVirtualMachineRequest(path: folder.path)
            request.mode = mode
            return request
        }

        private func expectPattern(_ path: String, _ format: String) async throws {
            try await tool("qemu-io", "-r", "-f", format, "-c", "read -P 0x5a 0 64k", path)
        }

        @Test(arguments: ["vhdx", "vhd"])
        func exportedFolderIsImportedWithItsDiskAsQcow2AndRuns(format: String) async throws {
            try await withRoostd("import-\(format)") { roostd in
                let client = roostd.client
                let folder = try await exported(roostd, format: format)
                let (disk, file) = (Files.read(folder.disk), Files.read(folder.configuration))
                let plan = try await client.importPlan(request(folder))
                #expect(plan.problems.isEmpty && plan.disks.first?.source == folder.disk)
                #expect(try await client.virtualMachines().isEmpty)
                let job = try await client.importVirtualMachine(request(folder), waitSeconds: 60).succeeded()
                #expect(job.result == folder.id.uppercased)
                let own = try #require(try await client.virtualMachine("foreign").drives.first { $0.path != nil }?.path)
                #expect(own.hasPrefix(roostd.disks) && own.hasSuffix(".qcow2"))
                try await expectPattern(own, "qcow2")
                #expect(Files.read(folder.disk) == disk && Files.read(folder.configuration) == file)
                try await roostd.start("foreign")
                #expect(try await roostd.state("foreign") == .running)
                try await roostd.turnOff("foreign")
                // Its identifier is taken now; a copy gets another.
                let again = try await refusal {
                    try await client.importVirtualMachine(request(folder), waitSeconds: 60)
                }
                #expect(again?.message.contains("--copy") == true)
                var copy = request(folder, .copy)
                copy.name = "second"
                copy.keepVHDX = true
                let second = try await client.importVirtualMachine(copy, waitSeconds: 60).succeeded()
                #expect(second.result != folder.id.uppercased)
                let kept = try #require(try await client.virtualMachine("second").drives.first { $0.path != nil }?.path)
                #expect(kept.hasSuffix(format == "vhdx" ? ".vhdx" : ".qcow2"))
                try await expectPattern(kept, format == "vhdx" ? "vhdx" : "qcow2")
            }
        }

        @Test func registeredMachineRunsFromTheDiskWhereItLies() async throws {
            try await withRoostd("import-register") { roostd in
                let client = roostd.client
                let folder = try await exported(roostd)
                let unreadable = try await refusal {
                    try await client.importVirtualMachine(request(folder, .register), waitSeconds: 60)
                }
                if Laboratory.isRoot { #expect(unreadable?.code == .permissionDenied) }
                try await tool("chown", "-R", Laboratory.qemuUser, folder.path)
                try await client.importVirtualMachine(request(folder, .register), waitSeconds: 60).succeeded()
                #expect(try await client.virtualMachine("foreign").drives.contains { $0.path == folder.disk })
                try await roostd.start("foreign")
                try await roostd.turnOff("foreign")
            }
        }

        @Test func missingDiskCancellationAndCrashLeaveNothing() async throws {
            try await withRoostd("import-nothing") { roostd in
                let client = roostd.client
                let before = roostd.stateFiles()
                let folder = try await exported(roostd, diskMiB: 700)
                try FileManager.default.moveItem(atPath: folder.disk, toPath: folder.disk + ".away")
                let missing = try await refusal {
                    try await client.importVirtualMachine(request(folder), waitSeconds: 60)
                }
                #expect(missing?.message.contains("--disks") == true, "\(missing?.description ?? "accepted")")
                #expect(roostd.stateFiles() == before)
                try FileManager.default.moveItem(atPath: folder.disk + ".away", toPath: folder.disk)
                try await tool("qemu-io", "-f", "vhdx", "-c", "write -P 0x77 1M 650M", folder.disk)

                let job = try await client.importVirtualMachine(request(folder))
                try await eventually("the copy has begun") { roostd.stateFiles().contains { $0.hasSuffix(".partial") } }
                _ = try await client.cancelJob(job.id)
                #expect(try await client.job(job.id, waitSeconds: 30).state == .cancelled)
                #expect(roostd.stateFiles() == before)

                _ = try await client.importVirtualMachine(request(folder))
                try await eventually("the copy has begun") { roostd.stateFiles().contains { $0.hasSuffix(".partial") } }
                await roostd.kill9()
                try await roostd.start()
                #expect(roostd.stateFiles() == before)
                #expect(try await client.virtualMachines().isEmpty)
            }
        }

        /// Writes through a program that ends by a signal when the log has been written and its changes have not been
        /// put in their place: the device refuses to write the block allocation table, which lies at 2 MiB.
        private func dirty(_ disk: String) async throws {
            let image =
                "driver=vhdx,file.driver=blkdebug,file.image.driver=file,file.image.filename=\(disk),"
                + "file.inject-error.0.event=none,file.inject-error.0.iotype=write,file.inject-error.0.sector=4096"
            let result = try await run(
                "/usr/bin/env",
                ["qemu-io", "--image-opts", "-c", "write -P 0x77 32M 64k", "-c", "abort", image],
                seconds: 60
            )
            #expect(result.exit != .exited(0))
        }

        @Test func dirtyLogIsReplayedInACopyAndTheOriginalStays() async throws {
            try await withRoostd("import-dirty") { roostd in
                let client = roostd.client
                let folder = try await exported(roostd, diskMiB: 64)
                try await dirty(folder.disk)
                let info = try await run("/usr/bin/env", ["qemu-img", "info", folder.disk], seconds: 60)
                #expect("\(info)".contains("log that needs to be replayed"), "\(info)")
                let before = Files.read(folder.disk)
                let refused = try await refusal {
                    try await tool("chown", "-R", Laboratory.qemuUser, folder.path)
                    return try await client.importVirtualMachine(request(folder, .register), waitSeconds: 60)
                }
                #expect(refused?.code == .invalidState, "\(refused?.description ?? "accepted")")
                try await client.importVirtualMachine(request(folder), waitSeconds: 60).succeeded()
                let own = try #require(try await client.virtualMachine("foreign").drives.first { $0.path != nil }?.path)
                try await expectPattern(own, "qcow2")
                try await tool("qemu-io", "-r", "-f", "qcow2", "-c", "read -P 0x77 32M 64k", own)
                #expect(Files.read(folder.disk) == before)
                #expect(!roostd.stateFiles().contains { $0.contains("replayed") || $0.contains("partial") })
            }
        }

        private static let sample: String = {
            let environment = ProcessInfo.processInfo.environment
            let folder = environment["ROOST_SAMPLES"] ?? "\(Laboratory.root)/../shared/samples"
            return "\(folder)/gen2-5.0.xml"
        }()

        @Test(
            .enabled(if: Files.exists(Self.sample), "the real files are not here; ROOST_SAMPLES names their folder"),
            arguments: [nil, "ahci"] as [String?]
        )
        func configurationOfHyperVBootsWithAGuestsDisk(controller: String?) async throws {
            try await withRoostd("import-sample-\(controller ?? "default")") { roostd in
                let client = roostd.client
                let folder = "\(roostd.base)/disks"
                try Files.makeFolder(folder)
                let disk = "\(folder)/default generation 2.vhdx"
                try await tool("qemu-img", "convert", "-O", "vhdx", Laboratory.guest, disk, seconds: 300)
                var request = ImportVirtualMachineRequest(path: Self.sample)
                request.disksFolder = folder
                request.name = "sample"
                request.diskController = controller
                let plan = try await client.importPlan(request)
                #expect(plan.problems.isEmpty && plan.version == "5.0" && plan.disks.first?.source == disk)
                try await client.importVirtualMachine(request, waitSeconds: 300).succeeded()
                var firmware = UpdateFirmwareRequest()
                firmware.secureBoot = "off"
                _ = try await client.updateFirmware(of: "sample", firmware)
                _ = try await roostd.boot("sample")
                #expect(try await roostd.state("sample") == .running)
                try await roostd.turnOff("sample")
                let upgrade = try await client.updateVersion(of: "sample", .init())
                #expect(upgrade.isDone && upgrade.from == "5.0" && upgrade.to == "8.0")
                _ = try await roostd.boot("sample")
                #expect(try await client.virtualMachine("sample").runtime?.machineType == "pc-q35-7.2")
                try await roostd.turnOff("sample")
            }
        }

        @Test(.enabled(if: Files.exists(Self.sample), "the real files are not here; ROOST_SAMPLES names their folder"))
        func binaryConfigurationOfHyperVRunsWithAGuestsDisk() async throws {
            let sample = Self.sample.replacing("gen2-5.0.xml", with: "gen1-9.0.vmcx")
            try await Laboratory.withNewestQEMU { qemu in
                try await withRoostd("import-sample-binary", arguments: ["--qemu", qemu]) { roostd in
                    let client = roostd.client
                    var request = ImportVirtualMachineRequest(path: sample)
                    request.name = "sample"
                    let first = try await client.importPlan(request)
                    guard try await client.versions().contains(where: { $0.version == "9.0" && $0.isSupported }) else {
                        // A host whose QEMU is too old says so.
                        #expect(first.problems.contains { $0.contains("9.0") }, "\(first)")
                        return
                    }
                    let folder = "\(roostd.base)/disks"
                    try Files.makeFolder(folder)
                    let recorded = try #require(
                        first.disks.first { $0.recordedPath.lowercased().hasSuffix(".vhdx") }?.recordedPath
                    )
                    let name = recorded.split(whereSeparator: { $0 == "\\" || $0 == "/" }).last.map(String.init) ?? ""
                    try await tool(
                        "qemu-img",
                        "convert",
                        "-O",
                        "vhdx",
                        Laboratory.genericGuest,
                        "\(folder)/\(name)",
                        seconds: 300
                    )
                    request.disksFolder = folder
                    let plan = try await client.importPlan(request)
                    #expect(plan.problems.isEmpty && plan.version == "9.0", "\(plan)")
                    try await client.importVirtualMachine(request, waitSeconds: 300).succeeded()
                    _ = try await roostd.boot("sample")
                    #expect(try await client.virtualMachine("sample").runtime?.machineType == "pc-i440fx-10.0")
                    try await roostd.turnOff("sample")
                }
            }
        }

        @Test func importedGuestOfGenerationOneBootsWithoutParavirtualDrivers() async throws {
            try await withRoostd("import-legacy") { roostd in
                let client = roostd.client
                try await roostd.createGuest("old", generation: 1) {
                    $0.version = "5.0"
                    $0.image = Laboratory.genericGuest
                    $0.switchName = "Default Switch"
                }
                let exports = "\(roostd.base)/exports"
                try Files.makeFolder(exports)
                let export = ExportVirtualMachineRequest(directory: exports, vhdx: true)
                let folder = try #require(
                    try await client.exportVirtualMachine("old", export, waitSeconds: 300).succeeded().result
                )
                try await client.removeVirtualMachine("old", .init(removeDisks: true), waitSeconds: 60).succeeded()
                // As Windows sees it that has no other drivers; an export of Roost's own keeps what the guest had.
                var request = ImportVirtualMachineRequest(path: folder)
                request.adapterModel = "e1000"
                try await client.importVirtualMachine(request, waitSeconds: 300).succeeded()
                let console = try await roostd.boot("old")
                _ = try await console.shell(
                    "modprobe e1000; for i in /sys/class/net/e*; do /sbin/network ${i##*/}; done"
                )
                let drivers = try await console.shell(
                    "for d in /sys/class/net/e*/device/driver; do echo net-$(basename $(readlink $d)); done; "
                        + "readlink -f /sys/block/sda | grep -o ata[0-9] ; ls /sys/bus/virtio/drivers/virtio_blk | grep -c virtio[0-9]"
                )
                #expect(drivers.contains("net-e1000") && drivers.contains("ata"), "\(drivers)")
                try await eventually("the adapter has its address", within: 60) {
                    try await console.shell("ip address").contains("10.0.2.15")
                }
                try await roostd.turnOff("old")
            }
        }

        /// A boot entry as Hyper-V's firmware makes it: a device of its VMBus, a partition of a disk, a file.
        private func bootEntry(partition: Int, id: GUID, start: UInt64, size: UInt64, file: String) -> [UInt8] {
            var path: [UInt8] = [0x01, 0x04, 20, 0] + Array(repeating: 0xAB, count: 16)
            var writer = ByteWriter(capacity: 42)
            for byte in [0x04, 0x01, 42, 0] as [UInt8] { writer.write(byte) }
            writer.write(UInt32(partition))
            writer.write(start)
            writer.write(size)
            path += writer.bytes + id.littleEndianBytes + [2, 2]
            let name = Array((file + "\0").utf16).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
            path += [0x04, 0x04, UInt8(4 + name.count), 0] + name + [0x7F, 0xFF, 4, 0]
            let title = Array("linux\0".utf16).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
            return [1, 0, 0, 0, UInt8(path.count), 0] + title + path
        }

        @Test func bootEntryOfAnImportedMachineLeadsToItsLoader() async throws {
            try await withRoostd("import-boot-entry") { roostd in
                let folder = "\(roostd.base)/guest"
                try Files.makeFolder(folder)
                // The loader is where only the machine's own entry says.
                let raw = "\(folder)/raw"
                try await tool("qemu-img", "convert", "-O", "raw", Laboratory.guest, raw, seconds: 300)
                let table = try await tool("sfdisk", "--json", raw)
                let label = try JSONDecoder().decode(PartitionTable.self, from: Data(table.utf8)).partitiontable
                let index = try #require(label.partitions.firstIndex { $0.name == "esp" })
                let esp = label.partitions[index]
                try await tool("mren", "-i", "\(raw)@@\(esp.start * 512)", "::/EFI/BOOT", "::/EFI/LINUX")

                var shape = NewVirtualMachine(name: "elsewhere", version: .v5_0)
                shape.memory.startup = 512
                var configuration = try VirtualMachineConfiguration.new(shape)
                configuration.firmware.secureBootEnabled = false
                let disk = "\(folder)/disk.vhdx"
                try await tool("qemu-img", "convert", "-O", "vhdx", raw, disk, seconds: 300)
                try configuration.addDrive(
                    Drive(location: DriveLocation(.scsi, 0, 0), kind: .hardDisk, path: #"C:\VMs\disk.vhdx"#)
                )
                let global = try #require(GUID("8BE4DF61-93CA-11D2-AA0D-00E098032B8C"))
                let entry = bootEntry(
                    partition: index + 1,
                    id: try #require(GUID(esp.uuid)),
                    start: esp.start,
                    size: esp.size,
                    file: "\\EFI\\LINUX\\BOOTX64.EFI"
                )
                try configuration.setUEFIVariables(
                    [
                        UEFIVariable(vendor: global, name: "Boot0004", attributes: 7, data: entry),
                        UEFIVariable(vendor: global, name: "BootOrder", attributes: 7, data: [4, 0]),
                    ],
                    at: try #require(FileTime(unixSeconds: 1_700_000_000))
                )
                let file = "\(folder)/\(configuration.id.uppercased).xml"
                try Files.write(Data(try ConfigurationXML.serialize(configuration.root)), file)
                var request = ImportVirtualMachineRequest(path: file)
                request.disksFolder = folder
                let plan = try await roostd.client.importPlan(request)
                #expect(plan.mapped.contains("UEFI variables: Boot0004, BootOrder"))
                try await roostd.client.importVirtualMachine(request, waitSeconds: 300).succeeded()
                _ = try await roostd.boot("elsewhere")
                try await roostd.turnOff("elsewhere")
            }
        }

        private struct PartitionTable: Decodable {
            struct Label: Decodable { var partitions: [Partition] }
            struct Partition: Decodable {
                var start: UInt64
                var size: UInt64
                var uuid: String
                var name: String
            }

            var partitiontable: Label
        }

        @Test func exportIsImportedAgainAsTheSameMachine() async throws {
            try await withRoostd("export") { roostd in
                let client = roostd.client
                let id = try await roostd.create("vm") { $0.diskSizeBytes = 8 << 20 }
                let disk = try #require(try await client.virtualMachine("vm").drives.first { $0.path != nil }?.path)
                try await tool("qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 0 64k", disk)
                try await roostd.start("vm")
                let running = try await refusal {
                    try await client.exportVirtualMachine("vm", .init(directory: roostd.base), waitSeconds: 60)
                }
                #expect(running?.code == .invalidState)
                try await roostd.turnOff("vm")
                for vhdx in [false, true] {
                    let target = "\(roostd.base)/out-\(vhdx)"
                    try Files.makeFolder(target)
                    let job = try await client.exportVirtualMachine(
                        "vm",
                        .init(directory: target, vhdx: vhdx),
                        waitSeconds: 60
                    ).succeeded()
                    #expect(job.result == "\(target)/vm")
                    #expect(try FileManager.default.contentsOfDirectory(atPath: target) == ["vm"])
                    let disks = try FileManager.default.contentsOfDirectory(atPath: "\(target)/vm/Virtual Hard Disks")
                    #expect(disks == ["vm.\(vhdx ? "vhdx" : "qcow2")"])
                    let machines = Set(
                        try FileManager.default.contentsOfDirectory(atPath: "\(target)/vm/Virtual Machines")
                    )
                    #expect(machines == ["\(id).vmcx", "\(id).vmrs"])
                    let second = try await refusal {
                        try await client.exportVirtualMachine("vm", .init(directory: target), waitSeconds: 60)
                    }
                    #expect(second?.code == .exists)
                }
                let original = try tree(roostd.configuration(id))
                try await client.removeVirtualMachine("vm", .init(removeDisks: true), waitSeconds: 30).succeeded()
                let folder = ImportVirtualMachineRequest(path: "\(roostd.base)/out-true/vm")
                try await client.importVirtualMachine(folder, waitSeconds: 60).succeeded()
                let differences = ConfigurationDifference.between(original, try tree(roostd.configuration(id)))
                #expect(
                    differences.map(\.description).filter { $0 != "/roost/generation" }
                        == ["/global_settings/devices/generation_id"]
                )
                try await expectPattern(disk, "qcow2")
            }
        }

        private func tree(_ path: String) throws -> KeyNode {
            let bytes = [UInt8](try #require(Files.read(path)))
            return try #require(try StorageFile(parsing: bytes).tree["configuration"])
        }
    }
}
