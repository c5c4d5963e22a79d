"""What can have happened to an order: the stored events and the closed sets of words they use.

Stored names, fields and codes are frozen: an event once written is read for ever. A field may be added with a
default; anything else is a new version of the name. No field here holds data of a buyer (PD-1): city and
province are the only words about the destination.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

Instant = Annotated[datetime, Meta(tz=True)]
Minor = Annotated[int, Meta(ge=0)]
Quantity = Annotated[int, Meta(ge=1)]


class Actor(StrEnum):
    """Who acted or is said to have acted (CV-5)."""

    OWNER = "OWNER"
    AGENT = "AGENT"
    BUYER = "BUYER"
    SELLER = "SELLER"
    COURIER = "COURIER"
    GATEWAY = "GATEWAY"
    CHANNEL = "CHANNEL"
    SYSTEM = "SYSTEM"


class Method(StrEnum):
    """How the order is paid (OM-4)."""

    COD = "COD"
    TRANSFER = "TRANSFER"
    GATEWAY = "GATEWAY"
    INVOICE = "INVOICE"


class Disposition(StrEnum):
    """What became of a fact (11.3)."""

    APPLIED = "APPLIED"
    DUPLICATE = "DUPLICATE"
    REAFFIRMED = "REAFFIRMED"
    LATE = "LATE"
    CASE = "CASE"
    CONFLICT = "CONFLICT"
    UNRECOGNISED = "UNRECOGNISED"
    NOTE = "NOTE"


class Outcome(StrEnum):
    """How a request to cancel ended without a cancellation (T9)."""

    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"
    TOO_LATE = "TOO_LATE"
    CHANNEL = "CHANNEL"


class CaseStep(StrEnum):
    """How far a return case has come (T34a)."""

    OPENED = "OPENED"
    ON_THE_WAY = "ON_THE_WAY"
    RECEIVED = "RECEIVED"
    LOST = "LOST"
    CLOSED = "CLOSED"


class Dimension(StrEnum):
    """What a recorded fact spoke about, so that its watermark can move (MK-4)."""

    PAYMENT = "PAYMENT"
    REQUEST = "REQUEST"
    GOODS = "GOODS"
    ORDER = "ORDER"


class FactRef(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The fact behind an event.

    With `type` the event is the fact's own and holds its key (MK-3); without, a step that it implied (MK-7).
    """

    id: str
    type: str = ""
    line: str | None = None
    package: str | None = None
    status: str | None = None
    occurrence: int = 1
    approximate: bool = False
    read_at: Instant | None = None
    version: int = 0


