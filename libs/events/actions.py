"""What orders asks of the marketplaces, on `orders.actions.v1`. Channels carries it out.

Storage warning: these bodies lie in topics and archives; a field is added, never renamed, retyped or removed.
No field holds data of a buyer (PD-4). Key and `ce_subject` are the order's id.
"""

from typing import ClassVar, Final, Literal

from libs.events.wire import Id, Instant, PublicEvent

ReadReason = Literal["NOT_PLACED", "NO_TIME", "CONFLICT", "UNRECOGNISED", "AMOUNT_UNSTATED"]


class OrderReadRequested(PublicEvent):
    """The order is to be read at the marketplace at once; what it states there comes as facts."""

    publisher: ClassVar[str] = "orders"

    action: Literal["read_order"]
    """The action by the channels' name."""
    connection: Id
    """The connection of the shop that has the order."""
    order: Id
    """The marketplace's own id of the order."""
    reason: ReadReason
    """Why: it is not placed yet, or news had no time or amount, contradicts it or is not recognised."""
    requested_at: Instant
    """When orders asked; a reading that began later is fresh enough."""


ACTIONS: Final[dict[str, type[PublicEvent]]] = {event.__name__: event for event in (OrderReadRequested,)}
"""Every action by its name."""
