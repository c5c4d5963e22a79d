"""Totals, receipts, coverage, refund due (section 8), as far as the channel's own money needs them.

All amounts are minor units of the order's one currency (CV-2).
"""

from collections.abc import Mapping

from msgspec.structs import replace

from services.orders.order.events import Instant, Method, OrderPlaced, TaxMode
from services.orders.order.model import Coverage, Fulfilment, Order, Part, Receipt, Status

# Rates are basis points (CV-3).
WHOLE = 10_000


def rounded(a: int, b: int, c: int) -> int:
    """ROUND(a × b ÷ c), half up (CV-3)."""
    return (2 * a * b + c) // (2 * c)


def line_amount(unit_price: int, discount: int, ordered: int, quantity: int) -> int:
    """MO-1: always reckoned from the discount and quantity as ordered, so that nothing drifts."""
    if quantity == 0:
        return 0
    return max(0, unit_price * quantity - rounded(discount, quantity, ordered))


def components(order: Order, quantities: Mapping[str, int]) -> int:
    """MO-2, MO-3: what the figures of the lines and fees add up to for these quantities."""
    goods = sum(
        line_amount(line.unit_price, line.discount, line.quantity, quantities.get(line.line, 0))
        for line in order.lines
    )
    fees = order.shipping_fee + order.insurance_fee + order.other_fees
    taxable = goods - min(order.discount, goods)
    if order.tax_mode is TaxMode.EXCLUSIVE:
        return taxable + tax_on(taxable, order.tax_mode, order.tax_rate) + fees
    return taxable + fees


def tax_on(taxable: int, mode: TaxMode, rate: int) -> int:
    """MO-4: the tax that comes on top, or that is shown as contained."""
    match mode:
        case TaxMode.NONE:
            return 0
        case TaxMode.EXCLUSIVE:
            return rounded(taxable, rate, WHOLE)
        case TaxMode.INCLUSIVE:
            return rounded(taxable, rate, WHOLE + rate)


def goods_total(order: Order) -> int:
    """MO-2 over the active parts, those of the last cancellation where none is left."""
    counted = [part for part in order.parts if not part.cancelled] or _last_cancelled(order)
    quantities = _quantities(counted)
    return sum(
        line_amount(line.unit_price, line.discount, line.quantity, quantities.get(line.line, 0))
        for line in order.lines
    )


def taxable(order: Order) -> int:
    """MO-2: goods less the order's discount, which counts at most as much as the goods."""
    goods = goods_total(order)
    return goods - min(order.discount, goods)


def tax(order: Order) -> int:
    """MO-4: the tax in or on the total, as the order was placed."""
    return tax_on(taxable(order), order.tax_mode, order.tax_rate)


def _quantities(parts: list[Part]) -> dict[str, int]:
    quantities: dict[str, int] = {}
    for part in parts:
        quantities[part.line] = quantities.get(part.line, 0) + part.quantity
    return quantities


def total_of(placed: OrderPlaced) -> int:
    """What the figures of a placement add up to, for a channel that states no total."""
    goods = sum(
        line_amount(line.unit_price, line.discount, line.quantity, line.quantity) for line in placed.lines
    )
    fees = placed.shipping_fee + placed.insurance_fee + placed.other_fees
    return goods - min(placed.discount, goods) + fees


def difference(order: Order) -> int:
    """By how much the channel's total differs from what its figures add up to (MO-6); else nothing."""
    if order.source != "CHANNEL":
        return 0
    return order.placed_total - components(order, {line.line: line.quantity for line in order.lines})


def _reckoned(order: Order, parts: list[Part]) -> int:
    # The total of a SELLER order is made from its figures each time (MO-3).
    if len(parts) == len(order.parts) and order.source == "CHANNEL":
        return order.placed_total
    quantities = _quantities(parts)
    # The channel's total counts (MO-6): what its figures leave unexplained is a component like the fees.
    return max(0, components(order, quantities) + difference(order))


def total(order: Order) -> int:
    """MO-3 over the active parts; a cancelled order shows the total it had (MO-8)."""
    counted = [part for part in order.parts if not part.cancelled]
    return _reckoned(order, counted or _last_cancelled(order))


def _last_cancelled(order: Order) -> list[Part]:
    """The parts that the last cancellation took, whatever the order in which the news of it came."""
    times = [part.cancelled_at for part in order.parts if part.cancelled_at is not None]
    if len(times) < len(order.parts):
        untimed = [part for part in order.parts if part.cancelled_at is None]
        return untimed or list(order.parts)
    last = max(times)
    return [part for part in order.parts if part.cancelled_at == last]


def total_at(order: Order, at: Instant | None) -> int:
    """The total as it stood at an instant: what was cancelled later still counted then."""
    if at is None:
        return total(order)
    counted = [
        part
        for part in order.parts
        if not part.cancelled or (part.cancelled_at is not None and part.cancelled_at > at)
    ]
    return _reckoned(order, counted) if counted else total(order)


def received(order: Order) -> int:
    return sum(receipt.amount for receipt in order.receipts)


def refunded(order: Order) -> int:
    return sum(refund.amount for refund in order.refunds)


def net_paid(order: Order) -> int:
    """MO-7."""
    return received(order) - refunded(order)


def payable(order: Order) -> int:
    """MO-8: total less what was credited, not below 0; a cancelled order counts with the total it had.

    It could be below once other lines are cancelled: the discount then weighs more on what was credited.
    """
    if order.status is Status.CANCELLED:
        return total(order)
    return max(0, total(order) - sum(order.credits.values()))


