"""How requests to cancel and return cases change an order (T9, T24, T34)."""

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order.chains import REQUEST_RANK
from services.orders.order.model import Order, Request, ReturnCase, advanced
from services.orders.order.parts import active, picked_up


def requested(
    order: Order, event: e.CancellationRequested | e.CancellationRequestClosed, number: int
) -> Order:
    mark = order.request_mark
    # The closing by a pick-up moves no request watermark (MK-4).
    if not event.implied:
        read_at = None if event.fact is None else event.fact.read_at
        mark = advanced(mark, event.at, read_at, REQUEST_RANK[type(event).__name__])
    if isinstance(event, e.CancellationRequestClosed):
        return replace(order, request=None, request_mark=mark)
    request = Request(
        lines=event.lines,
        at=event.at,
        by=event.by,
        deadline=event.deadline,
        event=number,
        reason=event.reason,
        parts=event.parts,
    )
    return replace(order, request=request, request_mark=mark)


def asked_still(order: Order, request: Request, moved: tuple[e.MovedPart, ...] = ()) -> tuple[str, ...]:
    """The lines of a request of which the asked units are not picked up, those just being moved included.

    A request without quantities, as marketplaces make them, ends for a line with its first pick-up.
    """
    if not request.parts:
        gone = {piece.line for piece in moved}
        return tuple(line for line in request.lines if line not in gone)
    left: dict[str, int] = {}
    for part in active(order):
        if not picked_up(part):
            left[part.line] = left.get(part.line, 0) + part.quantity
    for piece in moved:
        left[piece.line] = left.get(piece.line, 0) - piece.quantity
    asked: dict[str, int] = {}
    for wanted in request.parts:
        asked[wanted.line] = asked.get(wanted.line, 0) + wanted.quantity
    return tuple(line for line in request.lines if left.get(line, 0) >= asked.get(line, 1))


def without_requested(order: Order, event: e.Moved) -> Order:
    """The order without the moved lines in a request for some lines; with none of them left it is closed."""
    request = order.request
    if request is None or not request.lines:
        return order
    if isinstance(event, e.LinesCancelled) and event.accepted and order.source != "CHANNEL":
        # The command names the request and ends it (T25), also where it asked for some units of a line.
        return replace(order, request=None)
    if isinstance(event, e.PackagePickedUp):
        # The parts have moved already where the request knows its units.
        left = asked_still(order, request, () if request.parts else event.parts)
    else:
        alive = {part.line for part in active(order)}
        left = tuple(line for line in request.lines if line in alive)
    if not left:
        return replace(order, request=None)
    parts = tuple(piece for piece in request.parts if piece.line in left)
    return replace(order, request=replace(request, lines=left, parts=parts))


def cased(
    order: Order,
    event: e.ReturnCaseOpened | e.ReturnCaseAdvanced | e.ReturnCaseClosed,
    number: int,
) -> Order:
    step = e.CaseStep.CLOSED if isinstance(event, e.ReturnCaseClosed) else event.step
    read_at = None if event.fact is None else event.fact.read_at
    known = next((each for each in order.cases if each.id == event.case), None)
    if known is None:
        case = ReturnCase(
            id=event.case,
            lines=event.lines,
            step=step,
            mark=advanced(None, event.at, read_at),
            event=number,
        )
        return replace(order, cases=(*order.cases, case))
    case = replace(
        known,
        step=step,
        lines=tuple(dict.fromkeys((*known.lines, *event.lines))),
        mark=advanced(known.mark, event.at, read_at),
        outcome=event.outcome if isinstance(event, e.ReturnCaseClosed) else known.outcome,
    )
    return replace(order, cases=tuple(case if each.id == event.case else each for each in order.cases))
