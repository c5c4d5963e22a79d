"""The public events of orders that commands, couriers, gateways and timers bring, and marketplaces do not.

Storage warning: as in orders.py; a field is added, never renamed, retyped or removed.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from libs.events.order_words import GoodsPart, Line, OrderEvent
from libs.events.wire import Amount, Id, Instant, PublicEvent, Quantity, Wire


class Units(Wire):
    """Units of a line that an edit adds or takes away."""

    line: Id
    """The line's id within the order."""
    sku: str
    """The seller's own SKU."""
    quantity: Quantity
    """Units concerned."""
    warehouse: str
    """Where they leave from; empty where it is not chosen."""


class ShortLine(Wire):
    """A line that the stock does not cover."""

    line: Id
    """The line's id within the order."""
    missing: Quantity
    """Units missing."""


class OrderUnconfirmed(OrderEvent):
    """The confirmation was taken back; the order is new again."""


class PaymentConfirmed(OrderEvent):
    """Money was confirmed by hand."""

    receipt: Id
    """The receipt's id within the order."""
    amount: Quantity
    """In minor units of the order's currency."""
    reference: str | None
    """The number of the payment."""


class PaymentReversed(OrderEvent):
    """A confirmation by hand was taken back; it is no refund."""

    receipt: Id
    """The receipt's id within the order."""
    amount: Quantity
    """In minor units of the order's currency."""


class TransactionClosed(OrderEvent):
    """A running payment is no longer awaited; a success that comes later still counts."""

    reason: Literal["SUPERSEDED", "PAID", "TOTAL_CHANGED", "METHOD_CHANGED", "CANCELLED"]
    """Why."""
    reference: str | None
    """The gateway's number of the payment."""


class CustomerChatRequested(OrderEvent):
    """A message to the buyer was asked for; whoever sends it reads text and contact at that moment."""

    chat: Id
    """The message's id within the order."""
    template: str | None
    """The template; null for a free text."""


class OrderEdited(OrderEvent):
    """The order was changed; `reserve` and `release` say what that means for stock."""

    revision: Annotated[int, Field(ge=1)]
    """Grows with each event that changes lines, prices or fees."""
    fields: tuple[str, ...]
    """Names of the fields that changed; those of the buyer by name alone."""
    total: Amount
    """What the buyer pays now."""
    discount: Amount
    """Discount of the order beyond those of its lines."""
    shipping_fee: Amount
    """Shipping paid by the buyer."""
    insurance_fee: Amount
    """Insurance paid by the buyer."""
    other_fees: Amount
    """Any other fee paid by the buyer."""
    payment_method: Literal["COD", "TRANSFER", "GATEWAY", "INVOICE"]
    """How it is paid."""
    courier: str
    """The courier chosen."""
    service: str
    """The courier's service chosen."""
    city: str
    """City of the destination."""
    province: str
    """Province of the destination."""
    lines: tuple[Line, ...]
    """Every line as it is now; its quantity counts what was cancelled before too."""
    reserve: tuple[Units, ...]
    """Goods to be reserved."""
    release: tuple[Units, ...]
    """Goods to be released."""
    backorder: bool
    """True when goods to be reserved are not covered by a hold."""
    hold: str | None
    """The stock hold that claimed them."""


class OrderReopened(OrderEvent):
    """A cancelled order is live again; its goods are to be reserved."""

    episode: Annotated[int, Field(ge=2)]
    """How often it has begun."""
    parts: tuple[GoodsPart, ...]
    """The goods that count again."""
    backorder: bool
    """True when no hold covers them."""
    hold: str | None
    """The stock hold that claimed them."""


class AgentAssigned(OrderEvent):
    """Another agent handles the order, or none."""

    agent: str | None
    """Who handles it now."""
    before: str | None
    """Who handled it."""


class OrderTagged(OrderEvent):
    """Tags were put on the order or taken off it."""

    added: tuple[str, ...]
    """Tags put on."""
    removed: tuple[str, ...]
    """Tags taken off."""


class PackageUnprepared(OrderEvent):
    """Goods were unpacked and wait for the seller again."""

    package: str | None
    """The package that held them."""
    parts: tuple[GoodsPart, ...]
    """The goods."""


class BookingFailed(OrderEvent):
    """The courier did not take the booking and the goods are ready again."""

    package: str | None
    """The package."""
    parts: tuple[GoodsPart, ...]
    """The goods."""
    reason: str | None
    """The courier's code of the reason."""


class Bill(OrderEvent):
    """A bill that is not issued."""

    amount: Amount
    """In minor units of the order's currency."""


class BillCreated(Bill):
    """A bill over what is outstanding was made; it is not issued yet."""


