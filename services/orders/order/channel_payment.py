"""How news of money is judged: the running payment, money that came in, money that went back (MK-6, MK-9)."""

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.chains import PAYMENT_RANK
from services.orders.order.decision import Decision, closes_transaction
from services.orders.order.fact import MoneyData, money_data
from services.orders.order.model import Coverage, Refund, Status, Transaction, fact_key, newer

_VALUES = {
    "PaymentAwaited": Transaction.AWAITING,
    "PaymentProcessingStarted": Transaction.PROCESSING,
    "PaymentFailed": Transaction.NONE,
}
_FORWARD = {Transaction.NONE: 0, Transaction.AWAITING: 1, Transaction.PROCESSING: 2, Transaction.SUCCEEDED: 3}
_EVENTS: dict[str, type[e.PaymentAwaited | e.PaymentProcessingStarted | e.PaymentFailed]] = {
    "PaymentAwaited": e.PaymentAwaited,
    "PaymentProcessingStarted": e.PaymentProcessingStarted,
    "PaymentFailed": e.PaymentFailed,
}


def judge_transaction(d: Decision) -> e.Disposition:
    """The newest of awaited, processing and failed counts while the order is live and not paid (MK-6)."""
    news, order = d.news, d.order
    if closes_transaction(order):
        return d.late(news, dimension=e.Dimension.PAYMENT)
    value = _VALUES[news.type]
    mark = order.payment_mark
    if news.at is None:
        if value is order.transaction:
            return e.Disposition.DUPLICATE
        if _FORWARD[value] < _FORWARD[order.transaction]:
            return d.late(news, dimension=e.Dimension.PAYMENT)
    else:
        counts = newer(mark, news.at, news.read_at)
        if counts is None:
            counts = mark is None or PAYMENT_RANK[news.type] > mark.rank
        if not counts:
            return d.late(news, dimension=e.Dimension.PAYMENT)
        ended_so = news.type != "PaymentFailed" or (mark is not None and mark.rank == PAYMENT_RANK[news.type])
        if value is order.transaction and ended_so:
            return d.record(e.Disposition.REAFFIRMED, news, dimension=e.Dimension.PAYMENT)
    d.emit(_EVENTS[news.type](at=news.at, fact=news.ref))
    return e.Disposition.APPLIED


def judge_success(d: Decision, *, known: bool) -> e.Disposition:
    """Money that came in is booked once, whatever its time (MK-9)."""
    data = money_data(d.fact)
    order, news = d.order, d.news
    amount, reference = data.amount or 0, data.reference or ""
    if known and foreign(d, data):
        return e.Disposition.DUPLICATE
    if known:
        return _fill(d, 0 if _is_booked(d, amount, reference) else amount, reference)
    if foreign(d, data):
        return _unbooked(d, data)
    if money.is_cod(order):
        if order.status is Status.COMPLETED:
            return _restated(d, amount, reference)
        return d.record(e.Disposition.NOTE, news, dimension=e.Dimension.PAYMENT)
    if _is_booked(d, amount, reference):
        return _told_again(d, reference)
    if money.open_amount(order):
        return _restated(d, amount, reference)
    if not _is_another(d, reference) and money.received(order) >= money.total_at(order, news.at):
        return _told_again(d, reference)
    _book(d, amount, reference)
    d.settle()
    return e.Disposition.APPLIED


def foreign(d: Decision, data: MoneyData) -> bool:
    """Whether an amount is in another currency than the order's (CV-2)."""
    return bool(data.currency) and data.currency != d.order.currency


def _unbooked(d: Decision, data: MoneyData) -> e.Disposition:
    d.emit(
        e.FactRecorded(
            at=d.news.at,
            fact=d.news.ref,
            disposition=e.Disposition.NOTE,
            dimension=e.Dimension.PAYMENT,
            raises=("TOTALS_DIFFER",),
            amount=data.amount or 0,
            currency=data.currency or "",
            reference=data.reference or "",
        )
    )
    return e.Disposition.NOTE


def _is_booked(d: Decision, amount: int, reference: str) -> bool:
    """Whether this very money is booked: pushes and readings tell one payment at several times."""
    for receipt in d.order.receipts:
        if money.is_open(receipt):
            continue
        if reference and receipt.reference:
            if reference == receipt.reference:
                return True
        elif amount and amount == receipt.amount:
            return True
    return False


def _is_another(d: Decision, reference: str) -> bool:
    """Whether a reference names a payment that is none of those booked."""
    known = {receipt.reference for receipt in d.order.receipts}
    return bool(reference) and bool(known) and "" not in known and reference not in known


def _told_again(d: Decision, reference: str) -> e.Disposition:
    news = d.news
    if news.at is None:
        return _fill(d, 0, reference)
    if newer(d.order.payment_mark, news.at, news.read_at):
        disposition = d.record(e.Disposition.REAFFIRMED, news, dimension=e.Dimension.PAYMENT)
    else:
        disposition = d.late(news, dimension=e.Dimension.PAYMENT)
    _fill(d, 0, reference)
    return disposition


