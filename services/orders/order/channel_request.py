"""How requests to cancel, return cases and notes are judged (MK-6, MK-13, MK-15, MK-16)."""

from services.orders.order import events as e
from services.orders.order.chains import REQUEST_RANK
from services.orders.order.decision import Decision
from services.orders.order.fact import goods_data, note_data
from services.orders.order.model import Part, ReturnCase, Status, newer
from services.orders.order.parts import picked_up


def scope_lines(d: Decision) -> tuple[str, ...]:
    """The lines that a fact is about; none means the whole order."""
    ref = d.news.ref
    if ref.line is not None:
        return (ref.line,)
    if ref.package is not None:
        held = dict.fromkeys(part.line for part in d.order.parts if part.package == ref.package)
        return tuple(held)
    return ()


def _scope_parts(d: Decision, lines: tuple[str, ...]) -> list[Part]:
    return [part for part in d.order.parts if not lines or part.line in lines]


def judge_request(d: Decision) -> e.Disposition:
    """A request opens while the order is live and nothing in scope is picked up (MK-6)."""
    news, order = d.news, d.order
    data = goods_data(d.fact)
    lines = scope_lines(d)
    parts = _scope_parts(d, lines)
    request, mark = order.request, order.request_mark
    joined = False
    if news.at is not None and mark is not None:
        counts = newer(mark, news.at, news.read_at)
        # Lines of one order are asked for one by one at one time; together they are one request.
        joined = (
            request is not None
            and bool(request.lines)
            and bool(lines)
            and request.at == news.at
            and not set(lines) <= set(request.lines)
        )
        if counts is None:
            counts = REQUEST_RANK[news.type] > mark.rank
        if not counts and not joined:
            return d.late(news, dimension=e.Dimension.REQUEST)
    blocked = _blocked(d, parts)
    if blocked is not None:
        if news.at is None or blocked == "LATE":
            return d.late(news, dimension=e.Dimension.REQUEST)
        return d.conflict(news, lines)
    if request is not None and not joined and set(request.lines) == set(lines):
        if news.at is None:
            return e.Disposition.DUPLICATE
        return d.record(e.Disposition.REAFFIRMED, news, dimension=e.Dimension.REQUEST)
    if joined and request is not None:
        lines = (*request.lines, *lines)
    elif request is not None and news.at is None:
        return e.Disposition.DUPLICATE
    d.emit(
        e.CancellationRequested(at=news.at, fact=news.ref, lines=lines, by=data.by, deadline=data.deadline)
    )
    return e.Disposition.APPLIED


def _blocked(d: Decision, parts: list[Part]) -> str | None:
    """What stands against a request: LATE if it is older than that, CONFLICT if newer, None if nothing."""
    order, at = d.order, d.news.at
    times = []
    if order.status is Status.COMPLETED:
        times = [order.completed_at]
    elif order.status is Status.CANCELLED:
        times = [order.cancelled_at]
    else:
        alive = [part for part in parts if not part.cancelled]
        taken = [part for part in alive if picked_up(part)]
        if alive and not taken:
            return None
        times = [part.picked_up_at for part in taken] or [part.cancelled_at for part in parts]
    if at is None or any(time is None or at <= time for time in times):
        return "LATE"
    return "CONFLICT"


def judge_request_closed(d: Decision) -> e.Disposition:
    """Closes the request if one is open, otherwise says what is so already (MK-6)."""
    news, order = d.news, d.order
    data = goods_data(d.fact)
    if news.at is None:
        if order.request is None:
            return e.Disposition.DUPLICATE
        return d.late(news, dimension=e.Dimension.REQUEST)
    mark = order.request_mark
    counts = newer(mark, news.at, news.read_at)
    if counts is None:
        counts = mark is None or REQUEST_RANK[news.type] > mark.rank
    if not counts:
        return d.late(news, dimension=e.Dimension.REQUEST)
    if order.request is None:
        return d.record(e.Disposition.REAFFIRMED, news, dimension=e.Dimension.REQUEST)
    outcome = e.Outcome.CHANNEL
    if data.by is e.Actor.BUYER:
        outcome = e.Outcome.WITHDRAWN
    elif data.by is e.Actor.SELLER:
        outcome = e.Outcome.REFUSED
    d.emit(e.CancellationRequestClosed(at=news.at, fact=news.ref, outcome=outcome, by=data.by))
    return e.Disposition.APPLIED


def case_of(d: Decision, case: str | None, lines: tuple[str, ...]) -> tuple[str, ReturnCase | None]:
    """The id of the case that a fact speaks of, and the case if it is known."""
    if case:
        return case, next((each for each in d.order.cases if each.id == case), None)
    for each in d.order.cases:
        if not lines or not each.lines or set(lines) & set(each.lines):
            return each.id, each
    return f"#{len(d.order.cases) + 1}", None


def judge_case(d: Decision) -> e.Disposition:
    """Opening and closing of a return case change no value (T34)."""
    news = d.news
    data = goods_data(d.fact)
    lines = scope_lines(d)
    if d.order.status is Status.CANCELLED:
        return d.record(e.Disposition.NOTE, news)
    case, known = case_of(d, data.case, lines)
    closing = news.type == "ReturnCaseClosed"
    if known is not None and news.at is not None and known.mark is not None:
        counts = newer(known.mark, news.at, news.read_at)
        if counts is False or (counts is None and not closing):
            return d.late(news)
    if known is not None and (known.step is e.CaseStep.CLOSED) is closing:
        return e.Disposition.DUPLICATE if news.at is None else d.record(e.Disposition.REAFFIRMED, news)
    if closing:
        d.emit(e.ReturnCaseClosed(at=news.at, fact=news.ref, case=case, lines=lines))
    elif known is not None and news.at is None:
        return d.late(news)
    else:
        d.emit(e.ReturnCaseOpened(at=news.at, fact=news.ref, case=case, lines=lines))
    return e.Disposition.APPLIED


def judge_note(d: Decision) -> e.Disposition:
    """A note is kept; the newest word on a hold raises or clears the flag (MK-16)."""
    news, order = d.news, d.order
    on_hold = note_data(d.fact).on_hold
    if on_hold is not None and news.at is not None:
        counts = newer(order.hold_mark, news.at, news.read_at)
        if counts is None:
            counts = order.hold_mark is None or (not on_hold and order.hold_mark.rank == 1)
        if not counts:
            on_hold = None
    d.emit(e.FactRecorded(at=news.at, fact=news.ref, disposition=e.Disposition.NOTE, on_hold=on_hold))
    return e.Disposition.NOTE


def judge_unknown(d: Decision) -> e.Disposition:
    """MK-15: kept with the raw status; news that is known and as new has already taken its place."""
    news, order = d.news, d.order
    lines = scope_lines(d)
    marks = [part.mark for part in _scope_parts(d, lines)]
    if not lines:
        marks += [order.payment_mark, order.request_mark]
    overtaken = news.at is not None and any(mark is not None and mark.at >= news.at for mark in marks)
    d.read_wanted = True
    return d.record(
        e.Disposition.UNRECOGNISED, news, raises=() if overtaken else ("UNRECOGNISED",), lines=lines
    )
