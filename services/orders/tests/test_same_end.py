"""MK-17: however the news of a history arrives, the order ends the same and no conflict is flagged."""

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.orders.order import money
from services.orders.order.channel_facts import Disposition, Fact
from services.orders.order.headline import flags, headline
from services.orders.order.model import Fulfilment, Order, Part
from services.orders.order.parts import merged
from services.orders.tests.facts import PRICE, Played, fact, placement

GOODS = (
    "PackagePrepared",
    "ShipmentBooked",
    "ShipmentCancelled",
    "PackagePickedUp",
    "DeliveryProblemReported",
    "DeliveryProblemSolved",
    "PackageDelivered",
    "PackageLostOrDamaged",
    "ReturnStarted",
    "ReturnReceived",
    "OrderCancelled",
    "OrderCompleted",
)
PAYMENT = ("PaymentAwaited", "PaymentProcessingStarted", "PaymentFailed")
REQUEST = ("CancellationRequested", "CancellationRequestClosed")
IMPLIED = {"OrderConfirmed", "PaymentSucceeded", "ExtraReceiptRecorded"}
FITTING = {Disposition.APPLIED, Disposition.REAFFIRMED}
BACK = {Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNING, Fulfilment.RETURNED}


def end(order: Order) -> dict[str, Any]:
    """What MK-17 says is the same, and the money that follows from it."""
    return {
        "order": order.status,
        "coverage": money.coverage(order),
        "transaction": order.transaction,
        "request": order.request is not None,
        "parts": sorted(
            (part.line, part.value, part.cancelled, part.accepted, part.quantity)
            for part in merged(_without_packages(order))
        ),
        "conflict": "CHANNEL_CONFLICT" in flags(order),
        "headline": headline(order),
        "net paid": money.net_paid(order),
        "refund due": money.refund_due(order),
        "total": money.total(order),
    }


def _without_packages(order: Order) -> list[Part]:
    return [replace(part, package="") for part in order.parts]


@dataclass(frozen=True)
class History:
    placed: Fact
    facts: tuple[Fact, ...]
    lines: tuple[str, ...]
    # Facts that implied the payment or the confirmation are the newest news of these.
    needed: frozenset[str]


def _legal(order: Order, each: Fact) -> bool:
    """The histories that MK-17 speaks of: nothing late or in conflict, no return after completion.

    Two kinds of news of the whole order say more than is true of a part that had an end of its own before:
    a completion over lost or returned goods, and anything over a line cancelled or received for good. Where the older news of that
    part is missing, or arrives later, they cannot be told from news of the part; they are left out.
    """
    if each.type not in GOODS:
        return True
    line = each.scope.line if each.scope is not None else None
    named = [part for part in order.parts if line in {None, part.line}]
    if each.type == "OrderCompleted" and any(part.value in BACK for part in named):
        return False
    if each.type != "OrderCompleted" and any(part.accepted for part in named):
        return False
    return not any(part.cancelled for part in named)


@st.composite
def histories(draw: st.DrawFn) -> History:
    lines = tuple(f"L{number}" for number in range(1, draw(st.integers(1, 3)) + 1))
    method = draw(st.sampled_from(["GATEWAY", "GATEWAY", "COD"]))
    placed = placement(*((line, draw(st.integers(1, 2))) for line in lines), method=method)
    scopes = st.sampled_from([*lines, *lines, None])
    played = Played(placed)
    kept: list[Fact] = []
    needed: set[str] = set()
    paid_at = draw(st.integers(1, 6) | st.none()) if method == "GATEWAY" else None
    for time in range(1, draw(st.integers(4, 22))):
        if time == paid_at:
            each = fact("PaymentSucceeded", time)
        elif paid_at is not None and time < paid_at:
            each = fact(draw(st.sampled_from([*PAYMENT, "CancellationRequested"])), time, status=f"s{time}")
        else:
            kind = draw(st.sampled_from([*GOODS, *GOODS, *REQUEST, *PAYMENT, "OrderConfirmed", "RefundPaid"]))
            scope = draw(scopes) if kind in GOODS else None
            data: dict[str, Any] = {"amount": draw(st.integers(1, PRICE))} if kind == "RefundPaid" else {}
            each = fact(kind, time, scope, **data)
        before = played.state
        if (method == "COD" and each.type == "RefundPaid") or not _legal(before, each):
            continue
        tried = Played()
        tried.order = before
        tried.then(each)
        if tried.last.disposition in FITTING and not any(
            getattr(one, "disposition", None) == Disposition.CONFLICT for one in tried.last.events
        ):
            played.then(each)
            kept.append(each)
            if any(type(one).__name__ in IMPLIED for one in played.last.events if one.implied):
                needed.add(each.id)
    return History(placed, tuple(kept), lines, frozenset(needed))


