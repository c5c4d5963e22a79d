"""How requests to cancel and return cases change an order (T9, T24, T34)."""

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order.chains import REQUEST_RANK
from services.orders.order.model import Order, Request, ReturnCase, advanced
from services.orders.order.parts import active


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
    request = Request(lines=event.lines, at=event.at, by=event.by, deadline=event.deadline, event=number)
    return replace(order, request=request, request_mark=mark)


def without_requested(order: Order, event: e.Moved) -> Order:
    """The order without the moved lines in a request for some lines; with none of them left it is closed."""
    request = order.request
    if request is None or not request.lines:
        return order
    moved = {piece.line for piece in event.parts}
    if isinstance(event, e.PackagePickedUp):
        left = tuple(line for line in request.lines if line not in moved)
    else:
        alive = {part.line for part in active(order)}
        left = tuple(line for line in request.lines if line in alive)
    return replace(order, request=replace(request, lines=left) if left else None)


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
    )
    return replace(order, cases=tuple(case if each.id == event.case else each for each in order.cases))
