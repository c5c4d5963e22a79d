"""How news without an effect of its own is kept: facts recorded, details filled in, doubts (MK-3, MK-15)."""

from typing import assert_never

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.chains import (
    FINAL,
    PAYMENT_RANK,
    PAYMENT_RANK_MONEY,
    REQUEST_RANK,
    TARGETS,
    chain_rank,
)
from services.orders.order.model import (
    CodTold,
    Doubt,
    Mark,
    Order,
    Package,
    PackageNews,
    Part,
    Receipt,
    Refund,
    advanced,
    fact_key,
    newer,
)
from services.orders.order.parts import announced, change_package, housed, move, package_of, with_pieces


def completed_details(order: Order, event: e.OrderDetailsCompleted) -> Order:
    if event.lines:
        told = {line.line: line for line in event.lines}
        lines = tuple(
            line if (new := told.get(line.line)) is None else _named(line, new) for line in order.lines
        )
        skus = {line.line: line.sku for line in lines}
        parts = tuple(
            part if part.sku == skus[part.line] else replace(part, sku=skus[part.line])
            for part in order.parts
        )
        order = replace(order, lines=lines, parts=parts)
    if event.payment_amount or event.payment_reference:
        told_money = Receipt(amount=event.payment_amount, at=event.at, reference=event.payment_reference)
        order = replace(order, receipts=_referenced(order.receipts, told_money))
    if event.package:
        if event.parts:
            moved = move(order, event.parts, lambda part: replace(part, package=event.package))
            order = housed(moved, event.package, with_pieces(order, event.parts))
        order = announced(order, event.package, event.announced_awb)
    return replace(
        order,
        reference=event.reference or order.reference,
        city=event.city or order.city,
        province=event.province or order.province,
        courier=event.courier or order.courier,
        service=event.service or order.service,
        warehouse=event.warehouse or order.warehouse,
        buyers=order.buyers if event.buyer is None else (*order.buyers, event.buyer),
    )


def _referenced(receipts: tuple[Receipt, ...], told: Receipt) -> tuple[Receipt, ...]:
    if told.amount:
        return money.settled(receipts, told)
    for position, receipt in enumerate(receipts):
        if not receipt.reference:
            named = replace(receipt, reference=told.reference)
            return (*receipts[:position], named, *receipts[position + 1 :])
    return receipts


def _named(line: e.PlacedLine, told: e.LineDetails) -> e.PlacedLine:
    return replace(
        line,
        product=told.product or line.product,
        variant=told.variant or line.variant,
        sku=told.sku or line.sku,
        name=told.name or line.name,
    )


def recorded(order: Order, event: e.FactRecorded, number: int) -> Order:
    fact = event.fact
    read_at = None if fact is None else fact.read_at
    name = "" if fact is None else fact.type
    if event.disposition is e.Disposition.REAFFIRMED:
        order = _reaffirmed(order, event, read_at, name)
    elif event.parts and event.at is not None:
        order = _cancelled_earlier(order, event.parts, event.at)
    if event.dates:
        order = _dated(order, event)
    if event.on_hold is not None and event.at is not None:
        hold_rank = 1 if event.on_hold else 2
        order = replace(
            order,
            on_hold=event.on_hold,
            hold_mark=advanced(order.hold_mark, event.at, read_at, hold_rank),
        )
    elif event.on_hold is not None:
        order = replace(order, on_hold=event.on_hold)
    if "TOTALS_DIFFER" in event.raises:
        order = replace(order, amounts_differ=True)
    if "CHANNEL_CONFLICT" in event.raises or "UNRECOGNISED" in event.raises:
        doubt = Doubt(
            disposition=event.disposition,
            type=name,
            lines=event.lines,
            at=event.at,
            status=None if fact is None else fact.status,
            event=number,
        )
        order = replace(order, doubts=(*order.doubts, doubt))
    if name == "CodCollected" and event.package:
        others = tuple(each for each in order.cod_told if each.package != event.package)
        return replace(order, cod_told=(*others, CodTold(package=event.package, amount=event.amount)))
    if name == "RefundPaid" and event.disposition is e.Disposition.NOTE and fact is not None:
        key = fact_key(fact, event.at)
        if event.amount == 0:
            return replace(order, refunds_unstated=(*order.refunds_unstated, key))
        if not event.raises:
            ahead = Refund(amount=event.amount, at=event.at, reference=event.reference, fact=fact)
            return replace(
                order,
                refunds_ahead=(*order.refunds_ahead, ahead),
                refunds_unstated=tuple(each for each in order.refunds_unstated if each != key),
            )
    return order


