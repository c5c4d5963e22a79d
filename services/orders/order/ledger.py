"""How events on money change an order: transactions, receipts, refunds, credits (section 8)."""

from typing import assert_never

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.chains import PAYMENT_RANK, PAYMENT_RANK_MONEY
from services.orders.order.model import Coverage, Mark, Order, Receipt, Refund, Transaction, advanced

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
            return _transaction(order, Transaction.AWAITING, number, mark)
        case e.PaymentProcessingStarted():
            return _transaction(order, Transaction.PROCESSING, number, mark)
        case e.PaymentFailed():
            return _transaction(order, Transaction.NONE, number, mark)
        case e.PaymentSucceeded():
            return _transaction(order, Transaction.SUCCEEDED, number, mark)
        case e.PaymentAllocated():
            order = _transaction(order, Transaction.NONE, number, mark)
            # The implied step is the success (T27c); its allocation stands in the same decision.
            return _receipt(order, event, number, number - 1)
        case e.ExtraReceiptRecorded():
            order = _receipt(order, event, number, number)
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
                receipts = (*receipts, Receipt(amount=event.amount, at=event.at, event=number))
            return replace(order, receipts=receipts, implied=implied)
        case e.RefundPaid():
            return _refund(order, event, number, mark)
        case e.CreditRecorded():
            credits_ = {**order.credits, event.cause: event.amount}
            return replace(order, credits=credits_, coverage_since=number)
        case e.RefundDueChanged():
            return replace(order, refund_due=event.amount)
        case _:
            assert_never(event)


def _transaction(order: Order, value: Transaction, number: int, mark: Mark | None) -> Order:
    return replace(order, transaction=value, transaction_since=number, payment_mark=mark)


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
