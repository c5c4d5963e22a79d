"""What the events of sellers' orders and of commands make true: all that marketplaces never report."""

from typing import assert_never

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.actions import ended, requested
from services.orders.order.ledger import booked
from services.orders.order.model import (
    Billing,
    Coverage,
    Fulfilment,
    Order,
    Part,
    Receipt,
    Status,
    Transaction,
)
from services.orders.order.parts import housed, last_arrival, move

Told = (
    e.OrderUnconfirmed
    | e.PaymentConfirmed
    | e.PaymentReversed
    | e.TransactionClosed
    | e.CustomerChatRequested
    | e.CustomerChatDelivered
    | e.CustomerChatFailed
    | e.OrderEdited
    | e.OrderReopened
    | e.AgentAssigned
    | e.OrderTagged
    | e.BillCreated
    | e.BillAmended
    | e.BillIssued
    | e.BillPaid
    | e.BillReopened
    | e.BillVoided
    | e.OrderHeld
    | e.OrderReleased
    | e.CodRemitted
    | e.StockClaimed
    | e.StockShort
    | e.StockCovered
    | e.ReminderDue
    | e.ChannelActionRequested
    | e.ChannelActionEnded
)


def placed_by_seller(order: Order, event: e.OrderPlaced) -> Order:
    warehouses = {line.line: line.warehouse for line in event.lines}
    return replace(
        order,
        parts=tuple(replace(part, warehouse=warehouses[part.line]) for part in order.parts),
        page=event.page,
        agent=event.agent,
        tax_mode=event.tax_mode,
        tax_rate=event.tax_rate,
        backordered=event.backorder,
        began_under=event.policies,
    )


def told_by_seller(order: Order, event: Told, number: int) -> Order:
    match event:
        case e.OrderUnconfirmed():
            return replace(order, status=Status.NEW, status_since=number)
        case e.OrderEdited():
            return _edited(order, event, number)
        case e.OrderReopened():
            return _reopened(order, event, number)
        case e.AgentAssigned():
            return replace(order, agent=event.agent)
        case e.OrderTagged():
            return replace(order, tags=tags_after(order.tags, event.added, event.removed))
        case e.OrderHeld():
            return replace(order, on_hold=True)
        case e.OrderReleased():
            return replace(order, on_hold=False)
        case e.StockClaimed() | e.StockShort() | e.StockCovered():
            return _stock(order, event)
        case e.CustomerChatRequested() | e.CustomerChatDelivered() | e.CustomerChatFailed():
            return order
        case e.ReminderDue():
            return _reminded(order, event)
        case e.ChannelActionRequested():
            return requested(order, event, number)
        case e.ChannelActionEnded():
            return ended(order, event)
        case _:
            return _money(order, event, number)


Money = (
    e.PaymentConfirmed
    | e.PaymentReversed
    | e.TransactionClosed
    | e.BillCreated
    | e.BillAmended
    | e.BillIssued
    | e.BillPaid
    | e.BillReopened
    | e.BillVoided
    | e.CodRemitted
)


def _money(order: Order, event: Money, number: int) -> Order:
    match event:
        case e.PaymentConfirmed():
            receipt = Receipt(
                id=event.receipt,
                amount=event.amount,
                at=event.at,
                reference=event.reference,
                event=number,
                source=(
                    e.ReceiptSource.GATEWAY
                    if order.transaction is Transaction.SUCCEEDED
                    else e.ReceiptSource.BY_HAND
                ),
            )
            order = replace(order, receipts=(*order.receipts, receipt), coverage_since=number)
            if order.transaction is Transaction.SUCCEEDED:
                return booked(_without_transaction(order, number), event.transaction)
            return order
        case e.PaymentReversed():
            gone = tuple(each for each in order.receipts if each.id == event.receipt)
            kept = tuple(each for each in order.receipts if each.id != event.receipt)
            return replace(order, receipts=kept, reversals=(*order.reversals, *gone), coverage_since=number)
        case e.TransactionClosed():
            return _without_transaction(order, number)
        case e.CodRemitted():
            entries = tuple(
                replace(each, remitted=event.amount, reference=event.reference)
                if each.package == event.package
                else each
                for each in order.cod
            )
            return replace(order, cod=entries)
        case _:
            return _bill(order, event, number)


Bill = e.BillCreated | e.BillAmended | e.BillIssued | e.BillPaid | e.BillReopened | e.BillVoided


def _bill(order: Order, event: Bill, number: int) -> Order:
    match event:
        case e.BillCreated():
            return replace(order, billing=Billing.PENDING, bill_amount=event.amount, billing_since=number)
        case e.BillAmended():
            return replace(order, bill_amount=event.amount)
        case e.BillIssued():
            return replace(
                order,
                billing=Billing.ISSUED,
                bill_amount=event.amount,
                bill_number=event.number,
                bill_due_at=event.due_at,
                billing_since=number,
            )
        case e.BillPaid():
            order = replace(order, billing=Billing.PAID, billing_since=number)
            if not event.amount:
                return order
            receipt = Receipt(
                id=event.receipt,
                amount=event.amount,
                at=event.at,
                reference=event.reference,
                event=number,
                source=e.ReceiptSource.BILL,
            )
            return replace(order, receipts=(*order.receipts, receipt), coverage_since=number)
        case e.BillReopened():
            return replace(order, billing=Billing.ISSUED, billing_since=number)
        case e.BillVoided():
            return replace(
                order,
                billing=Billing.NONE,
                bill_amount=0,
                bill_number="",
                bill_due_at=None,
                billing_since=number,
            )
        case _:
            assert_never(event)


