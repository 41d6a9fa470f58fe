"""Checkpoints and saved states, beside libvirt's snapshots and QEMU's own migration, of one Debian guest.

What a checkpoint costs a guest is the longest gap of a writer in it that syncs a small record every 10 ms.
"""

import contextlib
import os
import pathlib
import shutil
import statistics
import time

from bench_common import WARM_UPS, milliseconds, say, timed
from bench_guests import BOOT_SECONDS, BareGuest, LibvirtGuest, RoostGuest
from bench_systems import Libvirt, Roost, guest_process

# As installed; QEMU's user where roostd runs as root.
QEMU_USER = "roost-qemu"
# With it a program may follow what is written to memory (userfaultfd(2)) whatever the host's kernel says to others.
FOLLOWS_WRITES = "sys_ptrace"
FOLLOW_SETTING = pathlib.Path("/proc/sys/vm/unprivileged_userfaultfd")
# What a guest does at the end of its boot is over by then.
AFTER_BOOT_SECONDS = 30
# Behind a pause, and behind the start of a process that writes at full speed.
SETTLE_SECONDS = 1.5
NORMAL_SECONDS = 2
# A record that was held up is there by then.
MARGIN_SECONDS = 0.3


def checkpoints(options, work, results):
    work.mkdir(mode=0o711)
    for name in ("roost", "domain"):
        (work / name).mkdir(mode=0o711)
    qemu = reachable(options.qemu, work / "qemu")
    roost, libvirt = Roost(options, work / "roost", qemu), Libvirt(work / "libvirt")
    with contextlib.ExitStack() as stack:
        stack.callback(roost.stop)
        stack.callback(libvirt.close)
        libvirt.prepare()
        for daemon in (roost, libvirt):
            daemon.spawn()
            daemon.wait_until_served(0)
        guests = RoostGuest(roost, options.guest), LibvirtGuest(libvirt, options.guest, work / "domain", qemu)
        for guest in guests:
            stack.callback(guest.close)
        stack.callback(end_guests, *guests)
        boot(guests)
        bare = BareGuest(guest_process(roost), work / "bare")
        idle_guests(guests, options.runs, results)
        busy_guests(guests, options.runs, results)
        for guest in guests:
            with awake(guest):
                guest.writer.ask("fill")
                guest.writer.ask("idle")
        standard_as_set(guests[0], min(3, options.runs), results)
        with awake(guests[0]):
            guests[0].go_on_as(QEMU_USER, FOLLOWS_WRITES)
        standard(guests, options.runs, results)
        saved_states(guests[0], bare, options.runs, results)


def reachable(qemu, folder):
    """A QEMU as its own user can reach it: that of scripts/fetch-qemu may lie in somebody's home, and is copied."""
    if not (qemu.parent / "prefix").exists():
        return qemu
    shutil.copytree(qemu.parent, folder, symlinks=True)
    return folder / qemu.name


def end_guests(ours, theirs):
    """Turns off what still runs; what does not is no reason to stop cleaning up."""
    for system, *command in ((ours.roost, "vm", "stop", "--turn-off"), (theirs.libvirt, "destroy")):
        with contextlib.suppress(RuntimeError):
            system.command(*command, "bench")


def boot(guests):
    say("booting the guests, which takes some minutes")
    for guest in guests:
        guest.boot()
    for guest in guests:
        guest.writer.wait(0, within=BOOT_SECONDS)
        guest.wait_for_agent()
    time.sleep(AFTER_BOOT_SECONDS)
    for guest in guests:
        guest.pause()


# --- Readings ----------------------------------------------------------------


class Readings:
    """Times by what they are of and whose they are; what came first is not counted."""

    def __init__(self):
        self.taken = {}

    def add(self, key, guest, value, counts=True):
        if counts:
            self.taken.setdefault((key, type(guest)), []).append(value)

    def shown(self, key, kind):
        return milliseconds(self.taken[key, kind])

    def ratio(self, key):
        ours, theirs = (statistics.median(self.taken[key, kind]) for kind in (RoostGuest, LibvirtGuest))
        return ours / theirs

    def compare(self, results, what, key, bar=None):
        """A row with both guests' readings; the bar is what their ratio is at most."""
        ratio = self.ratio(key)
        results.add(what, self.shown(key, RoostGuest), self.shown(key, LibvirtGuest), bar and f"at most {bar}",
                    f"{ratio:.2f}", None if bar is None else ratio <= bar)


