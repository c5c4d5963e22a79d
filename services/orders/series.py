"""Gapless numbers: each is the version of a stream of its own, checked in the append that uses it (IV-1)."""

from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from msgspec import Struct

from services.orders.order.commands import SellerTerms
from services.orders.recorder import NewEvent
from services.orders.store import NUMBER_GIVEN, order_id_of

DIGITS: Final = 6
_ENCODER = msgspec.json.Encoder()


class Proposed(Struct, frozen=True):
    """The next number of a series, and the version of its stream that it was proposed at."""

    number: str
    stream_id: UUID
    version: int

    def event(self, order_id: UUID, correlation_id: str | None, causation_id: str | None) -> NewEvent:
        """What takes the number for an order; its version is the number."""
        state = _ENCODER.encode({"number": self.number, "order": str(order_id)})
        return NewEvent(
            self.stream_id, self.version + 1, NUMBER_GIVEN, state, correlation_id, causation_id, None
        )


class Series(Struct, frozen=True):
    """One seller's numbers of one kind in one year."""

    seller: str
    code: str
    kind: str
    year: int

    @property
    def stream_id(self) -> UUID:
        """UUIDv5 of the series' name; no connection is named so, hence no order has this id."""
        return order_id_of("series", f"{self.seller}:{self.kind}:{self.year}")

    def proposed(self, version: int) -> Proposed:
        """The number after the version that the stream has."""
        number = f"{self.kind}-{self.code}-{self.year}-{version + 1:0{DIGITS}}"
        return Proposed(number, self.stream_id, version)


def series_of(kind: str, seller: SellerTerms, at: datetime) -> Series:
    """The series that a decision at this instant takes a number of; the year is that of the seller's zone."""
    return Series(seller.id, seller.code, kind, at.astimezone(ZoneInfo(seller.zone)).year)


async def last_number(connection: psycopg.AsyncConnection, stream_id: UUID) -> int:
    """The last number that was given in the series; 0 when none was."""
    cursor = await connection.execute(
        "SELECT coalesce(max(version), 0) FROM orders.events WHERE stream_id = %s",
        [stream_id],
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    assert row is not None, "An aggregate answers one row."
    return int(row[0])
