"""The published machine is what the decider does: both are walked beside each other, state by state, move by move.

Real orders are kept for every reduced state, of different amounts and histories, and every command and fact is
tried on each of them with several payloads. What the machine refuses the decider must refuse, by that code;
what it allows must be possible, must lead only where it says, and must lead to every state that it says.
"""

from collections.abc import Iterator
from itertools import islice

import pytest

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.decide import Refusal, decide
from services.orders.order.events import Actor, Method
from services.orders.order.headline import headline
from services.orders.order.model import Billing, Coverage, Fulfilment, Order, Status
from services.orders.order.parts import active, aggregate
from services.orders.order.reduced import MOVING_COMMANDS, MOVING_FACTS, Reduced, enumerate_states
from services.orders.order.seller_facts import SellerFact, judge_seller_fact
from services.orders.order.situations import has_awb
from services.orders.order.table import COMMANDS
from services.orders.tests.seller import fact, given, line, order_of

MACHINE = enumerate_states()
POLICIES = c.Policies(
    hold_on_placement=False, hold_on_raise=False, hold_on_reopening=False, allocate_at_once=False
)
# Orders kept for a state; each differs from the others in what amounts can do next.
KEPT = 5
# Where the rules name more than amounts can do: after a credit of all that is payable, of goods lost or returned,
# any receipt pays in full (MO-8), so that no order is PARTLY_PAID there.
ONLY_NAMED = frozenset(
    state
    for state in MACHINE
    if state.method is Method.INVOICE
    and state.coverage is Coverage.PARTLY_PAID
    and state.bill is Billing.NONE
    and state.fulfilment in {Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNED}
)
COURIER = frozenset(MOVING_FACTS[: MOVING_FACTS.index("PaymentAwaited")])


def reduced(order: Order) -> Reduced:
    """The state of an order that PM-2 speaks of."""
    parts = active(order)
    return Reduced(
        method=order.method,
        order=order.status,
        request=order.request is not None,
        coverage=money.coverage(order),
        transaction=order.transaction,
        bill=order.billing,
        fulfilment=aggregate(order),
        awb=any(has_awb(order, part) for part in parts),
    )


def kind(order: Order) -> tuple[object, ...]:
    """What tells orders of one reduced state apart: what their amounts can still become."""
    units = sum(part.quantity for part in active(order))
    return (
        len(order.receipts) > 1,
        order.lines[0].unit_price == 0,
        0 < money.outstanding(order) <= 3,
        money.refund_due(order) > 0,
        units > 4,
    )


def amounts(order: Order) -> list[int]:
    left = money.outstanding(order)
    return sorted({each for each in (1_000, left - 2, left, left + 5_000) if each >= 1_000})


def edits(order: Order) -> Iterator[c.EditOrder]:
    """Goods changed or not, with the total as it was, higher, or just what is paid; and every method."""
    (one,) = order.lines
    units = sum(part.quantity for part in active(order))
    total, net = money.total(order), money.net_paid(order)
    if units == 0:
        yield c.EditOrder(courier="SICEPAT")
        return
    for quantity in (units, units + 1):
        for price in (0, 1):
            for wanted in {total, total + 1_000, net, net + 2}:
                fee = wanted - price * quantity
                if fee < 0 or wanted < 1:
                    continue
                change = c.LineEdit(line=one.line, quantity=quantity, unit_price=price)
                yield c.EditOrder(lines=(change,), shipping_fee=fee, courier="SICEPAT", allow_backorder=True)
    for method in Method:
        yield c.EditOrder(payment_method=method.value)
        change = c.LineEdit(line=one.line, quantity=units + 1)
        yield c.EditOrder(payment_method=method.value, lines=(change,), allow_backorder=True)


