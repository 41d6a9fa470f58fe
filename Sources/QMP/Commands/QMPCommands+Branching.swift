extension QMPCommands {
    /// `transaction` of `blockdev-snapshot`: puts nodes over others, all at the same instant or none.
    ///
    /// The overlay must be open as a node without a backing file (`"backing": null`); guests' writes go to it from then
    /// on. See QEMU's `qapi/transaction.json`.
    package struct BranchDisks: QMPCommand {
        package typealias Response = Void
        package static let name = "transaction"

        /// One disk: the node that its writes went to, and the one that they go to now.
        package struct Branch: Hashable, Sendable {
            package var node: String
            package var overlay: String

            package init(node: String, overlay: String) {
                self.node = node
                self.overlay = overlay
            }
        }

        package var branches: [Branch]

        package init(_ branches: [Branch]) { self.branches = branches }

        package var arguments: [String: JSONValue] {
            let actions = branches.map { branch -> JSONValue in
                [
                    "type": "blockdev-snapshot",
                    "data": ["node": .string(branch.node), "overlay": .string(branch.overlay)],
                ]
            }
            return ["actions": .array(actions)]
        }
    }

    /// `block-commit`: writes what a node and those below it hold into a lower one, while the guest runs.
    ///
    /// With the disk's top node the job becomes ready, and ``JobComplete`` makes the lower node the disk's.
    package struct BlockCommit: QMPCommand {
        package typealias Response = Void
        package static let name = "block-commit"

        package var jobID: String
        /// The disk's top node.
        package var device: String
        /// The highest node that goes.
        package var topNode: String
        /// The node that takes it in.
        package var baseNode: String
        /// What the image above the top one names as the file that it stands on from then on; nil for the base's path.
        package var backingFile: String?

        package init(jobID: String, device: String, topNode: String, baseNode: String, backingFile: String? = nil) {
            self.jobID = jobID
            self.device = device
            self.topNode = topNode
            self.baseNode = baseNode
            self.backingFile = backingFile
        }

        package var arguments: [String: JSONValue] {
            [
                "job-id": .string(jobID), "device": .string(device), "top-node": .string(topNode),
                "base-node": .string(baseNode), "auto-dismiss": false,
            ].setting("backing-file", backingFile.map(JSONValue.string))
        }
    }

    /// `job-complete`: ends a job that is ready.
    package struct JobComplete: QMPCommand {
        package typealias Response = Void
        package static let name = "job-complete"

        package var id: String

        package init(id: String) { self.id = id }

        package var arguments: [String: JSONValue] { ["id": .string(id)] }
    }

    /// `job-cancel`: gives a job up.
    package struct JobCancel: QMPCommand {
        package typealias Response = Void
        package static let name = "job-cancel"

        package var id: String

        package init(id: String) { self.id = id }

        package var arguments: [String: JSONValue] { ["id": .string(id)] }
    }

    /// `job-dismiss`: forgets a job that has ended.
    package struct JobDismiss: QMPCommand {
        package typealias Response = Void
        package static let name = "job-dismiss"

        package var id: String

        package init(id: String) { self.id = id }

        package var arguments: [String: JSONValue] { ["id": .string(id)] }
    }

    /// `query-jobs`: the jobs that QEMU knows.
    package struct QueryJobs: QMPCommand {
        package static let name = "query-jobs"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [QEMUJob] {
            try ReplyReader(value, of: name).map { (job) throws(QMPError) in
                QEMUJob(
                    id: try job.string("id"),
                    type: try job.string("type"),
                    status: try job.string("status"),
                    current: try job.uint64("current-progress"),
                    total: try job.uint64("total-progress"),
                    error: try job.optionalString("error")
                )
            }
        }
    }
}

/// A job inside QEMU.
package struct QEMUJob: Hashable, Sendable {
    package var id: String
    /// `commit`, `stream`.
    package var type: String
    /// `running`, `ready`, `concluded`.
    package var status: String
    /// How much is done, in a unit of the job's own.
    package var current: UInt64
    /// How much there is to do as far as is known.
    package var total: UInt64
    /// Why it failed; nil when it did not.
    package var error: String?
}
