"""The actions of an order as its events leave them: at work, waiting, failed (MA-2, MA-4, AC-04)."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order.model import ChannelAction, Order

SUCCEEDED = "SUCCEEDED"
OUTCOMES = frozenset({SUCCEEDED, "REFUSED", "FAILED", "UNCERTAIN", "LAPSED"})
# Of the ended actions an order keeps the latest; the history has them all.
ENDED_KEPT = 20


def requested(order: Order, event: e.ChannelActionRequested, number: int) -> Order:
    """The order with one more action; it takes the place of failed ones that it covers."""
    made = ChannelAction(
        action=event.action,
        id=event.id,
        event=number,
        lines=event.lines,
        packages=event.packages,
        reason=event.reason,
        awb=event.awb,
        courier=event.courier,
        side_effects=event.side_effects,
        actor=event.actor,
        at=event.at,
        not_after=event.not_after,
    )
    return replace(order, actions=(*_superseded(order.actions, made), made))


def ended(order: Order, event: e.ChannelActionEnded) -> Order:
    """The order after an action ended; a success takes the place of failed ones that it covers."""
    found = find(order, event.id)
    if found is None:
        return order
    over = replace(
        found,
        outcome=event.outcome,
        already=event.already,
        code=event.reason,
        text=event.text,
        ended_at=event.at,
        raised=event.outcome != SUCCEEDED,
    )
    kept = order.actions if over.raised else _superseded(order.actions, over)
    actions = [over if each.id == over.id else each for each in kept]
    too_many = sum(bool(each.outcome) for each in actions) - ENDED_KEPT
    if too_many > 0:
        gone = {each.id for each in [each for each in actions if each.outcome][:too_many]}
        actions = [each for each in actions if each.id not in gone]
    return replace(order, actions=tuple(actions))


def _superseded(actions: Iterable[ChannelAction], newer: ChannelAction) -> list[ChannelAction]:
    return [
        replace(each, raised=False)
        if each.raised and covers(newer.action, newer.lines, each.action, each.lines)
        else each
        for each in actions
    ]


def find(order: Order, action_id: str) -> ChannelAction | None:
    """The action of this id, ended or not, if the order still keeps it."""
    return next((each for each in order.actions if each.id == action_id), None)


def running(order: Order) -> list[ChannelAction]:
    """The actions that have not ended, in the order in which they were asked for."""
    return [each for each in order.actions if not each.outcome]


def at_work(order: Order | None) -> ChannelAction | None:
    """The one action that is with the marketplace; the others wait for its end (AC-04)."""
    return None if order is None else next(iter(running(order)), None)


def going_out(before: Order | None, after: Order) -> ChannelAction | None:
    """The action whose turn has come between the two: it goes out with what is stored."""
    now, then = at_work(after), at_work(before)
    return None if now is None or (then is not None and then.id == now.id) else now


def covers(
    action: str, lines: tuple[e.ActionLine, ...], other: str, other_lines: tuple[e.ActionLine, ...]
) -> bool:
    """Whether an action asks for all that another asks for: the same, for its goods or for more."""
    if action != other or (lines and not other_lines):
        return False
    held = {each.line: each.quantity for each in lines}
    return not lines or all(held.get(each.line, 0) >= each.quantity for each in other_lines)


def in_flight(order: Order, action: str, lines: tuple[e.ActionLine, ...]) -> bool:
    """Whether all of this is on its way already (MA-2)."""
    return any(covers(each.action, each.lines, action, lines) for each in running(order))


def flag_actions(order: Order, found: dict[str, list[dict[str, Any]]]) -> None:
    """ACTION_PENDING and ACTION_FAILED, with the goods that they are about (HL-4, MA-2, MA-4)."""
    for code, about in (
        ("ACTION_PENDING", running(order)),
        ("ACTION_FAILED", [each for each in order.actions if each.raised]),
    ):
        if about:
            goods = {line.line: line.quantity for each in about for line in each.lines}
            found[code] = [{"line": line, "quantity": quantity} for line, quantity in goods.items()]


def actions_view(order: Order) -> list[dict[str, Any]]:
    """The actions as the API shows them, oldest first: at work, waiting, and how the latest ended."""
    first = at_work(order)
    return [
        {
            "id": each.id,
            "action": each.action,
            "state": each.outcome or ("REQUESTED" if each is first else "WAITING"),
            "lines": [{"line": line.line, "quantity": line.quantity} for line in each.lines],
            "packages": list(each.packages),
            "reason": each.reason or None,
            "awb": each.awb or None,
            "actor": each.actor.value,
            "requested_at": each.at,
            "not_after": each.not_after,
            "already": each.already,
            "code": each.code or None,
            "text": each.text or None,
            "ended_at": each.ended_at,
        }
        for each in order.actions
    ]
