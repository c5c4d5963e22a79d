"""What a translator states becomes what Kafka is given: the fact's body, its envelope, its key.

The facts carry no buyer data in clear: `data.buyer` is one JWE (PD-4).
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from libs.events.envelope import FACT_BYTES_MAX, Envelope, to_headers, type_name
from libs.events.topics import CHANNELS_ORDERS
from libs.runtime.errors import Permanent
from libs.runtime.kafka import Outgoing
from services.channels.marketplace import Element, wire_time

SOURCE = "/jejak/channels"
READ_ORDER = "FetchOrder"
UNKNOWN_STATUS = "UnknownStatusReported"
# A time further ahead of the receipt than this is not believed (IN-10).
CLOCK_AHEAD_MAX = timedelta(minutes=10)

HASH_BYTES = 16

# Makes one compact JWE of a text for the record with this key (libs.runtime.jwe).
SealBuyer = Callable[[bytes, str], str]

_encode = msgspec.json.Encoder().encode


class Shop(msgspec.Struct, frozen=True, gc=False):
    """One seller's link to one shop at one channel."""

    id: UUID
    seller: UUID
    channel: str
    site: str
    shop: str
    name: str
    state: str


class FactTooLarge(Permanent):
    """A fact above 256 KiB is never written, since no topic and no consumer takes it."""

    def __init__(self, size: int) -> None:
        super().__init__("FACT_TOO_LARGE", f"A fact of {size} bytes is above {FACT_BYTES_MAX}.")


def facts_of(elements: Sequence[Element]) -> list[Element]:
    """The elements that are facts: a request to read is none."""
    return [element for element in elements if element["type"] != READ_ORDER]


def in_time(element: Element, received_at: datetime) -> Element:
    """The fact with a believable time: one more than 10 minutes ahead becomes the receipt's (IN-10)."""
    limit = wire_time(received_at + CLOCK_AHEAD_MAX)
    # Both are texts of one fixed form in UTC, so their order is that of the instants.
    if limit is None or element["occurred_at"] is None or element["occurred_at"] <= limit:
        return element
    return element | {"occurred_at": wire_time(received_at), "approximate": True}


def first_seen_key(element: Element) -> str:
    """What names a fact without a source time within its order (MK-3)."""
    scope = ",".join(f"{name}={value}" for name, value in sorted(element["scope"].items()))
    return f"{scope}|{element['type']}|{element['source_status']}|{element['occurrence']}"


def fact_hash(element: Element) -> bytes:
    """16 bytes, equal for two facts that state the same; the order of keys does not count."""
    return hashlib.blake2b(msgspec.json.encode(element, order="sorted"), digest_size=HASH_BYTES).digest()


def split_hashes(joined: bytes) -> set[bytes]:
    """The hashes that were kept one after the other."""
    return {joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)}


def record(
    element: Element,
    shop: Shop,
    *,
    event_id: UUID,
    raw: Sequence[UUID],
    at: datetime,
    read_at: datetime | None,
    seal_buyer: SealBuyer,
    traceparent: str | None = None,
) -> Outgoing:
    """The record of one fact on `channels.orders.v1`; `at` is when it was received or read.

    What the fact says of the buyer goes out sealed, or not at all where it says nothing. Raises FactTooLarge
    above 256 KiB.
    """
    subject = f"{shop.id}:{element['order']}"
    data = element["data"]
    if "buyer" in data:
        buyer = data["buyer"]
        data = {name: value for name, value in data.items() if name != "buyer"}
        if buyer:
            data["buyer"] = seal_buyer(_encode(buyer), subject)
    body = _encode(
        element
        | {
            "data": data,
            "seller": str(shop.seller),
            "connection": str(shop.id),
            "read_at": wire_time(read_at),
            "raw": [str(each) for each in raw],
        }
    )
    if len(body) > FACT_BYTES_MAX:
        raise FactTooLarge(len(body))
    envelope = Envelope(
        id=str(event_id),
        type=type_name("channels", element["type"]),
        source=SOURCE,
        subject=subject,
        time=element["occurred_at"] or wire_time(at) or "",
        correlationid=str(raw[0]) if raw else None,
        traceparent=traceparent,
    )
    return Outgoing(CHANNELS_ORDERS.name, subject.encode(), body, to_headers(envelope))
