"""The AsyncAPI document is one by AsyncAPI's own schema, and says of each topic and event what is so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from libs.events.asyncapi import MESSAGES, document, topics_of
from libs.events.command_messages import COMMAND_MESSAGES
from libs.events.examples import EXAMPLES
from libs.events.generate import ASYNCAPI, ROOT
from libs.events.topics import ORDERS_ORDERS, TOPICS
from libs.events.upcasts import CURRENT

OFFICIAL = json.loads((Path(__file__).parent / "asyncapi" / "asyncapi-3.0.0.json").read_text())
CHECKED_IN = json.loads((ROOT / ASYNCAPI).read_text())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    if isinstance(node, list):
        for each in node:
            yield from references(each)


def resolved(reference: str, whole: Any) -> Any:
    found = whole
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def payload_faults(message: dict[str, Any], part: str, whole: Any) -> list[str]:
    """What is wrong with a message's first example, by the schema that the document gives it."""
    schema = {**message[part], "components": whole["components"]}
    checker = jsonschema.Draft7Validator(schema)
    return [fault.message for fault in checker.iter_errors(message["examples"][0][part])]


def test_the_document_is_one_by_the_official_schema() -> None:
    jsonschema.Draft7Validator(OFFICIAL).validate(CHECKED_IN)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spoilt: spoilt.pop("info"),
        lambda spoilt: spoilt.update(asyncapi="3"),
        lambda spoilt: spoilt["channels"][ORDERS_ORDERS.name].update(adress="x"),
        lambda spoilt: next(iter(spoilt["operations"].values())).update(action="publish"),
        lambda spoilt: next(iter(spoilt["components"]["messages"].values())).update(headers="none"),
    ],
    ids=["no info", "unknown version", "misspelt key", "unknown action", "headers are no schema"],
)
def test_the_official_schema_refuses_what_is_wrong(spoil: Any) -> None:
    spoilt = json.loads(json.dumps(CHECKED_IN))
    spoil(spoilt)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(OFFICIAL).validate(spoilt)


def test_every_reference_leads_somewhere() -> None:
    found = set(references(CHECKED_IN))
    assert len(found) > len(CURRENT)
    for reference in found:
        assert resolved(reference, CHECKED_IN) is not None, reference


def test_there_is_a_channel_for_every_topic_and_a_message_for_every_event() -> None:
    assert CHECKED_IN["channels"].keys() == {topic.name for topic in TOPICS}
    assert CHECKED_IN["components"]["messages"].keys() >= CURRENT.keys()
    carried = {ce_type for types in topics_of(TOPICS, MESSAGES).values() for ce_type in types}
    assert carried >= CURRENT.keys()


def test_every_topic_says_what_it_carries() -> None:
    silent = [name for name, channel in CHECKED_IN["channels"].items() if not channel["messages"]]
    assert silent == []


@pytest.mark.parametrize("message", COMMAND_MESSAGES.values(), ids=lambda message: message["name"])
def test_commands_and_their_answers_are_as_their_messages_say(message: dict[str, Any]) -> None:
    assert payload_faults(message, "headers", CHECKED_IN) == []
    assert payload_faults(message, "payload", CHECKED_IN) == []


def test_an_operation_names_only_messages_of_its_channel() -> None:
    for name, operation in CHECKED_IN["operations"].items():
        channel = operation["channel"]["$ref"]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/"), name


@pytest.mark.parametrize("ce_type", sorted(CURRENT))
def test_every_example_is_as_its_message_says(ce_type: str) -> None:
    message = CHECKED_IN["components"]["messages"][ce_type]
    assert payload_faults(message, "headers", CHECKED_IN) == []
    assert payload_faults(message, "payload", CHECKED_IN) == []


@pytest.mark.parametrize("ce_type", sorted(CURRENT))
def test_what_the_published_schema_refuses_the_document_refuses_too(ce_type: str) -> None:
    message = json.loads(json.dumps(CHECKED_IN["components"]["messages"][ce_type]))
    message["examples"][0]["payload"]["added_later"] = 1
    message["examples"][0]["headers"]["ce_type"] = "another"
    assert payload_faults(message, "headers", CHECKED_IN) != []
    assert payload_faults(message, "payload", CHECKED_IN) != []


def test_two_models_of_one_name_are_told_apart() -> None:
    made = document(TOPICS, EXAMPLES)
    lines = [name for name in made["components"]["schemas"] if name.endswith(".Goods")]
    assert len(lines) == len({json.dumps(made["components"]["schemas"][name]) for name in lines})
