"""Makes what is made from the contract: `python -m libs.events.generate [--check | --release]`.

Schemas, the AsyncAPI document, docs/events.md and docs/topics.md are written anew; a golden file is written
once and never again. The schemas in `libs/events/released` are the baseline: a change that breaks one is
refused, because its records lie in topics and archives. Such a change is a new major of the class with a step
in `upcasts.py`. `--release` takes the schemas of today into the baseline; it never takes one out.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from libs.events import compatibility
from libs.events.actions import ACTIONS, ENDS
from libs.events.asyncapi import document
from libs.events.channels import FACTS
from libs.events.examples import EXAMPLES
from libs.events.json_schema import Schema, schema_of
from libs.events.orders import EVENTS
from libs.events.products import PRODUCTS
from libs.events.reference import events_page, topics_page
from libs.events.topics import TOPICS
from libs.events.upcasts import CURRENT, STEPS
from libs.events.wire import PublicEvent

ROOT: Final = Path(__file__).parents[2]
SCHEMAS: Final = Path("libs/events/schemas")
RELEASED: Final = Path("libs/events/released")
ASYNCAPI: Final = Path("libs/events/asyncapi.json")
GOLDEN: Final = Path("libs/events/tests/golden")


def as_text(value: Any) -> str:
    """JSON as it is checked in."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def generated() -> dict[Path, str]:
    """Every file that is made anew each time, and its content."""
    files = {SCHEMAS / f"{ce_type}.json": as_text(schema_of(event)) for ce_type, event in CURRENT.items()}
    files[ASYNCAPI] = as_text(document(TOPICS, EXAMPLES))
    files[Path("docs/events.md")] = events_page(
        list(FACTS.values()),
        list(EVENTS.values()),
        list(ACTIONS.values()),
        list(ENDS.values()),
        list(PRODUCTS.values()),
        examples=EXAMPLES,
    )
    files[Path("docs/topics.md")] = topics_page(TOPICS)
    return files


def golden(examples: Mapping[str, PublicEvent] = EXAMPLES) -> dict[Path, str]:
    """The golden file of every current event, as it would be written the first time."""
    return {
        GOLDEN / f"{ce_type}.json": as_text(json.loads(event.to_json()))
        for ce_type, event in examples.items()
    }


def broken(root: Path, files: Mapping[Path, str]) -> list[str]:
    """One sentence for each change that would break a released schema."""
    current = {path.stem: json.loads(text) for path, text in files.items() if path.parent == SCHEMAS}
    return compatibility.broken(released(root), current, STEPS.keys())


def released(root: Path) -> dict[str, Schema]:
    """The schemas that others rely on, by type."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((root / RELEASED).glob("jejak.*.json"))
    }


def to_release(files: Mapping[Path, str]) -> dict[Path, str]:
    """The baseline as it would be after a release of today's schemas."""
    return {RELEASED / path.name: text for path, text in files.items() if path.parent == SCHEMAS}


def stale(root: Path, files: Mapping[Path, str]) -> list[str]:
    """One sentence for each file that is missing or not as it would be made now."""
    said = [
        f"{path} is stale."
        for path, content in files.items()
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != content
    ]
    return said + [f"{path} is missing." for path in golden() if not (root / path).exists()]


def write(root: Path, files: Mapping[Path, str]) -> list[Path]:
    """Write what has changed and every golden file that is missing; gives what was written."""
    wanted = dict(files) | {path: text for path, text in golden().items() if not (root / path).exists()}
    written: list[Path] = []
    for path, content in wanted.items():
        target = root / path
        if target.exists() and target.read_text(encoding="utf-8") == content:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
        written.append(path)
    return written


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Exit 0 when everything is fresh and nothing breaks, 1 with a sentence for each thing otherwise."""
    parser = argparse.ArgumentParser(prog="python -m libs.events.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; say what is stale or breaking")
    parser.add_argument("--release", action="store_true", help="take today's schemas into the baseline")
    asked = parser.parse_args(arguments)
    files = generated()
    faults = broken(root, files)
    if asked.check:
        faults += stale(root, files)
        if faults:
            faults.append("Run `python -m libs.events.generate`; a breaking change needs a new major.")
    elif faults:
        faults.append("Nothing was written: a breaking change needs a new major and a step in upcasts.py.")
    else:
        files |= to_release(files) if asked.release else {}
        for path in write(root, files):
            sys.stdout.write(f"wrote {path}\n")
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