def is_cod(order: Order) -> bool:
    """Whether cash is awaited at the door; a total of 0 is treated as prepaid (MO-6)."""
    return order.method is Method.COD and order.placed_total > 0


def coverage(order: Order) -> Coverage:
    """MO-8, INV-1."""
    if order.status is Status.COMPLETED:
        return Coverage.PAID
    if is_cod(order):
        return Coverage.UNPAID
    due = payable(order)
    # Only a marketplace sells for nothing (MO-6); a SELLER order credited in full stays unpaid (T33).
    if due == 0 and order.source == "CHANNEL":
        return Coverage.PAID
    paid = net_paid(order)
    if paid <= 0:
        return Coverage.UNPAID
    return Coverage.PARTLY_PAID if paid < due else Coverage.PAID


def outstanding(order: Order) -> int:
    """MO-9; of a completed COD order the buyer owes nothing more, whatever the courier collected (MO-15)."""
    if order.status is Status.COMPLETED and is_cod(order):
        return 0
    return max(0, payable(order) - net_paid(order))


def refund_due(order: Order) -> int:
    """MO-10."""
    paid = net_paid(order)
    if order.status is Status.CANCELLED:
        return max(0, paid)
    return max(0, paid - payable(order))


def totals_differ(order: Order) -> bool:
    """MO-6, MK-2, CV-2."""
    return order.amounts_differ or difference(order) != 0


def is_open(receipt: Receipt) -> bool:
    """Whether a receipt stands for money that no fact has told the amount of yet."""
    return receipt.implied or receipt.assumed


def open_amount(order: Order) -> int:
    return sum(receipt.amount for receipt in order.receipts if is_open(receipt))


def settled(receipts: tuple[Receipt, ...], told: Receipt) -> tuple[Receipt, ...]:
    """The receipts after news of real money: it takes the place of what was implied or assumed (MK-9).

    The sum stays as it was; money beyond it is a receipt of its own. Without an amount (0) the money that
    was implied is now known to have come, its amount still assumed.
    """
    result: list[Receipt] = []
    left = told.amount
    named = False
    for receipt in receipts:
        if not is_open(receipt):
            result.append(receipt)
            continue
        reference = told.reference if not named else ""
        if told.amount == 0:
            result.append(
                Receipt(
                    amount=receipt.amount,
                    at=told.at or receipt.at,
                    reference=receipt.reference or reference,
                    assumed=True,
                    event=receipt.event,
                )
            )
            named = True
            continue
        taken = min(left, receipt.amount)
        if taken:
            result.append(
                Receipt(
                    amount=taken,
                    at=told.at or receipt.at,
                    reference=receipt.reference or reference,
                    event=receipt.event,
                )
            )
            named = True
            left -= taken
        if receipt.amount > taken:
            result.append(
                Receipt(
                    amount=receipt.amount - taken,
                    at=receipt.at,
                    implied=receipt.implied,
                    assumed=receipt.assumed,
                    event=receipt.event,
                )
            )
    return tuple(result)


def overstated(order: Order) -> int:
    """By how much implied or assumed money exceeds what was due when it came, as is known by now."""
    held = open_amount(order)
    if held == 0:
        return 0
    times = [receipt.at for receipt in order.receipts if is_open(receipt) and receipt.at is not None]
    told = received(order) - held
    wanted = max(total_at(order, min(times, default=None)), refunded(order)) - told
    return max(0, held - max(0, wanted))


def corrected(receipts: tuple[Receipt, ...], amount: int) -> tuple[Receipt, ...]:
    """The receipts with implied or assumed money less by an amount."""
    result: list[Receipt] = []
    for receipt in receipts:
        taken = min(amount, receipt.amount) if is_open(receipt) else 0
        amount -= taken
        if taken < receipt.amount:
            result.append(replace(receipt, amount=receipt.amount - taken))
    return tuple(result)


def cod_credit(order: Order, part: Part) -> int:
    """MO-14: what a lost or returned COD part would have collected, reckoned from the order as placed."""
    amounts = {
        line.line: line_amount(line.unit_price, line.discount, line.quantity, line.quantity)
        for line in order.lines
    }
    goods = sum(amounts.values())
    line = next(line for line in order.lines if line.line == part.line)
    amount = line_amount(line.unit_price, line.discount, line.quantity, part.quantity)
    if goods == 0:
        return amount
    return amount - min(amount, rounded(min(order.discount, goods), amount, goods))


def credits_wanted(order: Order) -> dict[str, int]:
    """The credits that the order's refunds and lost COD goods bring, by cause (MK-9, MO-14).

    Reckoned in the order in which the money went out, against the total of that time, so that they come
    out the same whatever the arrival.
    """
    wanted: dict[str, int] = {}
    if is_cod(order):
        for part in order.parts:
            if not part.cancelled and part.value in {Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNED}:
                wanted[f"part:{part.id}"] = cod_credit(order, part)
    credited = sum(wanted.values())
    had = received(order)
    numbered = list(enumerate(order.refunds, start=1))
    for number, refund in sorted(
        numbered, key=lambda each: (each[1].at is None, each[1].at or order.placed_at, each[1].key)
    ):
        due = max(0, had - max(0, total_at(order, refund.at) - credited))
        credit = max(0, refund.amount - due)
        if credit:
            wanted[f"refund:{number}"] = credit
        credited += credit
        had -= refund.amount
    return wanted
