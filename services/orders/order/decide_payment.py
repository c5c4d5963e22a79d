"""Money by hand: confirming, reversing, extra receipts, refunds, credits, remittance (T4, T5, T31 to T36)."""

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.commands import Given
from services.orders.order.decide_goods import parts_value
from services.orders.order.deciding import (
    AMOUNT_MAX,
    Deciding,
    Handler,
    amount_faults,
    close_transaction,
    consequences,
    wrong,
)
from services.orders.order.input import FieldFault
from services.orders.order.model import Billing, CodCash, Fulfilment, Order, Receipt, Status, Transaction
from services.orders.order.parts import active

_GONE = frozenset({Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNED})


def _amount(_order: Order, command: c.ConfirmPayment, _given: Given) -> list[FieldFault]:
    return amount_faults(command.amount)


def _confirmed_amount(order: Order, command: c.ConfirmPayment) -> int:
    if command.amount is not None:
        return command.amount
    if order.transaction is Transaction.SUCCEEDED:
        return order.transaction_amount
    return money.outstanding(order)


def _mismatch(order: Order, command: c.ConfirmPayment, _given: Given) -> set[str]:
    if order.transaction is not Transaction.SUCCEEDED:
        return set()
    differs = _confirmed_amount(order, command) != order.transaction_amount
    return {"AMOUNT_MISMATCH"} if differs else set()


def _confirm(d: Deciding, command: c.ConfirmPayment) -> None:
    order = d.order
    amount = _confirmed_amount(order, command)
    if order.transaction is Transaction.AWAITING:
        close_transaction(d, e.Closed.SUPERSEDED)
    d.emit(
        e.PaymentConfirmed(
            **d.said,
            receipt=d.named("r"),
            amount=amount,
            reference=command.reference or order.transaction_reference,
            transaction=order.transaction_reference if order.transaction is Transaction.SUCCEEDED else "",
        )
    )
    consequences(d)


def reversible(order: Order, name: str) -> Receipt | None:
    """The receipt that T5 takes back: by hand, and not paid out again since (INV-10)."""
    for receipt in reversed(order.receipts):
        if receipt.source is e.ReceiptSource.BY_HAND and (not name or receipt.id == name):
            return receipt if receipt.amount <= money.net_paid(order) else None
    return None


def _receipt_faults(order: Order, command: c.ReversePayment, _given: Given) -> list[FieldFault]:
    known = {receipt.id for receipt in (*order.receipts, *order.reversals)}
    if not command.receipt or command.receipt in known:
        return []
    return [wrong("receipt", "The order has no such receipt.")]


def _irreversible(order: Order, command: c.ReversePayment, _given: Given) -> set[str]:
    return set() if reversible(order, command.receipt) else {"RECEIPT_NOT_REVERSIBLE"}


def _reverse(d: Deciding, command: c.ReversePayment) -> None:
    receipt = reversible(d.order, command.receipt)
    assert receipt is not None, "The guards let through only what can be reversed."
    d.emit(e.PaymentReversed(**d.said, receipt=receipt.id, amount=receipt.amount))
    consequences(d)


def _extra_faults(_order: Order, command: c.RecordExtraReceipt, _given: Given) -> list[FieldFault]:
    return amount_faults(command.amount)


def _extra(d: Deciding, command: c.RecordExtraReceipt) -> None:
    d.emit(
        e.ExtraReceiptRecorded(
            **d.said,
            receipt=d.named("r"),
            amount=command.amount,
            reference=command.reference,
            source=e.ReceiptSource.BY_HAND,
            claim=command.claim,
        )
    )
    consequences(d)


def _refund_faults(_order: Order, command: c.RecordRefund, given: Given) -> list[FieldFault]:
    found = amount_faults(command.amount)
    if command.refunded_at is not None and command.refunded_at > given.at:
        found.append(wrong("refunded_at", "It must not lie in the future."))
    return found


def _too_much(order: Order, command: c.RecordRefund, _given: Given) -> set[str]:
    return {"REFUND_EXCEEDS_DUE"} if command.amount > money.refund_due(order) else set()


def _refund(d: Deciding, command: c.RecordRefund) -> None:
    told = {**d.said, "at": command.refunded_at or d.given.at}
    d.emit(e.RefundPaid(**told, amount=command.amount, reference=command.reference))
    consequences(d)


def _credit_faults(_order: Order, command: c.RecordCredit, _given: Given) -> list[FieldFault]:
    if not 0 <= command.amount <= AMOUNT_MAX:
        return [wrong("amount", "It must be from 0 to 10^12.", "AMOUNT_NOT_POSITIVE")]
    if command.amount == 0 and not command.reason.strip():
        return [wrong("reason", "A credit of 0 needs a reason.")]
    return []


def creditable(order: Order) -> int:
    """T33: what is still payable for lost, returned or completed goods and their fees."""
    payable = money.payable(order)
    if order.status is Status.COMPLETED:
        return payable
    gone = [part for part in active(order) if part.value in _GONE]
    fees = order.shipping_fee + order.insurance_fee + order.other_fees
    credited = sum(order.credits.values())
    return max(0, min(payable, parts_value(order, gone) + fees - credited))


def _credit_too_much(order: Order, command: c.RecordCredit, _given: Given) -> set[str]:
    return {"CREDIT_EXCEEDS_VALUE"} if command.amount > creditable(order) else set()


def _credit(d: Deciding, command: c.RecordCredit) -> None:
    cause = f"credit:{d.order.sequence + 1}"
    d.emit(e.CreditRecorded(**d.said, amount=command.amount, cause=cause, text=d.given.text))
    if d.order.billing is not Billing.NONE and money.net_paid(d.order) == money.payable(d.order) == 0:
        d.emit(e.BillVoided(**d.implied, number=d.order.bill_number))
    consequences(d)


def cash_of(order: Order, command: c.RecordCodRemittance) -> CodCash | None:
    """The ledger entry that a remittance is about."""
    named = [
        entry
        for entry in order.cod
        if (not command.awb or entry.awb == command.awb)
        and (not command.package or entry.package == command.package)
    ]
    return named[0] if len(named) == 1 else None


def _remittance_faults(order: Order, command: c.RecordCodRemittance, _given: Given) -> list[FieldFault]:
    found = amount_faults(command.amount)
    if order.cod and cash_of(order, command) is None:
        found.append(wrong("awb", "Name the AWB of one package whose cash was collected."))
    return found


def _remitted(order: Order, command: c.RecordCodRemittance, _given: Given) -> set[str]:
    entry = cash_of(order, command)
    return {"ALREADY_REMITTED"} if entry is not None and entry.remitted is not None else set()


def _remit(d: Deciding, command: c.RecordCodRemittance) -> None:
    entry = cash_of(d.order, command)
    assert entry is not None, "A completed COD order has collected cash, and the faults found the package."
    d.emit(
        e.CodRemitted(
            **d.said,
            package=entry.package,
            awb=entry.awb,
            amount=command.amount,
            reference=command.reference,
        )
    )


HANDLERS = {
    "ConfirmPayment": Handler(_confirm, faults=_amount, raised=_mismatch),
    "ReversePayment": Handler(_reverse, faults=_receipt_faults, raised=_irreversible),
    "RecordExtraReceipt": Handler(_extra, faults=_extra_faults),
    "RecordRefund": Handler(_refund, faults=_refund_faults, raised=_too_much),
    "RecordCredit": Handler(_credit, faults=_credit_faults, raised=_credit_too_much),
    "RecordCodRemittance": Handler(_remit, faults=_remittance_faults, raised=_remitted),
}
