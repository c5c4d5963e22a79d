"""The stored events that tell the life of any order: placement, payment, goods, requests, cases, the end.

Storage warning: as in events.py, names and fields are frozen and a field is added with a default.
"""

from typing import Any

from services.orders.order.words import (
    Actor,
    CaseStep,
    Dimension,
    Disposition,
    Happened,
    Instant,
    LineDetails,
    Method,
    Minor,
    Moved,
    MovedPart,
    Outcome,
    PlacedLine,
    Quantity,
    ReceiptSource,
    Sealed,
    TaxMode,
)


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
    page: str = ""
    agent: str = ""
    tax_mode: TaxMode = TaxMode.NONE
    # Basis points (CV-3).
    tax_rate: Minor = 0
    # The units that no hold covered, by line (CR-15).
    backorder: bool = False
    hold: str = ""
    buyer: Sealed | None = None


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
    buyer: Sealed | None = None


class OrderConfirmed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The order was accepted and may be processed."""


class PaymentAwaited(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A payment by the buyer is awaited."""

    reference: str = ""


class PaymentProcessingStarted(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A payment is being processed."""

    reference: str = ""


class PaymentFailed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The payment failed or lapsed."""

    reference: str = ""


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
    receipt: str = ""
    source: ReceiptSource = ReceiptSource.CHANNEL


class ExtraReceiptRecorded(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money arrived that the order did not wait for: it was closed, or paid already."""

    amount: Quantity
    reference: str = ""
    assumed: bool = False
    receipt: str = ""
    source: ReceiptSource = ReceiptSource.CHANNEL
    claim: bool = False


class ReceiptCorrected(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money that was only taken to have come was less by this amount: lines had been cancelled before."""

    amount: Quantity


class CodCollected(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The courier collected the cash; `expected` is what the package was to collect (MO-15)."""

    amount: Minor
    package: str = ""
    awb: str = ""
    expected: Minor | None = None


class RefundPaid(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money went back to the buyer."""

    amount: Quantity
    reference: str = ""


class CreditRecorded(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The buyer owes less; a later credit of the same cause replaces the amount of an earlier one."""

    amount: Minor
    cause: str
    # Why is free text, so it is sealed (17.1).
    text: Sealed | None = None


class RefundDueChanged(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The money that must go back to the buyer is now this amount."""

    amount: Minor


class PackagePrepared(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Goods were packed and may go to the courier; `awb` is a number announced before the booking."""

    awb: str = ""
    courier: str = ""
    service: str = ""


class ShipmentBooked(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The courier was booked for a package; `collect` is the cash it asks for at the door (MO-14)."""

    courier: str = ""
    service: str = ""
    collect: Minor = 0
    with_fees: bool = False


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
    """The goods are back with the seller; `good` and `damaged` are the units counted (T23)."""

    good: Minor | None = None
    damaged: Minor | None = None


class LinesCancelled(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A part of the order was cancelled; `by` says who wanted it."""

    by: Actor | None = None
    accepted: bool = False
    reason: str = ""
    label: str = ""
    # The buyer's own words on why, as the channel told them.
    buyer: Sealed | None = None


class OrderCancelled(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Everything that was left of the order was cancelled; `accepted`: a request asked for it."""

    by: Actor | None = None
    accepted: bool = False
    reason: str = ""
    label: str = ""
    buyer: Sealed | None = None


class LinesAccepted(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The buyer has received a part of the order for good (MK-13)."""


class OrderCompleted(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The buyer has received the order; `parts` are those accepted with this event."""


class CancellationRequested(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody asks to cancel; no lines means the whole order."""

    lines: tuple[str, ...] = ()
    by: Actor | None = None
    deadline: Instant | None = None
    # A code of the seller's list, and how the buyer asked, in sealed words (GR-11).
    reason: str = ""
    text: Sealed | None = None
    parts: tuple[MovedPart, ...] = ()
    buyer: Sealed | None = None


class CancellationRequestClosed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The request to cancel ended and the order goes on."""

    outcome: Outcome = Outcome.CHANNEL
    by: Actor | None = None


class ReturnCaseOpened(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A return case was opened; no value of the order changes."""

    case: str
    lines: tuple[str, ...] = ()
    step: CaseStep = CaseStep.OPENED
    # Why is free text, so it is sealed (17.1).
    text: Sealed | None = None


class ReturnCaseAdvanced(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The open return case went a step further."""

    case: str
    step: CaseStep
    lines: tuple[str, ...] = ()


class ReturnCaseClosed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The return case ended."""

    case: str
    lines: tuple[str, ...] = ()
    outcome: str = ""
    good: Minor | None = None
    damaged: Minor | None = None


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
    package: str = ""
    amount: Minor = 0
    currency: str = ""
    reference: str = ""
