"""The public history of every order on `orders.orders.v1`: one event for each stored one (OM-12).

Storage warning: these bodies lie in topics and archives; a field is added, never renamed, retyped or removed.
A breaking change is a new major with an upcast. No field holds data of a buyer (PD-4). The order's id is the
`ce_subject`, its step the `ce_sequence`, and when it happened the `ce_time`.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from libs.events.order_words import Actor, GoodsPart, Line, LineDetails, OrderEvent
from libs.events.selling import SELLING
from libs.events.wire import Amount, Currency, Id, Instant, PublicEvent, Quantity

__all__ = [
    "EVENTS",
    "Acceptance",
    "Actor",
    "AwbIssued",
    "Cancellation",
    "CancellationRequestClosed",
    "CancellationRequested",
    "CodCollected",
    "CreditRecorded",
    "DeliveryProblemReported",
    "DeliveryProblemSolved",
    "ExtraReceiptRecorded",
    "FactRecorded",
    "Goods",
    "GoodsPart",
    "Line",
    "LineDetails",
    "LinesAccepted",
    "LinesCancelled",
    "OrderAdvanced",
    "OrderCancelled",
    "OrderCompleted",
    "OrderConfirmed",
    "OrderDetailsCompleted",
    "OrderEvent",
    "OrderPlaced",
    "PackageDelivered",
    "PackageLostOrDamaged",
    "PackagePickedUp",
    "PackagePrepared",
    "Payment",
    "PaymentAllocated",
    "PaymentAwaited",
    "PaymentFailed",
    "PaymentProcessingStarted",
    "PaymentSucceeded",
    "ReceiptCorrected",
    "RefundDueChanged",
    "RefundPaid",
    "ReturnCase",
    "ReturnCaseAdvanced",
    "ReturnCaseClosed",
    "ReturnCaseOpened",
    "ReturnReceived",
    "ReturnStarted",
    "Shipment",
    "ShipmentBooked",
    "ShipmentCancelled",
]


class OrderAdvanced(PublicEvent):
    """Something happened that is no concern of outsiders; its sequence keeps the history without gaps."""

    publisher: ClassVar[str] = "orders"


class OrderPlaced(OrderEvent):
    """An order came in and its goods are to be reserved."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"page", "agent", "tax_mode", "tax_rate", "backorder", "hold"}
    )

    number: str
    """The order's number within the seller."""
    source: Literal["LANDING_PAGE", "STOREFRONT", "PRIVATE_ORDER", "MANUAL", "CHANNEL"]
    """Where it was placed."""
    seller: Id
    """Whose order it is."""
    channel: str
    """The marketplace."""
    site: str
    """Its country site."""
    shop: str
    """The marketplace's id of the shop."""
    marketplace_number: str
    """The marketplace's id of the order."""
    reference: str
    """The number that people see at the marketplace."""
    payment_method: Literal["COD", "TRANSFER", "GATEWAY", "INVOICE"]
    """How it is paid."""
    currency: Currency
    """The one currency of the order."""
    total: Amount
    """What the buyer pays."""
    discount: Amount
    """Discount of the order beyond those of its lines."""
    shipping_fee: Amount
    """Shipping paid by the buyer."""
    insurance_fee: Amount
    """Insurance paid by the buyer."""
    other_fees: Amount
    """Any other fee paid by the buyer."""
    lines: Annotated[tuple[Line, ...], Field(min_length=1)]
    """What was ordered."""
    city: str
    """City of the destination."""
    province: str
    """Province of the destination."""
    courier: str
    """The courier chosen."""
    service: str
    """The courier's service chosen."""
    warehouse: str
    """The marketplace's code of the warehouse."""
    page: str | None = None
    """The page on which the buyer ordered."""
    agent: str | None = None
    """Who handles it."""
    tax_mode: Literal["EXCLUSIVE", "INCLUSIVE"] | None = None
    """How prices stand to tax."""
    tax_rate: Annotated[int, Field(ge=1)] | None = None
    """In basis points."""
    backorder: Literal[True] | None = None
    """True when it was placed without a hold that covers it."""
    hold: str | None = None
    """The stock hold that claimed its goods."""


