"""What an order keeps of its buyers, without opening any of it (MK-2, PD-1, PD-2)."""

from typing import Any

import msgspec
import pytest

from services.orders.order import events as e
from services.orders.order.buyer import FIELDS, completed, is_buyer_field, newest
from services.orders.order.channel_facts import judge
from services.orders.order.headline import view
from services.orders.order.words import Sealed
from services.orders.public_events import to_public
from services.orders.store import decode, encode
from services.orders.tests.facts import Played, fact, placement


def sealed(*names: str, key: str = "k1", masked: tuple[str, ...] = ()) -> Sealed:
    return Sealed(key=key, fields={name: f"{key}/{name}" for name in names}, masked=masked)


def told(fact_: Any, buyer: Sealed | None) -> Any:
    return msgspec.structs.replace(fact_, buyer=buyer)


def test_pd_1_a_field_has_its_class_by_name() -> None:
    assert all(is_buyer_field(name) for name in (*FIELDS, "line_notes/712345679001001"))
    assert not any(is_buyer_field(name) for name in ("city", "province", "sku", "line_notes", ""))


def test_mk_2_what_is_told_fills_what_was_unknown_or_masked_and_nothing_else() -> None:
    known = (sealed("name", "phone", "email", masked=("phone", "email")),)
    later = sealed("name", "phone", "email", "address", key="k2", masked=("email",))
    found = completed(known, later)
    assert found == Sealed(key="k2", fields={"phone": "k2/phone", "address": "k2/address"})
    assert found is not None
    assert completed((*known, found), later) is None
    assert {name: each.key for name, each in newest((*known, found)).items()} == {
        "name": "k1", "phone": "k2", "email": "k1", "address": "k2"
    }  # fmt: skip
    assert completed(known, None) is None


def test_mk_2_a_masked_value_never_replaces_another_masked_one() -> None:
    known = (sealed("phone", masked=("phone",)),)
    assert completed(known, sealed("phone", key="k2", masked=("phone",))) is None


def test_the_order_holds_its_buyers_and_shows_none_of_it() -> None:
    first, later = sealed("name", masked=("name",)), sealed("name", "note", key="k2")
    played = Played(told(placement(), first)).then(told(placement(time=0), later))
    assert played.state.buyers == (first, later)
    assert [type(event).__name__ for event in played.told] == ["OrderDetailsCompleted"]
    assert "k1/name" not in str(view(played.state))


@pytest.mark.parametrize(
    ("kind", "lines", "event"),
    [
        ("OrderCancelled", (None,), e.OrderCancelled),
        ("OrderCancelled", ("L1",), e.LinesCancelled),
        ("CancellationRequested", (None,), e.CancellationRequested),
    ],
)
def test_the_buyers_words_stay_with_the_cancellation(kind: str, lines: Any, event: type) -> None:
    played = Played(told(placement(("L1", 1), ("L2", 1)), sealed("name")))
    why = sealed("reason")
    for line in lines:
        played.then(told(fact(kind, 5, line, by="BUYER"), why))
    holding = [each for each in played.told if getattr(each, "buyer", None) is not None]
    assert [(type(each), each.buyer) for each in holding] == [(event, why)]
    assert played.state.buyers == (sealed("name"),)


def test_pd_4_no_public_event_has_anything_of_what_is_sealed() -> None:
    played = Played(told(placement(), sealed("name", masked=("name",))))
    played.then(told(placement(), sealed("name", key="k2")))
    played.then(told(fact("OrderCancelled", 5, by="BUYER"), sealed("reason", key="k3")))
    assert sum(b'"buyer"' in encode(each)[1] for each in played.events) == 3
    for each in played.events:
        assert decode(*encode(each)) == each
        _, public = to_public(encode(each)[0], each)
        text = msgspec.json.encode(public).decode()
        assert not any(word in text for word in ("k1", "k2", "k3", 'buyer"', "masked"))


def test_a_fact_without_a_buyer_makes_the_events_it_always_made() -> None:
    judged = judge(None, placement(), number="L0000000000001")
    assert all(b"buyer" not in encode(each)[1] for each in judged.events)
