"""A timer as a row of `orders.timers`, which the append of its event writes (TI-2)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.orders.order.timers import Timer

# What a due timer is read with, by `due_timer`.
COLUMNS = "id, stream_id, kind, due_at, guards::text"


class _Guards(msgspec.Struct, frozen=True, omit_defaults=True):
    episode: int
    delivered_at: datetime | None = None
    event: int = 0


class DueTimer(msgspec.Struct, frozen=True):
    """A row whose instant has come."""

    id: int
    order_id: UUID
    timer: Timer


def timer_rows(order_id: UUID, timers: Sequence[Timer]) -> tuple[dict[str, Any], ...]:
    """The rows of an append that set these timers; one that is set already stays as it is."""
    return tuple(
        {
            "stream_id": str(order_id),
            "kind": timer.kind,
            "due_at": timer.due_at,
            "guards": _Guards(timer.episode, timer.delivered_at, timer.event),
        }
        for timer in timers
    )


def due_timer(row: Sequence[Any]) -> DueTimer:
    """The timer of a row of `COLUMNS`."""
    guards = msgspec.json.decode(row[4], type=_Guards)
    return DueTimer(row[0], row[1], Timer(row[2], row[3], guards.episode, guards.delivered_at, guards.event))
