package import ConfigStore
package import Logging
package import NIOCore
package import QEMUDriver
package import VMConfiguration

/// What every machine of the host shares: found out once, when roostd starts.
package struct HostContext: Sendable {
    package var directory: StateDirectory
    package var runDirectory: String
    package var store: ConfigurationStore
    package var installation: QEMUInstallation
    package var level: FunctionalLevel
    package var verdict: AcceleratorVerdict
    package var processorModel: String
    package var user: QEMUUser
    package var events: EventHub
    package var jobs: JobCenter
    package var roster: Roster
    package var switches: SwitchBoard
    package var group: any EventLoopGroup
    package var log: Logger
    /// The identifier of the host's current run.
    package var bootID: String
    /// The program that handles disk files.
    package var images: DiskImages
    /// The checkpoints of all machines, and who makes and applies them.
    var keeper: CheckpointKeeper
    /// When machines take checkpoints by themselves.
    var schedules: ScheduleBook
    /// How long roostd waits for QEMU to come up.
    package var launchDeadline = Duration.seconds(30)
    /// How long a guest may be frozen for a checkpoint, in seconds.
    package var freezeLeaseSeconds = 10

    /// The folder of a machine's sockets.
    package func folder(_ id: String) -> MachineFolder { MachineFolder("\(runDirectory)/vm/\(id)") }
}
