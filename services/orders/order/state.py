"""What the events of an order make true now: `evolve` and `fold`, total over every stored history."""

from collections.abc import Iterable
from typing import assert_never

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.adopting import adopted
from services.orders.order.ledger import paid
from services.orders.order.model import (
    Fulfilment,
    Mark,
    Order,
    Package,
    Part,
    Status,
    Transaction,
    advanced,
    fact_key,
)
from services.orders.order.parts import (
    announced,
    change_package,
    housed,
    issued,
    move,
    package_of,
    unbooked,
    with_pieces,
)
from services.orders.order.records import completed_details, noticed, recorded
from services.orders.order.requests import cased, requested, without_requested
from services.orders.order.seller_state import (
    arrived,
    delivered,
    placed_by_seller,
    to_settle,
    told_by_seller,
    unpacked,
)

__all__ = ["Mark", "Order", "Package", "Part", "evolve", "fold"]


def fold(events: Iterable[e.Event]) -> Order | None:
    """The order after these events; None when there are none."""
    order: Order | None = None
    for event in events:
        order = evolve(order, event)
    return order


def evolve(order: Order | None, event: e.Event) -> Order:
    """The order after one more event."""
    if isinstance(event, e.OrderPlaced):
        return _placed(event)
    if order is None:
        raise ValueError(f"{type(event).__name__} cannot be the first event of an order.")
    number = order.sequence + 1
    changed = _applied(order, event, number)
    if order.source != "CHANNEL" and changed.parts is not order.parts:
        changed = arrived(order, changed, event)
    fact = event.fact
    if fact is None or not fact.type:
        return replace(changed, sequence=number)
    seen = {**changed.seen, fact_key(fact, event.at): number}
    if fact.package or changed.doubts:
        changed = noticed(changed, event, fact)
    return replace(changed, sequence=number, seen=seen)


def _placed(event: e.OrderPlaced) -> Order:
    order = _placed_at_channel(event)
    # The hot path of marketplace placements carries nothing of what only sellers' orders have.
    return order if event.source == "CHANNEL" else placed_by_seller(order, event)


def _placed_at_channel(event: e.OrderPlaced) -> Order:
    fact = event.fact
    return Order(
        sequence=1,
        number=event.number,
        source=event.source,
        seller=event.seller,
        channel=event.channel,
        site=event.site,
        shop=event.shop,
        connection=event.connection,
        marketplace_number=event.marketplace_number,
        reference=event.reference,
        placed_at=event.at,
        method=event.payment_method,
        currency=event.currency,
        placed_total=event.total,
        discount=event.discount,
        shipping_fee=event.shipping_fee,
        insurance_fee=event.insurance_fee,
        other_fees=event.other_fees,
        lines=event.lines,
        parts=tuple(
            [
                Part(id=number, line=line.line, quantity=line.quantity, sku=line.sku)
                for number, line in enumerate(event.lines, start=1)
            ]
        ),
        parts_made=len(event.lines),
        city=event.city,
        province=event.province,
        courier=event.courier,
        service=event.service,
        warehouse=event.warehouse,
        buyers=() if event.buyer is None else (event.buyer,),
        seen={} if fact is None else {fact_key(fact, event.at): 1},
    )


def _applied(order: Order, event: e.Event, number: int) -> Order:
    match event:
        # The cases exclude each other; what most orders have comes first, since each case costs a look.
        case e.Moved():
            return _goods(order, event, number)
        case e.OrderConfirmed():
            implied = {**order.implied, "OrderConfirmed": number} if event.implied else order.implied
            return replace(order, status=Status.CONFIRMED, status_since=number, implied=implied)
        case e.AwbIssued():
            return _awb_issued(order, event)
        case (
            e.PaymentAwaited()
            | e.PaymentProcessingStarted()
            | e.PaymentFailed()
            | e.PaymentSucceeded()
            | e.PaymentAllocated()
            | e.ExtraReceiptRecorded()
            | e.ReceiptCorrected()
            | e.CodCollected()
            | e.RefundPaid()
            | e.CreditRecorded()
            | e.RefundDueChanged()
        ):
            return paid(order, event, number)
        case e.CancellationRequested() | e.CancellationRequestClosed():
            return requested(order, event, number)
        case e.ReturnCaseOpened() | e.ReturnCaseAdvanced() | e.ReturnCaseClosed():
            return cased(order, event, number)
        case e.OrderDetailsCompleted():
            return completed_details(order, event)
        case e.FactRecorded():
            return recorded(order, event, number)
        case e.ChannelStateAdopted():
            return adopted(order, event, number)
        case e.ExpectedFeesFrozen() | e.OrderPlaced():
            return order
        case _:
            return told_by_seller(order, event, number)


Goods = (
    e.PackagePrepared
    | e.ShipmentBooked
    | e.ShipmentCancelled
    | e.PackagePickedUp
    | e.DeliveryProblemReported
    | e.DeliveryProblemSolved
    | e.PackageDelivered
    | e.PackageLostOrDamaged
    | e.ReturnStarted
    | e.ReturnReceived
    | e.LinesCancelled
    | e.OrderCancelled
    | e.LinesAccepted
    | e.OrderCompleted
    | e.PackageUnprepared
    | e.BookingFailed
)


