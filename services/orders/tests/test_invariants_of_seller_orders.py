"""INV-1 to INV-14 after every event of any sequence of commands and facts whatever."""

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events.upcasts import read
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
from services.orders.order.table import COMMANDS, FACTS, allowed, applies
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

AMOUNTS = (1, 10_000, 80_000, 123_500, 200_000)
COURIER = [name for name, row in FACTS.items() if row.values]
GATEWAY = [name for name, row in FACTS.items() if row.number.startswith("T2") and not row.values]


def scope(r: Random) -> tuple[c.ScopedPart, ...]:
    """All, a line, or some units of it."""
    name = r.choice("12")
    return r.choice(
        [(), (), (c.ScopedPart(line=name),), (c.ScopedPart(line=name, quantity=r.randint(1, 3)),)]
    )


def an_edit(r: Random) -> c.EditOrder:
    name = r.choice("12")
    return r.choice(
        [
            c.EditOrder(lines=(c.LineEdit(line=name, quantity=r.randint(1, 3)),)),
            c.EditOrder(lines=(c.LineEdit(line=name, unit_price=r.choice(AMOUNTS), discount=0),)),
            c.EditOrder(remove_lines=(name,)),
            c.EditOrder(add_lines=(line(r.randint(1, 3), 10_000, sku="C"),)),
            c.EditOrder(shipping_fee=r.choice(AMOUNTS)),
            c.EditOrder(payment_method=r.choice([each.value for each in Method])),
        ]
    )


def a_command(name: str, r: Random) -> c.Command:
    amount = r.choice(AMOUNTS)
    match name:
        case "ConfirmPayment":
            return c.ConfirmPayment(amount=r.choice([amount, None]))
        case "EditOrder":
            return an_edit(r)
        case "MarkReady" | "ShipOrder" | "UnmarkReady" | "CancelShipment":
            return c.COMMANDS[name](parts=scope(r))
        case "CancelLines":
            return c.CancelLines(parts=scope(r), reason="X", accept_request=r.random() < 0.5)
        case "RequestCancellation":
            return c.RequestCancellation(parts=scope(r), note="lewat chat")
        case "CancelOrder":
            return c.CancelOrder(reason="HABIS")
        case "RecordExtraReceipt" | "RecordRefund" | "RecordCodRemittance":
            return c.COMMANDS[name](amount=amount)
        case "RecordCredit":
            return c.RecordCredit(amount=r.choice([amount, 0]), reason="x")
        case "SendCustomerChat":
            return c.SendCustomerChat(template="tagihan")
        case _:
            return c.COMMANDS[name]()


def a_fact(name: str, order: Order, r: Random) -> SellerFact:
    package = r.choice([None, *(held.id for held in order.packages)])
    match name:
        case "AwbIssued":
            return fact(name, package=package, awb=f"J{order.sequence % 7}")
        case "PaymentSucceeded":
            return fact(name, amount=r.choice(AMOUNTS), reference=r.choice("tuv"))
        case "CodCollected":
            return fact(name, package=package or "#1", amount=r.choice(AMOUNTS))
        case _ if name in COURIER:
            return fact(name, package=package)
        case _:
            return fact(name, reference=r.choice("tuv"))


# What ends or stops an order, leads it back or changes nothing is chosen seldom, so that walks go far.
SELDOM = {
    "CancelOrder",
    "CancelLines",
    "HoldOrder",
    "RequestCancellation",
    "UnconfirmOrder",
    "ReversePayment",
    "UnmarkReady",
    "VoidBill",
    "EditOrder",
    "ViewOrder",
    "TagOrder",
    "ChangeAgent",
    "SendCustomerChat",
}


