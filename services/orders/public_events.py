"""What outsiders learn of each stored event: exactly one public event (OM-12), in words of its own.

Storage warning: these shapes lie in topics and archives under `jejak.orders.<name>.v1`; a field is added with
a default, never renamed or removed. No field holds data of a buyer (PD-4). When it happened is the `ce_time`.
"""

from msgspec import Struct
from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.public_selling import SELLING_TYPES, SellingData, selling_data
from services.orders.public_shapes import Amount, GoodsPart, Line, Plain, Public, goods_parts, public_lines


class LineDetails(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was filled in of a line."""

    line: str
    product: str | None = None
    variant: str | None = None
    sku: str | None = None
    name: str | None = None


class OrderPlaced(Public, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An order came in; its goods are to be reserved."""

    number: str
    source: str
    seller: str
    channel: str
    site: str
    shop: str
    marketplace_number: str
    reference: str
    payment_method: str
    currency: str
    total: int
    discount: int
    shipping_fee: int
    insurance_fee: int
    other_fees: int
    lines: tuple[Line, ...]
    city: str
    province: str
    courier: str
    service: str
    warehouse: str
    page: str | None = None
    agent: str | None = None
    tax_mode: str | None = None
    tax_rate: int | None = None
    backorder: bool | None = None
    hold: str | None = None


class OrderDetailsCompleted(Public, frozen=True, kw_only=True, gc=False):
    """What had been empty or masked is known; null is what this event does not tell."""

    reference: str | None
    city: str | None
    province: str | None
    courier: str | None
    service: str | None
    warehouse: str | None
    lines: tuple[LineDetails, ...]
    package: str | None
    parts: tuple[GoodsPart, ...]
    announced_awb: str | None
    payment_reference: str | None


class Payment(Public, frozen=True, kw_only=True, gc=False):
    """Money that moved; `assumed`: its amount was not told and is taken to be what was due."""

    amount: int
    reference: str | None
    assumed: bool


class Refund(Public, frozen=True, kw_only=True, gc=False):
    """Money that went back to the buyer."""

    amount: int
    reference: str | None


class Credit(Public, frozen=True, kw_only=True, gc=False):
    """What the buyer no longer owes; a later credit of one cause replaces the earlier."""

    amount: int
    cause: str


class Goods(Public, frozen=True, kw_only=True, gc=False):
    """Goods that moved."""

    package: str | None
    parts: tuple[GoodsPart, ...]


class Shipment(Public, frozen=True, kw_only=True, gc=False):
    """Goods that were packed or booked, with the courier if known."""

    package: str | None
    parts: tuple[GoodsPart, ...]
    courier: str | None
    service: str | None


class Booking(Shipment, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Goods that were booked, with the cash to be asked for at the door."""

    collect: int | None = None


class Counted(Goods, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Goods that are back, with the units counted."""

    good: int | None = None
    damaged: int | None = None


class Cash(Amount, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Cash that a courier collected, for which package, and what was to be collected."""

    package: str | None = None
    awb: str | None = None
    expected: int | None = None


class AwbIssued(Public, frozen=True, kw_only=True, gc=False):
    """A package has its shipment number; null is a number that nobody has told yet."""

    package: str
    awb: str | None
    lines: tuple[str, ...]
    courier: str | None
    service: str | None


class Cancellation(Public, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Goods that will not be sold; `by` wanted it, `accepted`: a request had asked for it."""

    parts: tuple[GoodsPart, ...]
    by: str | None
    accepted: bool
    reason: str | None = None


class Acceptance(Public, frozen=True, kw_only=True, gc=False):
    """Goods that the buyer has received for good."""

    parts: tuple[GoodsPart, ...]


class CancellationRequested(Public, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody asks to cancel these lines; none means the whole order."""

    lines: tuple[str, ...]
    by: str | None
    deadline: e.Instant | None
    reason: str | None = None


class CancellationRequestClosed(Public, frozen=True, kw_only=True, gc=False):
    """The request to cancel ended and the order goes on."""

    outcome: str
    by: str | None


class ReturnCase(Public, frozen=True, kw_only=True, gc=False):
    """A return case and the step it is at; no lines means the whole order."""

    case: str
    lines: tuple[str, ...]
    step: str


class FactRecorded(Public, frozen=True, kw_only=True, gc=False):
    """News that changed no value; `dates` is the sequence of the implied event whose true time it tells."""

    fact: str
    disposition: str
    source_status: str | None
    lines: tuple[str, ...]
    package: str | None
    dates: int | None
    flags: tuple[str, ...]
    on_hold: bool | None


class OrderAdvanced(Struct, frozen=True, gc=False):
    """Something that is no concern of outsiders."""


PublicData = (
    OrderPlaced
    | OrderDetailsCompleted
    | Plain
    | Amount
    | Payment
    | Refund
    | Credit
    | Goods
    | Shipment
    | Booking
    | Counted
    | Cash
    | AwbIssued
    | Cancellation
    | Acceptance
    | CancellationRequested
    | CancellationRequestClosed
    | ReturnCase
    | FactRecorded
    | OrderAdvanced
    | SellingData
)

# The shape of each public type, for schemas and their tests; the names are frozen.
PUBLIC_TYPES: dict[str, type[PublicData]] = {
    "OrderPlaced": OrderPlaced,
    "OrderDetailsCompleted": OrderDetailsCompleted,
    "OrderConfirmed": Plain,
    "PaymentAwaited": Plain,
    "PaymentProcessingStarted": Plain,
    "PaymentFailed": Plain,
    "PaymentSucceeded": Payment,
    "PaymentAllocated": Payment,
    "ExtraReceiptRecorded": Payment,
    "ReceiptCorrected": Amount,
    "CodCollected": Cash,
    "RefundPaid": Refund,
    "CreditRecorded": Credit,
    "RefundDueChanged": Amount,
    "PackagePrepared": Shipment,
    "ShipmentBooked": Booking,
    "ShipmentCancelled": Goods,
    "AwbIssued": AwbIssued,
    "PackagePickedUp": Goods,
    "DeliveryProblemReported": Goods,
    "DeliveryProblemSolved": Goods,
    "PackageDelivered": Goods,
    "PackageLostOrDamaged": Goods,
    "ReturnStarted": Goods,
    "ReturnReceived": Counted,
    "LinesCancelled": Cancellation,
    "OrderCancelled": Cancellation,
    "LinesAccepted": Acceptance,
    "OrderCompleted": Acceptance,
    "CancellationRequested": CancellationRequested,
    "CancellationRequestClosed": CancellationRequestClosed,
    "ReturnCaseOpened": ReturnCase,
    "ReturnCaseAdvanced": ReturnCase,
    "ReturnCaseClosed": ReturnCase,
    "FactRecorded": FactRecorded,
    **SELLING_TYPES,
    "OrderAdvanced": OrderAdvanced,
}


def to_public(stored_name: str, event: e.Event) -> tuple[str, PublicData]:
    """The public name and data of a stored event; the name is without service and major version."""
    name = stored_name.partition(".")[0]
    if name not in PUBLIC_TYPES:
        return "OrderAdvanced", OrderAdvanced()
    if name in SELLING_TYPES:
        data = selling_data(event)
        assert data is not None, f"{name} is public and has no shape."
        return name, data
    return name, _data(event)


def _data(event: e.Event) -> PublicData:
    implied, actor = event.implied, event.actor.value
    match event:
        case e.OrderPlaced():
            return _placed(event)
        case e.ShipmentBooked():
            return Booking(
                implied=implied,
                actor=actor,
                package=event.package or None,
                parts=goods_parts(event.parts),
                courier=event.courier or None,
                service=event.service or None,
                collect=event.collect or None,
            )
        case e.ReturnReceived():
            return Counted(
                implied=implied,
                actor=actor,
                package=event.package or None,
                parts=goods_parts(event.parts),
                good=event.good,
                damaged=event.damaged,
            )
        case e.PackagePrepared():
            return Shipment(
                implied=implied,
                actor=actor,
                package=event.package or None,
                parts=goods_parts(event.parts),
                courier=event.courier or None,
                service=event.service or None,
            )
        case e.LinesCancelled() | e.OrderCancelled():
            return Cancellation(
                implied=implied,
                actor=actor,
                parts=goods_parts(event.parts),
                by=None if event.by is None else event.by.value,
                accepted=event.accepted,
                reason=event.reason or None,
            )
        case e.LinesAccepted() | e.OrderCompleted():
            return Acceptance(implied=implied, actor=actor, parts=goods_parts(event.parts))
        case e.Moved():
            return Goods(
                implied=implied, actor=actor, package=event.package or None, parts=goods_parts(event.parts)
            )
        case e.OrderConfirmed() | e.PaymentAwaited() | e.PaymentProcessingStarted() | e.PaymentFailed():
            return Plain(implied=implied, actor=actor)
        case _:
            return _money(event, implied=implied, actor=actor)


def _money(event: e.Event, *, implied: bool, actor: str) -> PublicData:
    match event:
        case e.PaymentSucceeded() | e.PaymentAllocated() | e.ExtraReceiptRecorded():
            return Payment(
                implied=implied,
                actor=actor,
                amount=event.amount,
                reference=event.reference or None,
                assumed=event.assumed,
            )
        case e.CodCollected():
            return Cash(
                implied=implied,
                actor=actor,
                amount=event.amount,
                package=event.package or None,
                awb=event.awb or None,
                expected=event.expected,
            )
        case e.RefundDueChanged() | e.ReceiptCorrected():
            return Amount(implied=implied, actor=actor, amount=event.amount)
        case e.RefundPaid():
            return Refund(
                implied=implied, actor=actor, amount=event.amount, reference=event.reference or None
            )
        case e.CreditRecorded():
            return Credit(implied=implied, actor=actor, amount=event.amount, cause=event.cause)
        case _:
            return _other(event, implied=implied, actor=actor)


def _other(event: e.Event, *, implied: bool, actor: str) -> PublicData:
    match event:
        case e.OrderDetailsCompleted():
            return _details(event, implied=implied, actor=actor)
        case e.AwbIssued():
            return AwbIssued(
                implied=implied,
                actor=actor,
                package=event.package,
                awb=event.awb or None,
                lines=event.lines,
                courier=event.courier or None,
                service=event.service or None,
            )
        case e.CancellationRequested():
            return CancellationRequested(
                implied=implied,
                actor=actor,
                lines=event.lines,
                by=None if event.by is None else event.by.value,
                deadline=event.deadline,
                reason=event.reason or None,
            )
        case e.CancellationRequestClosed():
            return CancellationRequestClosed(
                implied=implied,
                actor=actor,
                outcome=event.outcome.value,
                by=None if event.by is None else event.by.value,
            )
        case e.ReturnCaseOpened() | e.ReturnCaseAdvanced() | e.ReturnCaseClosed():
            step = e.CaseStep.CLOSED if isinstance(event, e.ReturnCaseClosed) else event.step
            return ReturnCase(
                implied=implied, actor=actor, case=event.case, lines=event.lines, step=step.value
            )
        case e.FactRecorded():
            return _recorded(event, implied=implied, actor=actor)
        case _:
            return OrderAdvanced()


def _placed(event: e.OrderPlaced) -> OrderPlaced:
    placed = OrderPlaced(
        implied=event.implied,
        actor=event.actor.value,
        number=event.number,
        source=event.source,
        seller=event.seller,
        channel=event.channel,
        site=event.site,
        shop=event.shop,
        marketplace_number=event.marketplace_number,
        reference=event.reference,
        payment_method=event.payment_method.value,
        currency=event.currency,
        total=event.total,
        discount=event.discount,
        shipping_fee=event.shipping_fee,
        insurance_fee=event.insurance_fee,
        other_fees=event.other_fees,
        lines=public_lines(event.lines),
        city=event.city,
        province=event.province,
        courier=event.courier,
        service=event.service,
        warehouse=event.warehouse,
    )
    if event.source == "CHANNEL":
        return placed
    return replace(
        placed,
        page=event.page or None,
        agent=event.agent or None,
        tax_mode=None if event.tax_mode is e.TaxMode.NONE else event.tax_mode.value,
        tax_rate=event.tax_rate or None,
        backorder=event.backorder or None,
        hold=event.hold or None,
    )


def _details(event: e.OrderDetailsCompleted, *, implied: bool, actor: str) -> OrderDetailsCompleted:
    return OrderDetailsCompleted(
        implied=implied,
        actor=actor,
        reference=event.reference or None,
        city=event.city or None,
        province=event.province or None,
        courier=event.courier or None,
        service=event.service or None,
        warehouse=event.warehouse or None,
        lines=tuple(
            LineDetails(
                line=line.line,
                product=line.product or None,
                variant=line.variant or None,
                sku=line.sku or None,
                name=line.name or None,
            )
            for line in event.lines
        ),
        package=event.package or None,
        parts=goods_parts(event.parts),
        announced_awb=event.announced_awb or None,
        payment_reference=event.payment_reference or None,
    )


def _recorded(event: e.FactRecorded, *, implied: bool, actor: str) -> FactRecorded:
    fact = event.fact
    lines = event.lines or tuple(dict.fromkeys(part.line for part in event.parts))
    if not lines and fact is not None and fact.line is not None:
        lines = (fact.line,)
    return FactRecorded(
        implied=implied,
        actor=actor,
        fact="" if fact is None else fact.type,
        disposition=event.disposition.value,
        source_status=None if fact is None else fact.status,
        lines=lines,
        package=None if fact is None else fact.package,
        dates=event.dates or None,
        flags=event.raises,
        on_hold=event.on_hold,
    )