def dimensions(history: History, each: Fact) -> set[str]:
    """The dimensions that a fact is news of (MK-4); the confirmation is one for itself."""
    if each.type in GOODS:
        line = each.scope.line if each.scope is not None else None
        return {f"goods {one}" for one in history.lines if line in {None, one}}
    if each.type in REQUEST:
        return {"request"}
    if each.type in PAYMENT:
        return {"payment"}
    # Money and the confirmation are no states that newer news replaces.
    return {each.id}


def may_be_left_out(history: History) -> list[Fact]:
    newest: dict[str, Fact] = {}
    for each in history.facts:
        for dimension in dimensions(history, each):
            newest[dimension] = each
    kept = {each.id for each in newest.values()} | history.needed
    return [each for each in history.facts if each.id not in kept]


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(histories(), st.data())
def test_every_arrival_ends_the_same(history: History, data: st.DataObject) -> None:
    assume(history.facts)
    expected = end(Played(history.placed, *history.facts).state)
    assert not expected["conflict"]
    spare = may_be_left_out(history)
    gone = data.draw(st.sets(st.sampled_from([each.id for each in spare]))) if spare else set()
    left = [each for each in history.facts if each.id not in gone]
    again = data.draw(st.lists(st.sampled_from(left), max_size=4))
    arrival = data.draw(st.permutations([*left, *again]))
    event(f"left out {min(len(gone), 3)}")
    found = end(Played(history.placed, *arrival).state)
    if gone or not any(each.type == "PaymentSucceeded" for each in history.facts):
        # Money that no fact tells of is what was due at the first news that implies it; which that is depends
        # on what arrives. Where the payment is told, its figures are the same as well.
        for figure in ("net paid", "refund due"):
            expected.pop(figure)
            found.pop(figure)
    assert found == expected, [each.id for each in arrival]


PACKAGE_NEWS = tuple(kind for kind in GOODS if kind not in {"PackagePrepared", "OrderCancelled"})


@st.composite
def packed_histories(draw: st.DrawFn) -> History:
    """Lines are named in one of two packages as they are packed; then the packages are told of as a whole."""
    lines = tuple(f"L{number}" for number in range(1, draw(st.integers(2, 4)) + 1))
    placed = placement(*((line, 1) for line in lines))
    kept = [fact("PaymentSucceeded", 1)]
    for time, line in enumerate(lines, start=2):
        kept.append(fact("PackagePrepared", time, line, package=draw(st.sampled_from(["PK1", "PK2"]))))
    played = Played(placed, *kept)
    for time in range(20, 20 + draw(st.integers(1, 10))):
        kind = draw(st.sampled_from(PACKAGE_NEWS))
        about = draw(st.sampled_from([None, *lines]))
        package = draw(st.sampled_from(["PK1", "PK2"])) if about is None else None
        each = fact(kind, time, about, of_package=package)
        order = played.state
        named = [part for part in order.parts if part.line == about or part.package == package]
        if not named or any(part.accepted for part in named):
            continue
        if kind == "OrderCompleted" and any(part.value in BACK for part in named):
            continue
        tried = Played()
        tried.order = order
        tried.then(each)
        if "CHANNEL_CONFLICT" not in flags(tried.state) and tried.last.disposition in FITTING:
            played.then(each)
            kept.append(each)
    return History(placed, tuple(kept), lines, frozenset())


@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(packed_histories(), st.data())
def test_news_of_packages_reaches_their_lines_in_every_arrival(history: History, data: st.DataObject) -> None:
    """MK-18: which lines a package holds may be told after what became of it."""
    expected = Played(history.placed, *history.facts).state
    again = data.draw(st.lists(st.sampled_from(history.facts), max_size=3))
    arrival = data.draw(st.permutations([*history.facts, *again]))
    found = Played(history.placed, *arrival).state
    assert end(found) == end(expected), [each.id for each in arrival]
    assert {part.line: part.package for part in found.parts} == {
        part.line: part.package for part in expected.parts
    }
