"""The OpenAPI documents are fresh and whole: every door says what it answers, and its example is one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from fastapi.openapi.models import OpenAPI

from deploy import openapi
from libs.runtime.openapi import operations
from services.channels.answer_shapes import ANSWERS as CHANNELS
from services.inventory.answer_shapes import ANSWERS as INVENTORY
from services.notifications.answer_shapes import ANSWERS as NOTIFICATIONS
from services.orders.answer_shapes import ANSWERS as ORDERS
from services.orders.command_examples import COMMAND_EXAMPLES
from services.orders.order.commands import COMMANDS

DESCRIBED = {
    "orders": ORDERS,
    "channels": CHANNELS,
    "inventory": INVENTORY,
    "notifications": NOTIFICATIONS,
}
# Public keys are public.
OPEN = {"GET /.well-known/jwks.json"}
JSON_TYPES = ("application/json", "application/problem+json")


def checked_in(service: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((openapi.ROOT / openapi.FOLDER / f"{service}.json").read_text())
    return found


def contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every shape of a body that an operation answers, under a name that says whose."""
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            for media, content in response.get("content", {}).items():
                assert media in JSON_TYPES, f"{name} {status}: {media}"
                yield f"{name} {status}", content


def test_what_is_checked_in_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert openapi.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_document_is_named_and_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert openapi.main([], tmp_path) == 0
    (tmp_path / openapi.FOLDER / "orders.json").write_text("{}\n")
    assert openapi.main(["--check"], tmp_path) == 1
    assert "docs/openapi/orders.json is stale" in capsys.readouterr().err
    assert openapi.main([], tmp_path) == 0
    assert openapi.main(["--check"], tmp_path) == 0


@pytest.mark.parametrize("service", DESCRIBED)
def test_a_document_is_one(service: str) -> None:
    document = checked_in(service)
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.1")


@pytest.mark.parametrize("service", DESCRIBED)
def test_every_door_says_what_it_answers_and_that_it_needs_a_token(service: str) -> None:
    silent = []
    for name, operation in operations(checked_in(service)):
        assert operation["summary"], name
        assert operation["security"] == ([] if name in OPEN else [{"bearer": []}]), name
        assert "application/problem+json" in operation["responses"]["default"]["content"], name
        good = [response for status, response in operation["responses"].items() if status.startswith("2")]
        shapes = [response.get("content", {}).get("application/json", {}) for response in good]
        silent += [name] * (not all(shape.get("schema") and "example" in shape for shape in shapes))
    assert silent == []


@pytest.mark.parametrize("service", DESCRIBED)
def test_every_example_is_as_its_shape_says(service: str) -> None:
    document = checked_in(service)
    for name, content in contents(document):
        schema = {**content["schema"], "components": document["components"]}
        faults = list(jsonschema.Draft202012Validator(schema).iter_errors(content["example"]))
        assert faults == [], name


@pytest.mark.parametrize("service", DESCRIBED)
def test_no_shape_is_left_of_a_door_that_is_gone(service: str) -> None:
    doors = {name for name, _ in operations(checked_in(service))}
    assert DESCRIBED[service].keys() - doors == set()


@pytest.mark.parametrize("service", DESCRIBED)
def test_every_body_that_is_taken_has_an_example_and_it_is_one(service: str) -> None:
    document = checked_in(service)
    for name, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = {**content["schema"], "components": document["components"]}
            faults = list(jsonschema.Draft202012Validator(schema).iter_errors(content["example"]))
            assert faults == [], name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_and_it_is_one(command: str) -> None:
    given = COMMAND_EXAMPLES[command]
    kind = COMMANDS[command]
    assert given.keys() <= set(kind.__struct_fields__)
    msgspec.convert(given, kind)
