"""What the marketplace states, judged against what the order knows (section 11).

`judge` is the only door: it answers the events that a fact brings and reads no clock and no other order.
"""

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.buyer import completed, with_reason
from services.orders.order.channel_goods import TABLE, judge_goods
from services.orders.order.channel_payment import judge_refund, judge_success, judge_transaction
from services.orders.order.channel_request import (
    judge_case,
    judge_note,
    judge_request,
    judge_request_closed,
    judge_unknown,
)
from services.orders.order.decision import Decision
from services.orders.order.events import Disposition
from services.orders.order.fact import (
    Fact,
    FactInvalid,
    Judgement,
    NotPlacedYet,
    PlacedLineData,
    Scope,
    decode_fact,
    fees_data,
    placed_data,
    reference_of,
)
from services.orders.order.model import Order, Status, fact_key
from services.orders.order.state import evolve

__all__ = [
    "Disposition",
    "Fact",
    "FactInvalid",
    "Judgement",
    "NotPlacedYet",
    "Scope",
    "decode_fact",
    "judge",
]


def judge(order: Order | None, fact: Fact, *, number: str) -> Judgement:
    """What a fact does to an order; `number` is the order number for a placement (OM-2).

    All its events are stored or none. Raises NotPlacedYet when the order has no placement (MK-2), and
    FactInvalid when the fact breaks its contract.
    """
    if fact.type == "OrderPlaced":
        placed = _placed(fact, number)
        if order is None:
            return Judgement(Disposition.APPLIED, (placed,), order=evolve(None, placed))
        return _placed_again(order, fact, placed)
    if order is None:
        raise NotPlacedYet(fact.type)
    d = Decision(order, fact)
    judgement = d.judged(_judged(d, fact))
    if fact.buyer is None:
        return judgement
    return replace(judgement, events=with_reason(judgement.events, fact.buyer))


def _judged(d: Decision, fact: Fact) -> Disposition:
    known = fact_key(d.news.ref, d.news.at) in d.order.seen
    if fact.type in TABLE:
        return judge_goods(d, known=known)
    match fact.type:
        case "PaymentSucceeded":
            return judge_success(d, known=known)
        case "RefundPaid":
            return judge_refund(d, known=known)
        case _ if known:
            return Disposition.DUPLICATE
        case "PaymentAwaited" | "PaymentProcessingStarted" | "PaymentFailed":
            return judge_transaction(d)
        case "OrderConfirmed":
            return _confirmed(d)
        case "CancellationRequested":
            return judge_request(d)
        case "CancellationRequestClosed":
            return judge_request_closed(d)
        case "ReturnCaseOpened" | "ReturnCaseClosed":
            return judge_case(d)
        case "ChannelNote":
            return judge_note(d)
        case "UnknownStatusReported":
            return judge_unknown(d)
        case "ExpectedFeesFrozen":
            d.emit(e.ExpectedFeesFrozen(at=d.news.at, fact=d.news.ref, fees=fees_data(fact)))
            return Disposition.APPLIED
        case _:
            raise FactInvalid("type", f"{fact.type} is no fact about a marketplace order")


def _confirmed(d: Decision) -> Disposition:
    """Applied if NEW, with payment in full of a prepaid order; reaffirmed if CONFIRMED, else late (MK-6)."""
    news, order = d.news, d.order
    dates = 0 if news.at is None else order.implied.get("OrderConfirmed", 0)
    match order.status:
        case Status.NEW:
            d.imply_payment(news)
            d.emit(e.OrderConfirmed(at=news.at, fact=news.ref))
            d.settle()
            return Disposition.APPLIED
        case Status.CONFIRMED:
            if news.at is None:
                return Disposition.DUPLICATE
            return d.record(Disposition.REAFFIRMED, news, dates=dates, dimension=e.Dimension.ORDER)
        case Status.CANCELLED | Status.COMPLETED:
            if news.at is not None and order.cancelled_at is not None and news.at <= order.cancelled_at:
                d.imply_before_cancellation(news)
                d.settle()
            return d.late(news, dates=dates, dimension=e.Dimension.ORDER)


