"""Starts, many machines, single commits and an idle roostd, beside bare QEMU and libvirt."""

import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import statistics
import time

from bench_common import WARM_UPS, milliseconds, run, say, timed
from bench_systems import BareQEMU, Libvirt, Roost, guest_process

DISK_BYTES = 1 << 30


def start_latency(options, work, results):
    """One machine, started by Roost, by nobody, and by libvirt in turn."""
    work.mkdir(mode=0o711)
    roost, libvirt = Roost(options, work), Libvirt(work / "libvirt")
    try:
        roost.spawn()
        roost.wait_until_served(0)
        roost.create("bench", diskSizeBytes=DISK_BYTES)
        disk = work / "libvirt.qcow2"
        shutil.copyfile(roost.state / "Virtual Hard Disks/bench/bench.qcow2", disk)
        roost.command("vm", "start", "bench")
        bare = BareQEMU(guest_process(roost), work / "bare")
        roost.command("vm", "stop", "--turn-off", "bench")
        libvirt.prepare()
        libvirt.spawn()
        libvirt.wait_until_served(0)
        libvirt.define([("bench", disk)])
        readings = {"roost": [], "bare": [], "libvirt": []}
        for number in range(WARM_UPS + options.runs):
            say(f"start {number + 1} of {WARM_UPS + options.runs}")
            taken = one_round(roost, bare, libvirt)
            if number >= WARM_UPS:
                for name, seconds in taken.items():
                    readings[name].append(seconds)
    finally:
        libvirt.close()
        roost.stop()
    report_starts(readings, results)


def one_round(roost, bare, libvirt):
    taken = {"roost": timed(roost.command, "vm", "start", "bench")}
    roost.command("vm", "stop", "--turn-off", "bench")
    taken["bare"] = timed(bare.start)
    bare.stop()
    taken["libvirt"] = timed(libvirt.command, "start", "bench")
    libvirt.command("destroy", "bench")
    return taken


def report_starts(readings, results):
    ours, bare, libvirt = (statistics.median(readings[name]) for name in ("roost", "bare", "libvirt"))
    results.add("`roost vm start` to running, beside bare QEMU", milliseconds(readings["roost"]),
                milliseconds(readings["bare"]), "at most 50 ms more", f"{(ours - bare) * 1000:+.1f} ms",
                ours - bare <= 0.050)
    results.add("`roost vm start` to running, beside `virsh start`", milliseconds(readings["roost"]),
                milliseconds(readings["libvirt"]), "at most a quarter", f"{ours / libvirt:.3f}", ours / libvirt <= 0.25)


def many_machines(options, work, results):
    """As many defined machines on both sides: listing, cold start, memory, and what an idle roostd does."""
    work.mkdir(mode=0o711)
    count = options.machines
    roost, libvirt = Roost(options, work), Libvirt(work / "libvirt")
    try:
        roost.spawn()
        roost.wait_until_served(0)
        say(f"creating {count} machines in Roost")
        names = [f"machine-{number:04}" for number in range(count)]
        seconds = timed(create_all, roost, names)
        results.add(f"create {count:,} machines, 8 at a time", f"{seconds:.1f} s")
        libvirt.prepare()
        libvirt.spawn()
        libvirt.wait_until_served(0)
        say(f"defining {count} domains in libvirt")
        libvirt.define([(name, None) for name in names])
        roost.stop()
        libvirt.stop()
        compare_cold_starts(roost, libvirt, count, results)
        compare_lists(roost, libvirt, results)
        compare_settings(roost, libvirt, names, results)
        compare_memory(roost, libvirt, results)
        libvirt.stop()
        watch_idle(roost, names[0], options.idle_seconds, results)
    finally:
        libvirt.close()
        roost.stop()


def create_all(roost, names):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(roost.create, names))


def compare_cold_starts(roost, libvirt, count, results):
    """From the spawn to a served list; both are left running."""
    ours, theirs = [], []
    runs = 7
    for number in range(WARM_UPS + runs):
        say(f"cold start {number + 1} of {WARM_UPS + runs}")
        for daemon, readings in ((roost, ours), (libvirt, theirs)):
            daemon.stop()
            start = time.perf_counter()
            daemon.spawn()
            daemon.wait_until_served(count)
            if number >= WARM_UPS:
                readings.append(time.perf_counter() - start)
    ratio = statistics.median(ours) / statistics.median(theirs)
    results.add(f"cold start to a served list of {count:,}, beside libvirtd", milliseconds(ours), milliseconds(theirs),
                "at most half", f"{ratio:.3f}", ratio <= 0.5)


def compare_lists(roost, libvirt, results):
    ours, theirs = [], []
    for number in range(WARM_UPS + 15):
        taken = timed(roost.command, "vm", "list"), timed(libvirt.command, "list", "--all")
        if number >= WARM_UPS:
            ours.append(taken[0])
            theirs.append(taken[1])
    ratio = statistics.median(ours) / statistics.median(theirs)
    results.add("`roost vm list`, beside `virsh list --all`", milliseconds(ours), milliseconds(theirs),
                "at most a fifth", f"{ratio:.3f}", ratio <= 0.2)


