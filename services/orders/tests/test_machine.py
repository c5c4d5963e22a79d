"""The published machine: one form at every door, fresh files, and a version that tells of every change."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys
from libs.runtime.health import Health
from libs.runtime.settings import ApiKey
from services.orders.__main__ import main as orders
from services.orders.machine_api import machine_routes
from services.orders.machine_command import PAGE, PUBLISHED, ROOT, as_text, main, stale, unversioned
from services.orders.order.publication import publication, taken_away
from services.orders.order.reduced import MOVING_COMMANDS, MOVING_FACTS

MACHINE = publication()


def changed() -> dict[str, Any]:
    return copy.deepcopy(MACHINE)


def test_pm_3_each_state_has_its_headline_and_an_answer_for_every_command_and_fact() -> None:
    states = MACHINE["reduced"]["states"]
    known = [each["state"] for each in states]
    assert len(states) == 177
    for each in states:
        assert list(each["state"]) == [
            "method", "order", "request", "coverage", "transaction", "bill", "fulfilment", "awb",
        ]  # fmt: skip
        assert list(each["moves"]) == [*MOVING_COMMANDS, *MOVING_FACTS]
        for name, move in each["moves"].items():
            if move["allowed"]:
                assert move.keys() == {"allowed", "to"}
                assert move["to"]
                assert all(to in known for to in move["to"])
            else:
                assert move.keys() == {"allowed", "code"}
                assert (move["code"] == "RECORDED_ONLY") == (name in MOVING_FACTS)


def test_pm_3_every_code_that_a_move_answers_has_its_sentences() -> None:
    codes = {
        move["code"]
        for each in MACHINE["reduced"]["states"]
        for name, move in each["moves"].items()
        if not move["allowed"] and name in MOVING_COMMANDS
    }
    assert codes <= {row["code"] for row in MACHINE["refusals"]}


def test_pm_1_the_command_prints_one_json_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert orders(["machine", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == MACHINE
    assert said.err == ""


@pytest.mark.parametrize("argv", [[], ["--yaml"], ["--json", "--check"]])
def test_wrong_arguments_are_exit_2_and_one_json_object(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert json.loads(said.err).keys() == {"code", "field", "message"}


async def test_pm_3_the_api_serves_the_same_to_any_caller_and_tells_when_a_copy_is_good() -> None:
    async def status() -> Status:
        return Status(0, 0, 0, 0)

    digest = hashlib.sha256(b"a-courier").hexdigest()
    keys = ApiKeys([ApiKey(id="courier", sha256=digest, scopes=frozenset({"facts:courier"}), seller="s-1")])
    app = make_api("orders", keys, health=Health("orders"), status=status)
    app.include_router(machine_routes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/v1/order-machine")).status_code == 401
        client.headers["authorization"] = "Bearer a-courier"
        first = await client.get("/v1/order-machine")
        assert first.json() == MACHINE
        again = await client.get("/v1/order-machine", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = await client.get("/v1/order-machine", headers={"if-none-match": '"0.9"'})
        assert other.status_code == 200


def test_the_checked_in_files_are_fresh() -> None:
    assert stale(ROOT, MACHINE) == []
    assert unversioned(ROOT, MACHINE) == []
    assert json.loads((ROOT / PUBLISHED).read_text(encoding="utf-8")) == MACHINE


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A place whose files were made of another machine than ours."""
    before = changed()
    before["commands"][1]["indonesian"] = "Konfirmasikan"
    (tmp_path / "docs").mkdir()
    (tmp_path / PUBLISHED).write_text(as_text(before), encoding="utf-8")
    return tmp_path


def test_pm_5_a_stale_file_is_told_and_an_unversioned_change_is_not_written(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"], checkout) == 1
    said = capsys.readouterr().err
    assert f"{PUBLISHED} is stale" in said
    assert f"{PAGE} is stale" in said
    assert main(["--write"], checkout) == 1
    assert "the version after 1.1 is 1.2" in capsys.readouterr().err
    assert not (checkout / PAGE).exists()


def test_pm_5_a_machine_with_a_new_version_is_written(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert main(["--write"], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    now = changed()
    now["version"] = "1.2"
    assert unversioned(tmp_path, now) == []
    assert len(stale(tmp_path, now)) == 2


def test_pm_5_a_state_a_move_or_a_code_taken_away_is_a_breaking_change() -> None:
    assert taken_away(MACHINE, MACHINE) == []
    now = changed()
    del now["reduced"]["states"][5]
    now["reduced"]["states"][0]["moves"]["ConfirmOrder"] = {"allowed": False, "code": "ORDER_ON_HOLD"}
    now["reduced"]["states"][1]["moves"]["ShipOrder"]["code"] = "ORDER_ON_HOLD"
    now["refusals"] = [row for row in now["refusals"] if row["code"] != "NO_CASE"]
    said = taken_away(MACHINE, now)
    assert len(said) == 4
    assert any("NO_CASE" in each for each in said)


def test_pm_5_a_breaking_change_needs_a_new_first_number(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert main(["--write"], tmp_path) == 0
    now = changed()
    del now["reduced"]["states"][5]
    now["version"] = "1.2"
    assert unversioned(tmp_path, now)[-1].endswith("the version after 1.1 is 2.0.")
    now["version"] = "2.0"
    assert unversioned(tmp_path, now) == []
