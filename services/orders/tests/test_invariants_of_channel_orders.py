"""INV-1 to INV-12 as far as they concern channel orders, after every event of any news whatever."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.orders.order import money
from services.orders.order.chains import NEWS_RANK
from services.orders.order.channel_facts import Fact, judge
from services.orders.order.events import EVENTS
from services.orders.order.headline import explain, flags, headline, view
from services.orders.order.model import Coverage, Fulfilment, Order, Status, Transaction
from services.orders.order.parts import active, aggregate, in_shipping, package_of, picked_up
from services.orders.order.state import evolve, fold
from services.orders.public_events import PUBLIC_TYPES, to_public
from services.orders.tests.facts import PRICE, Played, fact, placement

NAMES = {event: name for name, event in EVENTS.items()}
NEEDS_PAYMENT = {
    Fulfilment.READY,
    Fulfilment.BOOKED,
    Fulfilment.IN_TRANSIT,
    Fulfilment.PROBLEM,
    Fulfilment.DELIVERED,
    Fulfilment.RETURNING,
}
TYPES = (
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
    "PaymentAwaited",
    "PaymentProcessingStarted",
    "PaymentFailed",
    "PaymentSucceeded",
    "RefundPaid",
    "OrderConfirmed",
    "CancellationRequested",
    "CancellationRequestClosed",
    "ReturnCaseOpened",
    "ReturnCaseClosed",
    "ChannelNote",
    "UnknownStatusReported",
)
GOODS = TYPES[:12]


@st.composite
def any_fact(draw: st.DrawFn) -> Fact:
    kind = draw(st.sampled_from(TYPES))
    data: dict[str, Any] = {}
    line = package = None
    if kind in GOODS:
        line = draw(st.sampled_from(["L1", "L1", "L2", None]))
        if line is None:
            package = draw(st.sampled_from([None, "PK1", "PK2"]))
        else:
            data = draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "package": st.sampled_from(["PK1", "PK2"]),
                        "awb": st.sampled_from(["A1", "A2"]),
                        "quantity": st.integers(1, 4),
                    },
                )
            )
    if kind in {"PaymentSucceeded", "RefundPaid"}:
        data = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "amount": st.sampled_from([PRICE, 2 * PRICE, 5 * PRICE, 17]),
                    "reference": st.sampled_from(["R1", "R2"]),
                    "currency": st.sampled_from(["IDR", "SGD"]),
                },
            )
        )
    if kind == "ChannelNote":
        data = {"on_hold": draw(st.booleans())}
    time = draw(st.none() | st.integers(1, 12))
    read = draw(st.none() | st.integers(20, 22))
    return fact(kind, time, line, of_package=package, read=read, occurrence=draw(st.integers(1, 2)), **data)


def check(order: Order) -> None:
    covered = money.coverage(order)
    alive = active(order)
    if money.is_cod(order):
        assert covered is Coverage.UNPAID or order.status is Status.COMPLETED, "INV-1"
    if any(NEWS_RANK[part.value] >= 1 for part in alive):
        assert order.status in {Status.CONFIRMED, Status.COMPLETED}, "INV-2"
    if any(part.value in NEEDS_PAYMENT for part in alive):
        assert money.is_cod(order) or covered is Coverage.PAID, "INV-3"
    if order.status is Status.CANCELLED:
        assert not alive, "INV-4"
        assert order.request is None, "INV-4"
        assert order.transaction is Transaction.NONE, "INV-4"
        assert not any(package.live for package in order.packages), "INV-4"
    else:
        assert alive, "AG-5"
    if order.status is Status.COMPLETED:
        assert aggregate(order) is Fulfilment.DELIVERED, "INV-5"
        assert covered is Coverage.PAID, "INV-5"
        assert order.request is None, "INV-5"
    if order.request is not None:
        assert order.status in {Status.NEW, Status.CONFIRMED}, "INV-6"
        scope = [part for part in alive if not order.request.lines or part.line in order.request.lines]
        assert scope, "INV-6"
        assert not any(picked_up(part) for part in scope), "INV-6"
    if order.transaction is not Transaction.NONE:
        assert not money.is_cod(order), "INV-7"
        assert covered is not Coverage.PAID, "INV-7"
        assert order.status in {Status.NEW, Status.CONFIRMED}, "INV-7"
    for package in order.packages:
        inside = [part for part in alive if part.package == package.id]
        assert not package.live or any(in_shipping(part) for part in inside), "INV-9"
        assert not (package.live and package.awb and package.awb in order.void_awbs), "OM-7"
    for part in alive:
        if picked_up(part):
            held = package_of(order, part.package)
            assert held is not None, "INV-9"
            assert held.live, "INV-9"
    assert money.net_paid(order) >= 0, "INV-10"
    for line in order.lines:
        quantities = [part.quantity for part in order.parts if part.line == line.line]
        assert sum(quantities) == line.quantity, "INV-11, OM-6"
        assert min(quantities) >= 1, "INV-11, OM-6"
    assert len({part.id for part in order.parts}) == len(order.parts)


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["GATEWAY", "COD"]), st.lists(any_fact(), max_size=14))
def test_any_news_in_any_order_keeps_every_invariant(method: str, facts: list[Fact]) -> None:
    played = Played(placement(("L1", 3), ("L2", 2), method=method))
    order = played.state
    for each in facts:
        before = len(played.events)
        again = judge(played.order, each, number="x")
        played.then(each)
        assert msgspec.json.encode(again) == msgspec.json.encode(played.last), "INV-12: the same again"
        for event in played.events[before:]:
            order = evolve(order, event)
            check(order)
        assert order == played.state
        assert money.refund_due(order) == order.refund_due, "INV-10, MO-10: each change is an event"
        known = judge(order, each, number="x")
        if played.last.events and played.last.disposition != "DUPLICATE":
            filled = {type(event).__name__ for event in known.events}
            assert filled <= {"AwbIssued", "OrderDetailsCompleted"}, "MK-3"
    assert order.sequence == len(played.events), "INV-12, OM-9"
    assert fold(played.events) == order
    assert headline(order) == explain(order)["headline"]
    assert list(flags(order)) == view(order)["flags"]
    assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order
    for event in played.events:
        stored = msgspec.json.encode(event)
        assert msgspec.json.decode(stored, type=type(event)) == event
        name, data = to_public(NAMES[type(event)], event)
        assert type(data) is PUBLIC_TYPES[name], "OM-12"
