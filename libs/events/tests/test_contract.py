"""Every golden file of every version still decodes, as its schema says and with fields nobody knows yet."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from libs.events.channels import FACTS, Fact
from libs.events.envelope import FACT_BYTES_MAX, event_name
from libs.events.examples import EXAMPLES
from libs.events.generate import SCHEMAS
from libs.events.orders import EVENTS
from libs.events.upcasts import CURRENT, STEPS, read

ROOT = Path(__file__).parents[3]
GOLDEN = sorted(Path(__file__).parent.glob("golden/*.json"), key=lambda path: path.name)
golden_files = pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)


def with_unknown_fields(value: Any) -> Any:
    """The same value with a field that nobody knows in every object."""
    if isinstance(value, list):
        return [with_unknown_fields(each) for each in value]
    if isinstance(value, dict):
        return {name: with_unknown_fields(each) for name, each in value.items()} | {"added_later": {"a": [1]}}
    return value


def keys_of(value: Any) -> set[str]:
    if isinstance(value, list):
        return {name for each in value for name in keys_of(each)}
    if isinstance(value, dict):
        return set(value) | {name for each in value.values() for name in keys_of(each)}
    return set()


@golden_files
def test_every_golden_file_decodes_and_a_current_one_encodes_to_itself(path: Path) -> None:
    body = path.read_bytes()
    event = read(path.stem, body)
    assert event is not None
    if path.stem in CURRENT:
        assert json.loads(event.to_json()) == json.loads(body)


@golden_files
def test_every_golden_file_is_as_its_closed_schema_says(path: Path) -> None:
    schema = json.loads((ROOT / SCHEMAS / path.name).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(path.read_text()), schema)


@golden_files
def test_unknown_fields_are_tolerated_at_every_depth(path: Path) -> None:
    body = json.loads(path.read_text())
    assert read(path.stem, json.dumps(with_unknown_fields(body)).encode()) == read(
        path.stem, path.read_bytes()
    )


@golden_files
def test_a_closed_schema_refuses_a_field_it_does_not_know(path: Path) -> None:
    schema = json.loads((ROOT / SCHEMAS / path.name).read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(path.read_text()) | {"added_later": 1}, schema)


def test_there_is_a_golden_file_for_every_event_and_none_without_one() -> None:
    names = {path.stem for path in GOLDEN}
    assert names >= CURRENT.keys()
    assert names <= CURRENT.keys() | STEPS.keys()


def test_every_event_has_one_literal_example() -> None:
    assert EXAMPLES.keys() == CURRENT.keys()
    assert all(type(example) is CURRENT[ce_type] for ce_type, example in EXAMPLES.items())


def test_every_event_says_in_one_sentence_what_it_means() -> None:
    for ce_type, event in CURRENT.items():
        said = " ".join((event.__doc__ or "").split())
        assert said.endswith("."), ce_type
        assert 10 < len(said) <= 200, ce_type
        assert ". " not in said, ce_type


def test_names_in_the_tables_are_the_classes_own() -> None:
    assert [event_name(event.ce_type()) for event in FACTS.values()] == list(FACTS)
    assert [event_name(event.ce_type()) for event in EVENTS.values()] == list(EVENTS)


def test_a_type_that_is_not_known_is_skipped() -> None:
    assert read("jejak.channels.SomethingElse.v1", b"{}") is None
    assert read("com.example.thing", b"not even JSON") is None


@pytest.mark.parametrize("name", sorted(FACTS))
def test_every_key_of_a_fact_is_always_there(name: str) -> None:
    body = json.loads(EXAMPLES[f"jejak.channels.{name}.v1"].to_json())
    assert body.keys() == Fact.model_fields.keys()
    for key in body:
        with pytest.raises(ValidationError):
            FACTS[name].model_validate_json(json.dumps({k: v for k, v in body.items() if k != key}))


def test_a_fact_states_only_what_is_stated() -> None:
    for name in FACTS:
        data = json.loads(EXAMPLES[f"jejak.channels.{name}.v1"].to_json())["data"]
        assert name == "ExpectedFeesFrozen" or None not in data.values()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("occurrence", "1"),
        ("approximate", 1),
        ("order", 712),
        ("occurred_at", "2026-03-05 07:59:26"),
        ("scope", {}),
    ],
)
def test_no_value_is_converted_into_another_type(field: str, value: Any) -> None:
    body = json.loads(EXAMPLES["jejak.channels.ShipmentBooked.v1"].to_json()) | {field: value}
    with pytest.raises(ValidationError):
        FACTS["ShipmentBooked"].model_validate_json(json.dumps(body))


def test_no_event_holds_data_of_a_buyer() -> None:
    personal = {
        "buyer",
        "recipient",
        "phone",
        "email",
        "address",
        "district",
        "postal_code",
        "note",
        "customer",
    }
    for ce_type, example in EXAMPLES.items():
        assert not keys_of(json.loads(example.to_json())) & personal, ce_type


def test_examples_fit_a_record() -> None:
    assert all(len(example.to_json()) <= FACT_BYTES_MAX for example in EXAMPLES.values())


@pytest.mark.parametrize(
    ("buyer", "taken"),
    [
        ("eyJhbGciOiJBMjU2S1cifQ.a1.b2.c3.d4", True),
        ("Sari Contoh", False),
        ({"name": "Sari Contoh"}, False),
        ("a.b.c", False),
    ],
)
def test_pd_4_what_a_fact_says_of_a_buyer_is_one_compact_jwe(buyer: Any, taken: bool) -> None:
    body = json.loads(EXAMPLES["jejak.channels.OrderPlaced.v1"].to_json())
    text = json.dumps(body | {"data": body["data"] | {"buyer": buyer}})
    if taken:
        assert json.loads(FACTS["OrderPlaced"].model_validate_json(text).to_json())["data"]["buyer"] == buyer
    else:
        with pytest.raises(ValidationError):
            FACTS["OrderPlaced"].model_validate_json(text)
