"""AdoptChannelState: the owner ends a conflict by what a reading of the marketplace says (T37, MK-14)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.decide import Decided, Refusal, decide, situation_of
from services.orders.order.events import Actor, ChannelStateAdopted, Disposition
from services.orders.order.fact import Fact
from services.orders.order.headline import flags, headline
from services.orders.order.model import Coverage, Fulfilment, Order, Status
from services.orders.order.state import fold
from services.orders.order.table import allowed
from services.orders.public_events import PUBLIC_TYPES, to_public
from services.orders.tests import facts
from services.orders.tests.facts import Played, cod, fact, placement, prepaid, values
from services.orders.tests.seller import Story, given
from services.orders.tests.test_invariants_of_channel_orders import any_fact, check

# A reading ten minutes after the orders' placement, decided a minute later; facts are seconds after it.
READ = 600.0
MINUTES = 11


def reading(
    *parts: c.StatedPart, status: str = "CONFIRMED", coverage: str = "PAID", **changed: Any
) -> c.AdoptChannelState:
    stated: dict[str, Any] = {
        "reading": "reading-1",
        "read_at": facts.at(READ),
        "reason": "CHANNEL_IS_RIGHT",
        **changed,
    }
    return c.AdoptChannelState(status=status, coverage=coverage, parts=parts, **stated)


def says(value: str, line: str = "L1", **more: Any) -> c.StatedPart:
    return c.StatedPart(line=line, value=value, **more)


CANCELLED = reading(says("CANCELLED"), status="CANCELLED")


def conflict(*more: Fact, lines: tuple[tuple[str, int], ...] = (("L1", 1),)) -> Played:
    """GS-5: on its way, and then cancelled by the marketplace."""
    return prepaid(fact("PackagePickedUp", 4), fact("OrderCancelled", 5), *more, lines=lines)


def tried(order: Order, command: c.AdoptChannelState) -> Decided | Refusal:
    return decide(order, command, given(MINUTES, actor=Actor.OWNER, caller="owner-1"))


def adopted(played: Played, command: c.AdoptChannelState) -> tuple[ChannelStateAdopted, Order]:
    """The event and the order after it; whatever came of it holds the invariants and survives a replay."""
    answer = tried(played.state, command)
    assert isinstance(answer, Decided), answer
    event = answer.events[0]
    assert isinstance(event, ChannelStateAdopted)
    check(answer.order)
    assert money.refund_due(answer.order) == answer.order.refund_due
    stored = [
        msgspec.json.decode(msgspec.json.encode(each), type=type(each))
        for each in [*played.events, *answer.events]
    ]
    assert fold(stored) == answer.order
    assert msgspec.json.decode(msgspec.json.encode(answer.order), type=Order) == answer.order
    return event, answer.order


def refused(order: Order, command: c.AdoptChannelState) -> tuple[str, list[str]]:
    answer = tried(order, command)
    assert isinstance(answer, Refusal), answer
    return answer.code, [fault.field for fault in answer.fields]


def test_mk_14_a_cancellation_of_goods_on_their_way_is_adopted() -> None:
    played = conflict()
    assert "CHANNEL_CONFLICT" in flags(played.state)
    assert "AdoptChannelState" in allowed(situation_of(played.state))
    event, order = adopted(played, CANCELLED)
    assert (order.status, headline(order)) == (Status.CANCELLED, "CANCELLED")
    assert values(order) == {"L1": ["1 CANCELLED"]}
    assert order.refund_due == facts.PRICE
    assert "CHANNEL_CONFLICT" not in flags(order)
    assert "AdoptChannelState" not in allowed(situation_of(order))
    assert (event.actor, event.caller) == (Actor.OWNER, "owner-1")
    assert (event.reading, event.read_at, event.reason) == ("reading-1", facts.at(READ), "CHANNEL_IS_RIGHT")


def test_mk_14_every_value_before_and_after_is_kept() -> None:
    event, _ = adopted(conflict(), CANCELLED)
    before, after = event.before, event.after
    assert (before.order, before.coverage, before.received) == ("CONFIRMED", "PAID", facts.PRICE)
    assert [(part.value, part.cancelled, part.package) for part in before.parts] == [
        ("IN_TRANSIT", False, "#1")
    ]
    assert (after.order, after.coverage, after.received) == ("CANCELLED", "PAID", facts.PRICE)
    assert [(part.value, part.cancelled, part.package) for part in after.parts] == [("NOT_STARTED", True, "")]


def test_mk_14_goods_may_go_back_in_the_news_chain() -> None:
    played = prepaid(fact("PackageDelivered", 4), fact("PackagePickedUp", 5))
    assert played.last.disposition is Disposition.CONFLICT
    event, order = adopted(played, reading(says("BOOKED", package="P1", awb="JNE1")))
    assert values(order) == {"L1": ["1 BOOKED"]}
    [package] = [each for each in order.packages if each.id == "P1"]
    assert (package.awb, package.live) == ("JNE1", True)
    assert order.parts[0].picked_up_at is None
    assert order.parts[0].since == len(played.events) + 1
    assert event.after.parts[0].awb == "JNE1"


def test_news_from_before_the_reading_is_late_and_news_from_after_it_counts() -> None:
    played = prepaid(fact("PackageDelivered", 4), fact("PackagePickedUp", 5))
    _, played.order = adopted(played, reading(says("BOOKED")))
    assert played.then(fact("PackageDelivered", READ - 1)).last.disposition is Disposition.LATE
    assert played.then(fact("PackageDelivered", 4)).last.disposition is Disposition.DUPLICATE
    assert played.then(fact("PackagePickedUp", READ + 1)).last.disposition is Disposition.APPLIED
    assert values(played.state) == {"L1": ["1 IN_TRANSIT"]}


def test_a_quantity_of_a_line_is_split_off() -> None:
    played = conflict(lines=(("L1", 3), ("L2", 1)))
    stated = (says("CANCELLED", quantity=1), says("DELIVERED", quantity=2), says("IN_TRANSIT", "L2"))
    event, order = adopted(played, reading(*stated))
    assert values(order) == {"L1": ["1 CANCELLED", "2 DELIVERED"], "L2": ["1 IN_TRANSIT"]}
    assert order.refund_due == facts.PRICE
    assert [part.of for part in event.after.parts] == [0, 1, 0]


def test_a_completion_is_adopted_with_the_cash_of_the_courier() -> None:
    played = cod(fact("PackageDelivered", 4), fact("PackagePickedUp", 5))
    _, order = adopted(played, reading(says("DELIVERED"), status="COMPLETED"))
    assert (order.status, money.coverage(order), money.net_paid(order)) == (
        Status.COMPLETED,
        Coverage.PAID,
        facts.PRICE,
    )
    assert order.parts[0].accepted


def test_money_that_never_came_is_taken_out_and_kept_as_reversed() -> None:
    played = conflict()
    _, order = adopted(played, reading(says("CANCELLED"), status="CANCELLED", coverage="UNPAID"))
    assert (money.coverage(order), order.refund_due) == (Coverage.UNPAID, 0)
    assert [receipt.amount for receipt in order.reversals] == [facts.PRICE]
    _, part = adopted(played, reading(says("NOT_STARTED"), status="NEW", coverage="PARTLY_PAID", paid=20_000))
    assert (money.coverage(part), money.net_paid(part)) == (Coverage.PARTLY_PAID, 20_000)


def test_goods_lost_of_a_cash_order_are_credited() -> None:
    played = cod(fact("PackagePickedUp", 4), fact("OrderCancelled", 5))
    _, order = adopted(played, reading(says("RETURNED"), coverage="UNPAID"))
    assert order.credits == {"part:1": facts.PRICE}


def test_a_request_ends_with_the_goods_that_it_asks_for() -> None:
    played = prepaid(
        fact("ShipmentBooked", 2),
        fact("CancellationRequested", 3),
        fact("PackagePickedUp", 4, "L1"),
        fact("OrderCancelled", 5, "L1"),
        fact("CancellationRequested", 6, "L2"),
        lines=(("L1", 1), ("L2", 1)),
    )
    if played.state.request is None:
        played.then(fact("CancellationRequested", 7, "L2"))
    assert played.state.request is not None
    _, order = adopted(played, reading(says("DELIVERED"), says("DELIVERED", "L2")))
    assert order.request is None


def test_what_is_not_recognised_stands_until_news_names_it() -> None:
    played = conflict(fact("UnknownStatusReported", 6))
    _, order = adopted(played, CANCELLED)
    assert [doubt.disposition for doubt in order.doubts] == [Disposition.UNRECOGNISED]


def test_t37_each_refusal_in_its_order() -> None:
    assert refused(Story().state, reading(says("DELIVERED", "1"))) == ("NOT_CHANNEL_ORDER", [])
    calm = prepaid(fact("PackagePickedUp", 4)).state
    old = msgspec.structs.replace(CANCELLED, read_at=facts.at(3))
    assert refused(calm, old) == ("NO_CONFLICT", [])
    assert refused(conflict().state, old) == ("READ_TOO_OLD", [])
    assert refused(conflict().state, msgspec.structs.replace(old, reason="")) == ("FIELD_INVALID", ["reason"])


@pytest.mark.parametrize(
    ("newest", "read", "code"),
    [
        (fact("OrderCancelled", 5), 5.0, "READ_TOO_OLD"),
        (fact("OrderCancelled", 5), 5.5, None),
        (fact("RefundPaid", 9, amount=1_000), 8.0, "READ_TOO_OLD"),
        (fact("ChannelNote", 9, on_hold=True), 9.0, "READ_TOO_OLD"),
        (fact("ReturnStarted", 9, read=20), 15.0, "READ_TOO_OLD"),
        (fact("ReturnStarted", 9, read=20), 21.0, None),
    ],
)
def test_mk_14_a_reading_is_younger_than_all_news(newest: Fact, read: float, code: str | None) -> None:
    order = conflict(newest).state
    command = reading(says("RETURNING"), read_at=facts.at(read))
    answer = tried(order, command)
    assert (answer.code if isinstance(answer, Refusal) else None) == code


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (reading(says("DELIVERED"), reading=" "), ["reading"]),
        (reading(says("DELIVERED"), read_at=None), ["read_at"]),
        (reading(says("DELIVERED"), read_at=facts.at(6_000)), ["read_at"]),
        (reading(says("DELIVERED"), status="GONE", coverage="SOME"), ["status", "coverage"]),
        (reading(says("DELIVERED"), paid=5), ["paid"]),
        (reading(says("DELIVERED"), coverage="PARTLY_PAID"), ["paid"]),
        (reading(says("DELIVERED"), coverage="PARTLY_PAID", paid=0), ["paid"]),
        (reading(), ["parts"]),
        (reading(says("DELIVERED", quantity=2)), ["parts"]),
        (reading(says("DELIVERED"), says("DELIVERED", "L9")), ["parts[1].line"]),
        (reading(says("ARRIVED")), ["parts[0].value"]),
        (reading(says("DELIVERED", package="#7")), ["parts[0].package"]),
        (reading(says("CANCELLED")), ["status"]),
        (reading(says("DELIVERED"), status="CANCELLED"), ["status"]),
        (reading(says("READY"), status="NEW"), ["status"]),
        (reading(says("IN_TRANSIT"), status="COMPLETED"), ["status"]),
        (reading(says("DELIVERED"), coverage="UNPAID"), ["coverage"]),
        (reading(says("NOT_STARTED"), coverage="PARTLY_PAID", paid=facts.PRICE), ["coverage"]),
    ],
)
def test_a_reading_that_cannot_be_is_refused_by_its_fields(
    command: c.AdoptChannelState, fields: list[str]
) -> None:
    code, named = refused(conflict().state, command)
    assert code in {"FIELD_INVALID", "AMOUNT_NOT_POSITIVE", "QUANTITY_INVALID"}
    assert named == fields


def test_outsiders_learn_where_everything_stands() -> None:
    event, _ = adopted(conflict(), CANCELLED)
    name, data = to_public("ChannelStateAdopted.v1", event)
    assert type(data) is PUBLIC_TYPES[name]
    told = msgspec.json.decode(msgspec.json.encode(data))
    assert (told["order"], told["coverage"], told["actor"]) == ("CANCELLED", "PAID", "OWNER")
    assert told["parts"] == [
        {"line": "L1", "sku": "SKU-L1", "quantity": 1, "value": "CANCELLED", "package": None}
    ]


@for_all(
    method=st.sampled_from(["GATEWAY", "COD"]),
    told=st.lists(any_fact(), max_size=8),
    status=st.sampled_from(list(Status)),
    coverage=st.sampled_from(list(Coverage)),
    value=st.lists(st.sampled_from([*Fulfilment, "CANCELLED"]), min_size=2, max_size=2),
    after=st.lists(any_fact(), max_size=4),
)
def test_whatever_is_adopted_keeps_every_invariant_and_takes_news_again(
    method: str,
    told: list[Fact],
    status: Status,
    coverage: Coverage,
    value: list[str],
    after: list[Fact],
) -> None:
    # Whatever was told before, the second of these contradicts the first.
    contradiction = (fact("PackageDelivered", 13), fact("PackagePickedUp", 14))
    played = Played(placement(("L1", 3), ("L2", 1), method=method), *told, *contradiction)
    assert situation_of(played.state).conflict
    paid = 20_000 if coverage is Coverage.PARTLY_PAID else None
    stated = [says(str(value[0])), says(str(value[1]), "L2")]
    command = reading(*stated, status=status, coverage=coverage, paid=paid)
    answer = tried(played.state, command)
    if isinstance(answer, Refusal):
        assert answer.code == "FIELD_INVALID"
        return
    _, played.order = adopted(played, command)
    played.events.extend(answer.events)
    for news in after:
        played.then(news)
        check(played.state)
    assert fold(played.events) == played.state
