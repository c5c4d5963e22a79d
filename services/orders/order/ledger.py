"""How events on money change an order: transactions, receipts, refunds, credits (section 8)."""

from typing import assert_never

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.chains import PAYMENT_RANK, PAYMENT_RANK_MONEY
from services.orders.order.model import CodCash, Coverage, Mark, Order, Receipt, Refund, Transaction, advanced

Payment = (
    e.PaymentAwaited
    | e.PaymentProcessingStarted
    | e.PaymentFailed
    | e.PaymentSucceeded
    | e.PaymentAllocated
    | e.ExtraReceiptRecorded
    | e.ReceiptCorrected
    | e.CodCollected
    | e.RefundPaid
    | e.CreditRecorded
    | e.RefundDueChanged
)


def paid(order: Order, event: Payment, number: int) -> Order:
    read_at = None if event.fact is None else event.fact.read_at
    rank = PAYMENT_RANK.get(type(event).__name__, PAYMENT_RANK_MONEY)
    mark = advanced(order.payment_mark, event.at, read_at, rank)
    match event:
        case e.PaymentAwaited():
            return _transaction(order, Transaction.AWAITING, number, mark, event.reference)
        case e.PaymentProcessingStarted():
            kept = event.reference or order.transaction_reference
            return _transaction(order, Transaction.PROCESSING, number, mark, kept)
        case e.PaymentFailed():
            return _transaction(order, Transaction.NONE, number, mark)
        case e.PaymentSucceeded():
            running = _transaction(order, Transaction.SUCCEEDED, number, mark, event.reference)
            return replace(running, transaction_amount=event.amount)
        case e.PaymentAllocated():
            order = booked(_transaction(order, Transaction.NONE, number, mark), event.reference)
            # The implied step is the success (T27c); its allocation stands in the same decision.
            return _receipt(order, event, number, number - 1)
        case e.ExtraReceiptRecorded():
            order = booked(_receipt(order, event, number, number), event.reference)
            if event.claim:
                order = replace(order, money_to_settle=False)
            if order.transaction is not Transaction.NONE and money.coverage(order) is Coverage.PAID:
                return _transaction(order, Transaction.NONE, number, mark)
            return replace(order, payment_mark=mark)
        case e.ReceiptCorrected():
            receipts = money.corrected(order.receipts, event.amount)
            return replace(order, receipts=receipts, coverage_since=number)
        case e.CodCollected():
            implied = {**order.implied, "CodCollected": number} if event.implied else order.implied
            receipts = order.receipts
            if event.amount:
                told = Receipt(amount=event.amount, at=event.at, event=number)
                if event.package:
                    told = replace(told, id=f"cod:{event.package}", source=e.ReceiptSource.COD)
                receipts = (*receipts, told)
            if event.package:
                order = _cash(order, event)
            return replace(order, receipts=receipts, implied=implied)
        case e.RefundPaid():
            return _refund(order, event, number, mark)
        case e.CreditRecorded():
            credits_ = {**order.credits, event.cause: event.amount}
            # T33 settles the money of lost and returned goods (MO-16); implied credits are none of it.
            stands = order.money_to_settle and event.implied
            return replace(order, credits=credits_, coverage_since=number, money_to_settle=stands)
        case e.RefundDueChanged():
            return replace(order, refund_due=event.amount)
        case _:
            assert_never(event)


def _transaction(
    order: Order, value: Transaction, number: int, mark: Mark | None, reference: str = ""
) -> Order:
    return replace(
        order,
        transaction=value,
        transaction_since=number,
        payment_mark=mark,
        transaction_reference=reference,
        transaction_amount=0,
    )


def booked(order: Order, reference: str) -> Order:
    """The order with a gateway's payment known as booked; a marketplace's payments are known by receipt."""
    if order.source == "CHANNEL" or not reference or reference in order.allocated:
        return order
    return replace(order, allocated=(*order.allocated, reference))


def _cash(order: Order, event: e.CodCollected) -> Order:
    entry = CodCash(
        package=event.package,
        awb=event.awb,
        expected=event.amount if event.expected is None else event.expected,
        collected=event.amount,
    )
    told = tuple(each for each in order.cod_told if each.package != event.package)
    return replace(order, cod=(*order.cod, entry), cod_told=told)


def _receipt(
    order: Order, event: e.PaymentAllocated | e.ExtraReceiptRecorded, number: int, dated: int
) -> Order:
    receipt = Receipt(
        amount=event.amount,
        at=event.at,
        reference=event.reference,
        implied=event.implied,
        assumed=event.assumed,
        event=dated,
        id=event.receipt,
        source=event.source,
    )
    implied = {**order.implied, "PaymentSucceeded": dated} if event.implied else order.implied
    return replace(order, receipts=(*order.receipts, receipt), coverage_since=number, implied=implied)


def _refund(order: Order, event: e.RefundPaid, number: int, mark: Mark | None) -> Order:
    refund = Refund(amount=event.amount, at=event.at, reference=event.reference, fact=event.fact)
    key = refund.key
    return replace(
        order,
        refunds=(*order.refunds, refund),
        refunds_ahead=tuple(each for each in order.refunds_ahead if each.key != key),
        refunds_unstated=tuple(each for each in order.refunds_unstated if each != key),
        coverage_since=number,
        payment_mark=mark,
    )
