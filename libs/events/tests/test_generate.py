"""What is made from the contract is fresh, and a change that breaks readers or history is refused."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest

from libs.events import generate
from libs.events.json_schema import schema_of
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


def test_the_published_schema_is_closed_and_named() -> None:
    schema = schema_of(Tried)
    assert schema["$id"] == "urn:jejak:schema:jejak.tries.Tried.v1"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Detail"]["additionalProperties"] is False
    assert schema["required"] == ["name", "at", "details"]


def test_what_may_be_left_out_is_never_null() -> None:
    assert schema_of(Tried)["$defs"]["Detail"]["properties"]["size"] == {"type": "integer"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is checked in, to break."""
    for part in (generate.SCHEMAS, generate.GOLDEN, generate.RELEASED):
        shutil.copytree(generate.ROOT / part, tmp_path / part)
    (tmp_path / "docs").mkdir()
    for page in ("events.md", "topics.md"):
        shutil.copy(generate.ROOT / "docs" / page, tmp_path / "docs" / page)
    shutil.copy(generate.ROOT / generate.ASYNCAPI, tmp_path / generate.ASYNCAPI)
    return tmp_path


SCHEMA = generate.SCHEMAS / "jejak.channels.ShipmentBooked.v1.json"
RELEASED = generate.RELEASED / "jejak.channels.ShipmentBooked.v1.json"


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


def test_a_breaking_change_of_a_released_event_is_refused(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(checkout / RELEASED, carrier={"type": "string"})
    before = (checkout / SCHEMA).read_text()
    for arguments in (["--check"], [], ["--release"]):
        assert generate.main(arguments, checkout) == 1
        assert "jejak.channels.ShipmentBooked.v1: carrier is lost." in capsys.readouterr().err
    assert (checkout / SCHEMA).read_text() == before


def test_an_event_that_is_not_released_may_change(checkout: Path) -> None:
    (checkout / RELEASED).unlink()
    edit(checkout / SCHEMA, carrier={"type": "string"})
    assert generate.main([], checkout) == 0
    assert generate.main(["--check"], checkout) == 0


def test_a_release_takes_in_todays_schemas_and_nothing_is_broken_after_it(checkout: Path) -> None:
    (checkout / RELEASED).unlink()
    assert generate.main(["--release"], checkout) == 0
    assert (checkout / RELEASED).read_text() == (checkout / SCHEMA).read_text()
    assert generate.main(["--check"], checkout) == 0


def test_a_released_type_that_vanishes_without_a_step_is_refused(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(checkout / RELEASED, checkout / generate.RELEASED / "jejak.channels.ParcelTeleported.v1.json")
    assert generate.main(["--check"], checkout) == 1
    assert "jejak.channels.ParcelTeleported.v1 is gone" in capsys.readouterr().err
