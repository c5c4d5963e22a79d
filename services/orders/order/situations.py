"""An order as the guards see it: the Situation that the one table of the machine is asked with (PM-1)."""

from datetime import timedelta

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.commands import Command, Given
from services.orders.order.events import CaseStep, Disposition
from services.orders.order.goods_scope import scope_of
from services.orders.order.model import Fulfilment, Order, Part, Status
from services.orders.order.parts import active, arrived_at, package_of
from services.orders.order.table import Goods, Situation


def situation_of(order: Order, command: Command | None = None, given: Given | None = None) -> Situation:
    """What the guards read of an order, for a command or for `allowed`.

    Without `given` the details that only a decision knows (windows, contact, documents) stop nothing.
    """
    lines = _lines(command)
    request = order.request
    return Situation(
        method=order.method,
        status=order.status,
        request_open=request is not None,
        accepts_request=(
            isinstance(command, c.CancelLines)
            and command.accept_request
            and request is not None
            and bool(request.lines)
        ),
        coverage=money.coverage(order),
        transaction=order.transaction,
        billing=order.billing,
        refund_due=money.refund_due(order) > 0,
        parts=_goods(order, active(order)),
        scope=_scope(order, command, lines),
        on_hold=order.on_hold,
        channel_owned=order.source == "CHANNEL",
        conflict=any(doubt.disposition is Disposition.CONFLICT for doubt in order.doubts),
        case_open=_case_open(order, command, lines),
        returns_open=given is None or returns_open(order, lines, given),
        shipping_complete=_shipping_complete(order, command, given),
        documents_complete=given is None or given.seller.documents_complete,
        contact_usable=given is None or given.contact.usable,
        contact_permitted=given is None or given.contact.permitted,
    )


def _lines(command: Command | None) -> tuple[str, ...]:
    return command.lines if isinstance(command, c.OpenReturnCase) else ()


def _scope(order: Order, command: Command | None, lines: tuple[str, ...]) -> tuple[Goods, ...] | None:
    if lines:
        return _goods(order, [part for part in active(order) if part.line in lines])
    if isinstance(command, c.GoodsCommand | c.RequestCancellation):
        chosen = scope_of(order, command)
        return None if chosen is None else _goods(order, chosen)
    return None


def _goods(order: Order, parts: list[Part]) -> tuple[Goods, ...]:
    return tuple(Goods(part.value, has_awb(order, part)) for part in parts)


def has_awb(order: Order, part: Part) -> bool:
    held = package_of(order, part.package) if part.package else None
    return held is not None and held.live


def _case_open(order: Order, command: Command | None, lines: tuple[str, ...]) -> bool:
    cases = [case for case in order.cases if case.step is not CaseStep.CLOSED]
    if isinstance(command, c.CloseReturnCase) and command.case:
        return any(case.id == command.case for case in cases)
    if lines:
        return any(not case.lines or set(case.lines) & set(lines) for case in cases)
    return bool(cases)


def returns_open(order: Order, lines: tuple[str, ...], given: Given) -> bool:
    """Whether goods of these lines, all if none is named, may still come back (T22, T34a, CV-6)."""
    policies = given.policies
    if order.status is Status.COMPLETED:
        done = order.completed_at
        return done is not None and given.at <= done + timedelta(days=policies.after_sale_days)
    times = [
        arrived_at(part)
        for part in active(order)
        if part.value is Fulfilment.DELIVERED and (not lines or part.line in lines)
    ]
    window = timedelta(days=policies.return_window_days)
    return not times or any(time is None or given.at <= time + window for time in times)


def _shipping_complete(order: Order, command: Command | None, given: Given | None) -> bool:
    if order.source == "CHANNEL":
        return True
    named = command if isinstance(command, c.ShipOrder) else c.ShipOrder()
    if not (named.courier or order.courier) or not (named.service or order.service):
        return False
    return bool(order.city) and not (given is not None and given.recipient_gone)
