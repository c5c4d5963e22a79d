"""Planted changes: every one that breaks a reader or the history is named, every harmless one passes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from libs.events.compatibility import breaking, broken
from libs.events.generate import ROOT, released
from libs.events.json_schema import Schema, schema_of
from libs.events.orders import EVENTS

OLD: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:jejak:schema:jejak.tries.ParcelWeighed.v1",
    "$defs": {
        "Detail": {
            "description": "A side of the parcel.",
            "type": "object",
            "properties": {
                "colour": {"type": "string", "enum": ["RED", "BLUE"]},
                "size": {"type": "integer", "minimum": 1},
            },
            "required": ["colour"],
            "additionalProperties": False,
        }
    },
    "description": "A parcel was weighed.",
    "type": "object",
    "properties": {
        "grams": {"type": "integer", "minimum": 0, "description": "Its weight."},
        "at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
        "scale": {"type": "string", "const": "FLOOR"},
        "note": {"type": "string"},
        "by": {"anyOf": [{"type": "string", "enum": ["ROBOT", "PERSON"]}, {"type": "null"}]},
        "details": {"type": "array", "items": {"$ref": "#/$defs/Detail"}},
    },
    "required": ["grams", "at", "scale", "by", "details"],
    "additionalProperties": False,
}
Change = Callable[[Schema], Any]


def after(change: Change) -> Schema:
    schema: Schema = json.loads(json.dumps(OLD))
    change(schema)
    return schema


def field(schema: Schema, name: str) -> Schema:
    found: Schema = schema["properties"][name]
    return found


def detail(schema: Schema, name: str) -> Schema:
    found: Schema = schema["$defs"]["Detail"]["properties"][name]
    return found


HARMLESS: dict[str, Change] = {
    "nothing": lambda schema: None,
    "a new field that may be left out": lambda schema: schema["properties"].update(box={"type": "string"}),
    "a new nested field that may be left out": lambda schema: schema["$defs"]["Detail"]["properties"].update(
        edge={"type": "integer"}
    ),
    "a new value of a closed set": lambda schema: detail(schema, "colour")["enum"].append("GREEN"),
    "a second value beside a constant": lambda schema: schema["properties"].update(
        scale={"type": "string", "enum": ["FLOOR", "BENCH"]}
    ),
    "a new value of a closed set that may be null": lambda schema: field(schema, "by")["anyOf"][0][
        "enum"
    ].append("SCALE"),
    "another explanation": lambda schema: field(schema, "grams").update(description="What it weighs."),
    "an example": lambda schema: field(schema, "grams").update(examples=[250]),
    "a field that is advised against": lambda schema: field(schema, "note").update(deprecated=True),
    "another order of fields": lambda schema: schema.update(
        properties=dict(reversed(schema["properties"].items())), required=schema["required"][::-1]
    ),
    "another order of choices": lambda schema: field(schema, "at")["anyOf"].reverse(),
    "a definition that is written in place": lambda schema: field(schema, "details").update(
        items=schema["$defs"]["Detail"]
    ),
    "a definition of another name": lambda schema: (
        schema["$defs"].update(Side=schema["$defs"].pop("Detail")),
        field(schema, "details").update(items={"$ref": "#/$defs/Side"}),
    ),
}

BREAKING: dict[str, tuple[Change, str]] = {
    "a removed field": (lambda schema: schema["properties"].pop("note"), "note is lost"),
    "a removed nested field": (
        lambda schema: schema["$defs"]["Detail"]["properties"].pop("size"),
        "details[].size is lost",
    ),
    "a renamed field": (
        lambda schema: schema["properties"].update(remark=schema["properties"].pop("note")),
        "note is lost",
    ),
    "another type": (
        lambda schema: field(schema, "grams").update(type="number"),
        "grams changes its type from integer to number",
    ),
    "another nested type": (
        lambda schema: detail(schema, "size").update(type="string"),
        "details[].size changes its type from integer to string",
    ),
    "a field that becomes required": (
        lambda schema: schema["required"].append("note"),
        "note becomes required",
    ),
    "a new field that is required": (
        lambda schema: (
            schema["properties"].update(box={"type": "string"}),
            schema["required"].append("box"),
        ),
        "box becomes required",
    ),
    "a new nested field that is required": (
        lambda schema: (
            schema["$defs"]["Detail"]["properties"].update(edge={"type": "integer"}),
            schema["$defs"]["Detail"]["required"].append("edge"),
        ),
        "details[].edge becomes required",
    ),
    "a field that may be left out from now on": (
        lambda schema: schema["required"].remove("grams"),
        "grams becomes optional",
    ),
    "a value that is lost": (
        lambda schema: detail(schema, "colour")["enum"].remove("RED"),
        "details[].colour loses the value RED",
    ),
    "a constant that changes": (
        lambda schema: field(schema, "scale").update(const="BENCH"),
        "scale loses the value FLOOR",
    ),
    "a set that is closed": (
        lambda schema: field(schema, "note").update(enum=["FRAGILE"]),
        "note becomes a closed set",
    ),
    "a set that is opened": (
        lambda schema: detail(schema, "colour").pop("enum"),
        "details[].colour stops being a closed set",
    ),
    "null that was not there": (
        lambda schema: schema["properties"].update(note={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "note gains a type",
    ),
    "null that goes": (
        lambda schema: schema["properties"].update(at={"type": "string", "format": "date-time"}),
        "at loses or changes one of its types (null)",
    ),
    "a value that is lost where null may stand": (
        lambda schema: field(schema, "by")["anyOf"][0]["enum"].remove("ROBOT"),
        "by loses or changes one of its types (string)",
    ),
    "another format": (
        lambda schema: field(schema, "at")["anyOf"][0].update(format="date"),
        "at loses or changes one of its types (string)",
    ),
    "a higher least value": (
        lambda schema: field(schema, "grams").update(minimum=1),
        "grams changes its minimum from 0 to 1",
    ),
    "a length that is bounded now": (
        lambda schema: field(schema, "note").update(maxLength=10),
        "note changes its maxLength from None to 10",
    ),
    "a list that becomes a single value": (
        lambda schema: schema["properties"].update(details={"$ref": "#/$defs/Detail"}),
        "details changes its type from array to object",
    ),
    "an object that becomes open": (
        lambda schema: schema.pop("additionalProperties"),
        "the event changes its additionalProperties",
    ),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS.keys())
def test_a_harmless_change_passes(change: Change) -> None:
    assert breaking(OLD, after(change)) == []


@pytest.mark.parametrize(("change", "said"), BREAKING.values(), ids=BREAKING.keys())
def test_a_breaking_change_is_named(change: Change, said: str) -> None:
    assert said in breaking(OLD, after(change))


def test_a_new_event_passes_and_a_lost_one_breaks_unless_a_step_leads_on_from_it() -> None:
    first, second = "jejak.tries.ParcelWeighed.v1", "jejak.tries.ParcelWeighed.v2"
    assert broken({first: OLD}, {first: OLD, "jejak.tries.ParcelMeasured.v1": OLD}, ()) == []
    assert broken({first: OLD}, {}, ()) == [f"{first} is gone, and no step in upcasts.py leads on from it."]
    assert broken({first: OLD}, {second: {}}, {first}) == []


def test_every_fault_of_every_type_is_told() -> None:
    lost = after(lambda schema: schema["properties"].pop("note"))
    both = broken({"b": OLD, "a": OLD}, {"a": lost, "b": lost}, ())
    assert both == ["a: note is lost.", "b: note is lost."]


def test_the_contract_of_today_breaks_when_a_released_event_of_ours_loses_a_field() -> None:
    baseline = released(ROOT)
    current = {event.ce_type(): schema_of(event) for event in EVENTS.values()}
    known = {ce_type: schema for ce_type, schema in baseline.items() if ce_type.startswith("jejak.orders.")}
    assert broken(known, current, ()) == []
    placed = json.loads(json.dumps(current["jejak.orders.OrderPlaced.v1"]))
    del placed["properties"]["city"]
    spoilt = current | {"jejak.orders.OrderPlaced.v1": placed}
    assert broken(known, spoilt, ()) == ["jejak.orders.OrderPlaced.v1: city is lost."]
