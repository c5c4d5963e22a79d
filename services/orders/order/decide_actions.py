"""Commands that become actions of the marketplace, and how an action ends (11.2, MA-1 to MA-4).

A command on an order that a marketplace owns passes its own checks first; then it is a local step of ours
where the channel has no such step, or ChannelActionRequested, which changes no value.
"""

from datetime import timedelta

from msgspec import Struct

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order.actions import OUTCOMES, find, in_flight, running
from services.orders.order.channel_actions import Action, ChannelActions, How, SideEffect, actions_of
from services.orders.order.commands import Command
from services.orders.order.deciding import Decided, Deciding, wrong
from services.orders.order.goods_scope import pieces_of
from services.orders.order.input import FieldFault
from services.orders.order.model import Fulfilment, Order, Status
from services.orders.order.parts import active, is_named
from services.orders.order.state import evolve

# AC-03: what lapses unsent, where the marketplace has no earlier deadline of its own.
NOT_AFTER = timedelta(hours=24)
# Actions of one order that have not ended: no order needs as many.
RUNNING_MAX = 20

_SIDE_EFFECTS = "side_effects"
_SENTENCES = {
    SideEffect.WHOLE_PACKAGE: "WHOLE_PACKAGE: it cancels all goods of the package, not these alone.",
    SideEffect.STOCK_TO_ZERO: "STOCK_TO_ZERO: for this reason it sets the stock of the SKU to 0.",
}


class Step(Struct, frozen=True, kw_only=True):
    """What a command asks the marketplace for; without lines it is about the whole order."""

    action: Action
    lines: tuple[e.ActionLine, ...] = ()
    packages: tuple[str, ...] = ()
    effects: tuple[SideEffect, ...] = ()


def action_named(order: Order, name: str, *, with_awb: bool = False) -> Action | None:
    """The action that a command of this name is at the order's channel; None for one that is none (11.2)."""
    has = actions_of(order.channel)
    match name:
        case "ConfirmOrder":
            return Action.ACCEPT
        case "MarkReady":
            return Action.PACK
        case "UnmarkReady":
            return Action.PACK if has.how(Action.PACK) is How.LOCAL else Action.UNDO_SHIPMENT
        case "ShipOrder":
            return Action.CONFIRM_SHIPPING if with_awb else Action.READY_TO_SHIP
        case "CancelShipment":
            return Action.UNDO_SHIPMENT
        case "CancelOrder" | "CancelLines" if order.request is not None:
            return Action.ACCEPT_CANCELLATION
        case "CancelOrder" | "CancelLines":
            early = order.status is Status.NEW and not has.rejects_by_cancelling
            return Action.REJECT if early else Action.CANCEL
        case "ReopenOrder" if order.request is not None and order.status is not Status.CANCELLED:
            return Action.REFUSE_CANCELLATION
        case _:
            return None


def how_named(order: Order, name: str, *, with_awb: bool = False) -> How | None:
    """What becomes of a command of this name at the order's channel; None for one that is no action."""
    action = action_named(order, name, with_awb=with_awb)
    if action is None:
        return None
    has = actions_of(order.channel)
    if name == "CancelLines" and has.cancels_whole_orders_only:
        return How.MISSING
    return has.how(action)


def field_faults(order: Order, command: Command) -> list[FieldFault]:
    """What is wrong with the fields that only marketplaces' orders have, or that mean another thing there."""
    if order.source != "CHANNEL":
        return _sellers_own(command)
    has = actions_of(order.channel)
    match command:
        case c.CancelOrder() | c.CancelLines():
            return _cancel_faults(order, command, has)
        case c.ReopenOrder() if order.request is not None and has.needs_reason_to_refuse:
            return [] if command.reason else [wrong("reason", "Choose one of the marketplace's reasons.")]
        case c.ShipOrder() if command.awb:
            packages = {piece.part.package for piece in pieces_of(order, command)}
            if len(packages) > 1:
                return [wrong("awb", "An AWB is of one package; name that package, or its parts.")]
            return []
        case _:
            return []


def _sellers_own(command: Command) -> list[FieldFault]:
    if isinstance(command, c.ShipOrder) and command.awb:
        return [wrong("awb", "The courier tells the AWB of your own order; leave it out.")]
    if isinstance(command, c.ReopenOrder) and command.reason:
        return [wrong("reason", "Only a marketplace's order takes one; leave it out.")]
    return []


