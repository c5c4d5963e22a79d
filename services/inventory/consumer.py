"""Kafka in: public events of orders become the model's events, and their movements are kept. No rule here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import psycopg
from msgspec import Meta, Struct

from libs.runtime.postgres import AsyncPool
from libs.runtime.transactional import Decode, Received, TransactionalHandler
from services.inventory.metrics import LINES_WITHOUT_SKU, MOVEMENTS
from services.inventory.stock import (
    NO_LINES,
    Cancelled,
    Event,
    Line,
    Movement,
    Part,
    PickedUp,
    Placed,
    SkusTold,
    take,
)
from services.inventory.store import keep, load_lines

SCHEMA: Final = "inventory"
# Channels allow 200 characters at most; a longer one is no SKU that could be found again.
SKU_CHARACTERS_MAX: Final = 256

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000_000)]


# The fields that inventory reads of the public events (libs.events.orders); a test decodes every example.
class _Units(Struct, frozen=True):
    line: Id
    quantity: Quantity
    sku: str | None = None


class _Named(Struct, frozen=True):
    line: Id
    sku: str | None = None


class _OrderPlaced(Struct, frozen=True):
    seller: Id
    lines: tuple[_Units, ...]


class _OrderDetailsCompleted(Struct, frozen=True):
    lines: tuple[_Named, ...] = ()


class _Goods(Struct, frozen=True):
    parts: tuple[_Units, ...]


def _decoder(kind: type[Struct]) -> Decode:
    return msgspec.json.Decoder(kind).decode


TYPES: Final[Mapping[str, Decode]] = {
    "jejak.orders.OrderPlaced.v1": _decoder(_OrderPlaced),
    "jejak.orders.OrderDetailsCompleted.v1": _decoder(_OrderDetailsCompleted),
    "jejak.orders.LinesCancelled.v1": _decoder(_Goods),
    "jejak.orders.OrderCancelled.v1": _decoder(_Goods),
    "jejak.orders.PackagePickedUp.v1": _decoder(_Goods),
}


def handler(pool: AsyncPool, *, parked_max: int) -> TransactionalHandler:
    """The handler of the public events of orders."""
    return TransactionalHandler(pool, schema=SCHEMA, types=TYPES, apply=apply, parked_max=parked_max)


async def apply(connection: psycopg.AsyncConnection, events: Sequence[Received]) -> None:
    """Keep what the events move, in order, within the caller's transaction."""
    orders = await load_lines(connection, {event.order_id for event in events})
    changed: dict[tuple[str, str], Line] = {}
    movements: list[Movement] = []
    without_sku = 0
    for received in events:
        event = to_model(received)
        before = orders.get(received.order_id, NO_LINES)
        taken = take(before, event)
        orders[received.order_id] = dict(taken.lines)
        changed |= {
            (received.order_id, name): line
            for name, line in taken.lines.items()
            if before.get(name) is not line
        }
        movements += taken.movements
        if isinstance(event, Placed):
            without_sku += sum(not part.sku for part in event.parts)
    await keep(connection, changed, movements)
    for movement in movements:
        MOVEMENTS.labels(movement.kind.value).inc()
    LINES_WITHOUT_SKU.inc(without_sku)


def to_model(received: Received) -> Event:
    """The model's event of a public one."""
    about: dict[str, Any] = {
        "event_id": received.envelope.id,
        "order_id": received.order_id,
        "sequence": received.sequence,
        "at": received.at,
    }
    body = received.body
    if isinstance(body, _OrderPlaced):
        return Placed(**about, seller=body.seller, parts=_parts(body.lines))
    if isinstance(body, _OrderDetailsCompleted):
        return SkusTold(**about, skus=tuple((each.line, _sku(each.sku)) for each in body.lines))
    kind: Callable[..., Event] = (
        PickedUp if received.envelope.type == "jejak.orders.PackagePickedUp.v1" else Cancelled
    )
    return kind(**about, parts=_parts(body.parts))


def _parts(units: Sequence[_Units]) -> tuple[Part, ...]:
    return tuple(Part(each.line, _sku(each.sku), each.quantity) for each in units)


def _sku(given: str | None) -> str:
    """The SKU without the blanks around it (MP-02); empty when there is none that could be kept."""
    sku = (given or "").strip()
    return sku if len(sku) <= SKU_CHARACTERS_MAX else ""
