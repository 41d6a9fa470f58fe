#!/usr/bin/env python3
"""Checks the house rules that neither the compiler nor the formatter knows; CONTRIBUTING.md lists them.

    check_tree.py              checks the tree; exit status 1 and one line for each finding
    check_tree.py --self-test  plants a violation of every rule, and checks that each is found
"""

import pathlib
import re
import subprocess
import sys
import tempfile

# A file past this holds two topics.
LINES_MAX = 500

# An unstructured task outlives whoever made it, so each file that makes one has a reason.
TASKS = {
    "Sources/HostEngine/Checkpoints/CheckpointKeeper+Live.swift",
    "Sources/HostEngine/Checkpoints/CheckpointKeeper+Standard.swift",
    "Sources/HostEngine/Checkpoints/VirtualMachine+Merge.swift",
    "Sources/HostEngine/Host+Create.swift",
    "Sources/HostEngine/Host.swift",
    "Sources/HostEngine/JobCenter.swift",
    "Sources/HostEngine/Schedules/ScheduleBook.swift",
    "Sources/HostEngine/SwitchBoard.swift",
    "Sources/HostEngine/VirtualMachine+Launch.swift",
    "Sources/HostEngine/VirtualMachine+Save.swift",
    "Sources/HostEngine/VirtualMachine+SaveRecovery.swift",
    "Sources/HostEngine/VirtualMachine+Standstill.swift",
    "Sources/HostEngine/VirtualMachine.swift",
    "Sources/QEMUDriver/StateFeed.swift",
    "Sources/QEMUDriver/StateStream.swift",
    "Sources/QEMUDriver/Tool.swift",
    "Sources/RoostClient/RoostClient+Events.swift",
    "Sources/RoostServer/MachineRoutes.swift",
    "Sources/roost/Jobs/JobRunner.swift",
}

CODE = {".swift", ".c", ".h", ".py", ".sh", ".S", ""}
# Written in pieces, so that this file does not break its own rules.
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|HA" r"CK)\b")
MACHINE = re.compile(r"(?<![\w./-])/(?:wo" r"rk/|opt/sw" r"ift|ro" r"ot/|home/[a-z])")
TASK = re.compile(r"\bTask(?:\s*\{|\.detached|\.immediate|\(priority)")
PRINT = re.compile(r"(?<![\w.])(?:debugPrint|print|dump)\(")
COMMENT = re.compile(r"//.*")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ROUTE = re.compile(r'\b(?:api|group)\.(get|post|put|patch|delete)\("([^"]+)"\)')
INTERPOLATION = re.compile(r"\\\([a-z]+\)")
DOCUMENTED = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/v1/[^`\s]*)`((?:, `/[a-z-]+`)*)")


def lines(text):
    return enumerate(text.splitlines(), 1)


def check_length(path, text):
    if path.startswith("Sources/") and text.count("\n") > LINES_MAX:
        yield f"{path}: {text.count(chr(10))} lines, more than {LINES_MAX}: split it by topic"


def check_words(path, text):
    for number, line in lines(text):
        if UNFINISHED.search(line):
            yield f"{path}:{number}: unfinished work belongs into an issue"
        if MACHINE.search(line):
            yield f"{path}:{number}: names a path of one machine"
        if line != line.rstrip() and not path.endswith(".md"):
            yield f"{path}:{number}: white space at the end of the line"


def check_swift(path, text):
    if not path.startswith("Sources/") or not path.endswith(".swift"):
        return
    for number, line in lines(text):
        code = COMMENT.sub("", line)
        if PRINT.search(code):
            yield f"{path}:{number}: prints; only a log or roost's output may"
        if TASK.search(code) and path not in TASKS:
            yield f"{path}:{number}: makes an unstructured task; see TASKS in scripts/check_tree.py"


def check_links(root, path, text):
    if not path.endswith(".md"):
        return
    for number, line in lines(text):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target) or target.startswith("#"):
                continue
            if not (root / path).parent.joinpath(target.split("#")[0]).exists():
                yield f"{path}:{number}: the link to {target} leads nowhere"


