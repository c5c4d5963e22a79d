"""The legal steps of goods that a judged fact brings, the missing ones first (MK-7, MK-11 to MK-13)."""

from services.orders.order import events as e
from services.orders.order.chains import NEWS_RANK, TARGETS
from services.orders.order.decision import Decision
from services.orders.order.fact import News
from services.orders.order.model import Fulfilment, Order, Part, Status
from services.orders.order.parts import active, package_of
from services.orders.order.requests import asked_still

Moved = tuple[e.MovedPart, ...]

_DONE = frozenset({Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNED})


def _those(order: Order, parts: Moved, *values: Fulfilment) -> Moved:
    """The named parts that stand at one of these values; a piece not split off yet is as its origin."""
    standing = {part.id: part.value for part in order.parts}
    found = []
    for piece in parts:
        known = piece.part in standing
        value = standing[piece.part] if known else standing[piece.of]
        if value in values:
            # Once split off, a piece is a part like any other.
            found.append(
                e.MovedPart(part=piece.part, line=piece.line, quantity=piece.quantity, sku=piece.sku)
                if known and piece.of
                else piece
            )
    return tuple(found)


def _stamp(news: News, *, own: bool) -> tuple[e.FactRef, bool]:
    return (news.ref, False) if own else (news.step, True)


def advance(d: Decision, news: News, package: str, parts: Moved) -> None:
    """Bring parts of one package to what the news says, over every step that is missing."""
    target = TARGETS.get(news.type, Fulfilment.DELIVERED)
    rank = NEWS_RANK[target]
    if news.type in {"ShipmentCancelled", "BookingFailed"}:
        d.emit(e.ShipmentCancelled(at=news.at, fact=news.ref, parts=parts, package=package))
        return
    _prepare(d, news, package, parts, own=target is Fulfilment.READY)
    if rank >= NEWS_RANK[Fulfilment.BOOKED]:
        _book(d, news, package, parts, own=target is Fulfilment.BOOKED)
    if rank >= NEWS_RANK[Fulfilment.IN_TRANSIT]:
        _pick_up(d, news, package, parts, own=news.type == "PackagePickedUp")
    _arrive(d, news, package, parts)


def _prepare(d: Decision, news: News, package: str, parts: Moved, *, own: bool) -> None:
    waiting = _those(d.order, parts, Fulfilment.NOT_STARTED)
    if not waiting:
        return
    ref, implied = _stamp(news, own=own)
    data = news.data
    d.emit(
        e.PackagePrepared(
            at=news.at,
            fact=ref,
            implied=implied,
            parts=waiting,
            package=package,
            awb=data.awb or "",
            courier=data.courier or "",
            service=data.service or "",
        )
    )


def _book(d: Decision, news: News, package: str, parts: Moved, *, own: bool) -> None:
    ready = _those(d.order, parts, Fulfilment.READY)
    if not ready:
        return
    own = own and news.type == "ShipmentBooked"
    ref, implied = _stamp(news, own=own)
    data = news.data
    d.emit(
        e.ShipmentBooked(
            at=news.at,
            fact=ref,
            implied=implied,
            parts=ready,
            package=package,
            courier=data.courier or "",
            service=data.service or "",
        )
    )
    held = package_of(d.order, package)
    number = _number(d, news, package)
    if number and held is not None and not held.live:
        _issue(d, news, package, number, own=own)


def _number(d: Decision, news: News, package: str) -> str:
    """The AWB that is known for a package: told now, else announced; never a void one (OM-7)."""
    held = package_of(d.order, package)
    number = news.data.awb or ("" if held is None else held.awb)
    return "" if number in d.order.void_awbs else number


def _issue(d: Decision, news: News, package: str, number: str, *, own: bool) -> None:
    lines = tuple(dict.fromkeys(part.line for part in active(d.order) if part.package == package))
    d.emit(
        e.AwbIssued(
            at=news.at,
            fact=news.step,
            implied=not own,
            package=package,
            awb=number,
            lines=lines,
        )
    )


def _pick_up(d: Decision, news: News, package: str, parts: Moved, *, own: bool) -> None:
    booked = _those(d.order, parts, Fulfilment.BOOKED)
    if not booked:
        return
    held = package_of(d.order, package)
    if held is None or not held.live:
        _issue(d, news, package, _number(d, news, package), own=False)
    _close_request(d, news, booked)
    ref, implied = _stamp(news, own=own)
    d.emit(e.PackagePickedUp(at=news.at, fact=ref, implied=implied, parts=booked, package=package))


def _close_request(d: Decision, news: News, parts: Moved) -> None:
    """T18: what is picked up can no longer be asked to be cancelled."""
    request = d.order.request
    if request is None:
        return
    if request.lines and asked_still(d.order, request, parts):
        return
    d.emit(e.CancellationRequestClosed(at=news.at, fact=news.step, implied=True, outcome=e.Outcome.TOO_LATE))


