"""What orders asks of marketplaces (`orders.actions.v1`), and what came of it (`channels.actions.v1`).

Storage warning: these bodies lie in topics and archives; a field is added, never renamed, retyped or removed.
No field holds data of a buyer (PD-4). Key and `ce_subject` of both topics are the order's id.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from libs.events.order_words import Actor
from libs.events.wire import Id, Instant, PublicEvent, Quantity, Wire

ReadReason = Literal[
    "NOT_PLACED", "NO_TIME", "CONFLICT", "UNRECOGNISED", "AMOUNT_UNSTATED", "ACTION_SUCCEEDED"
]
ActionName = Literal[
    "accept",
    "reject",
    "pack",
    "ready_to_ship",
    "confirm_shipping",
    "undo_shipment",
    "cancel",
    "accept_cancellation",
    "refuse_cancellation",
]
Ending = Literal["SUCCEEDED", "REFUSED", "FAILED", "UNCERTAIN", "LAPSED"]
SideEffect = Literal["WHOLE_PACKAGE", "STOCK_TO_ZERO"]


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
    """Why: not placed yet; news without time or amount, in conflict, not recognised; an action succeeded."""
    requested_at: Instant
    """When orders asked; a reading that began later is fresh enough."""


class ActionLine(Wire):
    """Units of a line that an action is about."""

    line: Id
    """The marketplace's id of the line."""
    quantity: Quantity
    """Units concerned."""


class OrderActionRequested(PublicEvent):
    """The marketplace is to do this with the order; one goes out at a time, the next after its end."""

    publisher: ClassVar[str] = "orders"

    id: Id
    """The action's id, the same each time it is sent: whoever carries it out does so once."""
    action: ActionName
    """What is to be done."""
    seller: Id
    """Whose order it is."""
    connection: Id
    """The connection of the shop that has the order."""
    channel: Id
    """The marketplace."""
    order: Id
    """The marketplace's own id of the order."""
    lines: tuple[ActionLine, ...]
    """The goods that it is about; none: the whole order."""
    packages: tuple[Id, ...]
    """The marketplace's packages that these goods are in."""
    reason: str | None
    """The marketplace's id of the reason."""
    awb: str | None
    """The tracking number of the seller's own courier."""
    courier: str | None
    """That courier."""
    side_effects: tuple[SideEffect, ...]
    """What it does beyond this, and the seller has said yes to."""
    actor: Actor
    """Who asked for it."""
    requested_at: Instant
    """When it was asked for."""
    not_after: Instant
    """When it lapses unsent."""


class OrderActionEnded(PublicEvent):
    """What became of an action at the marketplace; it says nothing of the order, whose facts follow."""

    publisher: ClassVar[str] = "channels"

    action_id: Id
    """The id under which the action was asked for."""
    outcome: Ending
    """How it ended."""
    already: bool = False
    """True when the marketplace was in the wanted state before it was asked."""
    code: Annotated[str, Field(max_length=128)] | None = None
    """The marketplace's own code."""
    text: Annotated[str, Field(max_length=500)] | None = None
    """The marketplace's own words, without personal data."""
    ended_at: Instant
    """When it ended."""


ACTIONS: Final[dict[str, type[PublicEvent]]] = {
    event.__name__: event for event in (OrderReadRequested, OrderActionRequested)
}
"""Every action by its name."""
ENDS: Final[dict[str, type[PublicEvent]]] = {event.__name__: event for event in (OrderActionEnded,)}
"""What comes of actions, by its name."""
