"""Commands on a marketplace's order: a local step, an action, or a refusal; an action changes no value (11.2)."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st
from msgspec.structs import replace

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order.actions import ENDED_KEPT, actions_view, at_work, going_out, running
from services.orders.order.allowing import allowed_now
from services.orders.order.channel_actions import CHANNELS, Action
from services.orders.order.commands import Command
from services.orders.order.decide import Decided, Refusal, decide
from services.orders.order.decide_actions import RUNNING_MAX, ActionEnd, end_action
from services.orders.order.events import Actor
from services.orders.order.headline import flags, headline
from services.orders.order.model import Fulfilment, Order
from services.orders.order.state import evolve, fold
from services.orders.tests.facts import PAID, Played, fact, placement
from services.orders.tests.seller import at, given

LINES = (("L1", 2), ("L2", 1))
NEW: tuple[Any, ...] = ()
CONFIRMED = (fact("OrderConfirmed", 2),)
READY = (*CONFIRMED, fact("PackagePrepared", 3, of_package="P1", line="L1"))
BOOKED = tuple(fact("ShipmentBooked", 4, line, of_package="P1", awb="AWB1") for line in ("L1", "L2"))
REQUESTED = (fact("CancellationRequested", 4),)
CANCELLED = (fact("OrderCancelled", 5, by="BUYER"),)


def sold(channel: str, *facts: Any, lines: tuple[tuple[str, int], ...] = LINES) -> Order:
    return Played(replace(placement(*lines), channel=channel), PAID, *facts).state


def reason_at(channel: str) -> str:
    return "5" if channel == "tokopedia" else "10000019"


def done(order: Order, command: Command, **told: Any) -> Decided:
    answer = decide(order, command, given(60, **told))
    assert isinstance(answer, Decided), answer
    return answer


def code(order: Order, command: Command, **told: Any) -> str:
    answer = decide(order, command, given(60, **told))
    assert isinstance(answer, Refusal), f"{command} was allowed"
    return answer.code


def asked(order: Order, command: Command, **told: Any) -> e.ChannelActionRequested:
    [event] = done(order, command, **told).events
    assert isinstance(event, e.ChannelActionRequested)
    return event


def after(order: Order, *commands: Command) -> Order:
    for command in commands:
        order = done(order, command).order
    return order


def ended(order: Order, outcome: str, action: str = "", **told: Any) -> Order:
    found = action or getattr(at_work(order), "id", "")
    decided = end_action(order, ActionEnd(id=found, outcome=outcome, at=at(90), **told))
    assert decided is not None
    return decided.order


def values(order: Order) -> Order:
    """The order without what an action may change: its actions and the number of its last event."""
    return replace(order, actions=(), sequence=0)


CANCEL, CANCEL_LINES = "CancelOrder", "CancelLines"
# Channel, what it has told, command; and the action, the local event, or the code.
TABLE = [
    ("lazada", NEW, "ConfirmOrder", "local OrderConfirmed"),
    ("tokopedia", NEW, "ConfirmOrder", "accept"),
    ("tiktok", NEW, "ConfirmOrder", "local OrderConfirmed"),
    ("lazada", CONFIRMED, "MarkReady", "pack"),
    ("tokopedia", CONFIRMED, "MarkReady", "local PackagePrepared"),
    ("tiktok", CONFIRMED, "MarkReady", "local PackagePrepared"),
    ("lazada", READY, "UnmarkReady", "undo_shipment"),
    ("tokopedia", READY, "UnmarkReady", "local PackageUnprepared"),
    ("tiktok", READY, "UnmarkReady", "local PackageUnprepared"),
    ("lazada", CONFIRMED, "ShipOrder", "ready_to_ship"),
    ("tokopedia", CONFIRMED, "ShipOrder", "ready_to_ship"),
    ("tiktok", CONFIRMED, "ShipOrder", "ready_to_ship"),
    ("lazada", CONFIRMED, "ShipOrder awb", "ACTION_NOT_SUPPORTED"),
    ("tokopedia", CONFIRMED, "ShipOrder awb", "confirm_shipping"),
    ("tiktok", CONFIRMED, "ShipOrder awb", "confirm_shipping"),
    ("lazada", BOOKED, "CancelShipment", "undo_shipment"),
    ("tokopedia", BOOKED, "CancelShipment", "ACTION_NOT_SUPPORTED"),
    ("tiktok", BOOKED, "CancelShipment", "ACTION_NOT_SUPPORTED"),
    ("lazada", NEW, CANCEL, "cancel"),
    ("tokopedia", NEW, CANCEL, "reject"),
    ("tiktok", NEW, CANCEL, "cancel"),
    ("lazada", CONFIRMED, CANCEL, "cancel"),
    ("tokopedia", CONFIRMED, CANCEL, "cancel"),
    ("tiktok", CONFIRMED, CANCEL, "cancel"),
    ("lazada", NEW, CANCEL_LINES, "cancel"),
    ("tokopedia", NEW, CANCEL_LINES, "ACTION_NOT_SUPPORTED"),
    ("tiktok", NEW, CANCEL_LINES, "ACTION_NOT_SUPPORTED"),
    *((channel, REQUESTED, CANCEL, "accept_cancellation") for channel in CHANNELS),
    *((channel, REQUESTED, "ReopenOrder", "refuse_cancellation") for channel in CHANNELS),
    *((channel, REQUESTED, CANCEL_LINES + " request", "CANCELLATION_REQUEST_OPEN") for channel in ["lazada"]),
    *((channel, NEW, "ReopenOrder", "NOTHING_TO_REOPEN") for channel in CHANNELS),
    *((channel, CANCELLED, "ReopenOrder", "CANCELLED_BY_CHANNEL") for channel in CHANNELS),
    *(("shopee", NEW, name, "ACTION_NOT_SUPPORTED") for name in ("ConfirmOrder", CANCEL, "MarkReady", "ShipOrder")),
]  # fmt: skip


def command_of(name: str, channel: str) -> Command:
    reason = reason_at(channel)
    return {
        "ConfirmOrder": c.ConfirmOrder(),
        "MarkReady": c.MarkReady(),
        "UnmarkReady": c.UnmarkReady(),
        "ShipOrder": c.ShipOrder(),
        "ShipOrder awb": c.ShipOrder(awb="JNE0001", courier="JNE"),
        "CancelShipment": c.CancelShipment(),
        CANCEL: c.CancelOrder(reason=reason),
        CANCEL_LINES: c.CancelLines(parts=(c.ScopedPart(line="L2"),), reason=reason),
        CANCEL_LINES + " request": c.CancelLines(accept_request=True, reason=reason),
        "ReopenOrder": c.ReopenOrder(reason=reason),
    }[name]


@pytest.mark.parametrize(("channel", "told", "name", "expected"), TABLE)
def test_11_2_what_becomes_of_a_command(channel: str, told: Any, name: str, expected: str) -> None:
    order = sold(channel, *told)
    answer = decide(order, command_of(name, channel), given(60, actor=Actor.AGENT, caller="u1"))
    if isinstance(answer, Refusal):
        assert answer.code == expected
        return
    names = [type(event).__name__ for event in answer.events]
    if expected.startswith("local "):
        assert set(names) == {expected.removeprefix("local ")}
        assert not answer.order.actions
        return
    [event] = answer.events
    assert isinstance(event, e.ChannelActionRequested)
    assert (event.action, event.actor, event.caller) == (expected, Actor.AGENT, "u1")
    assert event.not_after == at(60) + timedelta(hours=24)
    assert values(answer.order) == values(order), "MA-2: no value changes."
    assert headline(answer.order) == headline(order)
    assert list(flags(answer.order)) == [*flags(order), "ACTION_PENDING"]
    assert going_out(order, answer.order) == answer.order.actions[-1]
    assert code(answer.order, command_of(name, channel)) == "ACTION_IN_FLIGHT"


@pytest.mark.parametrize(
    ("order", "command", "expected"),
    [
        (sold("tokopedia", *CONFIRMED), c.ConfirmOrder(), "ALREADY_CONFIRMED"),
        (sold("tokopedia", *REQUESTED), c.ConfirmOrder(), "CANCELLATION_REQUEST_OPEN"),
        (sold("tokopedia", *CANCELLED), c.ConfirmOrder(), "ORDER_IS_CANCELLED"),
        (sold("lazada"), c.MarkReady(), "NOT_CONFIRMED"),
        (sold("lazada", *BOOKED), c.MarkReady(), "IN_SHIPPING"),
        (sold("lazada"), c.ShipOrder(), "NOT_CONFIRMED"),
        (sold("lazada", *CONFIRMED), c.CancelShipment(), "NOT_IN_SHIPPING"),
        (sold("lazada", fact("PackagePickedUp", 5)), c.CancelShipment(), "ALREADY_PICKED_UP"),
        (sold("lazada", *BOOKED), c.CancelOrder(reason="1"), "IN_SHIPPING"),
        (sold("lazada", *CONFIRMED), c.UnmarkReady(), "NOT_PREPARED"),
        (sold("tiktok", *CONFIRMED), c.ShipOrder(awb="JNE1"), "SHIPPING_INCOMPLETE"),
        # MA-1 at once: before the command's own checks.
        (sold("tiktok"), c.CancelShipment(), "ACTION_NOT_SUPPORTED"),
        (sold("tiktok", *CANCELLED), c.CancelShipment(), "ACTION_NOT_SUPPORTED"),
        (sold("lazada", *REQUESTED), c.ReopenOrder(outcome="WITHDRAWN"), "CHANNEL_OWNED"),
        # MA-2: its own checks before what is in flight.
        (after(sold("tokopedia"), c.ConfirmOrder(), c.HoldOrder()), c.ConfirmOrder(), "ORDER_ON_HOLD"),
    ],
)
def test_ma_2_a_commands_own_checks_come_first(order: Order, command: Command, expected: str) -> None:
    assert code(order, command) == expected


@pytest.mark.parametrize(
    ("order", "command", "field"),
    [
        (sold("tokopedia"), c.CancelOrder(reason="9"), "reason"),
        (sold("lazada"), c.CancelOrder(), "reason"),
        (sold("lazada"), c.CancelOrder(reason="1", side_effects=("ALL",)), "side_effects"),
        (sold("tiktok", *REQUESTED), c.ReopenOrder(), "reason"),
        (
            sold("tokopedia", *CONFIRMED, fact("PackagePrepared", 3, of_package="P1", line="L1")),
            c.ShipOrder(awb="JNE1"),
            "awb",
        ),
    ],
)
def test_ac_08_input_is_the_channels(order: Order, command: Command, field: str) -> None:
    answer = decide(order, command, given(60, reasons={"SOLD_OUT": "Habis"}))
    assert isinstance(answer, Refusal)
    assert (answer.code, [fault.field for fault in answer.fields]) == ("FIELD_INVALID", [field])


def test_an_action_says_what_it_is_about() -> None:
    packed = sold("lazada", *READY)
    some = asked(packed, c.ShipOrder(parts=(c.ScopedPart(line="L1", quantity=1),)))
    assert some.lines == (e.ActionLine(line="L1", quantity=1),)
    assert some.packages == ("P1",)
    every = asked(packed, c.ShipOrder())
    assert [(each.line, each.quantity) for each in every.lines] == [("L1", 2), ("L2", 1)]
    shipped = asked(sold("tiktok", *CONFIRMED), c.ShipOrder(awb="JNE0001", courier="JNE"))
    assert (shipped.awb, shipped.courier, shipped.reason) == ("JNE0001", "JNE", "")
    cancelled = asked(sold("tokopedia"), c.CancelOrder(reason="1"))
    assert (cancelled.lines, cancelled.packages, cancelled.reason) == ((), (), "1")


def test_ac_03_a_request_with_a_nearer_deadline_is_answered_before_it() -> None:
    order = sold("lazada", fact("CancellationRequested", 4, "L1", deadline="2026-03-05T12:00:00Z"))
    accepted = asked(order, c.CancelOrder())
    assert accepted.not_after.isoformat() == "2026-03-05T12:00:00+00:00"
    assert accepted.lines == (e.ActionLine(line="L1", quantity=2),)
    part = c.CancelLines(accept_request=True)
    assert asked(order, part).action == "accept_cancellation"


def test_ac_07_side_effects_need_an_explicit_yes() -> None:
    packed = sold("lazada", *READY, fact("PackagePrepared", 3, "L2", of_package="P1"))
    one = c.CancelLines(parts=(c.ScopedPart(line="L2"),), reason="10000021")
    refused = decide(packed, one, given(60))
    assert isinstance(refused, Refusal)
    assert refused.code == "SIDE_EFFECTS_NOT_ACKNOWLEDGED"
    assert [fault.sentence.partition(":")[0] for fault in refused.fields] == [
        "WHOLE_PACKAGE",
        "STOCK_TO_ZERO",
    ]
    assert code(packed, replace(one, side_effects=("WHOLE_PACKAGE",))) == "SIDE_EFFECTS_NOT_ACKNOWLEDGED"
    both = ("WHOLE_PACKAGE", "STOCK_TO_ZERO")
    assert asked(packed, replace(one, side_effects=both)).side_effects == both
    # All goods of the package, or goods that are not packed, are no side effect.
    assert asked(packed, c.CancelOrder(reason="10000019")).side_effects == ()
    loose = sold("lazada", *CONFIRMED)
    assert asked(loose, c.CancelLines(parts=one.parts, reason="10000019")).side_effects == ()
    some = c.CancelLines(parts=(c.ScopedPart(line="L1", quantity=1),), reason="10000019")
    assert code(packed, some) == "SIDE_EFFECTS_NOT_ACKNOWLEDGED"
    assert asked(loose, some).side_effects == ()
    # The command's own checks before the yes.
    assert code(sold("lazada", *BOOKED), c.CancelOrder(reason="10000021")) == "IN_SHIPPING"


def test_ac_04_other_actions_wait_their_turn_and_go_out_in_the_order_asked() -> None:
    first = after(sold("lazada", *CONFIRMED), c.MarkReady())
    both = after(first, c.CancelOrder(reason="10000019"))
    assert [each["state"] for each in actions_view(both)] == ["REQUESTED", "WAITING"]
    assert going_out(first, both) is None
    over = ended(both, "FAILED")
    assert going_out(both, over) == running(both)[1] == at_work(over)
    assert [each["state"] for each in actions_view(over)] == ["FAILED", "REQUESTED"]
    assert going_out(over, ended(over, "SUCCEEDED")) is None
    # An end of one that waits sends nothing, and takes it out of the queue.
    skipped = ended(both, "LAPSED", running(both)[1].id)
    assert going_out(both, skipped) is None
    assert at_work(ended(skipped, "SUCCEEDED")) is None


def test_ma_2_the_same_for_other_goods_is_another_action_and_less_of_it_is_not() -> None:
    order = sold("lazada", *CONFIRMED)
    one = after(order, c.MarkReady(parts=(c.ScopedPart(line="L1", quantity=1),)))
    assert code(one, c.MarkReady(parts=(c.ScopedPart(line="L1", quantity=1),))) == "ACTION_IN_FLIGHT"
    assert asked(one, c.MarkReady(parts=(c.ScopedPart(line="L2"),))).action == "pack"
    assert asked(one, c.MarkReady()).action == "pack"
    every = after(order, c.MarkReady())
    assert code(every, c.MarkReady(parts=(c.ScopedPart(line="L2"),))) == "ACTION_IN_FLIGHT"
    assert code(ended(every, "UNCERTAIN"), c.CompleteOrder()) == "CHANNEL_OWNED"
    assert asked(ended(every, "UNCERTAIN"), c.MarkReady()).action == "pack"


def test_an_order_has_a_bounded_number_of_actions() -> None:
    order = sold("lazada", *CONFIRMED, lines=(("L1", RUNNING_MAX + 5), ("L2", 1)))
    for number in range(1, RUNNING_MAX + 1):
        order = after(order, c.MarkReady(parts=(c.ScopedPart(line="L1", quantity=number),)))
    assert code(order, c.MarkReady()) == "ACTION_IN_FLIGHT"
    assert {"MarkReady", "ShipOrder", "CancelOrder"}.isdisjoint(allowed_now(order))
    while running(order):
        order = ended(order, "LAPSED")
    order = ended(after(order, c.MarkReady()), "SUCCEEDED")
    assert len(order.actions) == ENDED_KEPT
    assert order.actions[-1].outcome == "SUCCEEDED"


def test_ma_4_an_end_is_recorded_once_and_changes_no_value() -> None:
    order = after(sold("tokopedia"), c.ConfirmOrder())
    action = order.actions[0].id
    end = ActionEnd(id=action, outcome="REFUSED", at=at(90), code="ORD_USC_001", text="Not eligible")
    decided = end_action(order, end)
    assert decided is not None
    [event] = decided.events
    assert isinstance(event, e.ChannelActionEnded)
    assert (event.outcome, event.reason, event.text, event.at, event.actor) == (
        "REFUSED", "ORD_USC_001", "Not eligible", at(90), Actor.CHANNEL,
    )  # fmt: skip
    assert values(decided.order) == values(order)
    assert list(flags(decided.order)) == ["ACTION_FAILED"]
    [shown] = actions_view(decided.order)
    assert (shown["state"], shown["code"], shown["ended_at"]) == ("REFUSED", "ORD_USC_001", at(90))
    for other in (end, replace(end, outcome="SUCCEEDED")):
        again = end_action(decided.order, other)
        assert again == Decided((), decided.order)
    assert end_action(order, replace(end, id="a99")) is None
    with pytest.raises(ValueError, match="does not end as"):
        replace(end, outcome="DONE").__post_init__()


@pytest.mark.parametrize("outcome", ["REFUSED", "FAILED", "UNCERTAIN", "LAPSED"])
def test_ma_4_all_but_a_success_raise_action_failed_until_the_same_is_asked_again(outcome: str) -> None:
    packing = after(sold("lazada", *CONFIRMED), c.MarkReady())
    assert "ACTION_FAILED" not in flags(ended(packing, "SUCCEEDED"))
    failed = ended(packing, outcome)
    assert flags(failed)["ACTION_FAILED"] == [{"line": "L1", "quantity": 2}, {"line": "L2", "quantity": 1}]
    # Another action leaves it, and so does the same for less.
    other = after(failed, c.CancelOrder(reason="10000019"))
    less = after(failed, c.MarkReady(parts=(c.ScopedPart(line="L1", quantity=1),)))
    assert "ACTION_FAILED" in flags(ended(other, "SUCCEEDED"))
    assert "ACTION_FAILED" in flags(less)
    again = after(failed, c.MarkReady())
    assert list(flags(again)) == ["ACTION_PENDING"]
    assert list(flags(ended(again, "SUCCEEDED"))) == []
    # What was asked for before it failed does not hide that it did; its success does.
    queued = after(packing, c.ShipOrder(), c.CancelLines(parts=(c.ScopedPart(line="L1"),), reason="1"))
    assert "ACTION_FAILED" in flags(ended(queued, outcome))


def test_the_channels_facts_alone_move_the_order() -> None:
    order = ended(after(sold("lazada", *CONFIRMED), c.MarkReady()), "SUCCEEDED", already=True)
    assert {part.value for part in order.parts} == {Fulfilment.NOT_STARTED}
    assert "MarkReady" in allowed_now(order)


def test_allowed_agrees_with_the_channel_and_what_is_in_flight() -> None:
    new = {channel: set(allowed_now(sold(channel))) for channel in (*CHANNELS, "shopee")}
    assert {"ConfirmOrder", "CancelOrder"} <= new["lazada"] & new["tokopedia"] & new["tiktok"]
    assert {channel for channel, names in new.items() if "CancelLines" in names} == {"lazada"}
    assert {"ConfirmOrder", "CancelOrder"}.isdisjoint(new["shopee"])
    assert {"HoldOrder", "TagOrder", "EditOrder"} <= new["shopee"]
    accepting = after(sold("tokopedia"), c.ConfirmOrder())
    assert "ConfirmOrder" not in allowed_now(accepting)
    assert "CancelOrder" in allowed_now(accepting)
    assert "ConfirmOrder" in allowed_now(ended(accepting, "FAILED"))
    shipping = after(sold("tokopedia", *CONFIRMED), c.ShipOrder())
    assert "ShipOrder" in allowed_now(shipping), "With an AWB it is another action."
    assert "ShipOrder" not in allowed_now(after(shipping, c.ShipOrder(awb="JNE1")))


ANY_COMMAND = st.sampled_from(
    [
        c.ConfirmOrder(), c.MarkReady(), c.MarkReady(parts=(c.ScopedPart(line="L1", quantity=1),)),
        c.UnmarkReady(), c.ShipOrder(), c.ShipOrder(awb="JNE1", courier="JNE"), c.CancelShipment(),
        c.CancelOrder(reason="5"), c.ReopenOrder(reason="5"), c.HoldOrder(), c.ReleaseOrder(),
        c.CancelLines(parts=(c.ScopedPart(line="L1", quantity=1),), reason="5"),
    ]
)  # fmt: skip
ANY_FACT = st.sampled_from(
    ["OrderConfirmed", "PackagePrepared", "ShipmentBooked", "ShipmentCancelled", "PackagePickedUp",
     "PackageDelivered", "CancellationRequested", "CancellationRequestClosed", "OrderCancelled",
     "OrderCompleted"]
)  # fmt: skip
STEPS = st.lists(
    st.one_of(ANY_COMMAND, ANY_FACT, st.sampled_from(["SUCCEEDED", "FAILED", "LAPSED"])), max_size=12
)


@generated(channel=st.sampled_from([*CHANNELS, "shopee"]), steps=STEPS)
def test_ma_2_an_action_never_changes_a_value_and_one_is_at_work_at_a_time(
    channel: str, steps: list[Any]
) -> None:
    played = Played(replace(placement(*LINES), channel=channel), PAID)
    order, events, out = played.state, list(played.events), []
    for number, step in enumerate(steps, 10):
        before = order
        if isinstance(step, Command):
            answer = decide(order, step, given(number))
            found = list(answer.events) if isinstance(answer, Decided) else []
            if isinstance(answer, Decided) and type(step).__name__ in allowed_now(order):
                assert isinstance(decide(order, step, given(number)), Decided)
        elif step.isupper():
            working = at_work(order)
            decided = working and end_action(order, ActionEnd(id=working.id, outcome=step, at=at(number)))
            found = list(decided.events) if decided else []
        else:
            each = Played.__new__(Played)
            each.order, each.judgements, each.events = order, [], []
            found = each.then(fact(step, float(number))).told
        for event in found:
            order = evolve(order, event)
            if isinstance(event, e.ChannelActionRequested | e.ChannelActionEnded):
                assert values(order) == values(before)
                assert headline(order) == headline(before)
        events += found
        sent = going_out(before, order)
        out += [] if sent is None else [sent.id]
    assert fold(events) == order
    wanted = [each.id for each in events if isinstance(each, e.ChannelActionRequested)]
    assert out == wanted[: len(out)], "In the order asked, each once."
    over = sum(isinstance(each, e.ChannelActionEnded) for each in events)
    assert len(out) == min(over + 1, len(wanted))


@pytest.mark.parametrize("channel", ["lazada", "tiktok", "tokopedia"])
def test_mk_7_local_steps_do_not_stand_in_the_way_of_the_channels_facts(channel: str) -> None:
    told = [
        *(fact("ShipmentBooked", 9000, line, of_package="P1") for line in ("L1", "L2")),
        fact("PackagePickedUp", 9001),
        fact("OrderCompleted", 9003),
    ]
    steps: tuple[Command, ...] = (c.MarkReady(),) if channel == "tokopedia" else (c.ConfirmOrder(),)
    if channel == "tiktok":
        steps = (c.ConfirmOrder(), c.MarkReady(), c.UnmarkReady(), c.MarkReady())
    start = CONFIRMED if channel == "tokopedia" else NEW
    local = Played.__new__(Played)
    local.order, local.judgements, local.events = after(sold(channel, *start), *steps), [], []
    without = Played(replace(placement(*LINES), channel=channel), PAID, *start)
    for each in told:
        local.then(each)
        without.then(each)
    assert headline(local.state) == headline(without.state) == "COMPLETED"
    shown = [
        [(part.line, part.value, part.package) for part in each.state.parts] for each in (local, without)
    ]
    assert shown[0] == shown[1]
    assert flags(local.state) == flags(without.state)


def test_every_action_has_its_place_in_the_table() -> None:
    for name, has in CHANNELS.items():
        assert not has.sent & has.local, name
        assert not has.rejects_by_cancelling or Action.CANCEL in has.sent, name
