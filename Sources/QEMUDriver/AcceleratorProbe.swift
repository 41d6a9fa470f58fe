#if canImport(Glibc)
    import Glibc
#endif

/// How a machine's processors are executed.
package enum Accelerator: String, Sendable, Hashable {
    case kvm
    case tcg
}

/// The outcome of a proof, and why.
package struct AcceleratorVerdict: Sendable, Hashable {
    package var accelerator: Accelerator
    package var reason: String

    package init(accelerator: Accelerator, reason: String) {
        self.accelerator = accelerator
        self.reason = reason
    }
}

/// Proves that KVM runs guests, instead of trusting that `/dev/kvm` exists.
package struct AcceleratorProbe: Sendable {
    package var qemuPath: String
    package var user: QEMUUser
    /// How long the tiny guest may take; with working KVM it takes some hundredths of a second.
    package var limit = Duration.milliseconds(1500)

    package init(qemuPath: String, user: QEMUUser) {
        self.qemuPath = qemuPath
        self.user = user
    }

    /// What the verdict depends on: kernel, QEMU binary and the device's inode; nil when they cannot be read.
    ///
    /// It holds for one run of the host: a proof that failed because the host was busy is tried again after the next.
    package var cacheKey: String? {
        // Without the device its fields stay zero, which no device has.
        var device = stat()
        stat("/dev/kvm", &device)
        var binary = stat()
        guard stat(qemuPath, &binary) == 0, let version = readSmallText("/proc/version"),
            let run = ProcessIdentity.currentBootID()
        else { return nil }
        let kernel = "\(version)|\(run)"
        return "\(kernel)|\(device.st_ino)|\(device.st_rdev)|\(device.st_mode)|\(device.st_gid)|\(qemuPath)"
            + "|\(binary.st_size)|\(binary.st_mtim.tv_sec)|\(user.userID)"
    }

    /// Runs the tiny guest under KVM; TCG when that fails in any way.
    ///
    /// - Parameter folder: A folder that QEMU's user can read, for the guest's image.
    package func verdict(folder: String) async -> AcceleratorVerdict {
        guard access("/dev/kvm", F_OK) == 0 else {
            return AcceleratorVerdict(accelerator: .tcg, reason: "the host has no /dev/kvm")
        }
        switch await run(.kvm, folder: folder) {
        case nil: return AcceleratorVerdict(accelerator: .kvm, reason: "a test guest ran under KVM")
        case let problem?:
            return AcceleratorVerdict(accelerator: .tcg, reason: "/dev/kvm exists, but \(problem)")
        }
    }

    /// Runs the tiny guest under an accelerator; nil when it came to its end, else what went wrong.
    package func run(_ accelerator: Accelerator, folder: String) async -> String? {
        let image = "\(folder)/accelerator-probe.bin"
        do {
            try writeProbeImage(image)
            let result = try await Tool(path: qemuPath, user: user).run(
                [
                    "-machine", "q35", "-accel", accelerator.rawValue, "-m", "32", "-nodefaults", "-no-user-config",
                    "-display", "none", "-no-reboot", "-bios", image,
                    "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
                ],
                deadline: limit
            )
            if result.end == .exited(AcceleratorProbeImage.exitCode) { return nil }
            let words = result.errors.split(separator: "\n").last.map { ": \($0)" } ?? ""
            return "the test guest ended with \(result.end)\(words)"
        } catch let error as EngineError where error.code == .timeout {
            return "the test guest did not finish within \(limit)"
        } catch {
            return "the test guest could not be run: \(error)"
        }
    }

    private func writeProbeImage(_ path: String) throws(EngineError) {
        let temporary = "\(path).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw EngineError(.failed, "cannot write \(temporary)", cause: systemErrorText(errno))
        }
        defer { close(descriptor) }
        let bytes = AcceleratorProbeImage.bytes
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count == bytes.count, fchmod(descriptor, 0o644) == 0, rename(temporary, path) == 0 else {
            throw EngineError(.failed, "cannot write \(path)", cause: systemErrorText(errno))
        }
    }
}
