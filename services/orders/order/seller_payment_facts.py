"""How a gateway's and a courier's news of money is judged on orders of sellers (T27, T28c, MO-15)."""

from typing import TYPE_CHECKING

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.channel_payment import foreign
from services.orders.order.decide_closing import complete
from services.orders.order.deciding import LIVE, allocate, consequences, said
from services.orders.order.fact import FactInvalid, MoneyData, money_data
from services.orders.order.model import Billing, Coverage, Fulfilment, Transaction
from services.orders.order.parts import active, package_of
from services.orders.order.situations import situation_of
from services.orders.order.table import applies

if TYPE_CHECKING:
    from services.orders.order.seller_facts import SellerDecision


def judge_gateway(d: "SellerDecision") -> e.Disposition:
    """T27a to T27e; what does not fit is late (GR-8), a success that is known a duplicate."""
    data = money_data(d.fact)
    if foreign(d, data):
        return _unbooked(d, data)
    if d.news.type == "PaymentSucceeded" and _is_booked(d, data):
        # T27c: the same transaction's success again.
        return e.Disposition.DUPLICATE
    if _is_booked(d, data) or not applies(d.news.type, situation_of(d.order, None, d.given)):
        return _late(d)
    if _is_another(d, data) and d.news.type != "PaymentSucceeded":
        return _late(d)
    at, ref, reference = d.news.at, d.news.ref, data.reference or ""
    match d.news.type:
        case "PaymentAwaited":
            d.emit(e.PaymentAwaited(at=at, fact=ref, reference=reference))
        case "PaymentProcessingStarted":
            d.emit(e.PaymentProcessingStarted(at=at, fact=ref, reference=reference))
        case "PaymentFailed":
            d.emit(e.PaymentFailed(at=at, fact=ref, reference=reference))
        case "PaymentAllocated":
            allocate(d)
            consequences(d)
        case _:
            _succeeded(d, data)
    return e.Disposition.APPLIED


def _late(d: "SellerDecision") -> e.Disposition:
    return d.record(e.Disposition.LATE, d.news, dimension=e.Dimension.PAYMENT)


def _is_booked(d: "SellerDecision", data: MoneyData) -> bool:
    """Whether this transaction's money is known, be it allocated or not: then all news of it is old."""
    reference = data.reference or ""
    if not reference or d.news.type == "PaymentAllocated":
        return False
    resting = d.order.transaction is Transaction.SUCCEEDED and d.order.transaction_reference == reference
    return resting or reference in d.order.allocated


def _is_another(d: "SellerDecision", data: MoneyData) -> bool:
    """Whether news is of another transaction than the one that runs."""
    running = d.order.transaction_reference
    return bool(running) and bool(data.reference) and data.reference != running


def _unbooked(d: "SellerDecision", data: MoneyData) -> e.Disposition:
    """CV-2: an amount in another currency is recorded, not booked, and raises TOTALS_DIFFER."""
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


def _succeeded(d: "SellerDecision", data: MoneyData) -> None:
    """T27c: a success becomes the transaction, or an extra receipt where the order awaits no money."""
    if d.order.transaction is Transaction.SUCCEEDED:
        allocate(d)
        consequences(d)
    at, ref, reference = d.news.at, d.news.ref, data.reference or ""
    assumed = not data.amount
    amount = data.amount or max(1, money.outstanding(d.order))
    if d.order.status not in LIVE or money.coverage(d.order) is Coverage.PAID:
        d.emit(
            e.ExtraReceiptRecorded(
                at=at,
                fact=ref,
                amount=amount,
                reference=reference,
                receipt=d.named("r"),
                source=e.ReceiptSource.GATEWAY,
            )
        )
        consequences(d)
        return
    d.emit(e.PaymentSucceeded(at=at, fact=ref, amount=amount, reference=reference, assumed=assumed))
    if d.given.policies.allocate_at_once:
        allocate(d)
        consequences(d)


def judge_bill(d: "SellerDecision") -> e.Disposition:
    """T28c: a receipt of the outstanding amount, and the bill is paid."""
    if d.order.billing is not Billing.ISSUED or d.order.status not in LIVE:
        return _late(d)
    data = money_data(d.fact)
    d.emit(
        e.BillPaid(
            at=d.news.at,
            fact=d.news.ref,
            amount=money.outstanding(d.order),
            receipt=d.named("r"),
            reference=data.reference or "",
        )
    )
    consequences(d)
    return e.Disposition.APPLIED


def judge_cash(d: "SellerDecision") -> e.Disposition:
    """WF-3, MO-15: the cash of the last delivered package completes the order; before, it is kept."""
    order, told = d.order, money_data(d.fact)
    if not money.is_cod(order) or order.status not in LIVE:
        return d.record(e.Disposition.LATE, d.news, dimension=e.Dimension.PAYMENT)
    arrived = dict.fromkeys(part.package for part in active(order) if part.value is Fulfilment.DELIVERED)
    package = d.news.ref.package
    if package is None:
        homes = dict.fromkeys(part.package for part in active(order) if part.package)
        if len(homes) != 1:
            raise FactInvalid("scope.package", "name the package whose cash was collected")
        package = next(iter(homes))
    held = package_of(order, package)
    assert held is not None, "The scope names a package of the order."
    amount = held.collect if told.amount is None else told.amount
    known = {each.package for each in order.cod_told} | {package}
    if applies("CodCollected", situation_of(order, None, d.given)) and arrived.keys() <= known:
        stamp = {**said(d.given), "at": d.news.at, "fact": d.news.step}
        complete(d, stamp, (package, amount, d.news.ref))
        return e.Disposition.APPLIED
    d.emit(
        e.FactRecorded(
            at=d.news.at,
            fact=d.news.ref,
            disposition=e.Disposition.NOTE,
            dimension=e.Dimension.PAYMENT,
            package=package,
            amount=amount,
        )
    )
    return e.Disposition.NOTE
