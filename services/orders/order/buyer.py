"""What an order holds of its buyers: sealed fields by name, and what a later reading adds (PD-1, PD-2).

Nothing here can open a field; services.orders.buyers can.
"""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order.words import Sealed

# The fields of class BUYER that a channel or a seller states of an order (17.1); any other is not stored.
FIELDS: Final = (
    "id", "name", "phone", "email", "recipient", "recipient_phone", "address", "district", "postal_code",
    "note", "reason",
)  # fmt: skip
# A buyer's note on one line is a field by itself: this, and the line's id.
LINE_NOTE: Final = "line_notes/"


def is_buyer_field(name: str) -> bool:
    """Whether a field of this name is of class BUYER (PD-1)."""
    return name in FIELDS or name.startswith(LINE_NOTE)


def is_masked(value: str) -> bool:
    """Whether the channel shows this value in part only."""
    return "*" in value


def newest(buyers: Iterable[Sealed]) -> dict[str, Sealed]:
    """For each field, the one that holds its value as it stands: the latest that names it."""
    return {name: sealed for sealed in buyers for name in sealed.fields}


def completed(known: tuple[Sealed, ...], told: Sealed | None) -> Sealed | None:
    """What was told of fields that were unknown, or masked and are no longer; None when nothing (MK-2).

    PD-8 needs no rule of its own here: what is told of an erased buyer never reaches this.
    """
    if told is None:
        return None
    held = newest(known)
    wanted = {
        name: value
        for name, value in told.fields.items()
        if name not in held or (name in held[name].masked and name not in told.masked)
    }
    if not wanted:
        return None
    return replace(told, fields=wanted, masked=tuple(name for name in told.masked if name in wanted))


def with_reason(events: tuple[e.Event, ...], told: Sealed) -> tuple[e.Event, ...]:
    """The events of a cancellation or a request for one, with the buyer's words on why, sealed."""
    for place, event in enumerate(events):
        if isinstance(event, e.CancellationRequested | e.OrderCancelled | e.LinesCancelled):
            return (*events[:place], replace(event, buyer=told), *events[place + 1 :])
    return events
