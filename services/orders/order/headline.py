"""What people see of an order: headline, flags, why, and the object of the API. All are projections."""

from typing import Any

from services.orders.order import money
from services.orders.order.actions import actions_view, flag_actions
from services.orders.order.events import CaseStep, Disposition
from services.orders.order.model import Billing, Coverage, Fulfilment, Order, Part, Status, Transaction
from services.orders.order.parts import active, aggregate, in_shipping, merged, package_of, picked_up, speaker
from services.orders.order.statuses import BILLING_HEADLINES, FULFILMENT_HEADLINES, TRANSACTION_HEADLINES


def headline(order: Order) -> str:
    """The code of the one status that is shown; the first dimension that has something to say (HL-1)."""
    return _deciding(order)[0]


def _deciding(order: Order) -> tuple[str, str, list[int], Part | None]:
    """The headline, the dimension that decides it, the events that set it, and the part that speaks."""
    if order.status in {Status.CANCELLED, Status.COMPLETED}:
        return order.status.value, "order", [order.status_since], None
    if order.request is not None:
        return "CANCELLATION_REQUESTED", "request", [order.request.event], None
    part = speaker(order)
    if part is not None and part.value is not Fulfilment.NOT_STARTED:
        events = sorted({each.since for each in active(order) if each.value is part.value})
        return FULFILMENT_HEADLINES[part.value], "fulfilment", events, part
    if order.billing is not Billing.NONE:
        return BILLING_HEADLINES[order.billing], "billing", [], None
    covered = money.coverage(order)
    if covered is not Coverage.UNPAID:
        return covered.value, "coverage", [order.coverage_since or 1], None
    if order.transaction is not Transaction.NONE:
        return TRANSACTION_HEADLINES[order.transaction], "transaction", [order.transaction_since], None
    return order.status.value, "order", [order.status_since], None


def explain(order: Order) -> dict[str, Any]:
    """Why the headline is what it is: dimension, part and numbers of the events that set it (HL-3)."""
    code, dimension, events, part = _deciding(order)
    return {
        "headline": code,
        "dimension": dimension,
        "part": None if part is None else _named(part),
        "events": events,
    }


def _named(part: Part) -> dict[str, Any]:
    return {"line": part.line, "quantity": part.quantity}


def flags(order: Order) -> dict[str, list[dict[str, Any]]]:
    """The flags that stand beside the headline, each with the parts it is about (AG-4, HL-4).

    A flag about the whole order names no parts.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    parts = merged(order.parts)
    alive = [part for part in parts if not part.cancelled]

    def flag(code: str, named: list[Part]) -> None:
        if named:
            found[code] = [_named(part) for part in named]

    shipped = [part for part in alive if in_shipping(part)]
    if len(shipped) < len(alive):
        flag("PARTLY_SHIPPED", shipped)
    flag("HAS_PROBLEM", [part for part in alive if part.value is Fulfilment.PROBLEM])
    flag("HAS_LOSS", [part for part in alive if part.value is Fulfilment.LOST_OR_DAMAGED])
    back = {Fulfilment.RETURNING, Fulfilment.RETURNED}
    flag("HAS_RETURN", [part for part in alive if part.value in back])
    if alive:
        flag("PARTLY_CANCELLED", [part for part in parts if part.cancelled])
    flag("AWB_UNKNOWN", [part for part in alive if _awb_unknown(order, part)])

    live = order.status in {Status.NEW, Status.CONFIRMED}
    if money.refund_due(order) > 0:
        found["REFUND_DUE"] = []
        if live:
            found["OVERPAID"] = []
    if money.totals_differ(order):
        found["TOTALS_DIFFER"] = []
    if order.on_hold and live:
        found["ON_HOLD"] = []
    _flag_sold(order, found)
    flag_actions(order, found)
    for doubt in order.doubts:
        code = "UNRECOGNISED" if doubt.disposition is Disposition.UNRECOGNISED else "CHANNEL_CONFLICT"
        named = [part for part in parts if part.line in doubt.lines]
        known = found.setdefault(code, [])
        known += [each for part in named if (each := _named(part)) not in known]
    return found


def _flag_sold(order: Order, found: dict[str, list[dict[str, Any]]]) -> None:
    """HL-4: what only sellers' own orders and their money raise."""
    billed = order.billing is Billing.ISSUED
    if billed and money.coverage(order) is Coverage.PARTLY_PAID:
        found["BILL_PARTLY_PAID"] = []
    if order.money_to_settle:
        found["MONEY_TO_SETTLE"] = []
    if any(entry.collected != entry.expected for entry in order.cod) or any(
        entry.remitted not in {None, entry.collected} for entry in order.cod
    ):
        found["COD_DIFFERENCE"] = []
    live = order.status in {Status.NEW, Status.CONFIRMED}
    if live and (order.backordered or order.short):
        found["STOCK_SHORT"] = [{"line": short.line, "quantity": short.missing} for short in order.short]


