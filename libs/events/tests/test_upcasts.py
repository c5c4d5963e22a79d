"""Old bodies are lifted step by step to the current version."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from libs.events.upcasts import CURRENT, STEPS, Body, lift, read
from libs.events.wire import PublicEvent


class ParcelWeighed(PublicEvent):
    """A made-up event in its third version."""

    publisher = "tries"
    major = 3

    grams: int
    by: str


def to_grams(body: Body) -> Body:
    return {"grams": round(body["kilos"] * 1000)}


def with_a_weigher(body: Body) -> Body:
    return body | {"by": "unknown"}


TRIED = {
    "jejak.tries.ParcelWeighed.v1": ("jejak.tries.ParcelWeighed.v2", to_grams),
    "jejak.tries.ParcelWeighed.v2": ("jejak.tries.ParcelWeighed.v3", with_a_weigher),
}
KNOWN = {ParcelWeighed.ce_type(): ParcelWeighed}


@pytest.mark.parametrize(
    ("version", "body", "by"),
    [(1, {"kilos": 1.25}, "unknown"), (2, {"grams": 1250}, "unknown"), (3, {"grams": 1250, "by": "A"}, "A")],
)
def test_every_version_reads_as_the_current_one(version: int, body: dict[str, Any], by: str) -> None:
    event = read(
        f"jejak.tries.ParcelWeighed.v{version}", json.dumps(body).encode(), steps=TRIED, current=KNOWN
    )
    assert event == ParcelWeighed(grams=1250, by=by)


def test_a_step_changes_nothing_it_was_given() -> None:
    body = {"grams": 1}
    assert lift("jejak.tries.ParcelWeighed.v2", body, TRIED)[1] == {"grams": 1, "by": "unknown"}
    assert body == {"grams": 1}


def test_what_has_no_step_is_given_back_as_it_is() -> None:
    assert lift("jejak.tries.Other.v1", {"a": 1}, TRIED) == ("jejak.tries.Other.v1", {"a": 1})


def test_a_body_that_breaks_the_contract_is_refused_after_its_steps() -> None:
    with pytest.raises(ValidationError):
        read("jejak.tries.ParcelWeighed.v2", b'{"grams": "many"}', steps=TRIED, current=KNOWN)


def test_every_step_leads_to_a_current_type_in_the_end() -> None:
    for old in STEPS:
        led_to, seen = old, {old}
        while led_to in STEPS:
            led_to = STEPS[led_to][0]
            assert led_to not in seen
            seen.add(led_to)
        assert led_to in CURRENT
