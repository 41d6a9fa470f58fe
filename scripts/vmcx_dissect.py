#!/usr/bin/env python3
"""Print a HyperVStorage file (.vmcx, .vmrs) with dissect.hypervisor, a reader that shares nothing with Roost.

    vmcx_dissect.py FILE             the key tree as JSON; siblings in stored order, repeated names kept
    vmcx_dissect.py --summary FILE   name, generation, configuration version and memory in MB
"""

import base64
import json
import sys

from dissect.hypervisor.descriptor.hyperv import HyperVFile


def value(entry):
    data = entry.value
    if isinstance(data, (bytes, memoryview)):
        return {"base64": base64.b64encode(bytes(data)).decode("ascii")}
    return data


def index(file):
    """Each entry's children, and the root's under None, in insertion order.

    The reader's own dictionaries keep one of several siblings with the same name, so its tables are walked instead.
    """
    children = {}
    for tables in file.key_tables.values():
        for entry in tables[0].entries:
            if entry.type.name != "Free":
                children.setdefault(place(entry.parent), []).append(entry)
    for siblings in children.values():
        siblings.sort(key=lambda entry: entry.header.insertion_sequence)
    return children


def place(entry):
    return (entry.table.index, entry.offset) if entry is not None else None


def tree(entry, children):
    """A key as [name, type, value or null, children]."""
    is_node = entry.type.name == "Node"
    below = [tree(child, children) for child in children.get(place(entry), [])]
    return [entry.key, entry.type.name, None if is_node else value(entry), below]


def main():
    arguments = sys.argv[1:]
    summary = arguments[:1] == ["--summary"]
    if len(arguments) != 1 + summary:
        sys.exit(__doc__)
    with open(arguments[-1], "rb") as handle:
        file = HyperVFile(handle)
        if summary:
            configuration = file.as_dict()["configuration"]
            properties = configuration["properties"]
            print(f"name: {properties['name']}")
            print(f"generation: {properties['subtype'] + 1}")
            print(f"version: {properties['version'] >> 8}.{properties['version'] & 0xFF}")
            print(f"memory: {configuration['settings']['memory']['bank']['size']} MB")
        else:
            children = index(file)
            print(json.dumps([tree(entry, children) for entry in children.get(None, [])]))


main()
