"""INV-1 to INV-14 after every event of any sequence of commands and facts whatever."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.decide import Decided, Refusal, decide
from services.orders.order.events import EVENTS, Actor, Method
from services.orders.order.headline import explain, flags, headline, view
from services.orders.order.model import Billing, Coverage, Fulfilment, Order, Status, Transaction
from services.orders.order.parts import active, aggregate, in_shipping, package_of, picked_up
from services.orders.order.refusals import CODES
from services.orders.order.seller_facts import SellerFact, judge_seller_fact
from services.orders.order.situations import situation_of
from services.orders.order.state import evolve, fold
from services.orders.order.table import COMMANDS, FACTS, allowed
from services.orders.public_events import PUBLIC_TYPES, to_public
from services.orders.tests.seller import fact, line, order_of
from services.orders.tests.seller import given as told

NAMES = {event: name for name, event in EVENTS.items()}
PAID_FOR = {
    Fulfilment.READY,
    Fulfilment.BOOKED,
    Fulfilment.IN_TRANSIT,
    Fulfilment.PROBLEM,
    Fulfilment.DELIVERED,
    Fulfilment.RETURNING,
}
ENDED = {Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNED}
FREE = c.Policies(hold_on_placement=False, hold_on_raise=False, hold_on_reopening=False)
BY_HAND = c.Policies(
    hold_on_placement=False, hold_on_raise=False, hold_on_reopening=False, allocate_at_once=False
)

amounts = st.sampled_from([1, 10_000, 80_000, 123_500, 200_000])
quantities = st.integers(1, 3)
lines = st.sampled_from(["1", "2"])
scopes = st.one_of(
    st.just(()),
    st.builds(lambda name, quantity: (c.ScopedPart(line=name, quantity=quantity),), lines, quantities),
    st.builds(lambda name: (c.ScopedPart(line=name),), lines),
)
edits = st.one_of(
    st.builds(lambda n, q: c.EditOrder(lines=(c.LineEdit(line=n, quantity=q),)), lines, quantities),
    st.builds(
        lambda n, p: c.EditOrder(lines=(c.LineEdit(line=n, unit_price=p, discount=0),)), lines, amounts
    ),
    st.builds(lambda n: c.EditOrder(remove_lines=(n,)), lines),
    st.builds(lambda q: c.EditOrder(add_lines=(line(q, 10_000, sku="C"),)), quantities),
    st.builds(lambda fee: c.EditOrder(shipping_fee=fee), amounts),
    st.builds(lambda method: c.EditOrder(payment_method=method.value), st.sampled_from(Method)),
)
commands = st.one_of(
    st.sampled_from(
        [
            c.ConfirmOrder(),
            c.ConfirmPayment(),
            c.MarkReady(),
            c.ShipOrder(),
            c.UnconfirmOrder(),
            c.ReversePayment(),
            c.CancelShipment(),
            c.UnmarkReady(),
            c.CancelOrder(reason="HABIS"),
            c.ReopenOrder(),
            c.RequestCancellation(note="lewat chat"),
            c.CompleteOrder(),
            c.CreateBill(),
            c.IssueBill(),
            c.VoidBill(),
            c.HoldOrder(),
            c.ReleaseOrder(),
            c.OpenReturnCase(),
            c.CloseReturnCase(),
            c.TagOrder(add=("VIP",)),
            c.ChangeAgent(agent="a1"),
        ]
    ),
    st.builds(lambda parts: c.MarkReady(parts=parts), scopes),
    st.builds(lambda parts: c.ShipOrder(parts=parts), scopes),
    st.builds(lambda parts: c.UnmarkReady(parts=parts), scopes),
    st.builds(lambda parts: c.CancelLines(parts=parts, reason="X", accept_request=True), scopes),
    st.builds(lambda parts: c.RequestCancellation(parts=parts, note="lewat chat"), scopes),
    st.builds(lambda amount: c.ConfirmPayment(amount=amount), amounts),
    st.builds(lambda amount: c.RecordExtraReceipt(amount=amount), amounts),
    st.builds(lambda amount: c.RecordRefund(amount=amount), amounts),
    st.builds(lambda amount: c.RecordCredit(amount=amount, reason="x"), amounts),
    st.builds(lambda amount: c.RecordCodRemittance(amount=amount), amounts),
    edits,
)
COURIER = [
    "PackagePickedUp",
    "PackageDelivered",
    "DeliveryProblemReported",
    "DeliveryProblemSolved",
    "PackageLostOrDamaged",
    "ReturnStarted",
    "ReturnReceived",
    "BookingFailed",
]
GATEWAY = ["PaymentAwaited", "PaymentProcessingStarted", "PaymentFailed", "PaymentAllocated", "BillPaid"]
facts = st.one_of(
    st.builds(lambda awb: fact("AwbIssued", awb=awb), st.sampled_from(["J1", "J2", "J3"])),
    st.builds(lambda name: fact(name), st.sampled_from(COURIER)),
    st.builds(lambda name, ref: fact(name, reference=ref), st.sampled_from(GATEWAY), st.sampled_from("tu")),
    st.builds(
        lambda amount, ref: fact("PaymentSucceeded", amount=amount, reference=ref),
        amounts,
        st.sampled_from("tuv"),
    ),
    st.builds(lambda package: fact("CodCollected", package=package), st.sampled_from(["#1", "#2", "#3"])),
)
# Enough of what leads on, so that the far states are reached often.
LEADING = [
    c.ConfirmOrder(),
    c.ConfirmPayment(),
    c.CreateBill(),
    c.IssueBill(),
    c.MarkReady(),
    c.ShipOrder(),
]
histories = st.tuples(
    st.sampled_from(Method),
    st.sampled_from([FREE, BY_HAND]),
    st.integers(0, len(LEADING)),
    st.lists(st.one_of(commands, facts), max_size=14),
)


def in_order(order: Order) -> None:
    """The invariants that one state shows."""
    alive, covered = active(order), money.coverage(order)
    if order.method is Method.COD and order.status is not Status.COMPLETED:
        assert covered is Coverage.UNPAID or order.status is Status.CANCELLED, "INV-1"
    if any(part.value is not Fulfilment.NOT_STARTED for part in alive):
        assert order.status in {Status.CONFIRMED, Status.COMPLETED}, "INV-2"
    if any(part.value in PAID_FOR for part in alive):
        billed = order.method is Method.INVOICE and order.billing in {Billing.ISSUED, Billing.PAID}
        assert order.method is Method.COD or covered is Coverage.PAID or billed, "INV-3"
    live = [package for package in order.packages if package.live]
    if order.status is Status.CANCELLED:
        assert not alive, "INV-4"
        assert (order.billing, order.transaction, order.request, live) == (
            Billing.NONE,
            Transaction.NONE,
            None,
            [],
        ), "INV-4"
    else:
        assert alive, "AG-5"
    if order.status is Status.COMPLETED:
        assert aggregate(order) is Fulfilment.DELIVERED, "INV-5"
        assert (covered, order.request) == (Coverage.PAID, None), "INV-5"
    if order.request is not None:
        assert order.status in {Status.NEW, Status.CONFIRMED}, "INV-6"
        asked = order.request.lines
        assert not any(all(picked_up(part) for part in alive if part.line == name) for name in asked), "INV-6"
        assert asked or not any(picked_up(part) for part in alive), "INV-6"
    if order.transaction is not Transaction.NONE:
        assert order.method is Method.GATEWAY, "INV-7"
        assert order.status in {Status.NEW, Status.CONFIRMED}, "INV-7"
        assert covered is not Coverage.PAID, "INV-7"
    if order.billing is not Billing.NONE:
        assert order.method is Method.INVOICE, "INV-8"
        assert order.status in {Status.CONFIRMED, Status.COMPLETED}, "INV-8"
        assert (order.billing is Billing.PAID) == (covered is Coverage.PAID), "INV-8"
    packed(order)
    ledger(order)


def packed(order: Order) -> None:
    for package in order.packages:
        held = [part for part in active(order) if part.package == package.id]
        if package.live:
            assert held, "INV-9"
            assert all(in_shipping(part) for part in held), "INV-9"
            assert package.awb not in order.void_awbs, "OM-7"
        assert len({part.value for part in held}) <= 1, "OM-7"
    for part in active(order):
        home = package_of(order, part.package) if part.package else None
        assert (home is None) == (part.value is Fulfilment.NOT_STARTED), "OM-8"
        if picked_up(part):
            assert home is not None, "INV-9"
            assert home.live, "INV-9"
            assert home.awb, "INV-9"
    for sold in order.lines:
        assert sum(part.quantity for part in order.parts if part.line == sold.line) == sold.quantity, "INV-11"
    assert {part.line for part in order.parts} <= {sold.line for sold in order.lines}, "INV-11"
    assert len({part.id for part in order.parts}) == len(order.parts), "INV-11"
    assert all(part.quantity > 0 for part in order.parts), "OM-6"


def ledger(order: Order) -> None:
    """INV-10, MO-7 to MO-10 by their own words."""
    received = sum(receipt.amount for receipt in order.receipts)
    net = received - sum(refund.amount for refund in order.refunds)
    assert money.net_paid(order) == net >= 0, "INV-10"
    cancelled = order.status is Status.CANCELLED
    payable = money.total(order) - (0 if cancelled else sum(order.credits.values()))
    assert payable >= 0, "MO-8"
    assert money.payable(order) == payable, "MO-8"
    due = net if cancelled else max(0, net - payable)
    assert money.refund_due(order) == order.refund_due == due, "MO-10"
    assert len({receipt.id for receipt in order.receipts}) == len(order.receipts), "MO-7"
    assert money.total(order) >= 1, "MO-6"


def shown(order: Order) -> None:
    """INV-12: every projection of the state works, and its published form reads as written."""
    headline(order)
    explain(order)
    flags(order)
    view(order)
    assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order


def refused_as_told(order: Order, command: c.Command, answer: Refusal) -> None:
    """INV-13: a refusal has a code with sentences, of the command's row or of its input."""
    assert answer.code in CODES
    row = COMMANDS[type(command).__name__]
    assert answer.code in row.guards or any(fault.code == answer.code for fault in answer.fields)