def _awb_unknown(order: Order, part: Part) -> bool:
    held = package_of(order, part.package)
    return held is not None and held.live and not held.awb and picked_up(part)


def view(order: Order) -> dict[str, Any]:
    """The order as the API shows it; the caller adds id, position and the commands that are allowed."""
    raised = flags(order)
    return {
        "number": order.number,
        "source": order.source,
        "seller": order.seller,
        "channel": order.channel,
        "site": order.site,
        "shop": order.shop,
        "marketplace_number": order.marketplace_number,
        "reference": order.reference,
        "placed_at": order.placed_at,
        "headline": headline(order),
        "flags": list(raised),
        "flag_parts": raised,
        "order": {"status": order.status.value, "request": order.request is not None},
        "request": _request_view(order),
        "payment": {
            "method": order.method.value,
            "coverage": money.coverage(order).value,
            "transaction": order.transaction.value,
        },
        "fulfilment": aggregate(order).value,
        "billing": order.billing.value,
        "lines": _lines_view(order),
        "packages": _packages_view(order),
        "money": _money_view(order),
        "agent": order.agent or None,
        "page": order.page,
        "tags": sorted(order.tags, key=str.casefold),
        "episode": order.episode,
        "revision": order.revision,
        "bill": _bill_view(order),
        "return_cases": [
            {
                "case": case.id,
                "lines": list(case.lines),
                "step": case.step.value,
                "open": case.step is not CaseStep.CLOSED,
            }
            for case in order.cases
        ],
        "actions": actions_view(order),
        "destination": {"city": order.city, "province": order.province},
        "courier": order.courier,
        "service": order.service,
        "warehouse": order.warehouse,
        "sequence": order.sequence,
    }


def _bill_view(order: Order) -> dict[str, Any] | None:
    if order.billing is Billing.NONE:
        return None
    return {"number": order.bill_number or None, "amount": order.bill_amount, "due_at": order.bill_due_at}


def _request_view(order: Order) -> dict[str, Any] | None:
    request = order.request
    if request is None:
        return None
    return {
        "lines": list(request.lines),
        "by": None if request.by is None else request.by.value,
        "deadline": request.deadline,
        "requested_at": request.at,
    }


def _lines_view(order: Order) -> list[dict[str, Any]]:
    parts = merged(order.parts)
    return [
        {
            "line": line.line,
            "product": line.product,
            "variant": line.variant,
            "sku": line.sku,
            "name": line.name,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "discount": line.discount,
            "parts": [
                {
                    "quantity": part.quantity,
                    "status": "CANCELLED" if part.cancelled else part.value.value,
                    "cancelled": part.cancelled,
                    "accepted": part.accepted,
                    "package": part.package or None,
                    "warehouse": part.warehouse or order.warehouse or None,
                }
                for part in parts
                if part.line == line.line
            ],
        }
        for line in order.lines
    ]


def _packages_view(order: Order) -> list[dict[str, Any]]:
    held = {part.package for part in order.parts}
    return [
        {
            "package": package.id,
            "awb": package.awb if package.live and package.awb else None,
            "announced_awb": package.awb if package.awb and not package.live else None,
            "courier": package.courier or order.courier,
            "service": package.service or order.service,
            "parts": [
                {"line": part.line, "quantity": part.quantity, "status": part.value.value}
                for part in merged(order.parts)
                if part.package == package.id
            ],
        }
        for package in order.packages
        if package.id in held
    ]


def _money_view(order: Order) -> dict[str, Any]:
    return {
        "currency": order.currency,
        "total": money.total(order),
        "tax": money.tax(order),
        "payable": money.payable(order),
        "net_paid": money.net_paid(order),
        "outstanding": money.outstanding(order),
        "refund_due": money.refund_due(order),
        "discount": order.discount,
        "shipping_fee": order.shipping_fee,
        "insurance_fee": order.insurance_fee,
        "other_fees": order.other_fees,
    }
