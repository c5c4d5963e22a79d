"""How news of goods is judged: part by part, by table 11.4, missing steps implied (MK-4 to MK-7).

A fact about a line, a package or the order is judged for each part it names; parts that get the same verdict
move together. A package that no line is known to be in yet keeps its newest fact until one is (MK-18).
"""

from enum import Enum
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order.chains import TARGETS, chain_rank, news_rank
from services.orders.order.channel_request import case_of
from services.orders.order.decision import Decision
from services.orders.order.fact import GoodsData, News, goods_data
from services.orders.order.goods_steps import accept, advance, cancel, finish, undo
from services.orders.order.model import Fulfilment, Part, Status, newer
from services.orders.order.parts import (
    UNNAMED,
    active,
    in_shipping,
    is_named,
    package_of,
)

# 11.4: for each fact one letter per column: the nine values, then part CANCELLED, then order COMPLETED.
# A applied, J applied after implied steps, B a permitted step back, = reaffirmed, X conflict, C return case.
_COLUMNS = (
    Fulfilment.NOT_STARTED,
    Fulfilment.READY,
    Fulfilment.BOOKED,
    Fulfilment.IN_TRANSIT,
    Fulfilment.PROBLEM,
    Fulfilment.DELIVERED,
    Fulfilment.RETURNING,
    Fulfilment.LOST_OR_DAMAGED,
    Fulfilment.RETURNED,
)
_CANCELLED = 9
_COMPLETED = 10
TABLE = {
    "PackagePrepared": "A=BXXXXXXXX",
    "ShipmentBooked": "JA=XXXXXXXX",
    "ShipmentCancelled": "A=BXXXXXXXX",
    "PackagePickedUp": "JJA=BXXXXXX",
    "DeliveryProblemSolved": "JJA=BXXXXXX",
    "DeliveryProblemReported": "JJJA=XXXXXX",
    "PackageDelivered": "JJJAA=XXXX=",
    "PackageLostOrDamaged": "JJJAAJA=XXC",
    "ReturnStarted": "JJJAAA=XXXC",
    "ReturnReceived": "JJJJJJAX=XC",
    "OrderCancelled": "AAAXXXXXX=X",
    "OrderCompleted": "JJJJJAX==X=",
    # The same facts by their names of section 3.
    "LinesCancelled": "AAAXXXXXX=X",
    "BookingFailed": "A=BXXXXXXXX",
}
_COLUMN = {value: position for position, value in enumerate(_COLUMNS)}
_RETURN = frozenset({Fulfilment.RETURNING, Fulfilment.RETURNED})


_CANCELLATIONS = frozenset({"OrderCancelled", "LinesCancelled"})

# Facts whose AWB is that of the shipment: an undone booking tells a void one, a return one of its own.
_NAMES_SHIPMENT = frozenset(
    {
        "PackagePrepared",
        "ShipmentBooked",
        "PackagePickedUp",
        "DeliveryProblemReported",
        "DeliveryProblemSolved",
        "PackageDelivered",
        "PackageLostOrDamaged",
        "OrderCompleted",
    }
)


class Verdict(Enum):
    """What news does to one part; the value is the order of preference when a quantity may be chosen."""

    APPLY = 0
    UNDO = 1
    SAME = 2
    KNOWN = 3
    LATE = 4
    CASE = 5
    CONFLICT = 6


_NEWER = frozenset({Verdict.APPLY, Verdict.UNDO, Verdict.SAME})
# The first of these that some part got is the disposition of the fact.
_TELLING = (
    Verdict.APPLY,
    Verdict.UNDO,
    Verdict.CONFLICT,
    Verdict.CASE,
    Verdict.SAME,
    Verdict.KNOWN,
    Verdict.LATE,
)
_LETTERS = {
    "A": Verdict.APPLY,
    "J": Verdict.APPLY,
    "B": Verdict.UNDO,
    "=": Verdict.SAME,
    "X": Verdict.CONFLICT,
    "C": Verdict.CASE,
}


class Piece(Struct, frozen=True, gc=False):
    """A part, or the quantity taken off one (`of`), that news is about."""

    part: Part
    of: int = 0


def verdict(d: Decision, part: Part, news: News) -> Verdict:
    """What news does to a part (MK-4, MK-5, MK-10, MK-13, table 11.4)."""
    if news.at is not None and part.mark is not None:
        counts = newer(part.mark, news.at, news.read_at)
        if counts is None:
            counts = chain_rank(news.type) > news_rank(part)
        if not counts:
            overtaken = news.type == "OrderCompleted" and part.value in _RETURN and news.at < part.mark.at
            return Verdict.CONFLICT if overtaken else Verdict.LATE
    found = _LETTERS[_letter(d, part, news)]
    if news.at is not None or found is Verdict.APPLY:
        return found
    return Verdict.KNOWN if found is Verdict.SAME else Verdict.LATE