def step(order: Order, what: c.Command | SellerFact, minutes: int, policies: c.Policies) -> list[Any]:
    if isinstance(what, SellerFact):
        actor = Actor.COURIER if FACTS[what.type].sender == "COURIER" else Actor.GATEWAY
        named = what.scope is not None and what.scope.package not in {
            part.package for part in active(order) if part.package
        }
        if named:
            return []
        around = told(minutes, policies=policies, actor=actor)
        judged = judge_seller_fact(order, what, around)
        assert judged == judge_seller_fact(order, what, around), "INV-12"
        return list(judged.events)
    around = told(minutes, policies=policies)
    answer = decide(order, what, around)
    assert answer == decide(order, what, around), "INV-12"
    if isinstance(answer, Refusal):
        refused_as_told(order, what, answer)
        return []
    assert type(what).__name__ in allowed(situation_of(order)) or what == c.ReopenOrder() or scoped(what)
    return list(answer.events)


def scoped(what: c.Command) -> bool:
    """Whether a command's own words can allow what is refused to one that says nothing."""
    return isinstance(what, c.CancelLines) and what.accept_request


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_invariants_hold_after_every_event(
    history: tuple[Method, c.Policies, int, list[c.Command | SellerFact]],
) -> None:
    method, policies, leading, then = history
    sold = order_of(
        line(2, 45_000, sku="A", discount=5_000, warehouse="W1"),
        line(1, 30_000, sku="B", warehouse="W2"),
        method=method.value,
        discount=10_000,
        shipping_fee=18_000,
        insurance_fee=500,
    )
    placed = decide(None, sold, told(policies=policies))
    assert isinstance(placed, Decided)
    order, events = placed.order, list(placed.events)
    for minutes, what in enumerate([*LEADING[:leading], *then], start=1):
        for event in step(order, what, minutes, policies):
            name, data = to_public(NAMES[type(event)], event)
            assert type(data) is PUBLIC_TYPES[name], "OM-12"
            order = evolve(order, event)
            events.append(event)
            assert order.sequence == len(events), "INV-12"
        in_order(order)
        shown(order)
    stored = [msgspec.json.decode(msgspec.json.encode(event), type=type(event)) for event in events]
    assert fold(stored) == order, "INV-12"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_inv_14_a_final_state_can_be_reached_from_every_state(
    history: tuple[Method, c.Policies, int, list[c.Command | SellerFact]],
) -> None:
    method, policies, leading, then = history
    placed = decide(None, order_of(line(2), method=method.value), told(policies=policies))
    assert isinstance(placed, Decided)
    order = placed.order
    for minutes, what in enumerate([*LEADING[:leading], *then], start=1):
        for event in step(order, what, minutes, policies):
            order = evolve(order, event)
    ways: list[c.Command | SellerFact] = [
        c.ReleaseOrder(),
        c.ReopenOrder(),
        fact("PaymentFailed"),
        c.CancelOrder(reason="HABIS"),
        *(
            fact(name, package=package)
            for package in (held.id for held in order.packages)
            for name in ("AwbIssued", "PackagePickedUp", "PackageLostOrDamaged", "ReturnReceived")
        ),
        c.CancelLines(reason="HABIS"),
        c.CloseReturnCase(),
        c.ConfirmPayment(),
        c.RecordExtraReceipt(amount=1_000_000),
        c.CompleteOrder(),
        c.CancelLines(parts=(c.ScopedPart(line="1"),), reason="HABIS"),
        c.CompleteOrder(),
    ]
    for minutes, what in enumerate(ways, start=100):
        if final(order):
            return
        if isinstance(what, SellerFact) and what.type == "AwbIssued":
            what = fact("AwbIssued", package=what.scope.package if what.scope else None, awb=f"Z{minutes}")
        for event in step(order, what, minutes, policies):
            order = evolve(order, event)
    assert final(order), f"INV-14: {order.status}, {[part.value for part in active(order)]}"


def final(order: Order) -> bool:
    return order.status in {Status.CANCELLED, Status.COMPLETED} or all(
        part.value in ENDED for part in active(order)
    )


def test_every_command_that_the_model_knows_has_a_row() -> None:
    assert c.COMMANDS.keys() == COMMANDS.keys() - {"AdoptChannelState"}


@pytest.mark.parametrize("name", sorted(c.COMMANDS))
def test_every_command_can_be_given_in_json(name: str) -> None:
    kind = c.COMMANDS[name]
    required = {field.encode_name: 1 for field in msgspec.structs.fields(kind) if field.required}
    assert type(msgspec.convert(required, kind)).__name__ == name