def _cancel_faults(
    order: Order, command: c.CancelOrder | c.CancelLines, has: ChannelActions
) -> list[FieldFault]:
    found: list[FieldFault] = []
    if any(effect not in set(SideEffect) for effect in command.side_effects):
        found.append(wrong(_SIDE_EFFECTS, f"Name some of {', '.join(SideEffect)}."))
    if order.request is None or command.reason:
        allowed = has.reasons is None or command.reason in has.reasons
        if not command.reason or not allowed:
            found.append(wrong("reason", "Choose one of the marketplace's reasons to cancel."))
    return found


def raised_by_channel(order: Order, command: Command) -> set[str]:
    """What the channel's table answers: missing actions before the row (MA-1), and what they need in it."""
    if order.source != "CHANNEL":
        return set()
    name = type(command).__name__
    with_awb = isinstance(command, c.ShipOrder) and bool(command.awb)
    found: set[str] = set()
    if how_named(order, name, with_awb=with_awb) is How.MISSING:
        found.add("ACTION_NOT_SUPPORTED")
    if isinstance(command, c.ReopenOrder) and order.request is not None and command.outcome != "REFUSED":
        # The buyer withdraws a request at the marketplace, and that tells us.
        found.add("CHANNEL_OWNED")
    if with_awb and actions_of(order.channel).needs_courier_with_awb:
        assert isinstance(command, c.ShipOrder), "Only it has an AWB."
        if not (command.courier or order.courier):
            found.add("SHIPPING_INCOMPLETE")
    return found


def step_of(order: Order, command: Command) -> Step | None:
    """What the command asks the marketplace for; None where it is a step of our own."""
    name = type(command).__name__
    with_awb = isinstance(command, c.ShipOrder) and bool(command.awb)
    action = action_named(order, name, with_awb=with_awb) if order.source == "CHANNEL" else None
    if action is None or how_named(order, name, with_awb=with_awb) is not How.SENT:
        return None
    if action in {Action.ACCEPT_CANCELLATION, Action.REFUSE_CANCELLATION}:
        return Step(action=action, lines=_lines_of_request(order))
    if not isinstance(command, c.GoodsCommand):
        effects = _effects(order, command, frozenset())
        return Step(action=action, effects=effects)
    pieces = pieces_of(order, command)
    quantities: dict[str, int] = {}
    for piece in pieces:
        quantities[piece.part.line] = quantities.get(piece.part.line, 0) + piece.part.quantity
    return Step(
        action=action,
        lines=tuple(e.ActionLine(line=line, quantity=each) for line, each in quantities.items()),
        packages=tuple(dict.fromkeys(piece.part.package for piece in pieces if is_named(piece.part.package))),
        effects=_effects(order, command, frozenset(piece.part.id for piece in pieces if not piece.of)),
    )


def _lines_of_request(order: Order) -> tuple[e.ActionLine, ...]:
    """The goods that a request to cancel names; none: it is about the whole order (CR-4)."""
    request = order.request
    assert request is not None, "An answer to a request has one."
    asked = {piece.line: piece.quantity for piece in request.parts}
    left: dict[str, int] = {}
    for part in active(order):
        left[part.line] = left.get(part.line, 0) + part.quantity
    return tuple(
        e.ActionLine(line=line, quantity=asked.get(line, left.get(line, 1))) for line in request.lines
    )


def _effects(order: Order, command: Command, chosen: frozenset[int]) -> tuple[SideEffect, ...]:
    """AC-07: what the cancellation does beyond what is asked; `chosen` are the parts, none: all."""
    if not isinstance(command, c.CancelOrder | c.CancelLines):
        return ()
    has = actions_of(order.channel)
    found: list[SideEffect] = []
    packed = {
        part.package
        for part in active(order)
        if part.package and part.id in chosen and part.value is not Fulfilment.NOT_STARTED
    }
    others = any(part.package in packed and part.id not in chosen for part in active(order))
    if has.cancels_whole_packages and (others or _splits_a_package(order, command)):
        found.append(SideEffect.WHOLE_PACKAGE)
    if command.reason in has.stock_to_zero:
        found.append(SideEffect.STOCK_TO_ZERO)
    return tuple(found)


def _splits_a_package(order: Order, command: c.CancelOrder | c.CancelLines) -> bool:
    """Whether a quantity is taken off packed goods, the rest of which stays in the package."""
    if not isinstance(command, c.CancelLines):
        return False
    return any(piece.of and piece.part.package for piece in pieces_of(order, command))