def next_move(order: Order, r: Random) -> c.Command | SellerFact:
    """Mostly something that the order is ready for, at times anything at all."""
    situation = situation_of(order)
    if r.random() < 0.15:
        name = r.choice([*c.COMMANDS.keys() - {"PlaceOrder"}, *COURIER, *GATEWAY, "CodCollected"])
    else:
        fits = [
            name
            for name in allowed(situation)
            if name in c.COMMANDS and (name not in SELDOM or r.random() < 0.15)
        ]
        fits += [
            name
            for name in (*COURIER, *GATEWAY, "CodCollected")
            if applies(name, situation)
            for _ in range(3)
        ]
        name = r.choice(sorted(fits))
    return a_command(name, r) if name in c.COMMANDS else a_fact(name, order, r)


walks = st.tuples(
    st.sampled_from(Method),
    st.sampled_from([FREE, BY_HAND]),
    st.integers(0, 30),
    st.integers(0, 2**32).map(Random),
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
    # Not below 0: with other lines cancelled the order's discount weighs more on goods that were credited.
    payable = max(0, money.total(order) - (0 if cancelled else sum(order.credits.values())))
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
    if isinstance(what, c.RequestCancellation):
        return bool(what.parts)
    return isinstance(what, c.CancelLines) and what.accept_request


def walked(
    method: Method, policies: c.Policies, steps: int, r: Random, check: bool
) -> tuple[Order, list[Any]]:
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
    for minutes in range(1, steps + 1):
        for event in step(order, next_move(order, r), minutes, policies):
            order = evolve(order, event)
            events.append(event)
        if check:
            assert order.sequence == len(events), "INV-12"
            in_order(order)
            shown(order)
    return order, events


@settings(max_examples=600)
@given(walks)
def test_invariants_hold_after_every_decision(walk: tuple[Method, c.Policies, int, Random]) -> None:
    order, events = walked(*walk, check=True)
    for event in events:
        name, data = to_public(NAMES[type(event)], event)
        assert type(data) is PUBLIC_TYPES[name], "OM-12"
        written = msgspec.json.encode(data)
        contract = read(f"jejak.orders.{name}.v1", written)
        assert contract is not None
        assert msgspec.json.decode(contract.to_json()) == msgspec.json.decode(written), "OM-12"
    stored = [msgspec.json.decode(msgspec.json.encode(event), type=type(event)) for event in events]
    assert fold(stored) == order, "INV-12"


def ways_out(order: Order) -> list[c.Command | SellerFact]:
    """What a seller can do to bring any order to an end (INV-14)."""
    # Names of packages that this very walk may still make are among them; unknown ones are passed over.
    packages = [f"#{number}" for number in range(1, order.packages_made + 5)]
    return [
        c.ReleaseOrder(),
        c.ReopenOrder(),
        fact("PaymentFailed"),
        c.CancelOrder(reason="HABIS"),
        c.ConfirmPayment(),
        c.ShipOrder(),
        *(fact("AwbIssued", package=package, awb=f"Z{package}") for package in packages),
        *(fact("PackageLostOrDamaged", package=package) for package in packages),
        c.CancelLines(reason="HABIS"),
        *(c.CancelLines(parts=(c.ScopedPart(line=sold.line),), reason="HABIS") for sold in order.lines),
    ]


@settings(max_examples=200)
@given(walks)
def test_inv_14_a_final_state_can_be_reached_from_every_state(
    walk: tuple[Method, c.Policies, int, Random],
) -> None:
    order, _ = walked(*walk, check=False)
    for minutes, what in enumerate(ways_out(order), start=100):
        if not final(order):
            for event in step(order, what, minutes, walk[1]):
                order = evolve(order, event)
    assert final(order), f"INV-14: {order.status}, {[part.value for part in active(order)]}"


def final(order: Order) -> bool:
    return order.status in {Status.CANCELLED, Status.COMPLETED} or all(
        part.value in ENDED for part in active(order)
    )


def test_every_command_that_the_model_knows_has_a_row() -> None:
    assert c.COMMANDS.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", sorted(c.COMMANDS))
def test_every_command_can_be_given_in_json(name: str) -> None:
    kind = c.COMMANDS[name]
    required = {field.encode_name: 1 for field in msgspec.structs.fields(kind) if field.required}
    assert type(msgspec.convert(required, kind)).__name__ == name