class MovedPart(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A part that an event moves; `of` names the part that it is split from by this event (OM-6)."""

    part: int
    line: str
    quantity: Quantity
    sku: str = ""
    of: int = 0


class PlacedLine(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A line as sold (OM-5)."""

    line: str
    quantity: Quantity
    unit_price: Minor
    discount: Minor = 0
    product: str = ""
    variant: str = ""
    sku: str = ""
    name: str = ""


class LineDetails(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a later reading told of a line that was empty or masked before."""

    line: str
    product: str = ""
    variant: str = ""
    sku: str = ""
    name: str = ""


class Happened(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What every event says of itself: when it happened (none: when it was recorded), who, and which fact."""

    at: Instant | None = None
    implied: bool = False
    actor: Actor = Actor.CHANNEL
    fact: FactRef | None = None


class Moved(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What every event on goods says: the parts it moved, and the package that holds them from now on."""

    parts: tuple[MovedPart, ...]
    package: str = ""


class OrderPlaced(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An order came in."""

    number: str
    seller: str
    channel: str
    site: str
    shop: str
    connection: str
    marketplace_number: str
    payment_method: Method
    currency: str
    total: Minor
    lines: tuple[PlacedLine, ...]
    source: str = "CHANNEL"
    reference: str = ""
    discount: Minor = 0
    shipping_fee: Minor = 0
    insurance_fee: Minor = 0
    other_fees: Minor = 0
    city: str = ""
    province: str = ""
    courier: str = ""
    service: str = ""
    warehouse: str = ""


class OrderDetailsCompleted(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A later reading told what had been empty or masked."""

    reference: str = ""
    city: str = ""
    province: str = ""
    courier: str = ""
    service: str = ""
    warehouse: str = ""
    lines: tuple[LineDetails, ...] = ()
    package: str = ""
    parts: tuple[MovedPart, ...] = ()
    announced_awb: str = ""
    payment_amount: Minor = 0
    payment_reference: str = ""


class OrderConfirmed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The order was accepted and may be processed."""


class PaymentAwaited(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A payment by the buyer is awaited."""


class PaymentProcessingStarted(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A payment is being processed."""


class PaymentFailed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The payment failed or lapsed."""


class PaymentSucceeded(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A payment succeeded; `assumed`: its amount was not stated and is taken to be what was due."""

    amount: Quantity
    reference: str = ""
    assumed: bool = False


class PaymentAllocated(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The money of a succeeded payment was booked on the order."""

    amount: Quantity
    reference: str = ""
    assumed: bool = False


class ExtraReceiptRecorded(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money arrived that the order did not wait for: it was closed, or paid already."""

    amount: Quantity
    reference: str = ""
    assumed: bool = False


class ReceiptCorrected(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money that was only taken to have come was less by this amount: lines had been cancelled before."""

    amount: Quantity


class CodCollected(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The courier collected the cash."""

    amount: Minor


class RefundPaid(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money went back to the buyer."""

    amount: Quantity
    reference: str = ""


class CreditRecorded(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The buyer owes less; a later credit of the same cause replaces the amount of an earlier one."""

    amount: Minor
    cause: str


class RefundDueChanged(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The money that must go back to the buyer is now this amount."""

    amount: Minor


class PackagePrepared(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Goods were packed and may go to the courier; `awb` is a number announced before the booking."""

    awb: str = ""
    courier: str = ""
    service: str = ""


class ShipmentBooked(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The courier was booked for a package."""

    courier: str = ""
    service: str = ""


class ShipmentCancelled(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The booking was undone and its AWB is void; `awb` is the number announced for the next booking."""

    awb: str = ""


class AwbIssued(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A package has its shipment number; an empty number is one that nobody has told yet."""

    package: str
    awb: str = ""
    lines: tuple[str, ...] = ()
    courier: str = ""
    service: str = ""


class PackagePickedUp(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The courier took the package."""


class DeliveryProblemReported(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The delivery ran into trouble."""


class DeliveryProblemSolved(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The trouble is over and the package travels again."""


class PackageDelivered(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The package arrived at its destination."""


class PackageLostOrDamaged(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The goods were lost or damaged on the way."""


class ReturnStarted(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The goods are on their way back."""


class ReturnReceived(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The goods are back with the seller."""


class LinesCancelled(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A part of the order was cancelled; `by` says who wanted it."""

    by: Actor | None = None
    accepted: bool = False


class OrderCancelled(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Everything that was left of the order was cancelled; `accepted`: a request asked for it."""

    by: Actor | None = None
    accepted: bool = False


class LinesAccepted(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The buyer has received a part of the order for good (MK-13)."""


class OrderCompleted(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The buyer has received the order; `parts` are those accepted with this event."""


class CancellationRequested(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody asks to cancel; no lines means the whole order."""

    lines: tuple[str, ...] = ()
    by: Actor | None = None
    deadline: Instant | None = None


class CancellationRequestClosed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The request to cancel ended and the order goes on."""

    outcome: Outcome = Outcome.CHANNEL
    by: Actor | None = None


class ReturnCaseOpened(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A return case was opened; no value of the order changes."""

    case: str
    lines: tuple[str, ...] = ()
    step: CaseStep = CaseStep.OPENED


class ReturnCaseAdvanced(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The open return case went a step further."""

    case: str
    step: CaseStep
    lines: tuple[str, ...] = ()


class ReturnCaseClosed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The return case ended."""

    case: str
    lines: tuple[str, ...] = ()


class ExpectedFeesFrozen(Happened, frozen=True, kw_only=True, omit_defaults=True):
    """The fees that the marketplace is expected to take were fixed for this order (MK-20)."""

    fees: dict[str, Any]


class FactRecorded(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """News that changed no value was kept as what it is.

    `dates` is the number of the implied event of which it tells the true time, `raises` the flags it puts up,
    `amount` money told of an implied receipt, or before it can be booked.
    """

    disposition: Disposition
    dimension: Dimension | None = None
    parts: tuple[MovedPart, ...] = ()
    dates: int = 0
    raises: tuple[str, ...] = ()
    on_hold: bool | None = None
    lines: tuple[str, ...] = ()
    awb: str = ""
    amount: Minor = 0
    currency: str = ""
    reference: str = ""


Event = (
    OrderPlaced
    | OrderDetailsCompleted
    | OrderConfirmed
    | PaymentAwaited
    | PaymentProcessingStarted
    | PaymentFailed
    | PaymentSucceeded
    | PaymentAllocated
    | ExtraReceiptRecorded
    | ReceiptCorrected
    | CodCollected
    | RefundPaid
    | CreditRecorded
    | RefundDueChanged
    | PackagePrepared
    | ShipmentBooked
    | ShipmentCancelled
    | AwbIssued
    | PackagePickedUp
    | DeliveryProblemReported
    | DeliveryProblemSolved
    | PackageDelivered
    | PackageLostOrDamaged
    | ReturnStarted
    | ReturnReceived
    | LinesCancelled
    | OrderCancelled
    | LinesAccepted
    | OrderCompleted
    | CancellationRequested
    | CancellationRequestClosed
    | ReturnCaseOpened
    | ReturnCaseAdvanced
    | ReturnCaseClosed
    | ExpectedFeesFrozen
    | FactRecorded
)

# Append only: the name stands in the store.
EVENTS: dict[str, type[Event]] = {
    "OrderPlaced.v1": OrderPlaced,
    "OrderDetailsCompleted.v1": OrderDetailsCompleted,
    "OrderConfirmed.v1": OrderConfirmed,
    "PaymentAwaited.v1": PaymentAwaited,
    "PaymentProcessingStarted.v1": PaymentProcessingStarted,
    "PaymentFailed.v1": PaymentFailed,
    "PaymentSucceeded.v1": PaymentSucceeded,
    "PaymentAllocated.v1": PaymentAllocated,
    "ExtraReceiptRecorded.v1": ExtraReceiptRecorded,
    "ReceiptCorrected.v1": ReceiptCorrected,
    "CodCollected.v1": CodCollected,
    "RefundPaid.v1": RefundPaid,
    "CreditRecorded.v1": CreditRecorded,
    "RefundDueChanged.v1": RefundDueChanged,
    "PackagePrepared.v1": PackagePrepared,
    "ShipmentBooked.v1": ShipmentBooked,
    "ShipmentCancelled.v1": ShipmentCancelled,
    "AwbIssued.v1": AwbIssued,
    "PackagePickedUp.v1": PackagePickedUp,
    "DeliveryProblemReported.v1": DeliveryProblemReported,
    "DeliveryProblemSolved.v1": DeliveryProblemSolved,
    "PackageDelivered.v1": PackageDelivered,
    "PackageLostOrDamaged.v1": PackageLostOrDamaged,
    "ReturnStarted.v1": ReturnStarted,
    "ReturnReceived.v1": ReturnReceived,
    "LinesCancelled.v1": LinesCancelled,
    "OrderCancelled.v1": OrderCancelled,
    "LinesAccepted.v1": LinesAccepted,
    "OrderCompleted.v1": OrderCompleted,
    "CancellationRequested.v1": CancellationRequested,
    "CancellationRequestClosed.v1": CancellationRequestClosed,
    "ReturnCaseOpened.v1": ReturnCaseOpened,
    "ReturnCaseAdvanced.v1": ReturnCaseAdvanced,
    "ReturnCaseClosed.v1": ReturnCaseClosed,
    "ExpectedFeesFrozen.v1": ExpectedFeesFrozen,
    "FactRecorded.v1": FactRecorded,
}
