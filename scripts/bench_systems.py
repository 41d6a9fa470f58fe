"""The systems that the benchmark compares: Roost, libvirt, and a QEMU that nobody manages."""

import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

from bench_common import MEMORY_MIB, OVMF, PROCESSORS, QEMU, run, stop_process, wait_for_socket

# --- Roost -------------------------------------------------------------------


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("roost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Roost:
    """A roostd with a state directory of its own."""

    def __init__(self, options, work, qemu=QEMU):
        self.bin, self.qemu = options.bin, qemu
        self.state, self.run_dir = work / "state", work / "run"
        self.log = work / "roostd.log"
        self.process = None
        self.socket = self.run_dir / "roost.sock"

    def spawn(self, by=()):
        """Starts roostd, with the words of a program in front that starts it in some way of its own."""
        with open(self.log, "ab") as log:
            # As a packaged service runs it: with software emulation here, like the others, and its own pace of log.
            self.process = subprocess.Popen(
                [*by, self.bin / "roostd", "--state-dir", self.state, "--run-dir", self.run_dir, "--emulate",
                 "--qemu", self.qemu],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_until_served(self, count):
        wait_for_socket(self.socket, self.process)
        listed = len(self.command("vm", "list").splitlines())
        if listed < count:
            raise RuntimeError(f"roostd lists {listed} lines, not {count} machines")

    def command(self, *arguments):
        return run([self.bin / "roost", "--run-dir", self.run_dir, *arguments])

    def request(self, method, path, body=None):
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {content.decode()}")
            return json.loads(content)
        finally:
            connection.close()

    def create(self, name, **settings):
        body = {"name": name, "memoryMiB": MEMORY_MIB, "processors": PROCESSORS, "switchName": "Default Switch"}
        job = self.request("POST", "/v1/vms?wait=60", body | settings)
        if job["state"] != "succeeded":
            raise RuntimeError(f"creating {name}: {job}")
        return job["result"]

    def change_all(self, names, notes):
        """Changes a setting of each machine, one after the other over one connection.

        By hand, since Python's HTTP client takes a fifth of the time for itself.
        """
        body = json.dumps({"notes": notes}).encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(120)
            connection.connect(str(self.socket))
            answers = connection.makefile("rb")
            for name in names:
                head = (f"PATCH /v1/vms/{name} HTTP/1.1\r\nHost: roost\r\nContent-Type: application/json\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n")
                connection.sendall(head.encode() + body)
                status, length = answers.readline(), 0
                while (line := answers.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                content = json.loads(answers.read(length))
                if b" 200 " not in status or content["notes"] != notes:
                    raise RuntimeError(f"changing {name}: {status} {content}")

    def stop(self):
        stop_process(self.process)
        self.process = None


# --- libvirt -----------------------------------------------------------------

LIBVIRT_FOLDERS = {"etc": "/etc/libvirt", "lib": "/var/lib/libvirt", "cache": "/var/cache/libvirt",
                   "log": "/var/log/libvirt", "run": "/run/libvirt"}


# What a QEMU and its libvirtd need of /dev; everything but /dev/kvm.
HIDE_KVM = """
set -e
mount -t tmpfs -o mode=755 dev "$1"
for name in null zero full random urandom tty ptmx; do
    cp -a "/dev/$name" "$1/$name"
done
for name in pts shm; do
    mkdir "$1/$name" && mount --move "/dev/$name" "$1/$name"
done
umount --recursive --lazy /dev || true
mount --move "$1" /dev
shift
while [ $# -gt 0 ]; do
    mount --bind "$1" "$2" && shift 2
done
echo ready
exec sleep infinity
"""


class Libvirt:
    """A libvirtd in a mount namespace with folders of its own, without /dev/kvm: one that hangs guests slows it."""

    def __init__(self, work):
        self.work = work
        self.socket = work / "run/libvirt-sock"
        self.process = self.logger = self.holder = None

    def prepare(self):
        mounts = []
        for name, path in LIBVIRT_FOLDERS.items():
            (self.work / name).mkdir(parents=True, mode=0o755)
            pathlib.Path(path).mkdir(parents=True, exist_ok=True)
            mounts += [self.work / name, path]
        (self.work / "dev").mkdir()
        (self.work / "etc/qemu.conf").write_text('security_driver = "none"\n')
        (self.work / "etc/libvirtd.conf").write_text('auth_unix_rw = "none"\n')
        # It keeps the namespace, so that making it is no part of a cold start.
        self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", HIDE_KVM, "sh", self.work / "dev", *mounts],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"ready\n":
            raise RuntimeError("cannot make a mount namespace for libvirt")
        self.logger = self.spawn_inside("virtlogd")
        wait_for_socket(self.work / "run/virtlogd-sock", self.logger)

    def spawn(self):
        self.process = self.spawn_inside("libvirtd")

    def spawn_inside(self, program):
        with open(self.work / f"{program}.log", "ab") as log:
            return subprocess.Popen(["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", shutil.which(program)],
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_until_served(self, count):
        deadline = time.monotonic() + 60
        while True:
            wait_for_socket(self.socket, self.process)
            try:
                listed = len(self.command("list", "--all").split("\n"))
                break
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
        if listed < count:
            raise RuntimeError(f"libvirtd lists {listed} lines, not {count} domains")

    def command(self, *arguments):
        return run(["virsh", "-q", "-c", f"qemu+unix:///system?socket={self.socket}", *arguments])

    def define(self, domains):
        self.write_definitions(domains)
        self.define_written()

    def write_definitions(self, domains, title=None):
        """The domains' files, and the commands for one virsh, since connecting a thousand times takes a while."""
        script = []
        for name, disk in domains:
            path = self.work / f"{name}.xml"
            path.write_text(domain_xml(name, disk, title))
            script.append(f"define {path}")
        (self.work / "define.txt").write_text("\n".join(script) + "\n")

    def define_written(self):
        with open(self.work / "define.txt") as file:
            run(["virsh", "-q", "-c", f"qemu+unix:///system?socket={self.socket}"], stdin=file)

    def stop(self):
        stop_process(self.process)
        self.process = None
        self.socket.unlink(missing_ok=True)

    def close(self):
        self.stop()
        stop_process(self.logger)
        stop_process(self.holder)


def domain_xml(name, disk, title=None, memory=MEMORY_MIB, seed=None, qemu=QEMU):
    """A domain equal to what Roost creates: q35, Secure Boot firmware, one disk on virtio-scsi, one NAT adapter."""
    drive = f"""
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='writeback' io='threads' discard='unmap'/>
      <source file='{disk}'/><target dev='sda' bus='scsi'/>
    </disk>""" if disk else ""
    drive += f"""
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/><source file='{seed}'/><target dev='sdb' bus='scsi'/><readonly/>
    </disk>""" if seed else ""
    return f"""<domain type='qemu'>
  <name>{name}</name>{f"<title>{title}</title>" if title else ""}
  <memory unit='MiB'>{memory}</memory>
  <vcpu>{PROCESSORS}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <loader readonly='yes' secure='yes' type='pflash'>{OVMF}/OVMF_CODE_4M.ms.fd</loader>
    <nvram template='{OVMF}/OVMF_VARS_4M.ms.fd'/>
  </os>
  <features><acpi/><apic/><smm state='on'/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <on_poweroff>destroy</on_poweroff>
  <devices>
    <emulator>{qemu}</emulator>{drive}
    <controller type='scsi' model='virtio-scsi'/>
    <controller type='usb' model='none'/>
    <interface type='user'><model type='virtio'/></interface>
    <serial type='pty'/><console type='pty'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <graphics type='vnc'><listen type='socket'/></graphics>
    <video><model type='vga'/></video>
    <memballoon model='none'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
"""


# --- Bare QEMU ---------------------------------------------------------------


class BareQEMU:
    """The arguments of a running machine, given to QEMU by nobody but us."""

    SOCKETS = ("qmp.sock", "agent.sock", "serial.sock")
    FIRST = 3

    def __init__(self, process_id, folder):
        raw = pathlib.Path(f"/proc/{process_id}/cmdline").read_bytes()
        self.arguments = [part.decode() for part in raw.split(b"\0")[:-1]]
        self.folder = folder
        folder.mkdir(mode=0o700)

    def start(self):
        """From the spawn to a guest that runs."""
        self.spawn()
        self.go_on()

    def spawn(self, *more):
        """A QEMU that waits, with the listening sockets made by the starter, as Roost does."""
        listeners = []
        for name in self.SOCKETS:
            (self.folder / name).unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(self.folder / name))
            listener.listen(4)
            listeners.append(listener)
        sources = [listener.fileno() + 100 for listener in listeners]
        for listener, source in zip(listeners, sources):
            os.dup2(listener.fileno(), source, inheritable=False)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in range(3)]
        actions += [(os.POSIX_SPAWN_DUP2, source, self.FIRST + index) for index, source in enumerate(sources)]
        # vnc.sock is a relative path.
        previous = os.getcwd()
        os.chdir(self.folder)
        try:
            environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
            self.process_id = os.posix_spawn(self.arguments[0], [*self.arguments, *more], environment,
                                             file_actions=actions, setsid=True)
        finally:
            os.chdir(previous)
        for descriptor in [null, *sources]:
            os.close(descriptor)
        self.connect()
        for listener in listeners:
            listener.close()

    def go_on(self):
        self.execute("cont")
        status = self.execute("query-status")
        if not status["running"]:
            raise RuntimeError(f"bare QEMU does not run: {status}")

    def connect(self):
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(60)
        self.connection.connect(str(self.folder / "qmp.sock"))
        self.lines = self.connection.makefile("rwb", buffering=0)
        greeting = json.loads(self.lines.readline() or b"{}")
        if "QMP" not in greeting:
            raise RuntimeError("bare QEMU did not come up")
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        self.lines.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while line := self.lines.readline():
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']}")
        raise RuntimeError(f"{command}: QEMU is gone")

    def stop(self):
        self.execute("quit")
        os.waitpid(self.process_id, 0)
        self.lines.close()
        self.connection.close()


def guest_process(roost):
    """The one QEMU below roostd."""
    children = pathlib.Path(f"/proc/{roost.process.pid}/task").glob("*/children")
    processes = [number for file in children for number in file.read_text().split()]
    if len(processes) != 1:
        raise RuntimeError(f"roostd has {len(processes)} children, not one QEMU")
    return processes[0]
