#!/usr/bin/env python3
"""Runs in a guest of the benchmark: appends a small record to a file every 10 ms, syncs it, and tells the host.

    bench_writer.py PORT

A datagram for each record holds its number, the guest's monotonic time behind the sync in nanoseconds, and what else
the guest is kept busy with. The host answers with one of the words idle, write and fill.
"""

import itertools
import os
import socket
import struct
import subprocess
import sys
import threading
import time

HOST = "10.0.2.2"
DATAGRAM = struct.Struct("<QQ8s")
FOLDER = "/var/tmp"
PAUSE_SECONDS = 0.01
# More than a guest of 1 GiB lets lie unwritten in its memory.
WRITTEN_BYTES = 256 << 20
FILLED_BYTES = 640 << 20


def main():
    if sys.argv[1] == "write":
        return write_at_full_speed()
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind(("", 0))
    task = Task()
    threading.Thread(target=task.obey, args=(link,), daemon=True).start()
    keep_records(link, (HOST, int(sys.argv[1])), task)


def keep_records(link, host, task):
    file = os.open(f"{FOLDER}/bench-records", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in itertools.count():
        os.write(file, b"%63d\n" % number)
        os.fsync(file)
        try:
            link.sendto(DATAGRAM.pack(number, time.monotonic_ns(), task.name), host)
        except OSError:
            # The network is not up yet.
            time.sleep(0.5)
        time.sleep(PAUSE_SECONDS)


class Task:
    """What the guest does beside the records."""

    def __init__(self):
        self.name = b"idle"
        self.process = None

    def obey(self, link):
        while True:
            wanted = link.recv(64)
            if wanted == self.name:
                continue
            if self.process:
                self.process.kill()
                self.process.wait()
                self.process = None
            if wanted == b"write":
                self.process = subprocess.Popen([sys.executable, __file__, "write"])
            elif wanted == b"fill":
                fill_memory()
            self.name = wanted


def write_at_full_speed():
    """Writes one file over and over, and leaves it to the kernel when that gets to the disk."""
    block = os.urandom(1 << 20)
    file = os.open(f"{FOLDER}/bench-load", os.O_WRONLY | os.O_CREAT)
    while True:
        for position in range(0, WRITTEN_BYTES, len(block)):
            os.pwrite(file, block, position)


def fill_memory():
    """Fills the page cache with programs and libraries, and writes out what is to be written."""
    command = 'find /usr -xdev -type f -exec cat {} + 2>/dev/null | head --bytes="$1" >/dev/null; sync'
    subprocess.run(["sh", "-c", command, "sh", str(FILLED_BYTES)], check=True)


if __name__ == "__main__":
    main()