def raised_behind(order: Order, command: Command, step: Step) -> set[str]:
    """What stands behind the command's own checks (MA-2): effects without a yes, and what is on its way."""
    found: set[str] = set()
    if unacknowledged(command, step):
        found.add("SIDE_EFFECTS_NOT_ACKNOWLEDGED")
    if in_flight(order, step.action, step.lines) or len(running(order)) >= RUNNING_MAX:
        found.add("ACTION_IN_FLIGHT")
    return found


def unacknowledged(command: Command, step: Step) -> tuple[FieldFault, ...]:
    """The side effects that the caller has not said yes to, each told (AC-07)."""
    said = command.side_effects if isinstance(command, c.CancelOrder | c.CancelLines) else ()
    return tuple(
        wrong(_SIDE_EFFECTS, _SENTENCES[effect], "SIDE_EFFECTS_NOT_ACKNOWLEDGED")
        for effect in step.effects
        if effect not in said
    )


def ask(d: Deciding, command: Command, step: Step) -> None:
    """ChannelActionRequested (MA-2)."""
    shipping = command if isinstance(command, c.ShipOrder) else c.ShipOrder()
    cancelling = command if isinstance(command, c.CancelOrder | c.CancelLines) else c.CancelOrder()
    reason = command.reason if isinstance(command, c.ReopenOrder) else cancelling.reason
    not_after = d.given.at + NOT_AFTER
    request = d.order.request
    if step.action in {Action.ACCEPT_CANCELLATION, Action.REFUSE_CANCELLATION}:
        deadline = None if request is None else request.deadline
        not_after = not_after if deadline is None else min(not_after, deadline)
    d.emit(
        e.ChannelActionRequested(
            **d.said,
            action=step.action.value,
            id=d.named("a"),
            not_after=not_after,
            lines=step.lines,
            packages=step.packages,
            reason=reason,
            awb=shipping.awb,
            courier=(shipping.courier or d.order.courier) if shipping.awb else shipping.courier,
            side_effects=tuple(effect.value for effect in step.effects),
        )
    )


class ActionEnd(Struct, frozen=True, kw_only=True):
    """What the channel says became of an action: `code` and `text` are the marketplace's own."""

    id: str
    outcome: str
    at: e.Instant
    already: bool = False
    code: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for an outcome that is none (AC-03)."""
        if self.outcome not in OUTCOMES:
            raise ValueError(f"An action does not end as {self.outcome}.")


def end_action(order: Order, end: ActionEnd) -> Decided | None:
    """MA-4: the end recorded, once: no events for one that is recorded already.

    None for an action that the order has not asked for, or whose end it no longer keeps.
    """
    found = find(order, end.id)
    if found is None:
        return None
    if found.outcome:
        return Decided((), order)
    event = e.ChannelActionEnded(
        at=end.at,
        action=found.action,
        id=found.id,
        outcome=end.outcome,
        already=end.already,
        reason=end.code,
        text=end.text,
    )
    return Decided((event,), evolve(order, event))


def unsupported(order: Order) -> frozenset[str]:
    """The commands of a marketplace's order that are refused whatever they carry (MA-1, MA-2).

    Its channel has no such action, or all that the command could ask for is on its way already.
    """
    if order.source != "CHANNEL":
        return frozenset()
    found: set[str] = set()
    for name in _ACTIONS:
        ways = (False, True) if name == "ShipOrder" else (False,)
        if not any(_is_open(order, name, with_awb=with_awb) for with_awb in ways):
            found.add(name)
    return frozenset(found)


_ACTIONS = (
    "ConfirmOrder",
    "MarkReady",
    "UnmarkReady",
    "ShipOrder",
    "CancelShipment",
    "CancelOrder",
    "CancelLines",
    "ReopenOrder",
)


def _is_open(order: Order, name: str, *, with_awb: bool) -> bool:
    """Whether the channel has the action, and it is not on its way for all that it can be about."""
    how = how_named(order, name, with_awb=with_awb)
    if how is not How.SENT:
        return how is not How.MISSING
    if not running(order):
        return True
    if len(running(order)) >= RUNNING_MAX:
        return False
    command = c.ShipOrder(awb="-") if with_awb else c.COMMANDS[name]()
    step = step_of(order, command)
    return step is None or not in_flight(order, step.action, step.lines)