def _letter(d: Decision, part: Part, news: News) -> str:
    row = TABLE[news.type]
    if part.cancelled:
        return row[_CANCELLED]
    own, completed = d.permitted(part, news, row[_COLUMN[part.value]]), row[_COMPLETED]
    # An accepted part is completed for itself (MK-13).
    if part.accepted:
        return completed
    # A completed order may hold lost and returned parts: to say again what they are opens no case, and only
    # what opens one is judged by the order.
    if d.order.status is Status.COMPLETED and completed == "C" and own != "=":
        return completed
    return own


def judge_goods(d: Decision, *, known: bool) -> e.Disposition:
    """Judge news of goods for every part that it names."""
    data = goods_data(d.fact)
    if data.awb and d.news.type not in _NAMES_SHIPMENT:
        data = replace(data, awb=None)
    news = replace(d.news, data=data)
    d.news = news
    parts = _named(d, news)
    if parts is None:
        return e.Disposition.DUPLICATE if known else d.conflict(news, ())
    if not parts:
        return e.Disposition.DUPLICATE if known else _ahead(d, news)
    if known:
        # News that was in conflict, or belongs to a return case, fills nothing when it comes again either.
        told = [piece.part for piece in _chosen(d, parts, news)]
        told = [part for part in told if verdict(d, part, news) not in {Verdict.CASE, Verdict.CONFLICT}]
        filled = _fill(d, told, news, counts=False)
        return e.Disposition.APPLIED if filled else e.Disposition.DUPLICATE
    pieces = _chosen(d, parts, news)
    sorted_out: dict[Verdict, list[Piece]] = {}
    for piece in pieces:
        sorted_out.setdefault(verdict(d, piece.part, news), []).append(piece)
    disposition = _carry_out(d, sorted_out, news)
    agreed = [
        piece.part
        for each, those in sorted_out.items()
        if each not in {Verdict.CASE, Verdict.CONFLICT}
        for piece in those
    ]
    _fill(d, agreed, news, counts=sorted_out.keys() <= _NEWER)
    _catch_up(d)
    finish(d, news)
    d.settle()
    return disposition


def _named(d: Decision, news: News) -> list[Part] | None:
    """The parts that news names: none yet for a package that no line is known in; None for a foreign line.

    Cancelled parts count nowhere (AG-1), so they are named only where nothing else is.
    """
    order, ref = d.order, news.ref
    parts = list(order.parts)
    if ref.line is not None:
        parts = [part for part in parts if part.line == ref.line]
        if not parts:
            return None
        package = news.data.package or ref.package
        if package and len(parts) > 1:
            inside = [part for part in parts if part.package == package]
            parts = inside or [part for part in parts if not is_named(part.package)] or parts
    elif ref.package is not None:
        inside = [part for part in parts if part.package == ref.package]
        if not inside and len(order.lines) == 1:
            inside = [part for part in parts if not is_named(part.package)]
        parts = inside
    elif d.order.source != "CHANNEL":
        # A courier that names nothing speaks of what was given to it (GR-13).
        parts = [part for part in parts if in_shipping(part)] or parts
    if news.data.quantity is not None:
        return parts
    return [part for part in parts if not part.cancelled or _sooner(part, news)] or parts


def _sooner(part: Part, news: News) -> bool:
    """Whether news of a cancellation tells that a part was cancelled sooner than was known."""
    if news.at is None or part.cancelled_at is None or news.type not in _CANCELLATIONS:
        return False
    return news.at < part.cancelled_at


def _ahead(d: Decision, news: News) -> e.Disposition:
    """News of a package whose lines are not known: kept with the package until a line is named in it."""
    if news.at is None:
        return d.late(news, dimension=e.Dimension.GOODS)
    d.read_wanted = True
    return d.record(e.Disposition.NOTE, news, dimension=e.Dimension.GOODS)