class OrderDetailsCompleted(OrderEvent):
    """What had been empty or masked is known; null and empty lists are what this event does not tell."""

    reference: str | None
    """The number that people see at the marketplace."""
    city: str | None
    """City of the destination."""
    province: str | None
    """Province of the destination."""
    courier: str | None
    """The courier chosen."""
    service: str | None
    """The courier's service chosen."""
    warehouse: str | None
    """The marketplace's code of the warehouse."""
    lines: tuple[LineDetails, ...]
    """What was filled in of lines."""
    package: str | None
    """The package that holds `parts`."""
    parts: tuple[GoodsPart, ...]
    """Goods whose package is known now."""
    announced_awb: str | None
    """The tracking number announced for the package, not live before it is booked."""
    payment_reference: str | None
    """The number of the payment."""


class OrderConfirmed(OrderEvent):
    """The order was accepted and may be processed."""


class PaymentAwaited(OrderEvent):
    """A payment by the buyer is awaited."""


class PaymentProcessingStarted(OrderEvent):
    """A payment is being processed."""


class PaymentFailed(OrderEvent):
    """The payment failed or lapsed."""


class Payment(OrderEvent):
    """Money that came in."""

    amount: Quantity
    """In minor units of the order's currency."""
    reference: str | None
    """The number of the payment."""
    assumed: bool
    """True when the amount was not told and is taken to be what was due."""


class PaymentSucceeded(Payment):
    """A payment succeeded; it counts once it is allocated."""


class PaymentAllocated(Payment):
    """The money of a succeeded payment was booked on the order."""


class ExtraReceiptRecorded(Payment):
    """Money arrived that the order did not wait for: it was closed, or paid already."""


class ReceiptCorrected(OrderEvent):
    """Money that was only taken to have come in was less by this amount."""

    amount: Quantity
    """In minor units of the order's currency."""


class CodCollected(OrderEvent):
    """The courier collected the cash."""

    later: ClassVar[frozenset[str]] = frozenset({"package", "awb", "expected"})

    amount: Amount
    """In minor units of the order's currency."""
    package: str | None = None
    """Whose cash it is."""
    awb: str | None = None
    """The tracking number of that package."""
    expected: Amount | None = None
    """What was to be collected."""


class RefundPaid(OrderEvent):
    """Money went back to the buyer."""

    amount: Quantity
    """In minor units of the order's currency."""
    reference: str | None
    """The number of the refund."""


class CreditRecorded(OrderEvent):
    """The buyer owes less; a later credit of the same cause replaces the earlier one."""

    amount: Amount
    """In minor units of the order's currency."""
    cause: str
    """What brings it: `refund:<n>` or `part:<n>`, counted within the order."""


class RefundDueChanged(OrderEvent):
    """The money that must go back to the buyer is now this amount."""

    amount: Amount
    """In minor units of the order's currency."""


class Goods(OrderEvent):
    """Goods that moved."""

    package: str | None
    """The package that holds them from now on; null where there is none or it has no id."""
    parts: tuple[GoodsPart, ...]
    """The goods."""


class Shipment(Goods):
    """Goods that were packed or booked."""

    courier: str | None
    """Who carries them."""
    service: str | None
    """The courier's service."""


class PackagePrepared(Shipment):
    """Goods were packed and may go to the courier."""


class ShipmentBooked(Shipment):
    """The courier was booked for a package."""

    later: ClassVar[frozenset[str]] = frozenset({"collect"})
    collect: Quantity | None = None
    """The cash to be asked for at the door, of a COD order."""


class ShipmentCancelled(Goods):
    """The booking was undone, its tracking number is void and the goods are with the seller."""


class AwbIssued(OrderEvent):
    """A package has its tracking number."""

    package: str
    """The package."""
    awb: str | None
    """The tracking number; null while nobody has told it."""
    lines: tuple[str, ...]
    """The lines in the package, where it has no id."""
    courier: str | None
    """Who carries it."""
    service: str | None
    """The courier's service."""


class PackagePickedUp(Goods):
    """The courier took the goods; stock is issued."""


class DeliveryProblemReported(Goods):
    """The delivery ran into trouble."""


class DeliveryProblemSolved(Goods):
    """The trouble is over and the goods travel again."""


class PackageDelivered(Goods):
    """The goods arrived at their destination."""


class PackageLostOrDamaged(Goods):
    """The goods were lost or damaged on the way."""


class ReturnStarted(Goods):
    """The goods are on their way back."""


class ReturnReceived(Goods):
    """The goods are back with the seller and await a decision on restocking."""

    later: ClassVar[frozenset[str]] = frozenset({"good", "damaged"})
    good: Amount | None = None
    """Units counted in good condition."""
    damaged: Amount | None = None
    """Units counted as damaged."""


