"""The history of an order as people read it: who did what, when and why, and what each step made of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from services.orders.order.events import (
    ChannelActionEnded,
    ChannelActionRequested,
    Disposition,
    Event,
    FactRecorded,
)
from services.orders.order.headline import headline
from services.orders.order.state import Order, evolve


class Entry(Struct, frozen=True, gc=False):
    """One event with its number, when it was recorded and by what, and the order after it."""

    sequence: int
    event: Event
    recorded_at: datetime
    causation: str | None
    order: Order

    @classmethod
    def of(
        cls, before: Order | None, sequence: int, event: Event, recorded_at: datetime, causation: str | None
    ) -> "Entry":
        return cls(sequence, event, recorded_at, causation, evolve(before, event))


def timeline(entries: Sequence[Entry], *, after: int, limit: int) -> list[dict[str, Any]]:
    """Up to `limit` entries after a sequence, oldest first (HL-2).

    Each tells who (`actor`), when (`at`; `recorded_at`), why (`cause`), whether a fact `implied` it (MK-7),
    and whether it came `late`: recorded without effect because newer news was there (11.3), or telling the
    true time of something that had been implied (`dates`).
    """
    return [shown(each) for each in entries if each.sequence > after][:limit]


def shown(entry: Entry) -> dict[str, Any]:
    """One entry of the timeline."""
    event = entry.event
    recorded = event if isinstance(event, FactRecorded) else None
    return {
        "sequence": entry.sequence,
        "event": type(event).__name__,
        "actor": event.actor.value,
        "caller": event.caller or None,
        "at": event.at or entry.recorded_at,
        "at_known": event.at is not None,
        "recorded_at": entry.recorded_at,
        "implied": event.implied,
        "late": recorded is not None and (recorded.disposition is Disposition.LATE or recorded.dates > 0),
        "dates": recorded.dates or None if recorded is not None else None,
        "disposition": None if recorded is None else recorded.disposition.value,
        "cause": _cause(entry),
        "action": _action(event),
        "headline": headline(entry.order),
        "parts": [{"line": part.line, "quantity": part.quantity} for part in getattr(event, "parts", ())],
    }


def _action(event: Event) -> dict[str, Any] | None:
    """What the marketplace was asked for, or what came of it (MA-2, MA-4)."""
    match event:
        case ChannelActionRequested():
            return {"id": event.id, "action": event.action, "outcome": None, "already": False, "text": None}
        case ChannelActionEnded():
            return {
                "id": event.id,
                "action": event.action,
                "outcome": event.outcome,
                "already": event.already,
                "text": event.text or None,
            }
        case _:
            return None


def _cause(entry: Entry) -> dict[str, Any]:
    """Why: the fact behind the event, or the command of this id."""
    fact = entry.event.fact
    # A code of the seller's or the channel's; a buyer's own words are sealed elsewhere.
    reason = getattr(entry.event, "reason", "")
    said = {"reason": str(reason) or None}
    if fact is None:
        return {"id": entry.causation, "fact": None, "source_status": None, "approximate": False, **said}
    return {
        "id": fact.id,
        "fact": fact.type or None,
        "source_status": fact.status,
        "approximate": fact.approximate,
        **said,
    }