def _goods(order: Order, event: Goods, number: int) -> Order:
    match event:
        case e.ShipmentBooked():
            moved = _set(order, event, number, Fulfilment.BOOKED)
            if event.collect or event.with_fees:
                moved = change_package(
                    moved,
                    event.package,
                    lambda each: replace(each, collect=event.collect, with_fees=event.with_fees),
                )
            return _carried(moved, event.package, event.courier, event.service)
        case e.PackagePrepared():
            moved = _set(order, event, number, Fulfilment.READY)
            moved = announced(moved, event.package, event.awb)
            return _carried(moved, event.package, event.courier, event.service)
        case e.PackagePickedUp():
            return without_requested(_set(order, event, number, Fulfilment.IN_TRANSIT), event)
        case e.PackageDelivered():
            return delivered(_set(order, event, number, Fulfilment.DELIVERED), event)
        case e.LinesAccepted() | e.OrderCompleted():
            return _accepted(order, event, number)
        case e.LinesCancelled() | e.OrderCancelled():
            return _cancelled(order, event, number)
        case e.ShipmentCancelled():
            moved = _set(order, event, number, Fulfilment.READY)
            return announced(unbooked(moved, event.package, event.at), event.package, event.awb)
        case e.BookingFailed():
            return unbooked(_set(order, event, number, Fulfilment.READY), event.package, event.at)
        case e.PackageUnprepared():
            return unpacked(order, event, number)
        case e.DeliveryProblemSolved():
            return _set(order, event, number, Fulfilment.IN_TRANSIT)
        case e.DeliveryProblemReported():
            return _set(order, event, number, Fulfilment.PROBLEM)
        case e.PackageLostOrDamaged():
            return to_settle(_set(order, event, number, Fulfilment.LOST_OR_DAMAGED))
        case e.ReturnStarted():
            return _set(order, event, number, Fulfilment.RETURNING)
        case e.ReturnReceived():
            return to_settle(_set(order, event, number, Fulfilment.RETURNED))
        case _:
            assert_never(event)


def _set(order: Order, event: e.Moved, number: int, value: Fulfilment) -> Order:
    at = event.at
    read_at = None if event.fact is None else event.fact.read_at
    name = type(event).__name__
    taken = isinstance(event, e.PackagePickedUp)

    def change(part: Part) -> Part:
        implied = part.implied
        if event.implied:
            implied = {**implied, name: number}
        elif name in implied:
            # A step that comes to pass again is no longer the one that was implied.
            implied = {step: event for step, event in implied.items() if step != name}
        return replace(
            part,
            value=value,
            package=event.package or part.package,
            # Only facts move a watermark (MK-4): a courier's clock need not agree with that of a command.
            mark=part.mark if event.fact is None else advanced(part.mark, at, read_at),
            since=number,
            implied=implied,
            picked_up_at=at if taken else part.picked_up_at,
        )

    moved = move(order, event.parts, change)
    if event.package and package_of(order, event.package) is not None and not _rehoused(order, event):
        return moved
    return housed(moved, event.package, with_pieces(order, event.parts))


def _rehoused(order: Order, event: e.Moved) -> bool:
    elsewhere = [part.id for part in order.parts if part.package and part.package != event.package]
    return bool(elsewhere) and any(piece.part in elsewhere for piece in event.parts)


def _carried(order: Order, package: str, courier: str, service: str) -> Order:
    if not courier and not service:
        return order
    return change_package(
        order,
        package,
        lambda each: replace(each, courier=courier or each.courier, service=service or each.service),
    )


def _awb_issued(order: Order, event: e.AwbIssued) -> Order:
    order = _carried(order, event.package, event.courier, event.service)
    return issued(order, event.package, event.awb)


def _cancelled(order: Order, event: e.LinesCancelled | e.OrderCancelled, number: int) -> Order:
    at = event.at
    read_at = None if event.fact is None else event.fact.read_at
    moved = move(
        order,
        event.parts,
        lambda part: replace(
            part,
            cancelled=True,
            value=Fulfilment.NOT_STARTED,
            package="",
            mark=advanced(part.mark, at, read_at),
            since=number,
            cancelled_at=at,
        ),
    )
    moved = without_requested(housed(moved, "", order), event)
    moved = replace(moved, revision=order.revision + 1)
    if isinstance(event, e.LinesCancelled):
        return moved
    return replace(
        moved,
        status=Status.CANCELLED,
        status_since=number,
        cancelled_at=_latest([part.cancelled_at for part in moved.parts], at),
        cancel_reason=event.reason,
        cancel_label=event.label,
        cancelled_by=event.by,
        transaction=Transaction.NONE,
        transaction_since=number if order.transaction is not Transaction.NONE else order.transaction_since,
        request=None,
    )


def _latest(times: list[e.Instant | None], at: e.Instant | None) -> e.Instant | None:
    """The instant by which everything has happened, whatever the order in which the news of it came."""
    return max((time for time in (*times, at) if time is not None), default=None)


def _accepted(order: Order, event: e.LinesAccepted | e.OrderCompleted, number: int) -> Order:
    at = event.at
    read_at = None if event.fact is None else event.fact.read_at
    if event.parts:
        order = move(
            order,
            event.parts,
            lambda part: replace(part, accepted=True, mark=advanced(part.mark, at, read_at)),
        )
    if isinstance(event, e.LinesAccepted):
        return order
    return replace(
        order,
        status=Status.COMPLETED,
        status_since=number,
        completed_at=_latest([None if part.mark is None else part.mark.at for part in order.parts], at),
        coverage_since=number if money.is_cod(order) else order.coverage_since,
        request=None,
    )