class Cancellation(OrderEvent):
    """Goods that will not be sold."""

    later: ClassVar[frozenset[str]] = frozenset({"reason"})

    parts: tuple[GoodsPart, ...]
    """The goods."""
    by: Actor | None
    """Who wanted it; null where nobody said."""
    accepted: bool
    """True when a request had asked for it."""
    reason: str | None = None
    """The code of the seller's reason."""


class LinesCancelled(Cancellation):
    """A part of the order was cancelled and its goods are to be released."""


class OrderCancelled(Cancellation):
    """Everything that was left of the order was cancelled and its goods are to be released."""


class Acceptance(OrderEvent):
    """Goods that the buyer has received for good."""

    parts: tuple[GoodsPart, ...]
    """The goods accepted with this event."""


class LinesAccepted(Acceptance):
    """The buyer has received a part of the order for good."""


class OrderCompleted(Acceptance):
    """The buyer has received the order and it is finished."""


class CancellationRequested(OrderEvent):
    """Somebody asks to cancel."""

    later: ClassVar[frozenset[str]] = frozenset({"reason"})

    lines: tuple[str, ...]
    """The lines concerned; none means the whole order."""
    by: Actor | None
    """Who asks; null where nobody said."""
    deadline: Instant | None
    """Until when the channel awaits an answer."""
    reason: str | None = None
    """The code of the reason."""


class CancellationRequestClosed(OrderEvent):
    """The request to cancel ended and the order goes on."""

    outcome: Literal["REFUSED", "WITHDRAWN", "TOO_LATE", "CHANNEL"]
    """How it ended."""
    by: Actor | None
    """Who ended it; null where nobody said."""


class ReturnCase(OrderEvent):
    """A return case and how far it has come."""

    case: str
    """The reverse order."""
    lines: tuple[str, ...]
    """The lines concerned; none means the whole order."""
    step: Literal["OPENED", "ON_THE_WAY", "RECEIVED", "LOST", "CLOSED"]
    """How far the case has come."""


class ReturnCaseOpened(ReturnCase):
    """A return case was opened; no value of the order changes."""


class ReturnCaseAdvanced(ReturnCase):
    """The open return case went a step further."""


class ReturnCaseClosed(ReturnCase):
    """The return case ended."""


class FactRecorded(OrderEvent):
    """News that changed no value was kept as what it is."""

    fact: str
    """The name of the fact."""
    disposition: Literal[
        "APPLIED", "DUPLICATE", "REAFFIRMED", "LATE", "CASE", "CONFLICT", "UNRECOGNISED", "NOTE"
    ]
    """What became of it."""
    source_status: str | None
    """The marketplace's own text of the status."""
    lines: tuple[str, ...]
    """The lines concerned; none means the whole order or the package."""
    package: str | None
    """The package concerned."""
    dates: Annotated[int, Field(ge=1)] | None
    """The sequence of the implied event whose true time this tells."""
    flags: tuple[str, ...]
    """Flags that it raises."""
    on_hold: bool | None
    """True where a hold starts, false where it ends."""


_LIFE: Final[tuple[type[PublicEvent], ...]] = (
    OrderPlaced,
    OrderDetailsCompleted,
    OrderConfirmed,
    PaymentAwaited,
    PaymentProcessingStarted,
    PaymentFailed,
    PaymentSucceeded,
    PaymentAllocated,
    ExtraReceiptRecorded,
    ReceiptCorrected,
    CodCollected,
    RefundPaid,
    CreditRecorded,
    RefundDueChanged,
    PackagePrepared,
    ShipmentBooked,
    ShipmentCancelled,
    AwbIssued,
    PackagePickedUp,
    DeliveryProblemReported,
    DeliveryProblemSolved,
    PackageDelivered,
    PackageLostOrDamaged,
    ReturnStarted,
    ReturnReceived,
    LinesCancelled,
    OrderCancelled,
    LinesAccepted,
    OrderCompleted,
    CancellationRequested,
    CancellationRequestClosed,
    ReturnCaseOpened,
    ReturnCaseAdvanced,
    ReturnCaseClosed,
    FactRecorded,
)
_ALL: Final[tuple[type[PublicEvent], ...]] = (*_LIFE, *SELLING, OrderAdvanced)

EVENTS: Final[dict[str, type[PublicEvent]]] = {event.__name__: event for event in _ALL}
"""Every event of an order by its name."""
