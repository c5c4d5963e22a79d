"""The ledger of units promised and gone: what each event of an order moves, and what that leaves (MV, SF).

Pure: an order's lines and one event in, the lines after it and the movements out. Taking an event again moves
nothing (MV-02), and no quantity ever falls below zero (IV-02).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never
from uuid import UUID, uuid5

from msgspec import Struct
from msgspec.structs import replace

# Frozen: the ids of all movements are derived from it.
_MOVEMENTS = UUID("6f1f3c52-8f0b-5d0e-9a51-2f3c1b6a7d44")


class Kind(StrEnum):
    """What a movement does (inventory.md 2); only what order events cause."""

    RESERVED = "RESERVED"
    RELEASED = "RELEASED"
    SHIPPED = "SHIPPED"


class Part(Struct, frozen=True, gc=False):
    """Units of one line; the SKU is empty where nobody has told it."""

    line: str
    sku: str
    quantity: int


class Happened(Struct, frozen=True, kw_only=True):
    """What every event says: which it is, its place in the order's history, and when it happened."""

    event_id: str
    order_id: str
    sequence: int
    at: datetime


class Placed(Happened, frozen=True, kw_only=True):
    """An order came in (T1)."""

    seller: str
    parts: tuple[Part, ...]


class SkusTold(Happened, frozen=True, kw_only=True):
    """Lines whose SKU was not known at placement have one now; quantities are not said."""

    skus: tuple[tuple[str, str], ...]


class Cancelled(Happened, frozen=True, kw_only=True):
    """Parts, or all that was left, of an order were cancelled (T8, T25, T30)."""

    parts: tuple[Part, ...]


class PickedUp(Happened, frozen=True, kw_only=True):
    """A package was taken by its courier (T18)."""

    parts: tuple[Part, ...]


Event = Placed | SkusTold | Cancelled | PickedUp


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """One line of an order; `open_units` are promised and neither gone nor released (SF-03).

    They are claimed from the stock of the SKU, or from none while the SKU is empty (SF-05). `sequence` is
    that of the last event that moved the line.
    """

    seller: str
    line: str
    sku: str
    units: int
    open_units: int
    sequence: int


Lines = Mapping[str, Line]
NO_LINES: Lines = MappingProxyType({})


class Movement(Struct, frozen=True, kw_only=True):
    """One row of the ledger (MV-01); never changed, never removed (MV-04)."""

    id: UUID
    seller: str
    sku: str
    kind: Kind
    units: int
    order_id: str
    line: str
    event_id: str
    at: datetime


class Level(Struct, frozen=True, kw_only=True, gc=False):
    """The figures of one SKU, or a difference of them: units promised and not gone, units gone."""

    reserved_units: int = 0
    shipped_units: int = 0


class Taken(Struct, frozen=True):
    """What one event leaves: all lines of its order, and what it moved."""

    lines: Lines
    movements: tuple[Movement, ...]


def movement_id(event_id: str, line: str, sku: str, kind: Kind) -> UUID:
    """The id that the same cause always gives (MV-02); lengths keep two causes from giving one name."""
    return uuid5(_MOVEMENTS, "".join(f"{len(part)}:{part}" for part in (event_id, line, sku, kind.value)))


def take(lines: Lines, event: Event) -> Taken:
    """What the event does to the order of these lines (inventory.md 5).

    A line that the event has moved before is left alone; a line that was never placed moves nothing; what is
    no longer open is neither released nor shipped, so that a cancellation after pick-up moves nothing.
    """
    match event:
        case Placed():
            return _place(lines, event)
        case SkusTold():
            return _tell(lines, event)
        case Cancelled():
            return _close(lines, event, event.parts, Kind.RELEASED)
        case PickedUp():
            return _close(lines, event, event.parts, Kind.SHIPPED)
        case _:
            assert_never(event)


def effect(movement: Movement) -> Level:
    """By how much a movement changes the figures of its SKU."""
    match movement.kind:
        case Kind.RESERVED:
            return Level(reserved_units=movement.units)
        case Kind.RELEASED:
            return Level(reserved_units=-movement.units)
        case Kind.SHIPPED:
            return Level(reserved_units=-movement.units, shipped_units=movement.units)
        case _:
            assert_never(movement.kind)


def sums(movements: Iterable[Movement]) -> dict[tuple[str, str], Level]:
    """The change of each (seller, SKU) that the movements touch."""
    totals: dict[tuple[str, str], Level] = {}
    for movement in movements:
        before, change = totals.get((movement.seller, movement.sku), Level()), effect(movement)
        totals[movement.seller, movement.sku] = Level(
            reserved_units=before.reserved_units + change.reserved_units,
            shipped_units=before.shipped_units + change.shipped_units,
        )
    return totals


def _place(lines: Lines, event: Placed) -> Taken:
    units: dict[str, Part] = {}
    for part in event.parts:
        known = units.get(part.line)
        units[part.line] = part if known is None else replace(known, quantity=known.quantity + part.quantity)
    after = dict(lines)
    movements = []
    for part in units.values():
        if part.line in lines:
            continue
        line = Line(
            seller=event.seller,
            line=part.line,
            sku=part.sku,
            units=part.quantity,
            open_units=part.quantity,
            sequence=event.sequence,
        )
        after[part.line] = line
        movements += _moved(event, line, Kind.RESERVED, part.quantity)
    return Taken(after, tuple(movements))


def _tell(lines: Lines, event: SkusTold) -> Taken:
    after = dict(lines)
    movements = []
    for name, sku in event.skus:
        line = after.get(name)
        if line is None or line.sequence >= event.sequence or line.sku or not sku:
            continue
        after[name] = line = replace(line, sku=sku, sequence=event.sequence)
        movements += _moved(event, line, Kind.RESERVED, line.open_units)
    return Taken(after, tuple(movements))


def _close(lines: Lines, event: Event, parts: Iterable[Part], kind: Kind) -> Taken:
    # Several parts of one line are one movement, since its id knows the line only.
    wanted: dict[str, int] = {}
    for part in parts:
        wanted[part.line] = wanted.get(part.line, 0) + part.quantity
    after = dict(lines)
    movements = []
    for name, units in wanted.items():
        line = lines.get(name)
        if line is None or line.sequence >= event.sequence:
            continue
        closed = min(units, line.open_units)
        after[name] = line = replace(line, open_units=line.open_units - closed, sequence=event.sequence)
        movements += _moved(event, line, kind, closed)
    return Taken(after, tuple(movements))


def _moved(event: Event, line: Line, kind: Kind, units: int) -> list[Movement]:
    if units == 0 or not line.sku:
        return []
    return [
        Movement(
            id=movement_id(event.event_id, line.line, line.sku, kind),
            seller=line.seller,
            sku=line.sku,
            kind=kind,
            units=units,
            order_id=event.order_id,
            line=line.line,
            event_id=event.event_id,
            at=event.at,
        )
    ]
