"""Commands on orders that a marketplace owns (11.2): what is local works, the rest says whose it is."""

from typing import Any

import pytest

from services.orders.order import commands as c
from services.orders.order.commands import Command
from services.orders.order.decide import Decided, Refusal, decide, situation_of
from services.orders.order.events import Actor, Disposition, ReturnReceived
from services.orders.order.model import Fulfilment, Order
from services.orders.order.seller_facts import judge_seller_fact
from services.orders.order.state import fold
from services.orders.order.table import COMMANDS, OnChannel, allowed
from services.orders.tests.facts import cod, prepaid
from services.orders.tests.facts import fact as channel_fact
from services.orders.tests.seller import fact, given

WITH_SOMETHING: dict[str, Command] = {
    "RecordExtraReceipt": c.RecordExtraReceipt(amount=1),
    "RecordRefund": c.RecordRefund(amount=1),
    "RecordCredit": c.RecordCredit(amount=1),
    "RecordCodRemittance": c.RecordCodRemittance(amount=1),
    "RequestCancellation": c.RequestCancellation(note="x"),
    "CancelOrder": c.CancelOrder(reason="X"),
    "CancelLines": c.CancelLines(parts=(c.ScopedPart(line="L1", quantity=1),), reason="X"),
}


def sold() -> Order:
    return prepaid(lines=(("L1", 2),)).state


def code(order: Order, command: Command) -> str:
    answer = decide(order, command, given())
    assert isinstance(answer, Refusal), f"{command} was allowed"
    return answer.code


def done(order: Order, command: Command, **told: Any) -> list[Any]:
    answer = decide(order, command, given(**told))
    assert isinstance(answer, Decided), answer
    assert answer.order.parts == order.parts
    return list(answer.events)


@pytest.mark.parametrize(
    "name",
    [row.name for row in COMMANDS.values() if row.on_channel is OnChannel.OWNED and row.name != "PlaceOrder"],
)
def test_what_the_marketplace_owns_is_refused(name: str) -> None:
    assert code(sold(), WITH_SOMETHING.get(name) or c.COMMANDS[name]()) == "CHANNEL_OWNED"


def test_mk_12_an_order_that_the_channel_cancelled_is_not_reopened() -> None:
    cancelled = prepaid(channel_fact("OrderCancelled", 5)).state
    assert code(cancelled, c.ReopenOrder()) == "CANCELLED_BY_CHANNEL"
    assert code(sold(), c.ReopenOrder()) == "NOTHING_TO_REOPEN"


def test_agent_tags_hold_and_chat_are_local() -> None:
    order = sold()
    names = [
        type(event).__name__
        for command in (
            c.ChangeAgent(agent="a1"),
            c.TagOrder(add=("VIP",)),
            c.HoldOrder(),
            c.SendCustomerChat(template="terima-kasih"),
            c.ViewOrder(),
        )
        for event in done(order, command)
    ]
    assert names == ["AgentAssigned", "OrderTagged", "OrderHeld", "CustomerChatRequested"]


def test_a_line_changes_its_warehouse_and_nothing_else() -> None:
    order = sold()
    [event] = done(order, c.EditOrder(lines=(c.LineEdit(line="L1", warehouse="W2"),)))
    assert event.lines[0].warehouse == "W2"
    assert event.total == order.placed_total
    [noted] = done(order, c.EditOrder(recipient=c.Recipient(note="titip satpam")))
    assert [change.field for change in noted.changes] == ["recipient.note"]


@pytest.mark.parametrize(
    "command",
    [
        c.EditOrder(shipping_fee=1),
        c.EditOrder(lines=(c.LineEdit(line="L1", quantity=1),)),
        c.EditOrder(remove_lines=("L1",)),
        c.EditOrder(recipient=c.Recipient(name="Lain")),
    ],
)
def test_any_other_field_is_the_marketplaces(command: c.EditOrder) -> None:
    assert code(sold(), command) == "CHANNEL_OWNED"


def test_t34_a_return_case_of_a_marketplace_order_is_local() -> None:
    order = prepaid(channel_fact("PackageDelivered", 5)).state
    [opened] = done(order, c.OpenReturnCase(lines=("L1",)))
    assert opened.lines == ("L1",)


@pytest.mark.parametrize("actor", [Actor.OWNER, Actor.AGENT])
def test_a_return_that_came_back_is_counted_by_hand(actor: Actor) -> None:
    played = prepaid(channel_fact("ReturnStarted", 5), lines=(("L1", 2),))
    told = fact("ReturnReceived", 60, good=1, damaged=1)
    judged = judge_seller_fact(played.state, told, given(61, actor=actor, caller="u1"))
    assert judged.disposition is Disposition.APPLIED
    [event] = judged.events
    assert (type(event).__name__, event.actor, event.caller) == ("ReturnReceived", actor, "u1")
    assert isinstance(event, ReturnReceived)
    assert (event.good, event.damaged) == (1, 1)
    after = judged.order
    assert after is not None
    assert [part.value for part in after.parts] == [Fulfilment.RETURNED]
    assert not after.money_to_settle, "The marketplace settles the money."
    assert fold([*played.events, *judged.events]) == after
    again = judge_seller_fact(after, told, given(62, actor=actor))
    assert (again.disposition, again.events) == (Disposition.DUPLICATE, ())


def test_a_return_by_hand_credits_cash_as_the_marketplaces_own_news_would() -> None:
    played = cod(channel_fact("ReturnStarted", 5), lines=(("L1", 2),))
    by_hand = judge_seller_fact(played.state, fact("ReturnReceived", 60), given(61)).order
    told = played.then(channel_fact("ReturnReceived", 3600)).state
    assert by_hand is not None
    assert by_hand.credits == told.credits == {"part:1": 100_000}
    assert by_hand.refund_due == told.refund_due


def test_a_return_by_hand_of_goods_that_never_left_is_only_recorded() -> None:
    judged = judge_seller_fact(sold(), fact("ReturnReceived", 60), given(61))
    assert judged.disposition is Disposition.CONFLICT
    assert [type(event).__name__ for event in judged.events] == ["FactRecorded"]
    assert judged.order is not None
    assert judged.order.parts == sold().parts
    assert not situation_of(judged.order).conflict


def test_gr_15_inventory_tells_a_marketplace_order_too() -> None:
    order = sold()
    short = fact("StockShort", lines=[{"line": "L1", "missing": 1}])
    judged = judge_seller_fact(order, short, given(actor=Actor.SYSTEM))
    assert [type(event).__name__ for event in judged.events] == ["StockShort"]


def test_allowed_names_no_command_that_the_marketplace_owns() -> None:
    owned = {row.name for row in COMMANDS.values() if row.on_channel is OnChannel.OWNED}
    assert owned.isdisjoint(allowed(situation_of(sold())))