@contextlib.contextmanager
def awake(guest):
    """Lets one guest run, while no other one does."""
    guest.resume()
    guest.writer.wait(time.time())
    time.sleep(SETTLE_SECONDS)
    yield
    guest.pause()


def rounds(guests, runs, what):
    """Each guest in turn, now this one first and now that one, with whether its readings count."""
    for number in range(WARM_UPS + runs):
        say(f"{what}, {number + 1} of {WARM_UPS + runs}")
        for guest in guests if number % 2 else guests[::-1]:
            with awake(guest):
                yield guest, number >= WARM_UPS


def gap(guest, action, *arguments):
    """The writer's longest gap during something that is done to its guest, and what that returns."""
    begin = time.time()
    outcome = action(*arguments)
    end = time.time() + MARGIN_SECONDS
    guest.writer.wait(end)
    found = guest.writer.longest_gap(begin, end)
    say(f"  {type(guest).__name__} {action.__name__}: {found.outside * 1000:.1f} ms in {end - begin:.1f} s, "
        f"{found.inside * 1000:.1f} ms by the guest's clock")
    return found, outcome


# --- Production checkpoints --------------------------------------------------


def idle_guests(guests, runs, results):
    """Production checkpoints of an idle guest, and their removal."""
    readings = Readings()
    for guest, counts in rounds(guests, runs, "production checkpoints of an idle guest"):
        take(guest, counts, readings)
        found, _ = gap(guest, guest.remove)
        readings.add("removal", guest, found.outside, counts)
    report_production("an idle guest", 0.8, readings, results)
    readings.compare(results, "the same at the removal of that checkpoint, beside `virsh blockcommit --pivot`",
                     "removal")


def busy_guests(guests, runs, results):
    """The same while another process writes; that ends before the removal, which would have to run after it."""
    readings = Readings()
    for guest, counts in rounds(guests, runs, "production checkpoints of a busy guest"):
        guest.writer.ask("write")
        time.sleep(SETTLE_SECONDS)
        take(guest, counts, readings)
        guest.writer.ask("idle")
        guest.remove()
    report_production("a guest that writes at full speed", 0.5, readings, results)


def take(guest, counts, readings):
    found, _ = gap(guest, time.sleep, NORMAL_SECONDS)
    readings.add("normal", guest, found.outside, counts)
    found, receipt = gap(guest, guest.production)
    readings.add("production", guest, found.outside, counts)
    for key in ("freezeMicroseconds", "transactionMicroseconds") if receipt else ():
        readings.add(key, guest, receipt[key] / 1e6, counts)


def report_production(whose, bar, readings, results):
    readings.compare(results, f"longest gap of a writer in {whose}, in {NORMAL_SECONDS} s without a checkpoint",
                     "normal")
    readings.compare(results, "the same during a production checkpoint, beside `virsh snapshot-create-as --quiesce`",
                     "production", bar)
    results.add("receipt: from the request to freeze until all is thawed",
                readings.shown("freezeMicroseconds", RoostGuest))
    results.add("receipt: branching the disks", readings.shown("transactionMicroseconds", RoostGuest))


# --- Standard checkpoints ----------------------------------------------------


def standard_as_set(guest, runs, results):
    """Standard checkpoints as the host's kernel is set: by default QEMU cannot follow what the guest writes."""
    readings = Readings()
    setting = FOLLOW_SETTING.read_text().strip()
    for _, counts in rounds([guest], runs, "standard checkpoints as the host is set"):
        take_standard(guest, counts, readings)
    if setting != FOLLOW_SETTING.read_text().strip():
        raise RuntimeError(f"{FOLLOW_SETTING} was changed meanwhile")
    results.add(f"longest gap during a standard checkpoint, vm.unprivileged_userfaultfd={setting}",
                readings.shown("outside", RoostGuest))
    results.add("receipt: processors paused", readings.shown("pause", RoostGuest))


