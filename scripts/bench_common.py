"""What all parts of the benchmark share: its constants, the table of results, and running programs."""

import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
QEMU = "/usr/bin/qemu-system-x86_64"
OVMF = pathlib.Path("/usr/share/OVMF")
MEMORY_MIB = 512
PROCESSORS = 2
# The first run of anything fills caches and is not counted.
WARM_UPS = 1


class Results:
    """Rows of the table: what was measured, the readings, and whether they clear the bar."""

    def __init__(self):
        self.rows = []

    def add(self, what, roost, other=None, bar=None, measure=None, holds=None):
        verdict = "" if holds is None else "pass" if holds else "**FAIL**"
        self.rows.append((what, roost, other or "", measure or "", bar or "", verdict))

    @property
    def passed(self):
        return not any("FAIL" in row[5] for row in self.rows)

    def lines(self):
        head = ("what", "Roost", "beside", "comparison", "bar", "result")
        table = [head, *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(head))]
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(head, widths)) + " |"
        yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        for row in self.rows:
            yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"

    def print(self):
        print("\n".join(self.lines()))


def milliseconds(readings):
    """The median, and the span of the middle half."""
    quarters = statistics.quantiles(readings, n=4, method="inclusive")
    return f"{quarters[1] * 1000:.1f} ms ({quarters[0] * 1000:.1f}–{quarters[2] * 1000:.1f})"


def timed(action, *arguments):
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(command, **more):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, **more)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {result.stderr.strip()}")
    return result.stdout.strip()


def wait_for_socket(path, process):
    """Returns once somebody accepts connections there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
                return
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args} ended with {process.returncode}") from None
        time.sleep(0.002)
    raise RuntimeError(f"nobody listens on {path}")


def stop_process(process):
    if process is None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
