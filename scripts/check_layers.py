#!/usr/bin/env python3
"""Checks that imports point down only: the module graph of ARCHITECTURE.md is the table below.

SwiftPM lets a target import what it reaches only through a dependency, so neither the compiler nor Package.swift holds
the layers. This reads the imports of every source file and the dependencies of every target.

    check_layers.py              checks the tree; exit status 1 and one line for each finding
    check_layers.py --self-test  plants a bad import and a bad dependency, and checks that they are found
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

# From the bottom to the top: a target may import what is named here and nothing else of this package.
TARGETS = {
    "CRoostBytes": [],
    "RoostPrimitives": ["CRoostBytes"],
    "CRoostLinux": [],
    "CLZ4": [],
    "DurableFiles": ["CRoostLinux"],
    "HyperVStorage": ["RoostPrimitives"],
    "QMP": ["RoostPrimitives"],
    "UEFIVariables": ["RoostPrimitives"],
    "VMConfiguration": ["HyperVStorage", "RoostPrimitives"],
    "RoostAPI": ["RoostPrimitives"],
    "ConfigStore": ["CLZ4", "DurableFiles", "HyperVStorage", "RoostPrimitives", "VMConfiguration"],
    "QEMUDriver": ["CRoostLinux", "QMP", "RoostPrimitives", "VMConfiguration"],
    "HostEngine": [
        "ConfigStore", "HyperVStorage", "QEMUDriver", "QMP", "RoostAPI", "RoostPrimitives", "UEFIVariables",
        "VMConfiguration",
    ],
    "RoostServer": ["HostEngine", "RoostAPI", "RoostPrimitives"],
    "RoostClient": ["RoostAPI", "RoostPrimitives"],
    "roostd": ["CRoostLinux", "ConfigStore", "HostEngine", "RoostAPI", "RoostServer"],
    "roost": [
        "ConfigStore", "DurableFiles", "HyperVStorage", "RoostAPI", "RoostClient", "RoostPrimitives", "VMConfiguration",
    ],
}

# Outside modules. The C library and Synchronization are everybody's but the formats': those do no I/O and share nothing.
SYSTEM = ["Darwin", "Dispatch", "Glibc", "Musl", "Synchronization"]
NIO = ["NIOCore", "NIOPosix"]
OUTSIDE = {
    "CRoostBytes": [],
    "RoostPrimitives": ["CRoostBytes"],
    "DurableFiles": SYSTEM,
    "HyperVStorage": [],
    "QMP": ["FoundationEssentials"],
    "UEFIVariables": [],
    "VMConfiguration": [],
    "RoostAPI": [],
    "ConfigStore": SYSTEM,
    "QEMUDriver": [*SYSTEM, *NIO, "Logging"],
    "HostEngine": [*SYSTEM, *NIO, "FoundationEssentials", "Logging"],
    "RoostServer": [*SYSTEM, "FoundationEssentials", "Hummingbird", "HummingbirdCore", "Logging", "NIOCore"],
    "RoostClient": [*SYSTEM, *NIO, "FoundationEssentials", "NIOHTTP1"],
    "roostd": [*SYSTEM, "ArgumentParser", "Logging", "NIOPosix", "ServiceLifecycle", "UnixSignals"],
    "roost": [*SYSTEM, "ArgumentParser", "FoundationEssentials"],
}

IMPORT = re.compile(
    r"^[ \t]*(?:@\w+(?:\([^)]*\))?[ \t]+)*(?:(?:public|package|internal|fileprivate|private)[ \t]+)?"
    r"import[ \t]+(?:(?:struct|class|enum|protocol|func|var|let|typealias|actor)[ \t]+)?(\w+)",
    re.MULTILINE,
)


def allowed(target):
    return {*TARGETS[target], *OUTSIDE.get(target, [])}


def check_order():
    """The table itself: a target names only targets above its own line, so there is no circle."""
    seen = set()
    for target, below in TARGETS.items():
        for name in below:
            if name not in seen:
                yield f"check_layers.py: {target} names {name}, which does not stand before it in the table"
        seen.add(target)


def check_imports(root):
    for folder in sorted((root / "Sources").iterdir()):
        if folder.name not in TARGETS:
            yield f"{folder.relative_to(root)}: not in the table of scripts/check_layers.py"
            continue
        permitted = allowed(folder.name)
        for file in sorted(folder.rglob("*.swift")):
            text = file.read_text(encoding="utf-8")
            for match in IMPORT.finditer(text):
                if match[1] not in permitted:
                    line = text.count("\n", 0, match.start()) + 1
                    yield f"{file.relative_to(root)}:{line}: {folder.name} must not import {match[1]}"


def dependencies(package):
    """Every target of a manifest that is no test, with the names of its dependencies."""
    for target in package["targets"]:
        if target["type"] == "test" or (target.get("path") or "").startswith("Tests/"):
            continue
        names = []
        for dependency in target["dependencies"]:
            kind = next(kind for kind in ("byName", "target", "product") if kind in dependency)
            names.append(dependency[kind][0])
        yield target["name"], names


def check_package(package):
    """Dependencies on targets agree with the table; products bring modules of their own name, which it names."""
    for target, names in dependencies(package):
        if target not in TARGETS:
            yield f"Package.swift: the target {target} is not in the table of scripts/check_layers.py"
            continue
        for name in names:
            if name not in allowed(target):
                yield f"Package.swift: {target} must not depend on {name}"


def manifest(root):
    command = ["swift", "package", "--package-path", str(root), "dump-package"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def self_test():
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        planted = root / "Sources" / "QMP"
        planted.mkdir(parents=True)
        good = "import RoostPrimitives\n// import HostEngine\nlet text = \"import HostEngine\"\n"
        (planted / "Good.swift").write_text(good)
        assert list(check_imports(root)) == [], "a clean tree has findings"
        for bad in ("import HostEngine", "@testable import HostEngine", "package import NIOCore", "import struct RoostAPI.Job"):
            (planted / "Bad.swift").write_text(f"import RoostPrimitives\n\n{bad}\n")
            findings = list(check_imports(root))
            assert len(findings) == 1 and "Sources/QMP/Bad.swift:3:" in findings[0], f"{bad}: {findings}"
        (root / "Sources" / "Newcomer").mkdir()
        assert any("Newcomer" in finding for finding in check_imports(root)), "an unknown target is not found"
    package = {"targets": [{"name": "QMP", "type": "regular", "dependencies": [{"byName": ["HostEngine", None]}]}]}
    assert list(check_package(package)) == ["Package.swift: QMP must not depend on HostEngine"]


def main():
    self_test()
    if sys.argv[1:] == ["--self-test"]:
        return
    root = pathlib.Path(__file__).resolve().parent.parent
    findings = [*check_order(), *check_imports(root), *check_package(manifest(root))]
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)


main()