def standard(guests, runs, results):
    readings = Readings()
    for guest, counts in rounds(guests, runs, "standard checkpoints"):
        take_standard(guest, counts, readings)
    readings.compare(results, "longest gap during a standard checkpoint, QEMU free to follow writes, beside "
                     "`virsh snapshot-create-as --memspec --live`", "outside", 0.8)
    readings.compare(results, "the same by the guest's clock, which stands still with its processors", "inside")
    pause = statistics.median(readings.taken["pause", RoostGuest])
    results.add("receipt: processors paused", readings.shown("pause", RoostGuest), None, "at most 60 ms", None,
                pause <= 0.060)
    readings.compare(results, "the command from its start to its end", "whole")


def take_standard(guest, counts, readings):
    begin = time.perf_counter()
    found, receipt = gap(guest, guest.standard)
    readings.add("whole", guest, time.perf_counter() - begin, counts)
    readings.add("outside", guest, found.outside, counts)
    readings.add("inside", guest, found.inside, counts)
    if receipt:
        readings.add("pause", guest, receipt["pauseMicroseconds"] / 1e6, counts)
    guest.remove()


# --- Saved states ------------------------------------------------------------


def saved_states(guest, bare, runs, results):
    """Saves and starts of one guest by Roost and by a bare QEMU, which boots it from a copy of its disk."""
    guest.resume()
    guest.save()
    boot_bare(guest, bare)
    readings = {(action, kind): [] for action in ("save", "go on") for kind in (RoostGuest, BareGuest)}
    for number in range(WARM_UPS + runs):
        say(f"saved states, {number + 1} of {WARM_UPS + runs}")
        for one in (bare, guest):
            speeds = go_on_and_save(one, guest.writer)
            if number >= WARM_UPS:
                for action, speed in speeds.items():
                    readings[action, type(one)].append(speed)
    for action, what in (("save", "`roost vm save`, beside QEMU's migration to `cat >FILE && sync FILE`"),
                         ("go on", "`roost vm start` from a saved state, beside QEMU's `-incoming` from `cat FILE`")):
        ours, theirs = (readings[action, kind] for kind in (RoostGuest, BareGuest))
        ratio = statistics.median(ours) / statistics.median(theirs)
        results.add(what, speed_text(ours), speed_text(theirs), "at least 0.8", f"{ratio:.2f}", ratio >= 0.8)


def boot_bare(guest, bare):
    say("booting the bare guest")
    bare.take_files()
    for tries_left in (2, 1, 0):
        began = time.time()
        bare.qemu.start()
        try:
            guest.writer.wait(began, within=BOOT_SECONDS / 3)
            break
        except RuntimeError:
            if not tries_left:
                raise
        # Seen once, behind GRUB's first line: processors that use no time.
        say(f"  it does not come up, and is started anew: {bare.qemu.execute('query-status')}")
        bare.qemu.stop()
    # What the other guest has been through, whose memory is to be like this one's.
    guest.writer.ask("write")
    time.sleep(AFTER_BOOT_SECONDS)
    for task in ("idle", "fill", "idle"):
        guest.writer.ask(task)
    bare.save()


def go_on_and_save(one, writer):
    """How many MiB of the state a start and a save pass on in a second; no other guest runs."""
    os.sync()
    size = one.saved_bytes() / (1 << 20)
    starting = timed(one.go_on)
    writer.wait(time.time())
    time.sleep(SETTLE_SECONDS)
    os.sync()
    saving = timed(one.save)
    speeds = {"go on": size / starting, "save": one.saved_bytes() / (1 << 20) / saving}
    say(f"  {type(one).__name__}: {size:.0f} MiB, went on in {starting:.2f} s, saved in {saving:.2f} s")
    return speeds


def speed_text(readings):
    quarters = statistics.quantiles(readings, n=4, method="inclusive")
    return f"{quarters[1]:.0f} MiB/s ({quarters[0]:.0f}–{quarters[2]:.0f})"