def _arrive(d: Decision, news: News, package: str, parts: Moved) -> None:
    """The steps after the pick-up."""
    match news.type:
        case "DeliveryProblemSolved":
            taken = _those(d.order, parts, Fulfilment.IN_TRANSIT)
            d.emit(e.DeliveryProblemSolved(at=news.at, fact=news.ref, parts=taken, package=package))
        case "DeliveryProblemReported":
            taken = _those(d.order, parts, Fulfilment.IN_TRANSIT)
            d.emit(e.DeliveryProblemReported(at=news.at, fact=news.ref, parts=taken, package=package))
        case "PackageDelivered" | "OrderCompleted":
            taken = _those(d.order, parts, Fulfilment.IN_TRANSIT, Fulfilment.PROBLEM)
            if taken:
                ref, implied = _stamp(news, own=news.type == "PackageDelivered")
                d.emit(
                    e.PackageDelivered(at=news.at, fact=ref, implied=implied, parts=taken, package=package)
                )
        case "ReturnStarted":
            _start_return(d, news, package, parts, own=True)
        case "ReturnReceived":
            _start_return(d, news, package, parts, own=False)
            back = _those(d.order, parts, Fulfilment.RETURNING)
            d.emit(e.ReturnReceived(at=news.at, fact=news.ref, parts=back, package=package))
        case "PackageLostOrDamaged":
            arrived = _those(d.order, parts, Fulfilment.DELIVERED)
            if arrived:
                _start_return(d, news, package, arrived, own=False)
            gone = _those(d.order, parts, Fulfilment.IN_TRANSIT, Fulfilment.PROBLEM, Fulfilment.RETURNING)
            d.emit(e.PackageLostOrDamaged(at=news.at, fact=news.ref, parts=gone, package=package))
        case _:
            pass


def _start_return(d: Decision, news: News, package: str, parts: Moved, *, own: bool) -> None:
    out = _those(d.order, parts, Fulfilment.IN_TRANSIT, Fulfilment.PROBLEM, Fulfilment.DELIVERED)
    if not out:
        return
    ref, implied = _stamp(news, own=own)
    d.emit(e.ReturnStarted(at=news.at, fact=ref, implied=implied, parts=out, package=package))


def undo(d: Decision, news: News, package: str, parts: Moved) -> None:
    """MK-11: a booking or a problem is taken back."""
    if TARGETS[news.type] is Fulfilment.IN_TRANSIT:
        d.emit(e.DeliveryProblemSolved(at=news.at, fact=news.ref, parts=parts, package=package))
        return
    if news.type == "BookingFailed" and d.order.source != "CHANNEL":
        d.emit(e.BookingFailed(at=news.at, fact=news.ref, parts=parts, package=package))
        return
    awb = (news.data.awb or "") if news.type == "PackagePrepared" else ""
    d.emit(e.ShipmentCancelled(at=news.at, fact=news.ref, parts=parts, package=package, awb=awb))


def cancel(d: Decision, news: News, parts: Moved) -> None:
    """MK-12: the booking is undone, then the parts are cancelled, and with the last one the order."""
    packages: dict[str, list[e.MovedPart]] = {}
    booked = {piece.part for piece in _those(d.order, parts, Fulfilment.BOOKED)}
    homes = {part.id: part.package for part in d.order.parts}
    for piece in parts:
        if piece.part in booked:
            packages.setdefault(homes.get(piece.part) or homes[piece.of], []).append(piece)
    for package, held in packages.items():
        d.emit(
            e.ShipmentCancelled(at=news.at, fact=news.step, implied=True, parts=tuple(held), package=package)
        )
    whole = _whole(d.order, parts)
    request = d.order.request
    asked = request is not None and (
        not request.lines or bool({piece.line for piece in parts} & set(request.lines))
    )
    parts = _those(d.order, parts, Fulfilment.NOT_STARTED, Fulfilment.READY)
    cancelled = e.OrderCancelled if whole else e.LinesCancelled
    d.emit(
        cancelled(
            at=news.at,
            fact=news.ref,
            parts=parts,
            by=news.data.by,
            accepted=asked and (whole or bool(request and request.lines)),
        )
    )


def _whole(order: Order, parts: Moved) -> bool:
    left = {part.id: part.quantity for part in active(order)}
    for piece in parts:
        if piece.part in left:
            del left[piece.part]
        elif piece.of in left:
            left[piece.of] -= piece.quantity
    return not any(left.values())


def completes(order: Order, accepted: set[int]) -> bool:
    """MK-13: every active part is accepted, lost or returned, and at least one is accepted."""
    parts = active(order)
    taken = [part for part in parts if part.accepted or part.id in accepted]
    return bool(taken) and all(part.accepted or part.id in accepted or part.value in _DONE for part in parts)


def accept(d: Decision, news: News, parts: Moved) -> None:
    """The buyer has these parts for good; with the last one the order is completed."""
    split_off = any(piece.of for piece in parts)
    if split_off or not completes(d.order, {piece.part for piece in parts}):
        d.emit(e.LinesAccepted(at=news.at, fact=news.ref, parts=parts))
        return
    d.collect(news)
    d.emit(e.OrderCompleted(at=news.at, fact=news.ref, parts=parts))


def finish(d: Decision, news: News) -> None:
    """Complete an order whose last open part was cancelled, lost or returned after others were accepted."""
    order = d.order
    if order.status in {Status.CANCELLED, Status.COMPLETED} or not completes(order, set()):
        return
    d.collect(news)
    d.emit(e.OrderCompleted(at=_latest(active(order), news), fact=news.step, implied=True, parts=()))


def _latest(parts: list[Part], news: News) -> e.Instant | None:
    times = [part.mark.at for part in parts if part.mark is not None]
    if news.at is not None:
        times.append(news.at)
    return max(times, default=None)