def _restated(d: Decision, amount: int, reference: str) -> e.Disposition:
    order, news = d.order, d.news
    step = "CodCollected" if money.is_cod(order) else "PaymentSucceeded"
    dates = order.implied.get(step, 0)
    held = money.open_amount(order)
    if news.at is None:
        return _fill(d, amount, reference)
    counts = newer(order.payment_mark, news.at, news.read_at) is True
    if counts or dates:
        d.emit(
            e.FactRecorded(
                at=news.at,
                fact=news.ref,
                disposition=e.Disposition.REAFFIRMED,
                dimension=e.Dimension.PAYMENT,
                dates=dates,
                amount=amount,
                reference=reference,
            )
        )
        disposition = e.Disposition.REAFFIRMED
    else:
        disposition = d.late(news, dimension=e.Dimension.PAYMENT)
    in_full = money.total_at(order, news.at) - money.received(order)
    if amount == 0 and in_full > 0 and not money.is_cod(order):
        # Lines that were cancelled since were paid for as well.
        d.emit(e.ExtraReceiptRecorded(at=news.at, fact=news.step, amount=in_full, assumed=True))
    if not dates:
        _fill(d, amount, reference)
    elif amount > held and step == "PaymentSucceeded":
        _extra(d, amount - held, reference)
    d.settle()
    return disposition


def _fill(d: Decision, amount: int, reference: str) -> e.Disposition:
    """MK-3: an amount or reference that is still unknown is filled, nothing else."""
    order = d.order
    held = money.open_amount(order)
    fills_amount = amount if held else 0
    unnamed = any(not receipt.reference for receipt in order.receipts)
    named = any(receipt.reference == reference for receipt in order.receipts)
    fills_reference = reference if reference and unnamed and not named else ""
    if not fills_amount and not fills_reference:
        return e.Disposition.DUPLICATE
    d.emit(
        e.OrderDetailsCompleted(
            at=d.news.at,
            fact=d.news.step,
            payment_amount=fills_amount,
            payment_reference=fills_reference,
        )
    )
    if held and amount > held:
        _extra(d, amount - held, reference)
    d.settle()
    return e.Disposition.APPLIED


def _extra(d: Decision, amount: int, reference: str) -> None:
    d.emit(e.ExtraReceiptRecorded(at=d.news.at, fact=d.news.step, amount=amount, reference=reference))


def _book(d: Decision, amount: int, reference: str) -> None:
    order, news = d.order, d.news
    assumed = amount == 0
    if assumed:
        amount = max(1, money.total_at(order, news.at) - money.received(order))
    closed = order.status in {Status.CANCELLED, Status.COMPLETED} or money.coverage(order) is Coverage.PAID
    mark = order.payment_mark
    overtaken = news.at is not None and mark is not None and news.at < mark.at
    # An older part payment leaves a newer running transaction as it is.
    if closed or (overtaken and amount < money.outstanding(order)):
        d.emit(
            e.ExtraReceiptRecorded(
                at=news.at, fact=news.ref, amount=amount, reference=reference, assumed=assumed
            )
        )
        return
    d.emit(e.PaymentSucceeded(at=news.at, fact=news.ref, amount=amount, reference=reference, assumed=assumed))
    d.emit(
        e.PaymentAllocated(at=news.at, fact=news.step, amount=amount, reference=reference, assumed=assumed)
    )


def judge_refund(d: Decision, *, known: bool) -> e.Disposition:
    """Money that went back is booked once, whatever its time; without an amount it is a note (MK-9)."""
    data = money_data(d.fact)
    order, news = d.order, d.news
    amount, reference = data.amount or 0, data.reference or ""
    key = fact_key(news.ref, news.at)
    if known and not (amount and key in order.refunds_unstated):
        return e.Disposition.DUPLICATE
    if foreign(d, data):
        return e.Disposition.DUPLICATE if known else _unbooked(d, data)
    if amount == 0:
        d.read_wanted = True
        return d.record(e.Disposition.NOTE, news, dimension=e.Dimension.PAYMENT)
    if reference and reference in {refund.reference for refund in (*order.refunds, *order.refunds_ahead)}:
        if news.at is None:
            return e.Disposition.DUPLICATE
        if newer(order.payment_mark, news.at, news.read_at):
            return d.record(e.Disposition.REAFFIRMED, news, dimension=e.Dimension.PAYMENT)
        return d.late(news, dimension=e.Dimension.PAYMENT)
    refund = Refund(amount=amount, at=news.at, reference=reference, fact=news.ref)
    if money.is_cod(order) and order.status is not Status.COMPLETED:
        d.emit(
            e.FactRecorded(
                at=news.at,
                fact=news.ref,
                disposition=e.Disposition.NOTE,
                dimension=e.Dimension.PAYMENT,
                amount=amount,
                reference=reference,
            )
        )
        return e.Disposition.NOTE
    d.refund(refund, news.ref)
    d.settle()
    return e.Disposition.APPLIED