def _chosen(d: Decision, parts: list[Part], news: News) -> list[Piece]:
    """The parts, or the quantity of them, that news is about (MK-18)."""
    wanted = news.data.quantity
    if wanted is None or wanted >= sum(part.quantity for part in parts if not part.cancelled):
        alive = [part for part in parts if not part.cancelled]
        if wanted is None or wanted == sum(part.quantity for part in alive):
            return [Piece(part) for part in parts if wanted is None or not part.cancelled]
    found = {part.id: verdict(d, part, news) for part in parts}
    # News of the same quantity is news of the same units, be it a step on or one that they have passed. To
    # say again what some units are is news of others, if any are left to say it of.
    exact = [
        part
        for part in parts
        if part.quantity == wanted
        and (
            found[part.id] in {Verdict.APPLY, Verdict.UNDO}
            or (found[part.id] is Verdict.LATE and not _stands_there(part, news))
        )
    ]
    if exact:
        return [Piece(min(exact, key=lambda part: (found[part.id].value, part.id)))]
    pieces: list[Piece] = []
    made = d.order.parts_made
    left = wanted
    for part in sorted(
        parts, key=lambda part: (part.cancelled, found[part.id].value, part.quantity != wanted, part.id)
    ):
        if left == 0 or (part.cancelled and pieces):
            break
        if part.quantity <= left:
            pieces.append(Piece(part))
            left -= part.quantity
            continue
        made += 1
        pieces.append(Piece(replace(part, id=made, quantity=left), of=part.id))
        left = 0
    return pieces


def _stands_there(part: Part, news: News) -> bool:
    """Whether a part is what the news says, be it by this or by other news."""
    if news.type in _CANCELLATIONS:
        return part.cancelled
    return not part.cancelled and TARGETS.get(news.type) is part.value


def _carry_out(d: Decision, found: dict[Verdict, list[Piece]], news: News) -> e.Disposition:
    """The events of each verdict; the disposition is that of the most telling one."""
    told: list[e.Disposition] = []
    for each in _TELLING:
        pieces = found.get(each, [])
        if not pieces:
            continue
        match each:
            case Verdict.APPLY:
                _apply(d, pieces, news)
                told.append(e.Disposition.APPLIED)
            case Verdict.UNDO:
                for package, held in by_package(d, pieces, news).items():
                    _name_package(d, news, package, held)
                    undo(d, news, package, moved(d, held))
                told.append(e.Disposition.APPLIED)
            case Verdict.SAME:
                dates = _dates(pieces, news)
                told.append(
                    d.record(
                        e.Disposition.REAFFIRMED,
                        news,
                        dimension=e.Dimension.GOODS,
                        parts=moved(d, pieces),
                        dates=dates,
                    )
                )
            case Verdict.CONFLICT:
                told.append(d.conflict(news, tuple(dict.fromkeys(piece.part.line for piece in pieces))))
            case Verdict.CASE:
                told.append(_case(d, pieces, news))
            case Verdict.KNOWN:
                told.append(e.Disposition.DUPLICATE)
            case Verdict.LATE:
                if not told or _dates_cancellation(pieces, news):
                    told.append(_late(d, pieces, news))
            case _:
                assert_never(each)
    return told[0]


def _late(d: Decision, pieces: list[Piece], news: News) -> e.Disposition:
    dates = _dates(pieces, news)
    ended = [piece for piece in pieces if piece.part.cancelled and not piece.of]
    if _dates_cancellation(pieces, news):
        return d.record(
            e.Disposition.LATE, news, dates=dates, dimension=e.Dimension.GOODS, parts=moved(d, ended)
        )
    if ended and news.at is not None:
        d.imply_before_cancellation(news)
    return d.late(news, dates=dates, dimension=e.Dimension.GOODS)


def _dates_cancellation(pieces: list[Piece], news: News) -> bool:
    """Whether the news tells that parts were cancelled earlier than was known."""
    return any(_sooner(piece.part, news) for piece in pieces)


def _dates(pieces: list[Piece], news: News) -> int:
    """The number of the implied event of which this fact tells the true time (MK-7)."""
    if news.at is None:
        return 0
    numbers = [number for piece in pieces if (number := piece.part.implied.get(news.type))]
    return min(numbers, default=0)


def moved(d: Decision, pieces: list[Piece]) -> tuple[e.MovedPart, ...]:
    known = {part.id for part in d.order.parts}
    return tuple(
        e.MovedPart(
            part=piece.part.id,
            line=piece.part.line,
            quantity=piece.part.quantity,
            sku=piece.part.sku,
            of=0 if piece.part.id in known else piece.of,
        )
        for piece in pieces
    )


def by_package(d: Decision, pieces: list[Piece], news: News) -> dict[str, list[Piece]]:
    """The pieces by the package that holds them from now on (OM-8)."""
    named = news.data.package or news.ref.package
    if named:
        return {named: pieces}
    made = f"{UNNAMED}{d.order.packages_made + 1}"
    groups: dict[str, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.part.package or made, []).append(piece)
    return groups