def compare_settings(roost, libvirt, names, results):
    """A setting of each machine, over one API connection; the definition of each domain, in one virsh."""
    ours, theirs = [], []
    for number in range(WARM_UPS + 3):
        say(f"settings {number + 1} of {WARM_UPS + 3}")
        libvirt.write_definitions([(name, None) for name in names], title=f"round {number}")
        taken = timed(roost.change_all, names, f"round {number}"), timed(libvirt.define_written)
        if number >= WARM_UPS:
            ours.append(taken[0])
            theirs.append(taken[1])
    ratio = statistics.median(ours) / statistics.median(theirs)
    results.add(f"{len(names):,} settings over one connection, beside {len(names):,} `virsh define` in one virsh",
                milliseconds(ours), milliseconds(theirs), "no slower", f"{ratio:.3f}", ratio <= 1)


def commits(options, work, results):
    """One change of a configuration, durable in its file and its copy, beside the least that a journal can do."""
    say("single commits")
    work.mkdir()
    line = run([options.store_bench, "--bench", work, "0"]).splitlines()[0]
    taken = json.loads(line)
    shown = {key: f"{seconds * 1e6:.0f} µs" for key, seconds in taken.items()}
    ratio = taken["idle"] / taken["bare"]
    results.add("one change committed, beside its bytes written and synced twice", shown["idle"], shown["bare"],
                "at most 1.5 times", f"{ratio:.2f}", ratio <= 1.5)
    results.add("the same right behind another change", shown["behindAnother"], shown["bare"], None,
                f"{taken['behindAnother'] / taken['bare']:.2f}")
    results.add("a configuration and its copy read, every block checked", shown["reading"])


def scale(options, work, results):
    """A cold start with many more machines: processor time and memory, less those of a roostd without machines."""
    work.mkdir(mode=0o711)
    roost, count = Roost(options, work), options.scale
    try:
        roost.spawn()
        roost.wait_until_served(0)
        roost.command("vm", "list")
        empty = memory_mebibytes(roost.process.pid, "Rss")
        say(f"creating {count} machines in Roost")
        seconds = timed(create_all, roost, [f"machine-{number:05}" for number in range(count)])
        results.add(f"create {count:,} machines, 8 at a time", f"{seconds:.1f} s")
        roost.stop()
        spent, memory = [], []
        for number in range(3):
            say(f"cold start with {count} machines, {number + 1} of 3")
            roost.spawn()
            roost.wait_until_served(count)
            spent.append(processor_ticks(roost.process.pid) / os.sysconf("SC_CLK_TCK"))
            memory.append((memory_mebibytes(roost.process.pid, "Rss") - empty) * 1024 / count)
            roost.stop()
    finally:
        roost.stop()
    spent, memory = statistics.median(spent), statistics.median(memory)
    results.add(f"processor time of a cold start to a served list of {count:,}", f"{spent:.2f} s", None, "under 3 s",
                None, spent < 3)
    results.add(f"resident memory for each of {count:,} machines", f"{memory:.1f} KiB", None, "under 30 KiB", None,
                memory < 30)


def compare_memory(roost, libvirt, results):
    """After a cold start and the lists above."""
    for key, label in (("Rss", "resident memory"), ("Pss", "proportional share of memory")):
        ours, theirs = (memory_mebibytes(daemon.process.pid, key) for daemon in (roost, libvirt))
        bar = ("no higher", f"{ours / theirs:.2f}", ours <= theirs) if key == "Rss" else (None, f"{ours / theirs:.2f}")
        results.add(f"{label}, roostd beside libvirtd", f"{ours:.1f} MiB", f"{theirs:.1f} MiB", *bar)


def watch_idle(roost, name, seconds, results):
    """Context switches of all of roostd's threads while one guest runs and nobody asks for anything."""
    roost.command("vm", "start", name)
    wait_until_quiet(roost.process.pid)
    before, ticks = context_switches(roost.process.pid), processor_ticks(roost.process.pid)
    say(f"watching roostd for {seconds} s")
    time.sleep(seconds)
    switches = (context_switches(roost.process.pid) - before).total()
    ticks = processor_ticks(roost.process.pid) - ticks
    roost.command("vm", "stop", "--turn-off", name)
    results.add(f"idle roostd, one machine running: wake-ups in {seconds} s", str(switches), None,
                "none but libdispatch's, one a second", None, switches <= seconds + 1)
    results.add(f"idle roostd: processor time in {seconds} s", f"{ticks * 1000 // os.sysconf('SC_CLK_TCK')} ms")


def wait_until_quiet(process_id):
    """Until the guest's firmware has given up booting from nothing: what it writes on its console wakes roostd.

    Not before all files have come to rest, which they do half a minute after the last change.
    """
    time.sleep(35)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        before = context_switches(process_id)
        time.sleep(5)
        # libdispatch's own second hand ticks on.
        if (context_switches(process_id) - before).total() <= 5:
            return


# --- Processes ---------------------------------------------------------------


def memory_mebibytes(process_id, key):
    text = pathlib.Path(f"/proc/{process_id}/smaps_rollup").read_text()
    return int(re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)[1]) / 1024


def context_switches(process_id):
    """The count of each thread; a counter, so that subtracting leaves out threads that have ended."""
    pattern = re.compile(r"^(?:non)?voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)
    counts = collections.Counter()
    for status in pathlib.Path(f"/proc/{process_id}/task").glob("*/status"):
        with contextlib.suppress(OSError):
            counts[status.parent.name] = sum(map(int, pattern.findall(status.read_text())))
    return counts


def processor_ticks(process_id):
    fields = pathlib.Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