class BillAmended(Bill):
    """The bill that is not issued yet is over another amount now."""


class BillIssued(OrderEvent):
    """The bill was issued."""

    number: Id
    """Its number within the seller."""
    amount: Amount
    """In minor units of the order's currency."""
    due_at: Instant
    """When it is to be paid."""


class BillPaid(OrderEvent):
    """The bill is paid."""

    amount: Amount
    """The money that came in with this; 0 where it had come in before."""
    reference: str | None
    """The number of the payment."""


class BillReopened(OrderEvent):
    """A paid bill is issued again, because the order is no longer paid in full."""


class BillVoided(OrderEvent):
    """The bill was withdrawn; its number stays used."""

    number: str | None
    """Its number; null where it was never issued."""


class OrderHeld(OrderEvent):
    """The order was set aside."""


class OrderReleased(OrderEvent):
    """The order is no longer set aside."""


class CodRemitted(OrderEvent):
    """The courier handed over the cash of a package."""

    package: str
    """The package."""
    awb: str
    """Its tracking number."""
    amount: Quantity
    """In minor units of the order's currency."""
    reference: str | None
    """The number of the remittance."""


class StockShort(OrderEvent):
    """The stock does not cover the order."""

    lines: tuple[ShortLine, ...]
    """What is missing."""


class StockCovered(OrderEvent):
    """The goods that were missing are there."""


class ReminderDue(OrderEvent):
    """Somebody is to be reminded of what stands open; no value changes."""

    about: str
    """What stands open."""
    event: Annotated[int, Field(ge=1)] | None
    """The sequence of the event that opened it."""


class AdoptedPart(Wire):
    """A quantity of a line as it stands now."""

    line: Id
    """The line's id within the order."""
    sku: str
    """The seller's own SKU; empty where it is not known."""
    quantity: Quantity
    """Units concerned."""
    value: Literal[
        "NOT_STARTED",
        "READY",
        "BOOKED",
        "IN_TRANSIT",
        "PROBLEM",
        "DELIVERED",
        "LOST_OR_DAMAGED",
        "RETURNING",
        "RETURNED",
        "CANCELLED",
    ]
    """Where the goods stand, or that they are cancelled."""
    package: str | None
    """The package that holds them."""


class ChannelStateAdopted(OrderEvent):
    """The owner ended a contradiction by taking over what a reading of the marketplace says."""

    reading: Id
    """The reference of the reading."""
    read_at: Instant
    """When the marketplace was read."""
    reason: Id
    """The owner's code of the reason."""
    order: Literal["NEW", "CONFIRMED", "CANCELLED", "COMPLETED"]
    """Where the order stands now."""
    coverage: Literal["UNPAID", "PARTLY_PAID", "PAID"]
    """How far it is paid now."""
    parts: tuple[AdoptedPart, ...]
    """All goods of the order, whether they changed or not."""


class ActionLine(Wire):
    """Units of a line that an action is about."""

    line: Id
    """The line's id within the order."""
    quantity: Quantity
    """Units concerned."""


class ChannelActionRequested(OrderEvent):
    """The marketplace that owns the order is asked to do something; no value changes before it says so."""

    id: Id
    """The action's id within the order."""
    action: Id
    """What it is asked for, as on orders.actions.v1."""
    lines: tuple[ActionLine, ...]
    """The goods concerned; none: the whole order."""
    reason: str | None
    """The marketplace's id of the reason."""
    not_after: Instant
    """When it lapses unsent."""


class ChannelActionEnded(OrderEvent):
    """What the marketplace did with an action; no value changes, the order's facts follow."""

    id: Id
    """The action's id within the order."""
    action: Id
    """What was asked for."""
    outcome: Literal["SUCCEEDED", "REFUSED", "FAILED", "UNCERTAIN", "LAPSED"]
    """How it ended."""
    already: bool
    """True when the marketplace was in the wanted state before it was asked."""
    reason: str | None
    """The marketplace's own code."""
    text: str | None
    """The marketplace's own words."""


SELLING: Final[tuple[type[PublicEvent], ...]] = (
    OrderUnconfirmed,
    PaymentConfirmed,
    PaymentReversed,
    TransactionClosed,
    CustomerChatRequested,
    OrderEdited,
    OrderReopened,
    AgentAssigned,
    OrderTagged,
    PackageUnprepared,
    BookingFailed,
    BillCreated,
    BillAmended,
    BillIssued,
    BillPaid,
    BillReopened,
    BillVoided,
    OrderHeld,
    OrderReleased,
    CodRemitted,
    StockShort,
    StockCovered,
    ReminderDue,
    ChannelStateAdopted,
    ChannelActionRequested,
    ChannelActionEnded,
)
"""Every event of this page."""
