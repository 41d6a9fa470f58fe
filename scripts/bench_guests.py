"""The guests of the checkpoint benchmark: one Debian, with a writer in it that tells the host of each record."""

import base64
import bisect
import collections
import itertools
import json
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

from bench_common import ROOT, run, wait_for_socket
from bench_systems import BareQEMU, domain_xml
from bench_writer import DATAGRAM

NAME = "bench"
MEMORY_MIB = 1024
DISK_BYTES = 4 << 30
# The program has to be in the guest before anybody asks for anything.
BOOT_SECONDS = 900
# Linux, include/uapi/asm-generic/socket.h; Python has no name for it.
SO_TIMESTAMPNS = 35
SERVICE = """[Unit]
Description=Writer of the benchmark
[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/bench_writer.py {port}
Restart=always
[Install]
WantedBy=multi-user.target
"""

Record = collections.namedtuple("Record", "arrived number written task")
# By the host's clock, and by that of the guest.
Gap = collections.namedtuple("Gap", "outside inside")


# --- The writer, as the host sees it -----------------------------------------


class Writer:
    """The records of one guest's writer, with the times at which the host's kernel has heard of them.

    The guest's own clock would not do: it stands still with the guest's processors.
    """

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.5)
        self.port = self.socket.getsockname()[1]
        self.guest = None
        self.records = []
        self.thread = threading.Thread(target=self.receive)
        self.is_closed = False
        self.thread.start()

    def receive(self):
        while not self.is_closed:
            try:
                data, ancillary, _, self.guest = self.socket.recvmsg(DATAGRAM.size, 64)
            except TimeoutError:
                continue
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            number, written, task = DATAGRAM.unpack(data)
            self.records.append(Record(seconds + nanoseconds / 1e9, number, written / 1e9, task.rstrip(b"\0").decode()))

    def close(self):
        self.is_closed = True
        self.thread.join()
        self.socket.close()

    def wait(self, moment, within=60, task=None):
        """Waits for a record that was written behind a moment, while the guest had a task."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            last = self.records[-1] if self.records else None
            if last and last.arrived > moment and task in (None, last.task):
                return
            time.sleep(0.01)
        raise RuntimeError(f"the guest's writer is silent, or does not come to {task or 'life'}, for {within} s")

    def ask(self, task):
        """Gives the guest something else to do, and waits until it does that."""
        now = time.time()
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            self.socket.sendto(task.encode(), self.guest)
            try:
                return self.wait(now, within=5, task=task)
            except RuntimeError:
                continue
        raise RuntimeError(f"the guest does not come to {task}")

    def longest_gap(self, begin, end):
        """The longest time between two records that lies in a span at least in part."""
        first = bisect.bisect_left(self.records, begin, key=lambda record: record.arrived)
        last = bisect.bisect_right(self.records, end, key=lambda record: record.arrived)
        pairs = list(itertools.pairwise(self.records[max(first - 1, 0):last + 1]))
        if any(later.number != earlier.number + 1 for earlier, later in pairs):
            raise RuntimeError("a datagram of the guest's writer was lost")
        return Gap(max(later.arrived - earlier.arrived for earlier, later in pairs),
                   max(later.written - earlier.written for earlier, later in pairs))


def user_data(port):
    """What cloud-init has to do so that the writer runs, now and behind each boot."""
    program = base64.b64encode((ROOT / "scripts/bench_writer.py").read_bytes()).decode()
    service = base64.b64encode(SERVICE.format(port=port).encode()).decode()
    return f"""#cloud-config
growpart: {{mode: auto, devices: [/]}}
write_files:
  - {{path: /usr/local/lib/bench_writer.py, encoding: b64, content: {program}}}
  - {{path: /etc/systemd/system/bench-writer.service, encoding: b64, content: {service}}}
runcmd:
  - [systemctl, daemon-reload]
  - [systemctl, enable, --now, bench-writer]
