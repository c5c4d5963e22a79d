"""The command `machine`: the published machine on standard output, and the files that are made of it.

Needs no running system. `--json` prints one JSON value. `--write` makes docs/order-machine.json and .md anew,
and refuses where the machine has changed and its version has not (PM-5); `--check` writes nothing and exits 1
with a sentence for each file that is stale. Wrong arguments: exit 2, one JSON object on standard error.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Final, NoReturn

from services.orders.machine_page import page
from services.orders.order.publication import Json, publication, taken_away

ROOT: Final = Path(__file__).parents[2]
PUBLISHED: Final = Path("docs/order-machine.json")
PAGE: Final = Path("docs/order-machine.md")


class _Wrong(Exception):
    """Arguments that this command does not take; the message is a sentence."""


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Wrong(f"{message[:1].upper()}{message[1:]}.")


def main(argv: list[str], root: Path = ROOT) -> int:
    """Print, check or write; `argv` is what follows the word `machine`."""
    parser = _Arguments(prog="machine", description=__doc__, allow_abbrev=False)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--json", action="store_true", help="print the machine as one JSON value")
    asked.add_argument("--check", action="store_true", help="say which file is stale; write nothing")
    asked.add_argument("--write", action="store_true", help="make the files anew")
    try:
        given = parser.parse_args(argv)
    except _Wrong as wrong:
        fault = {"code": "BAD_ARGUMENTS", "field": "arguments", "message": str(wrong)}
        sys.stderr.write(json.dumps(fault) + "\n")
        return 2
    machine = publication()
    if given.json:
        sys.stdout.write(json.dumps(machine) + "\n")
        return 0
    faults = unversioned(root, machine)
    if given.check:
        faults += stale(root, machine)
    elif not faults:
        for path, text in generated(machine).items():
            (root / path).write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")
    for said in faults:
        sys.stderr.write(f"{said}\n")
    return 1 if faults else 0


def generated(machine: Json) -> dict[Path, str]:
    """The files that are made of the machine, and their content."""
    return {PUBLISHED: as_text(machine), PAGE: page(machine)}


def as_text(machine: Json) -> str:
    """The machine as it is checked in: one line for each row and each state, so that a change can be read."""
    said = ["{"]
    for name, value in machine.items():
        if name == "reduced":
            said += [
                '"reduced": {',
                f'"counts": {_line(value["counts"])},',
                '"states": [',
                _lines(value["states"]),
                "]}}",
            ]
        elif isinstance(value, list):
            said += [f'"{name}": [', _lines(value), "],"]
        else:
            said.append(f'"{name}": {_line(value)},')
    return "\n".join(said) + "\n"


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(values: list[Json]) -> str:
    return ",\n".join(_line(value) for value in values)


def stale(root: Path, machine: Json) -> list[str]:
    """One sentence for each file that is missing or not as it would be made now."""
    return [
        f"{path} is stale; run `python -m services.orders machine --write`."
        for path, text in generated(machine).items()
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != text
    ]


def unversioned(root: Path, machine: Json) -> list[str]:
    """One sentence for each change of the machine that its version does not tell of (PM-5)."""
    if not (root / PUBLISHED).exists():
        return []
    before = json.loads((root / PUBLISHED).read_text(encoding="utf-8"))
    if before == machine:
        return []
    old, new = _numbers(before), _numbers(machine)
    if new[0] > old[0]:
        return []
    gone = taken_away(before, machine)
    if gone:
        return [*gone, f"That is a breaking change: the version after {before['version']} is {old[0] + 1}.0."]
    if new <= old:
        return [f"The machine has changed: the version after {before['version']} is {old[0]}.{old[1] + 1}."]
    return []


def _numbers(machine: Json) -> tuple[int, int]:
    major, minor = machine["version"].split(".")
    return int(major), int(minor)