def _apply(d: Decision, pieces: list[Piece], news: News) -> None:
    if news.type in _CANCELLATIONS:
        cancel(d, news, moved(d, pieces))
        return
    d.imply_confirmation(news)
    for package, held in by_package(d, pieces, news).items():
        _name_package(d, news, package, held)
        advance(d, news, package, moved(d, held))
    if news.type == "OrderCompleted":
        accept(d, news, moved(d, pieces))


def _name_package(d: Decision, news: News, package: str, pieces: list[Piece]) -> None:
    """Put pieces into the package that news names before they move on in it."""
    joining = [piece for piece in pieces if piece.part.package not in {"", package}]
    if joining:
        d.emit(e.OrderDetailsCompleted(at=news.at, fact=news.step, package=package, parts=moved(d, joining)))


def _case(d: Decision, pieces: list[Piece], news: News) -> e.Disposition:
    """News of loss or return after completion belongs to a return case (MK-13)."""
    lines = tuple(dict.fromkeys(piece.part.line for piece in pieces))
    case, known = case_of(d, news.data.case, lines)
    step = {
        "ReturnStarted": e.CaseStep.ON_THE_WAY,
        "ReturnReceived": e.CaseStep.RECEIVED,
        "PackageLostOrDamaged": e.CaseStep.LOST,
    }[news.type]
    if known is None:
        d.emit(e.ReturnCaseOpened(at=news.at, fact=news.ref, case=case, lines=lines, step=step))
        return e.Disposition.CASE
    counts = True
    if known.mark is not None and news.at is not None:
        counts = newer(known.mark, news.at, news.read_at) is True
    if not counts:
        return d.late(news, dimension=e.Dimension.GOODS)
    d.emit(e.ReturnCaseAdvanced(at=news.at, fact=news.ref, case=case, lines=lines, step=step))
    return e.Disposition.CASE


def _fill(d: Decision, parts: list[Part], news: News, *, counts: bool) -> bool:
    """MK-3, MK-7: the package's name or number that news brings is filled in where it was unknown.

    News that counts may also put another name or number in the place of an old one.
    """
    ids = {part.id for part in parts}
    present = [part for part in d.order.parts if part.id in ids and part.package and not part.cancelled]
    if not present:
        return False
    filled = False
    named = news.data.package or news.ref.package or ""
    if named:
        joining = [
            part for part in present if part.package != named and (counts or not is_named(part.package))
        ]
        if joining:
            d.emit(
                e.OrderDetailsCompleted(
                    at=news.at,
                    fact=news.step,
                    package=named,
                    parts=moved(d, [Piece(part) for part in joining]),
                )
            )
            filled = True
    awb = news.data.awb or ""
    packages = {part.package for part in d.order.parts if part.id in ids and part.package}
    if awb and len(packages) == 1:
        filled = _fill_awb(d, packages.pop(), awb, news, counts=counts) or filled
    return filled


def _fill_awb(d: Decision, package: str, awb: str, news: News, *, counts: bool) -> bool:
    order = d.order
    held = package_of(order, package)
    if held is None or awb == held.awb or awb in order.void_awbs:
        return False
    undone = held.voided_at is not None and news.at is not None and news.at <= held.voided_at
    if undone or (held.awb and not counts):
        return False
    inside = [part for part in active(order) if part.package == package]
    if held.live or any(in_shipping(part) for part in inside):
        lines = tuple(dict.fromkeys(part.line for part in inside))
        d.emit(e.AwbIssued(at=news.at, fact=news.step, package=package, awb=awb, lines=lines))
        return True
    d.emit(e.OrderDetailsCompleted(at=news.at, fact=news.step, package=package, announced_awb=awb))
    return True


def _catch_up(d: Decision) -> None:
    """Lines that turn out to be in a package take over its newest news (MK-18)."""
    for package in d.order.packages:
        kept = package.news
        if kept is None:
            continue
        news = News(
            type=kept.fact.type,
            at=kept.at,
            read_at=kept.fact.read_at,
            ref=kept.fact,
            step=e.FactRef(id=kept.fact.id, read_at=kept.fact.read_at),
            data=GoodsData(awb=kept.awb or None),
        )
        found: dict[Verdict, list[Piece]] = {}
        for part in active(d.order):
            if part.package == package.id:
                found.setdefault(verdict(d, part, news), []).append(Piece(part))
        counting: dict[Verdict, list[Piece]] = {
            each: pieces for each, pieces in found.items() if each in _NEWER
        }
        if counting:
            _carry_out(d, counting, news)