"""


# --- The guest in each system ------------------------------------------------


class RoostGuest:
    """The guest as a machine of Roost."""

    def __init__(self, roost, image):
        self.roost, self.image = roost, image
        self.writer = Writer()
        self.number = 0

    def boot(self):
        self.roost.create(NAME, memoryMiB=MEMORY_MIB, image=str(self.image), diskSizeBytes=DISK_BYTES,
                          secureBoot="MicrosoftUEFICertificateAuthority", cloudInitUserData=user_data(self.writer.port))
        self.roost.command("vm", "start", NAME)

    def wait_for_agent(self):
        deadline = time.monotonic() + BOOT_SECONDS
        # Nobody but the agent tells of the addresses.
        while not any(adapter["addresses"] for adapter in self.roost.request("GET", f"/v1/vms/{NAME}/nics")):
            if time.monotonic() > deadline:
                raise RuntimeError("no agent answers in Roost's guest")
            time.sleep(1)

    def pause(self):
        self.roost.command("vm", "pause", NAME)

    def resume(self):
        self.roost.command("vm", "resume", NAME)

    def production(self):
        """Takes a production checkpoint; returns its receipt."""
        receipt = self.checkpoint("--production")
        if receipt["consistency"] not in ("FileSystem", "Application"):
            raise RuntimeError(f"no production checkpoint: {receipt}")
        return receipt

    def standard(self):
        """Takes a standard checkpoint; returns its receipt."""
        receipt = self.checkpoint("--standard")
        if receipt["consistency"] != "Memory":
            raise RuntimeError(f"no standard checkpoint: {receipt}")
        return receipt

    def checkpoint(self, kind):
        self.number += 1
        self.roost.command("checkpoint", "create", NAME, "--name", f"c{self.number}", kind)
        return self.roost.request("GET", f"/v1/vms/{NAME}/checkpoints/c{self.number}")["receipt"]

    def remove(self):
        """Removes the checkpoint that was taken last."""
        self.roost.command("checkpoint", "remove", NAME, f"c{self.number}", "--yes")

    def save(self):
        self.roost.command("vm", "save", NAME)

    def go_on(self):
        self.roost.command("vm", "start", NAME)

    def saved_bytes(self):
        """How long the stream in the saved state is."""
        from dissect.hypervisor.descriptor.hyperv import HyperVFile
        (path,) = self.roost.state.glob("**/*.saved.vmrs")
        with path.open("rb") as file:
            return HyperVFile(file)["savedstate"]["roost"]["stream_size"].value

    def go_on_as(self, user, capability):
        """Saves the guest, and goes on under a roostd that runs as another user, who has a capability.

        QEMU has both then, too.
        """
        self.save()
        self.roost.stop()
        shutil.rmtree(self.roost.run_dir)
        run(["chown", "-R", f"{user}:", self.roost.state.parent])
        self.roost.spawn(by=["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                             f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}"])
        wait_for_socket(self.roost.socket, self.roost.process)
        self.go_on()

    def close(self):
        self.writer.close()


class LibvirtGuest:
    """The guest as a domain of libvirt, from a copy of the same image."""

    def __init__(self, libvirt, image, work, qemu):
        self.libvirt, self.image, self.work, self.qemu = libvirt, image, work, qemu
        self.writer = Writer()
        self.disk = work / "libvirt.qcow2"
        self.overlay = self.memory = None
        self.number = 0

    def boot(self):
        seed = self.work / "seed"
        seed.mkdir()
        (seed / "user-data").write_text(user_data(self.writer.port))
        (seed / "meta-data").write_text(f"instance-id: {NAME}\nlocal-hostname: {NAME}\n")
        image = self.work / "seed.iso"
        run(["genisoimage", "-quiet", "-output", image, "-volid", "cidata", "-joliet", "-rock",
             seed / "user-data", seed / "meta-data"])
        shutil.copyfile(self.image, self.disk)
        run(["qemu-img", "resize", "-q", self.disk, str(DISK_BYTES)])
        definition = self.work / "domain.xml"
        definition.write_text(domain_xml(NAME, self.disk, memory=MEMORY_MIB, seed=image, qemu=self.qemu))
        self.libvirt.command("define", definition)
        self.libvirt.command("start", NAME)

    def wait_for_agent(self):
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            try:
                return self.libvirt.command("qemu-agent-command", NAME, '{"execute": "guest-ping"}')
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(1)

    def pause(self):
        self.libvirt.command("suspend", NAME)

    def resume(self):
        self.libvirt.command("resume", NAME)

    def production(self):
        self.snapshot("--disk-only", "--quiesce")

    def standard(self):
        self.memory = self.work / f"memory-{self.number}"
        self.snapshot("--memspec", f"file={self.memory},snapshot=external", "--live")

    def snapshot(self, *options):
        self.number += 1
        self.overlay = self.work / f"overlay-{self.number}.qcow2"
        disks = f"sda,snapshot=external,file={self.overlay}", "sdb,snapshot=no"
        self.libvirt.command("snapshot-create-as", NAME, *options, "--no-metadata",
                             *(f"--diskspec={disk}" for disk in disks))

    def remove(self):
        """Merges what the last snapshot has branched off, and deletes its files."""
        self.libvirt.command("blockcommit", NAME, "sda", "--active", "--pivot", "--wait")
        self.overlay.unlink()
        if self.memory:
            self.memory.unlink()
        self.memory = None

    def close(self):
        self.writer.close()


class BareGuest:
    """The guest of a running machine of Roost, in a QEMU that has the same arguments and files of its own."""

    def __init__(self, process_id, folder):
        self.qemu = BareQEMU(process_id, folder)
        self.folder = folder
        self.stream = folder / "stream"

    def take_files(self):
        """Copies what the guest writes to; the machine must not run."""
        for place, argument in enumerate(self.qemu.arguments):
            node = json.loads(argument) if re.match(r'\{.*"node-name"', argument) else {"read-only": True}
            if node["read-only"]:
                continue
            path = pathlib.Path(node["file"]["filename"])
            node["file"]["filename"] = str(self.folder / path.name)
            shutil.copyfile(path, self.folder / path.name)
            self.qemu.arguments[place] = json.dumps(node)

    def save(self):
        """Sends the state to a program that writes it into a file, durably; QEMU has ended then, as with Roost."""
        with listening(self.folder / "state.sock") as listener:
            self.qemu.execute("stop")
            # As Roost does: nothing else needs the room.
            self.qemu.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
            self.qemu.execute("migrate", uri="unix:state.sock")
            connection, _ = listener.accept()
        with connection, subprocess.Popen(["sh", "-c", 'cat >"$1" && sync "$1"', "sh", self.stream],
                                          stdin=connection) as drain:
            self.follow()
            if drain.wait() != 0:
                raise RuntimeError("the state of the bare QEMU cannot be written")
        self.qemu.stop()

    def go_on(self):
        """Starts a QEMU that waits for the state, gives it that, and lets the guest go on."""
        self.qemu.spawn("-incoming", "defer")
        self.qemu.execute("migrate-incoming", uri="unix:state.sock")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "state.sock"))
            subprocess.run(["cat", self.stream], stdout=connection, check=True)
        self.follow()
        self.qemu.go_on()

    def follow(self):
        while (state := self.qemu.execute("query-migrate").get("status")) != "completed":
            if state in ("failed", "cancelled"):
                raise RuntimeError(f"the migration of the bare QEMU has {state}")
            time.sleep(0.01)

    def saved_bytes(self):
        return self.stream.stat().st_size


def listening(path):
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    listener.settimeout(60)
    return listener