def served_routes(root):
    """The routes in the code, as `GET /v1/vms/{}`; a list of verbs that is looped over counts as one route each."""
    for file in sorted((root / "Sources" / "RoostServer").glob("*Routes.swift")):
        text = file.read_text(encoding="utf-8")
        for match in ROUTE.finditer(text):
            path = "/v1/" + re.sub(r":\w+", "{}", match[2])
            if "\\(" not in path:
                yield f"{match[1].upper()} {path}"
                continue
            # The loop's header stands before the route: `for verb in ["stop", "restart"]`, or pairs that begin with a verb.
            header = text[: match.start()].rsplit("for ", 1)[1].split("{", 1)[0]
            for verb in re.findall(r'"([a-z-]+)"', header):
                yield f"{match[1].upper()} {INTERPOLATION.sub(verb, path)}"


def documented_routes(root):
    for method, path, more in DOCUMENTED.findall((root / "docs/api/http.md").read_text(encoding="utf-8")):
        path = re.sub(r"\{\w+\}", "{}", path.split("?")[0])
        yield f"{method} {path}"
        for other in re.findall(r"`(/[a-z-]+)`", more):
            yield f"{method} {path.rsplit('/', 1)[0]}{other}"


def check_routes(root):
    if not (root / "docs/api/http.md").exists():
        return
    served, documented = set(served_routes(root)), set(documented_routes(root))
    for route in sorted(served - documented):
        yield f"docs/api/http.md: does not name {route}, which RoostServer serves"
    for route in sorted(documented - served):
        yield f"docs/api/http.md: names {route}, which RoostServer does not serve"


def check(root, paths):
    for path in paths:
        file = root / path
        if not file.is_file() or (file.suffix not in CODE and file.suffix not in {".md", ".yml", ".service", ".cfg"}):
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        yield from check_length(path, text)
        yield from check_words(path, text)
        yield from check_swift(path, text)
        yield from check_links(root, path, text)
    yield from check_routes(root)


def tracked(root):
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, check=True, capture_output=True).stdout
    return sorted(name for name in listing.decode("utf-8").split("\0") if name)


def self_test():
    planted = {
        "Sources/QMP/Long.swift": ("// a line\n" * (LINES_MAX + 1), "more than"),
        "Sources/QMP/Unfinished.swift": ("// TO" "DO: later\n", "unfinished"),
        "docs/machine.md": ("See /ro" "ot/thing.\n", "path of one machine"),
        "Sources/QMP/Blank.swift": ("let a = 1 \n", "white space"),
        "Sources/QMP/Loud.swift": ('print("x")\n', "prints"),
        "Sources/QMP/Adrift.swift": ("Task { await go() }\n", "unstructured task"),
        "docs/links.md": ("[a](links.md) [b](https://x.org) [c](missing.md)\n", "missing.md leads nowhere"),
        "Sources/RoostServer/ARoutes.swift": ('api.get("vms/:vm/secret") {}\n', "GET /v1/vms/{}/secret"),
        "docs/api/http.md": ("| `POST /v1/vms/{vm}/start`, `/gone` | | |\n", "POST /v1/vms/{}/gone"),
        "Sources/RoostServer/BRoutes.swift": ('for verb in ["start"] {\n    api.post("vms/:vm/\\(verb)") {}\n}\n', None),
    }
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for path, (text, _) in planted.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        findings = list(check(root, planted))
    expected = [words for _, words in planted.values() if words]
    for words in expected:
        assert sum(words in finding for finding in findings) == 1, f"{words}: {findings}"
    assert len(findings) == len(expected), findings


def main():
    self_test()
    if sys.argv[1:] == ["--self-test"]:
        return
    root = pathlib.Path(__file__).resolve().parent.parent
    findings = list(check(root, tracked(root)))
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)


main()