def commands(name: str, order: Order) -> Iterator[c.Command]:
    (one,) = order.lines
    match name:
        case "ConfirmPayment":
            yield c.ConfirmPayment()
            yield from [c.ConfirmPayment(amount=each) for each in amounts(order)]
        case "ReversePayment":
            yield c.ReversePayment()
            yield from [c.ReversePayment(receipt=each.id) for each in order.receipts]
        case "SendCustomerChat":
            yield c.SendCustomerChat(template="hello")
        case "EditOrder":
            yield from edits(order)
        case "CancelOrder":
            yield c.CancelOrder(reason="OTHER")
        case "ReopenOrder":
            yield c.ReopenOrder(allow_backorder=True)
        case "TagOrder":
            yield c.TagOrder(add=("penting",))
        case "RequestCancellation":
            yield c.RequestCancellation(reason="OTHER", note="By telephone.")
        case "CancelLines":
            for units in (1, 2, 3):
                yield c.CancelLines(reason="OTHER", parts=(c.ScopedPart(line=one.line, quantity=units),))
        case "RecordExtraReceipt":
            yield from [c.RecordExtraReceipt(amount=each) for each in amounts(order) or [1_000]]
        case "RecordRefund":
            due = money.refund_due(order)
            yield from [c.RecordRefund(amount=each) for each in {1, due - 1_000, due} if each > 0]
        case "RecordCredit":
            left = money.outstanding(order)
            yield from [
                c.RecordCredit(amount=each, reason="Lost.") for each in {0, left, money.payable(order)}
            ]
        case _:
            yield c.COMMANDS[name]()


def facts(name: str, order: Order, minutes: int) -> Iterator[SellerFact]:
    match name:
        case "AwbIssued":
            yield fact(name, minutes, awb=f"JNE{minutes:06}")
        case "PaymentSucceeded":
            # What comes while one rests is another transaction.
            for number, amount in enumerate([*amounts(order), 1_000]):
                yield fact(name, minutes, amount=amount, reference=f"g{minutes}/{number}")
        case _:
            yield fact(name, minutes)


class Walk:
    """Breadth first over real orders; `reached` holds every move that one of them made."""

    def __init__(self) -> None:
        self.kept: dict[Reduced, dict[tuple[object, ...], tuple[Order, int]]] = {}
        self.reached: dict[tuple[Reduced, str], set[Reduced]] = {}
        self.faults: list[str] = []
        self.waiting: list[tuple[Order, int]] = []

    def run(self) -> None:
        for method in Method:
            placing = order_of(line(quantity=6, price=1), method=method.value, shipping_fee=100_000)
            placed = decide(None, placing, given(0, policies=POLICIES))
            assert not isinstance(placed, Refusal), placed
            self.keep(placed.order, 0)
        for order, minutes in self.waiting:
            self.try_all(order, minutes + 1)

    def keep(self, order: Order, minutes: int) -> None:
        kept = self.kept.setdefault(reduced(order), {})
        if len(kept) < KEPT and kind(order) not in kept:
            kept[kind(order)] = order, minutes
            self.waiting.append((order, minutes))

    def try_all(self, order: Order, minutes: int) -> None:
        here = reduced(order)
        if here not in MACHINE:
            self.faults.append(f"{here} is no state of the machine")
            return
        if headline(order) != here.headline:
            self.faults.append(f"{here} is shown as {headline(order)}")
        for name in MOVING_COMMANDS:
            self.give(here, name, order, minutes)
        for name in MOVING_FACTS:
            self.tell(here, name, order, minutes)

    def give(self, here: Reduced, name: str, order: Order, minutes: int) -> None:
        expected = MACHINE[here][name]
        # What the state refuses it refuses whatever the payload: one will do.
        tried = 1 if isinstance(expected, str) else None
        for command in islice(commands(name, order), tried):
            answer = decide(order, command, given(minutes, policies=POLICIES))
            if isinstance(answer, Refusal):
                # A code that hangs on the payload may refuse what the state allows, and stands behind the
                # codes of the state in every row of the table.
                if answer.code != expected and (isinstance(expected, str) or answer.code not in PAYLOAD):
                    self.faults.append(f"{here} {command}: {answer.code}, not {expected}")
            else:
                self.moved(here, name, answer.order, minutes, expected)

    def tell(self, here: Reduced, name: str, order: Order, minutes: int) -> None:
        expected = MACHINE[here][name]
        for each in facts(name, order, minutes):
            actor = Actor.COURIER if name in COURIER else Actor.GATEWAY
            judged = judge_seller_fact(order, each, given(minutes, actor=actor, policies=POLICIES))
            after = judged.order or order
            if isinstance(expected, str) and name in COURIER:
                self.skipped(here, name, reduced(after))
            elif isinstance(expected, str):
                if reduced(after) != here:
                    self.faults.append(f"{here} {name} is only recorded, and led to {reduced(after)}")
            else:
                self.moved(here, name, after, minutes, expected)

    def moved(
        self, here: Reduced, name: str, after: Order, minutes: int, expected: tuple[Reduced, ...] | str
    ) -> None:
        there = reduced(after)
        if name == "ReversePayment" and there == here and here.coverage is Coverage.PAID:
            # 16.3 does not name it: of an overpaid order one receipt of several can go, and it stays PAID (MO-8).
            return
        if there not in expected:
            self.faults.append(f"{here} {name} led to {there}, not {expected}")
            return
        self.reached.setdefault((here, name), set()).add(there)
        self.keep(after, minutes)

    def skipped(self, here: Reduced, name: str, there: Reduced) -> None:
        """GR-9: a courier's fact that the machine only records may stand for the scans that were skipped."""
        if there != here and there not in by_scans(here):
            self.faults.append(f"{here} {name} led to {there}, which no scans lead to")


