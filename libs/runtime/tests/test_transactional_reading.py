"""What one record of an order's history is read as, and how a broken one is named (P5)."""

import pytest

from libs.runtime.records import Record
from libs.runtime.tests.order_records import AT, TYPES, record
from libs.runtime.transactional import Broken, Foreign, Numbered, read


def test_a_sound_record_is_read_with_its_place_and_time() -> None:
    reading = read(record(0, "A", 3, value=b'{"x": 1}'), TYPES)
    assert isinstance(reading, Numbered)
    assert reading.received is not None
    assert (reading.received.order_id, reading.received.sequence, reading.received.at) == ("A", 3, AT)
    assert reading.received.body == {"x": 1}


def test_a_type_of_no_concern_keeps_its_place_and_is_not_decoded() -> None:
    reading = read(record(0, "A", 3, type_="jejak.orders.NeverHeardOf.v9", value=b"\xff"), TYPES)
    assert reading == Numbered(reading.record, "A", 3, None)


def test_what_is_no_part_of_an_order_is_foreign_whatever_else_it_says() -> None:
    assert isinstance(read(record(0, "A", None, type_="com.example.Ping", value=None), TYPES), Foreign)


@pytest.mark.parametrize(
    ("reason", "bad"),
    [
        ("NULL_VALUE", record(0, "A", 1, value=None)),
        ("TOO_LARGE", record(0, "A", 1, value=b"[" + b" " * 1_000_000 + b"]")),
        ("MALFORMED", record(0, "A", 1, value=b"{")),
        ("MALFORMED", record(0, "A", 1, value=b"\xff")),
        ("MALFORMED", record(0, "A", 1, value=b"[" * 100_000)),
        ("HEADER_INVALID", record(0, "A", None)),
        ("HEADER_INVALID", record(0, "A", 0)),
        ("HEADER_INVALID", record(0, "A", 2**63)),
        ("HEADER_INVALID", record(0, "A", 1, replaced=[("ce_sequence", b"9" * 5_000)])),
        ("HEADER_INVALID", record(0, "A", 1, replaced=[("ce_sequence", b"one")])),
        ("HEADER_INVALID", record(0, "A", 1, replaced=[("ce_type", None)])),
        ("HEADER_INVALID", record(0, "A", 1, replaced=[("ce_id", b"\xff\xfe")])),
        ("HEADER_INVALID", record(0, "A", 1, replaced=[("ce_id", b"a\x00b")])),
        ("HEADER_INVALID", record(0, "A", 1, replaced=[("ce_subject", b"B")])),
        ("HEADER_INVALID", record(0, "A", 1, replaced=[("ce_time", b"yesterday")])),
        ("HEADER_INVALID", record(0, "A", 1, replaced=[("ce_time", b"2026-03-05T08:00:00")])),
        ("HEADER_INVALID", record(0, "A" * 129, 1)),
    ],
)
def test_what_breaks_the_contract_is_named_by_its_reason(reason: str, bad: Record) -> None:
    reading = read(bad, TYPES)
    assert isinstance(reading, Broken)
    assert reading.fault.reason == reason


def test_the_sentence_of_a_broken_body_quotes_nothing_of_it() -> None:
    reading = read(record(0, "A", 1, value=b'{"phone": 0812-3456'), TYPES)
    assert isinstance(reading, Broken)
    assert "0812" not in str(reading.fault)
