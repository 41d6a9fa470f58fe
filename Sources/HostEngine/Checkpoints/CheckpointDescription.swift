import ConfigStore
import RoostAPI
import VMConfiguration

extension CheckpointSummary {
    init(_ stored: StoredCheckpoint, depth: Int, isCurrent: Bool) {
        self.init(
            id: stored.id,
            name: stored.record.name,
            kind: CheckpointKind(stored.record.kind),
            created: timestamp(stored.record.created),
            parent: stored.record.parent,
            depth: depth,
            isCurrent: isCurrent,
            isAutomatic: stored.record.isAutomatic,
            consistency: CheckpointConsistency(stored.record.receipt.consistency)
        )
    }
}

extension CheckpointKind {
    fileprivate init(_ kind: CheckpointRecord.Kind) {
        switch kind {
        case .production: self = .production
        case .standard: self = .standard
        }
    }
}

extension CheckpointConsistency {
    fileprivate init(_ consistency: CheckpointReceipt.Consistency) {
        switch consistency {
        case .application: self = .application
        case .fileSystem: self = .fileSystem
        case .memory: self = .memory
        case .crash: self = .crash
        }
    }
}

extension CheckpointReceiptInfo {
    init(_ receipt: CheckpointReceipt) {
        self.init(
            consistency: CheckpointConsistency(receipt.consistency),
            reason: receipt.reason,
            fileSystems: receipt.fileSystems.map {
                FileSystem(mountPoint: $0.mountPoint, type: $0.type, skipped: $0.skipped)
            },
            lease: receipt.lease?.rawValue,
            freezeMicroseconds: receipt.freezeInMicroseconds,
            transactionMicroseconds: receipt.transactionInMicroseconds,
            agentVersion: receipt.agentVersion,
            hasVariables: receipt.hasVariables,
            memoryBytes: receipt.memoryInBytes,
            pauseMicroseconds: receipt.pauseInMicroseconds,
            stalledMicroseconds: receipt.stalledInMicroseconds,
            verification: receipt.verification.map {
                Verification(
                    time: timestamp($0.time),
                    passed: $0.passed,
                    detail: $0.detail,
                    bootMilliseconds: $0.bootInMilliseconds
                )
            }
        )
    }
}