def _without_transaction(order: Order, number: int) -> Order:
    return replace(
        order,
        transaction=Transaction.NONE,
        transaction_since=number,
        transaction_reference="",
        transaction_amount=0,
    )


def _edited(order: Order, event: e.OrderEdited, number: int) -> Order:
    parts = order.parts
    if event.edited_lines:
        warehouses = {line.line: line.warehouse for line in event.lines}
        known = {part.id: part for part in order.parts}
        edited = set(event.edited_lines)
        kept = [part for part in order.parts if part.line not in edited or part.cancelled]
        given = [
            replace(
                known.get(
                    piece.part, Part(id=piece.part, line=piece.line, quantity=piece.quantity, since=number)
                ),
                quantity=piece.quantity,
                sku=piece.sku,
                warehouse=warehouses.get(piece.line, ""),
            )
            for piece in event.parts
        ]
        parts = tuple(sorted((*kept, *given), key=lambda part: part.id))
    return replace(
        order,
        parts=parts,
        parts_made=max([order.parts_made, *(piece.part for piece in event.parts)]),
        lines=event.lines,
        discount=event.discount,
        shipping_fee=event.shipping_fee,
        insurance_fee=event.insurance_fee,
        other_fees=event.other_fees,
        method=event.payment_method,
        courier=event.courier,
        service=event.service,
        city=event.city,
        province=event.province,
        buyers=order.buyers if event.buyer is None else (*order.buyers, event.buyer),
        backordered=order.backordered or event.backorder,
        revision=event.revision,
        coverage_since=number if money.net_paid(order) else order.coverage_since,
    )


def _reopened(order: Order, event: e.OrderReopened, number: int) -> Order:
    moved = move(
        order,
        event.parts,
        lambda part: replace(
            part, cancelled=False, cancelled_at=None, value=Fulfilment.NOT_STARTED, package="", since=number
        ),
    )
    return replace(
        moved,
        status=Status.NEW,
        status_since=number,
        episode=event.episode,
        reopened_at=event.at,
        began_under=event.policies,
        cancelled_at=None,
        cancel_reason="",
        cancel_label="",
        cancelled_by=None,
        backordered=order.backordered or event.backorder,
        coverage_since=number if money.net_paid(order) else order.coverage_since,
    )


def _stock(order: Order, event: e.StockClaimed | e.StockShort | e.StockCovered) -> Order:
    match event:
        case e.StockClaimed():
            told = {each.line: each.warehouse for each in event.warehouses}
            return replace(
                order,
                lines=tuple(
                    replace(line, warehouse=line.warehouse or told.get(line.line, "")) for line in order.lines
                ),
                parts=tuple(
                    replace(part, warehouse=part.warehouse or told.get(part.line, "")) for part in order.parts
                ),
            )
        case e.StockShort():
            return replace(order, short=event.lines)
        case e.StockCovered():
            return replace(order, short=(), backordered=False)
        case _:
            assert_never(event)


def tags_after(tags: tuple[str, ...], added: tuple[str, ...], removed: tuple[str, ...]) -> tuple[str, ...]:
    """AT-3: a set compared without case, shown as first written."""
    gone = {tag.casefold() for tag in removed}
    kept = [tag for tag in tags if tag.casefold() not in gone]
    for tag in added:
        if tag.casefold() not in {each.casefold() for each in kept}:
            kept.append(tag)
    return tuple(kept)


def unpacked(order: Order, event: e.PackageUnprepared, number: int) -> Order:
    """Parts that wait for the seller again; an emptied package is dissolved (OM-8)."""
    moved = move(
        order,
        event.parts,
        lambda part: replace(part, value=Fulfilment.NOT_STARTED, package="", since=number),
    )
    return housed(moved, "", order)


def delivered(order: Order, event: e.PackageDelivered) -> Order:
    """SELLER orders reckon their windows from here; at a marketplace its own rules hold."""
    if order.source == "CHANNEL":
        return order
    return move(order, event.parts, lambda part: replace(part, delivered_at=event.at))


def arrived(before: Order, after: Order, event: e.Event) -> Order:
    """Keep by which policies it arrived, when an event makes it arrive or arrive later (WF-3)."""
    arrival = last_arrival(after)
    if arrival is None or arrival == last_arrival(before):
        return after
    return replace(after, arrived_under=event.policies)


def _reminded(order: Order, event: e.ReminderDue) -> Order:
    """TI-8: no value changes; that the seller was reminded sets the next reminder (CR-5)."""
    request = order.request
    if request is None or request.event != event.event:
        return order
    return replace(order, request=replace(request, reminded_at=event.at))


def to_settle(order: Order) -> Order:
    """MO-16: goods that were paid or billed are lost or back."""
    if order.source == "CHANNEL":
        return order
    billed = order.billing is not Billing.NONE
    paid = money.net_paid(order) > 0 or money.coverage(order) is Coverage.PAID
    return replace(order, money_to_settle=True) if billed or paid else order