PAYLOAD = frozenset(
    {
        "AMOUNT_MISMATCH",
        "CREDIT_EXCEEDS_VALUE",
        "LAST_LINE",
        "METHOD_LOCKED",
        "QUANTITY_NOT_AVAILABLE",
        "RECEIPT_NOT_REVERSIBLE",
        "REFUND_EXCEEDS_DUE",
        "NOTHING_TO_REFUND",
    }
)


def by_scans(start: Reduced) -> set[Reduced]:
    """The states that couriers' facts alone lead to."""
    found, waiting = {start}, [start]
    for state in waiting:
        for name in COURIER:
            to = MACHINE[state][name]
            if not isinstance(to, str):
                waiting += [each for each in to if each not in found]
                found |= set(to)
    return found


@pytest.fixture(scope="module")
def walk() -> Walk:
    walk = Walk()
    walk.run()
    return walk


def test_pm_1_the_decider_refuses_and_moves_as_the_machine_says(walk: Walk) -> None:
    assert walk.faults == []


def test_pm_2_real_orders_reach_every_state(walk: Walk) -> None:
    assert set(MACHINE) - walk.kept.keys() == ONLY_NAMED
    assert len(ONLY_NAMED) == 2


def test_pm_4_every_outcome_that_the_machine_names_is_possible(walk: Walk) -> None:
    missing = [
        f"{state} {name} -> {to}"
        for state, moves in MACHINE.items()
        for name, ends in moves.items()
        if not isinstance(ends, str)
        for to in ends
        if to not in walk.reached.get((state, name), set()) and not {state, to} & ONLY_NAMED
    ]
    assert missing == []
    assert sum(map(len, walk.reached.values())) == 1_711


def test_5_what_the_machine_allows_is_legal_for_some_payload(walk: Walk) -> None:
    allowed = {
        (state, name)
        for state, moves in MACHINE.items()
        for name, to in moves.items()
        if not isinstance(to, str)
    }
    assert {state for state, _ in allowed - walk.reached.keys()} == ONLY_NAMED
    assert Status.COMPLETED in {state.order for state in walk.kept}
    assert COMMANDS.keys() >= set(MOVING_COMMANDS)