def _cancelled_earlier(order: Order, parts: tuple[e.MovedPart, ...], at: e.Instant) -> Order:
    """The order after late news told the true time of a cancellation, which later total it left (MO-8)."""

    def change(part: Part) -> Part:
        if part.cancelled_at is None or part.cancelled_at <= at:
            return part
        return replace(part, cancelled_at=at)

    return move(order, parts, change)


def _reaffirmed(order: Order, event: e.FactRecorded, read_at: e.Instant | None, name: str) -> Order:
    match event.dimension:
        case e.Dimension.GOODS:
            return move(
                order,
                event.parts,
                lambda part: replace(part, mark=advanced(part.mark, event.at, read_at)),
            )
        case e.Dimension.PAYMENT:
            rank = PAYMENT_RANK.get(name, PAYMENT_RANK_MONEY)
            return replace(order, payment_mark=advanced(order.payment_mark, event.at, read_at, rank))
        case e.Dimension.REQUEST:
            rank = REQUEST_RANK.get(name, 0)
            return replace(order, request_mark=advanced(order.request_mark, event.at, read_at, rank))
        case e.Dimension.ORDER | None:
            return order
        case _:
            assert_never(event.dimension)


def _dated(order: Order, event: e.FactRecorded) -> Order:
    """The order after the true time of an implied step was told; no value changes (MK-7)."""
    number = event.dates
    if order.implied.get("PaymentSucceeded") == number:
        told = Receipt(amount=event.amount, at=event.at, reference=event.reference)
        order = replace(order, receipts=money.settled(order.receipts, told))
    implied = {step: each for step, each in order.implied.items() if each != number}

    def change(part: Part) -> Part:
        if number not in part.implied.values():
            return part
        taken = part.implied.get("PackagePickedUp") == number and event.at is not None
        return replace(
            part,
            implied={step: each for step, each in part.implied.items() if each != number},
            picked_up_at=event.at if taken else part.picked_up_at,
        )

    return replace(order, implied=implied, parts=tuple(change(part) for part in order.parts))


def noticed(order: Order, event: e.Event, fact: e.FactRef) -> Order:
    """The order after its doubts and packages took notice of a fact."""
    kept = event if isinstance(event, e.FactRecorded) else None
    if order.doubts and (kept is None or kept.disposition is e.Disposition.REAFFIRMED):
        order = replace(order, doubts=_cleared(order, event, fact))
    # Packages of sellers are built here, so that no news of them comes before their lines are known.
    if order.source != "CHANNEL":
        return order
    if fact.package and event.at is not None and (fact.type in TARGETS or fact.type in FINAL):
        order = _news_kept(order, fact, event.at, "" if kept is None else kept.awb)
    return order


def _cleared(order: Order, event: e.Event, fact: e.FactRef) -> tuple[Doubt, ...]:
    """MK-15: later known news of the same goods clears what was not recognised."""
    lines: set[str] | None = None
    if isinstance(event, e.Moved | e.FactRecorded) and event.parts:
        lines = {piece.line for piece in event.parts}
    elif fact.line is not None:
        lines = {fact.line}

    def stands(doubt: Doubt) -> bool:
        if doubt.disposition is not e.Disposition.UNRECOGNISED:
            return True
        if doubt.at is not None and event.at is not None and event.at < doubt.at:
            return True
        return bool(doubt.lines) and (lines is None or lines.isdisjoint(doubt.lines))

    return tuple(doubt for doubt in order.doubts if stands(doubt))


def _news_kept(order: Order, fact: e.FactRef, at: e.Instant, awb: str) -> Order:
    package = fact.package
    assert package is not None, "Only facts about a package come here."
    held = package_of(order, package)
    if held is None:
        held = Package(id=package)
        order = replace(order, packages=(*order.packages, held))
    before = held.news
    if before is not None:
        later = newer(Mark(before.at, before.fact.read_at), at, fact.read_at)
        if later is None:
            later = chain_rank(fact.type) > chain_rank(before.fact.type)
        if not later:
            return order
    news = PackageNews(at=at, fact=fact, awb=awb)
    return change_package(order, package, lambda each: replace(each, news=news))
