import RoostPrimitives
package import VMConfiguration

/// Builds QEMU's arguments: a pure function of a configuration and the host's side of it.
///
/// Device ids and addresses follow from the configuration alone, because a migration target and a saved state need the
/// same. The bus of generation 2 (q35):
///
/// | slot of `pcie.0` | device |
/// |---|---|
/// | 0x1 | video |
/// | 0x2, functions 0–7 | root ports `nic-port-0` … `nic-port-7`, one network adapter each |
/// | 0x4 … 0x7 | SCSI controllers `scsi0` … `scsi3` |
/// | 0x8 | serial bus of the guest agent |
/// | 0x9 | entropy |
///
/// Generation 1 (i440fx) uses the same numbers on `pci.0` with adapters at 0x10 … 0x1B.
package struct MachineArguments {
    /// The most network adapters of generation 2: one root port each.
    package static let networkAdapterSlots = 8

    private let configuration: VirtualMachineConfiguration
    private let plan: MachinePlan
    private var arguments: [String] = []
    private var bootIndexes: [BootDevice: Int] = [:]

    /// The arguments for QEMU, without the program's own name.
    package static func build(_ configuration: VirtualMachineConfiguration, _ plan: MachinePlan) -> [String] {
        var builder = MachineArguments(configuration: configuration, plan: plan)
        builder.addProcess()
        builder.addBoard()
        builder.addFirmware()
        builder.addChannels()
        builder.addControllersAndDrives()
        builder.addNetworkAdapters()
        builder.addSmallDevices()
        return builder.arguments
    }

    private init(configuration: VirtualMachineConfiguration, plan: MachinePlan) {
        self.configuration = configuration
        self.plan = plan
        for (index, device) in bootOrder.enumerated() { bootIndexes[device] = index }
    }

    /// The id of the device of a drive, as QEMU and its events name it.
    package static func deviceID(_ location: DriveLocation) -> String {
        "\(location.controllerType.rawValue)\(location.controllerNumber)-\(location.slot)"
    }

    /// The name of the block node that a drive's device uses.
    package static func nodeName(_ location: DriveLocation) -> String { "node-\(deviceID(location))" }

    private var isGenerationTwo: Bool { configuration.generation == .two }
    private var usesAHCI: Bool { configuration.roost.diskController == .ahci }
    private var rootBus: String { isGenerationTwo ? "pcie.0" : "pci.0" }

    private mutating func add(_ flag: String, _ value: String) { arguments += [flag, value] }

    private mutating func addProcess() {
        arguments += ["-nodefaults", "-no-user-config", "-S", "-no-shutdown", "-display", "none"]
        if plan.takesState { add("-incoming", "defer") }
        add("-name", "guest=\(escaped(configuration.name))")
        add("-uuid", configuration.id.lowercased)
        add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
        add("-msg", "timestamp=on")
    }

    private mutating func addBoard() {
        let systemManagement = isGenerationTwo && plan.firmware != nil ? ",smm=on" : ""
        add("-machine", "\(plan.machineType)\(systemManagement),usb=off,dump-guest-core=off")
        add("-accel", plan.accelerator.rawValue)
        add("-cpu", plan.processorModel)
        let count = configuration.processors.count
        add("-smp", "\(count),sockets=1,cores=\(count),threads=1")
        add("-m", "\(configuration.memory.startup)")
        add("-rtc", "base=utc")
        add("-boot", "strict=on,menu=off")
        let serial = configuration.firmware.biosSerialNumber
        if !serial.isEmpty {
            add("-smbios", "type=1,manufacturer=Roost,product=Virtual Machine,serial=\(escaped(serial))")
        }
    }

    private mutating func addFirmware() {
        guard isGenerationTwo, let firmware = plan.firmware, let variables = plan.variablesPath else { return }
        // Without this a guest could write the variable store behind the firmware's back.
        add("-global", "driver=cfi.pflash01,property=secure,value=on")
        addBlockNode("pflash-code", format: .raw, path: firmware.codePath, readOnly: true)
        addBlockNode("pflash-variables", format: .raw, path: variables, readOnly: false)
        let index = arguments.firstIndex(of: "-machine").map { $0 + 1 }
        if let index { arguments[index] += ",pflash0=pflash-code,pflash1=pflash-variables" }
    }

    private mutating func addChannels() {
        add("-chardev", "socket,id=monitor,fd=\(plan.monitorDescriptor),server=on,wait=off")
        add("-mon", "chardev=monitor,mode=control")
        add("-chardev", "socket,id=serial,fd=\(plan.serialDescriptor),server=on,wait=off")
        add("-device", "isa-serial,id=serial0,chardev=serial")
        add("-chardev", "socket,id=agent,fd=\(plan.agentDescriptor),server=on,wait=off")
        add("-device", "virtio-serial-pci,id=channel0,bus=\(rootBus),addr=0x8")
        add("-device", "virtserialport,bus=channel0.0,nr=1,chardev=agent,id=agent0,name=org.qemu.guest_agent.0")
        // Relative: QEMU may enter its working directory, but not the folders above it.
        add("-vnc", "unix:vnc.sock")
    }

    private mutating func addControllersAndDrives() {
        for controller in configuration.scsiControllers {
            let address = String(4 + controller.number, radix: 16)
            let model = usesAHCI ? "ich9-ahci" : "virtio-scsi-pci"
            add("-device", "\(model),id=scsi\(controller.number),bus=\(rootBus),addr=0x\(address)")
        }
        for drive in configuration.drives { addDrive(drive) }
        if let seed = plan.seedPath { addSeed(seed) }
    }

    private mutating func addDrive(_ drive: Drive) {
        let id = Self.deviceID(drive.location)
        var device: String
        switch (drive.kind, drive.location.controllerType) {
        case (.hardDisk, .ide): device = "ide-hd"
        case (.dvd, .ide): device = "ide-cd"
        case (.hardDisk, .scsi) where usesAHCI: device = "ide-hd"
        case (.dvd, .scsi) where usesAHCI: device = "ide-cd"
        case (.hardDisk, .scsi): device = "scsi-hd"
        case (.dvd, .scsi): device = "scsi-cd"
        default: return
        }
        // A port of a SATA controller is a bus of its own.
        let bus =
            usesAHCI && drive.location.controllerType == .scsi
            ? "scsi\(drive.location.controllerNumber).\(drive.location.slot)" : Self.bus(drive.location)
        device += ",id=\(id),bus=\(bus)"
        if let file = plan.driveFiles[drive.location] {
            let node = Self.nodeName(drive.location)
            addBlockNode(node, format: file.format, path: file.path, readOnly: drive.kind == .dvd)
            device += ",drive=\(node)"
        } else if drive.kind == .hardDisk {
            return
        }
        if let index = bootIndexes[.drive(drive.location)] { device += ",bootindex=\(index)" }
        add("-device", device)
    }

    /// The bus and place on it of a drive, as properties of its device.
    package static func bus(_ location: DriveLocation) -> String {
        switch location.controllerType {
        case .ide: "ide.\(location.controllerNumber),unit=\(location.slot)"
        default: "scsi\(location.controllerNumber).0,channel=0,scsi-id=\(location.slot),lun=0"
        }
    }

    private mutating func addSeed(_ path: String) {
        addBlockNode("node-seed", format: .raw, path: path, readOnly: true)
        // Behind the slots that users can name: target 255 of the first SCSI controller, or a disk on the PCI bus.
        if configuration.scsiControllers.isEmpty || usesAHCI {
            add("-device", "virtio-blk-pci,id=seed,bus=\(rootBus),addr=0xa,drive=node-seed")
        } else {
            add("-device", "scsi-cd,id=seed,bus=scsi0.0,channel=0,scsi-id=255,lun=0,drive=node-seed")
        }
    }

    private mutating func addNetworkAdapters() {
        if isGenerationTwo {
            for port in 0..<Self.networkAdapterSlots {
                // All functions of one slot; the first one says so.
                let multifunction = port == 0 ? ",multifunction=on" : ""
                add(
                    "-device",
                    "pcie-root-port,id=nic-port-\(port),bus=pcie.0,addr=0x2.0x\(port),chassis=\(port + 1),"
                        + "port=\(port)\(multifunction)"
                )
            }
        }
        for (index, adapter) in configuration.networkAdapters.enumerated() {
            addNetworkAdapter(adapter, index: index)
        }
    }

    private mutating func addNetworkAdapter(_ adapter: NetworkAdapter, index: Int) {
        let backend = plan.networks[adapter.id] ?? .disconnected
        let model = adapter.isLegacy ? "e1000" : adapterDevice
        var device = "\(model),id=nic\(index)"
        switch backend {
        case .user:
            add("-netdev", "user,id=net\(index)")
            device += ",netdev=net\(index)"
        case .isolatedUser:
            add("-netdev", "user,id=net\(index),restrict=on")
            device += ",netdev=net\(index)"
        case .tap(let descriptor):
            add("-netdev", "tap,id=net\(index),fd=\(descriptor)")
            device += ",netdev=net\(index)"
        case .disconnected:
            // A device needs a backend so that it can be connected later: a hub port without other ports.
            add("-netdev", "hubport,id=net\(index),hubid=\(index)")
            device += ",netdev=net\(index)"
        }
        if let address = adapter.macAddress { device += ",mac=\(address.colonSeparated)" }
        if isGenerationTwo {
            // UEFI has its own driver; the option ROM would only take time.
            device += ",bus=nic-port-\(index),addr=0x0,romfile="
        } else {
            device += ",bus=pci.0,addr=0x\(String(0x10 + index, radix: 16))"
        }
        if let index = bootIndexes[.networkAdapter(adapter.id)] { device += ",bootindex=\(index)" }
        add("-device", device)
    }

    private var adapterDevice: String {
        switch configuration.roost.adapterModel ?? .virtio {
        case .virtio: "virtio-net-pci"
        case .e1000: "e1000"
        case .e1000e: "e1000e"
        }
    }

    private mutating func addSmallDevices() {
        add("-device", "VGA,id=video0,bus=\(rootBus),addr=0x\(isGenerationTwo ? "1" : "2")")
        add("-object", "rng-random,id=entropy,filename=/dev/urandom")
        add("-device", "virtio-rng-pci,id=entropy0,rng=entropy,bus=\(rootBus),addr=0x9")
        if configuration.version > .v5_0 {
            add("-device", "vmgenid,id=vmgenid0,guid=\(configuration.vmGenerationID.lowercased)")
        }
    }

    private mutating func addBlockNode(
        _ name: String,
        format: RoostSettings.DiskFormat,
        path: String,
        readOnly: Bool
    ) {
        add("-blockdev", BlockNodeOptions(name: name, format: format, path: path, readOnly: readOnly).json)
    }

    /// The order in which the firmware tries devices: what the configuration says, then everything else.
    private var bootOrder: [BootDevice] {
        let drives = configuration.drives
        let adapters = configuration.networkAdapters.map { BootDevice.networkAdapter($0.id) }
        let disks = drives.filter { $0.kind == .hardDisk }.map { BootDevice.drive($0.location) }
        let optical = drives.filter { $0.kind == .dvd }.map { BootDevice.drive($0.location) }
        var order: [BootDevice] = []
        for device in configuration.firmware.bootOrder {
            switch device {
            case .hardDrive: order += disks
            case .optical: order += optical
            case .network: order += adapters
            case .floppy: break
            case .drive, .networkAdapter: order.append(device)
            }
        }
        for device in disks + optical + adapters where !order.contains(device) { order.append(device) }
        return order
    }
}

/// Doubles the commas of a value, as QEMU's option syntax wants it.
func escaped(_ value: String) -> String {
    value.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
}