def _placed(fact: Fact, number: str) -> e.OrderPlaced:
    data = placed_data(fact)
    placed = e.OrderPlaced(
        at=fact.occurred_at,
        fact=reference_of(fact),
        number=number,
        seller=fact.seller,
        channel=fact.channel,
        site=fact.site or "",
        shop=fact.shop,
        connection=fact.connection,
        marketplace_number=fact.order,
        reference=data.reference or "",
        payment_method=e.Method(data.payment_method),
        currency=data.currency,
        total=data.total or 0,
        discount=data.discount or 0,
        shipping_fee=data.shipping_fee or 0,
        insurance_fee=data.insurance_fee or 0,
        other_fees=data.other_fees or 0,
        lines=tuple([_line(line) for line in data.lines]),
        city=data.city or "",
        province=data.province or "",
        courier=data.courier or "",
        service=data.service or "",
        warehouse=data.warehouse or "",
        buyer=fact.buyer,
    )
    if data.total is None:
        return replace(placed, total=money.total_of(placed))
    return placed


def _line(line: PlacedLineData) -> e.PlacedLine:
    return e.PlacedLine(
        line=line.line,
        quantity=line.quantity,
        unit_price=line.unit_price or 0,
        discount=line.discount or 0,
        product=line.product or "",
        variant=line.variant or "",
        sku=line.sku or "",
        name=line.name or "",
    )


def _placed_again(order: Order, fact: Fact, placed: e.OrderPlaced) -> Judgement:
    """A second placement fills what was empty or masked; other amounts raise a flag (MK-2)."""
    d = Decision(order, fact)
    disposition = Disposition.DUPLICATE
    told = {
        field: new
        for field in ("reference", "city", "province", "courier", "service", "warehouse")
        if (new := _better(getattr(order, field), getattr(placed, field)))
    }
    before = {line.line: line for line in order.lines}
    lines = tuple(
        found
        for line in placed.lines
        if line.line in before and (found := _line_details(before[line.line], line)) is not None
    )
    buyer = completed(order.buyers, fact.buyer)
    if told or lines or buyer is not None:
        details = e.OrderDetailsCompleted(at=d.news.at, fact=d.news.step, lines=lines, buyer=buyer)
        d.emit(replace(details, **told))
        disposition = Disposition.APPLIED
    if not order.amounts_differ and _amounts(order) != _amounts_of(placed):
        d.record(Disposition.NOTE, d.news, raises=("TOTALS_DIFFER",))
        disposition = Disposition.NOTE
    return d.judged(disposition)


def _better(known: str, told: str) -> str:
    """The text that was told, where the known one is empty or masked and this one is not."""
    if told and (not known or ("*" in known and "*" not in told)):
        return told
    return ""


def _line_details(known: e.PlacedLine, told: e.PlacedLine) -> e.LineDetails | None:
    details = e.LineDetails(
        line=known.line,
        product=_better(known.product, told.product),
        variant=_better(known.variant, told.variant),
        sku=_better(known.sku, told.sku),
        name=_better(known.name, told.name),
    )
    return None if details == e.LineDetails(line=known.line) else details


def _amounts(order: Order) -> tuple[object, ...]:
    return (
        order.currency,
        order.placed_total,
        order.discount,
        order.shipping_fee,
        order.insurance_fee,
        order.other_fees,
        {(line.line, line.quantity, line.unit_price, line.discount) for line in order.lines},
    )


def _amounts_of(placed: e.OrderPlaced) -> tuple[object, ...]:
    return (
        placed.currency,
        placed.total,
        placed.discount,
        placed.shipping_fee,
        placed.insurance_fee,
        placed.other_fees,
        {(line.line, line.quantity, line.unit_price, line.discount) for line in placed.lines},
    )
