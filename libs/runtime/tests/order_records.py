"""Builds records of a made-up order history for the tests of transactional consumption."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from libs.events.envelope import Envelope, to_headers
from libs.runtime.records import Record

AT = datetime(2026, 3, 5, 8, 0, tzinfo=UTC)
TOPIC = "orders.orders.v1"
SOURCE = f"ledger:{TOPIC}"
STEP = "jejak.orders.Step.v1"
TYPES = {STEP: json.loads}


def headers(
    order: str, sequence: int | None, *, type_: str = STEP, time: str = "2026-03-05T08:00:00Z"
) -> list[tuple[str, bytes | None]]:
    envelope = Envelope(
        id=f"{order}/{sequence}",
        type=type_,
        source="/jejak/orders",
        subject=order,
        time=time,
        sequence=sequence,
    )
    return list(to_headers(envelope))


def record(
    offset: int,
    order: str,
    sequence: int | None,
    *,
    type_: str = STEP,
    value: bytes | None = b"{}",
    replaced: Sequence[tuple[str, bytes | None]] = (),
    partition: int = 0,
) -> Record:
    changed = dict(replaced)
    given = [(name, changed.get(name, value)) for name, value in headers(order, sequence, type_=type_)]
    given += [(name, value) for name, value in replaced if name not in dict(given)]
    return Record(SOURCE, TOPIC, partition, offset, order, order.encode(), given, value, AT)
