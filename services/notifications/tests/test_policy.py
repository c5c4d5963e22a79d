"""Given what is known of an order, when an event comes, then this message or silence."""

import re

import pytest

from libs.events.orders import EVENTS
from services.notifications.messages import TEXTS, sentence
from services.notifications.policy import TOLD, Kind, Order, message_of

ORDER = Order(seller="seller-1", number="LZ-1001", channel="lazada")


@pytest.mark.parametrize(("event", "kind"), sorted(TOLD.items()))
def test_the_seller_hears_of_what_the_table_names(event: str, kind: Kind) -> None:
    message = message_of(event, ORDER)
    assert message is not None
    assert (message.recipient, message.kind) == ("seller-1", kind)


@pytest.mark.parametrize("event", ["OrderAdvanced", "PaymentSucceeded", "AwbIssued", "NeverHeardOf"])
def test_everything_else_is_silence(event: str) -> None:
    assert message_of(event, ORDER) is None


@pytest.mark.parametrize("event", sorted(TOLD))
def test_a_step_that_is_only_concluded_is_silence(event: str) -> None:
    assert message_of(event, ORDER, implied=True) is None


def test_an_order_that_nobody_knows_is_silence() -> None:
    assert message_of("OrderCancelled", None) is None


def test_every_event_of_the_table_is_public() -> None:
    assert set(TOLD) <= set(EVENTS)


@pytest.mark.parametrize("event", sorted(TOLD))
def test_every_message_has_a_sentence_in_both_languages(event: str) -> None:
    message = message_of(event, ORDER)
    assert message is not None
    said = sentence(message.text, message.values)
    assert said["en"] != said["id"]
    assert "LZ-1001" in said["en"]
    assert "LZ-1001" in said["id"]


def test_sentences_name_nothing_but_the_order_and_its_channel() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"{(\w*)}", text["en"] + text["id"])}
    assert named == {"number", "channel"}


def test_a_number_with_braces_is_shown_as_it_is() -> None:
    said = sentence("order_completed", {"number": "{channel}", "channel": "lazada"})
    assert said["en"] == "Order {channel} is completed."


def test_every_kind_has_a_text_and_no_text_is_orphaned() -> None:
    assert {kind.value.lower() for kind in Kind} == set(TEXTS)
