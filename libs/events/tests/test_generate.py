"""What is made from the contract is fresh, and a change that breaks readers or history is refused."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest

from libs.events import generate
from libs.events.json_schema import Schema, breaking, schema_of
from libs.events.wire import Instant, PublicEvent, Stated


class Detail(Stated):
    colour: Literal["RED", "BLUE"]
    size: int | None = None


class Tried(PublicEvent):
    """An event made up for the test."""

    publisher = "tries"

    name: str
    at: Instant | None
    details: tuple[Detail, ...]
    note: str = ""


def changed(**fields: Any) -> Schema:
    """The schema of Tried with properties replaced, added, or (None) taken away."""
    schema = json.loads(json.dumps(schema_of(Tried)))
    for name, field in fields.items():
        if field is None:
            del schema["properties"][name]
        else:
            schema["properties"][name] = field
    return schema  # type: ignore[no-any-return]  # It came out of JSON a line above.


def test_the_published_schema_is_closed_and_named() -> None:
    schema = schema_of(Tried)
    assert schema["$id"] == "urn:jejak:schema:jejak.tries.Tried.v1"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Detail"]["additionalProperties"] is False
    assert schema["required"] == ["name", "at", "details"]


def test_what_may_be_left_out_is_never_null() -> None:
    assert schema_of(Tried)["$defs"]["Detail"]["properties"]["size"] == {"type": "integer"}


def test_an_unchanged_schema_and_a_new_optional_field_and_value_are_compatible() -> None:
    assert breaking(schema_of(Tried), schema_of(Tried)) == []
    assert breaking(schema_of(Tried), changed(added={"type": "string"})) == []
    wider = changed()
    wider["$defs"]["Detail"]["properties"]["colour"]["enum"].append("GREEN")
    assert breaking(schema_of(Tried), wider) == []


def test_a_lost_field_breaks() -> None:
    assert breaking(schema_of(Tried), changed(note=None)) == ["note is lost"]


def test_a_field_that_becomes_required_or_optional_breaks() -> None:
    stricter, looser = changed(), changed()
    stricter["required"].append("note")
    looser["required"].remove("name")
    assert breaking(schema_of(Tried), stricter) == ["note becomes required"]
    assert breaking(schema_of(Tried), looser) == ["name becomes optional"]


def test_a_new_field_that_is_required_breaks() -> None:
    schema = changed(added={"type": "string"})
    schema["required"].append("added")
    assert breaking(schema_of(Tried), schema) == ["added becomes required"]


def test_a_changed_type_breaks_wherever_it_lies() -> None:
    assert breaking(schema_of(Tried), changed(name={"type": "integer"})) == [
        "name changes its type from string to integer"
    ]
    nested = changed()
    nested["$defs"]["Detail"]["properties"]["size"] = {"type": "string"}
    assert breaking(schema_of(Tried), nested) == ["details[].size changes its type from integer to string"]
    assert breaking(schema_of(Tried), changed(at={"type": "string", "format": "date-time"})) != []
    assert breaking(schema_of(Tried), changed(name={"anyOf": [{"type": "string"}, {"type": "null"}]})) != []


def test_a_lost_value_of_a_closed_set_breaks() -> None:
    narrower = changed()
    narrower["$defs"]["Detail"]["properties"]["colour"]["enum"].remove("RED")
    assert breaking(schema_of(Tried), narrower) == ["details[].colour loses the value RED"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is checked in, to break."""
    for part in (generate.SCHEMAS, generate.GOLDEN):
        shutil.copytree(generate.ROOT / part, tmp_path / part)
    (tmp_path / "docs").mkdir()
    for page in ("events.md", "topics.md"):
        shutil.copy(generate.ROOT / "docs" / page, tmp_path / "docs" / page)
    return tmp_path


SCHEMA = generate.SCHEMAS / "jejak.channels.ShipmentBooked.v1.json"


def edit(path: Path, **replaced: Any) -> None:
    schema = json.loads(path.read_text())
    schema["properties"] |= replaced
    path.write_text(generate.as_text(schema))


def test_what_is_checked_in_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_stale_and_missing_files_are_named_and_made_again(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = generate.GOLDEN / "jejak.channels.OrderPlaced.v1.json"
    (checkout / "docs/topics.md").write_text("old\n")
    (checkout / SCHEMA).unlink()
    (checkout / golden).unlink()
    assert generate.main(["--check"], checkout) == 1
    said = capsys.readouterr().err
    assert all(str(name) in said for name in ("docs/topics.md is stale", SCHEMA, f"{golden} is missing"))
    assert generate.main([], checkout) == 0
    assert generate.main(["--check"], checkout) == 0


def test_a_golden_file_is_never_written_twice(checkout: Path) -> None:
    golden = checkout / generate.GOLDEN / "jejak.channels.OrderPlaced.v1.json"
    golden.write_text("{}\n")
    assert generate.main([], checkout) == 0
    assert golden.read_text() == "{}\n"


def test_a_breaking_change_is_refused_unless_asked_for(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(checkout / SCHEMA, carrier={"type": "string"})
    before = (checkout / SCHEMA).read_text()
    assert generate.main(["--check"], checkout) == 1
    assert generate.main([], checkout) == 1
    assert "jejak.channels.ShipmentBooked.v1: carrier is lost." in capsys.readouterr().err
    assert (checkout / SCHEMA).read_text() == before
    assert generate.main(["--new-major"], checkout) == 0
    assert generate.main(["--check"], checkout) == 0


def test_a_type_that_vanishes_without_a_step_is_refused(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(checkout / SCHEMA, checkout / generate.SCHEMAS / "jejak.channels.ParcelTeleported.v1.json")
    assert generate.main(["--check"], checkout) == 1
    assert "jejak.channels.ParcelTeleported.v1 is gone" in capsys.readouterr().err
