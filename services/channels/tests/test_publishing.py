"""The record of a fact: its key, its envelope, its body, and what never is in it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from pydantic import SecretBytes

from libs.runtime.jwe import Envelopes
from libs.runtime.kafka import Outgoing
from libs.runtime.keys import KeyEncryptionKeys, NamedKey
from services.channels.publishing import FactTooLarge, Shop, fact_hash, first_seen_key, in_time, record

SELLER = UUID("0190a000-0000-7000-8000-000000000001")
SHOP = Shop(
    UUID("0190a000-0000-7000-8000-0000000000aa"), SELLER, "lazada", "sg", "1000999001", "Example", "ACTIVE"
)
EVENT = UUID("0190a000-0000-7000-8000-0000000000ee")
RAW = UUID("0190a000-0000-7000-8000-0000000000ff")
ENVELOPES = Envelopes(KeyEncryptionKeys([NamedKey(id="test", key=SecretBytes(bytes(32)))]))
RECEIVED = datetime(2026, 3, 5, 8, 0, 0, tzinfo=UTC)


def fact(**changes: Any) -> dict[str, Any]:
    return {
        "type": "ShipmentBooked",
        "channel": "lazada",
        "site": "sg",
        "shop": "1000999001",
        "order": "712345678901001",
        "scope": {"line": "712345679001001"},
        "occurred_at": "2026-03-05T07:59:26Z",
        "approximate": False,
        "source_status": "ready_to_ship",
        "occurrence": 1,
        "translator_version": 1,
        "data": {},
        **changes,
    }


def made(element: dict[str, Any], *, read_at: datetime | None = None) -> Outgoing:
    return record(
        element, SHOP, event_id=EVENT, raw=[RAW], at=RECEIVED, read_at=read_at, seal_buyer=ENVELOPES.seal
    )


def value(one: Outgoing) -> bytes:
    assert one.value is not None
    return one.value


def test_a_fact_is_the_element_and_what_channels_adds() -> None:
    one = made(fact())
    body = msgspec.json.decode(value(one))
    added = {"seller": str(SELLER), "connection": str(SHOP.id), "read_at": None, "raw": [str(RAW)]}
    assert body == fact() | added


def test_the_key_is_the_subject_and_names_connection_and_order() -> None:
    one = made(fact())
    headers = dict(one.headers)
    assert one.topic == "channels.orders.v1"
    assert one.key == headers["ce_subject"] == f"{SHOP.id}:712345678901001".encode()
    assert headers["ce_type"] == b"jejak.channels.ShipmentBooked.v1"
    assert headers["ce_id"] == str(EVENT).encode()
    assert headers["ce_source"] == b"/jejak/channels"
    assert headers["ce_time"] == b"2026-03-05T07:59:26Z"
    assert "ce_sequence" not in headers


def test_a_fact_without_a_time_has_that_of_the_reading() -> None:
    one = made(fact(occurred_at=None), read_at=RECEIVED)
    assert dict(one.headers)["ce_time"] == b"2026-03-05T08:00:00Z"
    assert msgspec.json.decode(value(one))["read_at"] == "2026-03-05T08:00:00Z"


def test_pd_4_buyer_data_leaves_as_one_jwe_of_this_record() -> None:
    buyer = {"name": "Sari Contoh", "phone": "628111", "line_notes": {"7": "tolong"}}
    given = fact(data={"city": "Jakarta", "buyer": buyer})
    one = made(given)
    data = msgspec.json.decode(value(one))["data"]
    assert data.keys() == {"city", "buyer"}
    assert b"Sari" not in value(one)
    assert one.key is not None
    assert msgspec.json.decode(ENVELOPES.open(data["buyer"], one.key.decode())) == buyer
    assert given["data"]["buyer"] == buyer, "The element itself is left as it was."


def test_a_fact_that_says_nothing_of_a_buyer_has_no_jwe() -> None:
    assert msgspec.json.decode(value(made(fact(data={"buyer": {}}))))["data"] == {}


def test_a_fact_above_256_kib_is_never_made() -> None:
    with pytest.raises(FactTooLarge) as refused:
        made(fact(data={"reference": "x" * 262_144}))
    assert refused.value.reason == "FACT_TOO_LARGE"


@pytest.mark.parametrize(
    ("ahead", "believed"), [(timedelta(minutes=10), True), (timedelta(minutes=10, seconds=1), False)]
)
def test_in_10_a_time_more_than_ten_minutes_ahead_becomes_the_receipts(
    ahead: timedelta, believed: bool
) -> None:
    stated = fact(occurred_at=(RECEIVED + ahead).strftime("%Y-%m-%dT%H:%M:%SZ"))
    found = in_time(stated, RECEIVED)
    if believed:
        assert found is stated
    else:
        assert found["occurred_at"] == "2026-03-05T08:00:00Z"
        assert found["approximate"] is True


def test_the_hash_of_a_fact_does_not_depend_on_the_order_of_keys() -> None:
    assert fact_hash(fact()) == fact_hash(dict(reversed(fact().items())))
    assert fact_hash(fact()) != fact_hash(fact(occurrence=2))


def test_what_names_a_fact_without_a_time_is_scope_type_status_and_occurrence() -> None:
    names = {
        first_seen_key(fact()),
        first_seen_key(fact(occurrence=2)),
        first_seen_key(fact(source_status="shipped")),
        first_seen_key(fact(scope={"order": "712345678901001"})),
        first_seen_key(fact(type="ChannelNote")),
    }
    assert len(names) == 5
    assert first_seen_key(fact(occurred_at=None)) == first_seen_key(fact())
