"""The door of commands: what one makes of an order, or why it is refused (sections 3 to 10).

`decide` is pure: it reads the order, the command and what is given beside them, no clock and no other order
(CV-4). The order of the checks is that of GR-3 from the input on; the caller has done those before it.

On an order that the marketplace owns, what passes these checks is a local step, or an action of the
marketplace (decide_actions.py).
"""

from msgspec import Struct

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.commands import Command, Given
from services.orders.order.decide_actions import (
    ask,
    field_faults,
    raised_behind,
    raised_by_channel,
    step_of,
    unacknowledged,
)
from services.orders.order.decide_adopting import HANDLERS as ADOPTING
from services.orders.order.decide_billing import HANDLERS as BILLING
from services.orders.order.decide_closing import HANDLERS as CLOSING
from services.orders.order.decide_closing import scoped
from services.orders.order.decide_edit import HANDLERS as EDIT
from services.orders.order.decide_goods import HANDLERS as GOODS
from services.orders.order.decide_marks import HANDLERS as MARKS
from services.orders.order.decide_payment import HANDLERS as PAYMENT
from services.orders.order.decide_placing import place
from services.orders.order.decide_returns import HANDLERS as RETURNS
from services.orders.order.deciding import Decided, Deciding, Handler, NumberNeeded, Refusal
from services.orders.order.input import FieldFault
from services.orders.order.model import Order
from services.orders.order.situations import situation_of
from services.orders.order.table import COMMANDS, first_refusal

__all__ = [
    "Decided",
    "FieldFault",
    "NumberNeeded",
    "Preview",
    "Refusal",
    "decide",
    "preview",
    "situation_of",
]

_HANDLERS: dict[str, Handler] = {
    **GOODS,
    **PAYMENT,
    **BILLING,
    **EDIT,
    **CLOSING,
    **RETURNS,
    **MARKS,
    **ADOPTING,
}


def decide(order: Order | None, command: Command, given: Given) -> Decided | Refusal:
    """The events of a command and the order after them, or the refusal; no events: nothing to do (GR-4).

    Raises NumberNeeded when the decision takes a number that was not proposed (IV-1).
    """
    if isinstance(command, c.PlaceOrder):
        if order is not None:
            raise ValueError("PlaceOrder is decided without an order.")
        return place(command, given)
    if order is None:
        return Refusal("ORDER_NOT_FOUND")
    name = type(command).__name__
    handler = _HANDLERS[name]
    if isinstance(command, c.CancelLines):
        command = scoped(order, command)
    faults = (*handler.faults(order, command, given), *field_faults(order, command))
    if faults:
        return Refusal(_leading(name, faults), faults)
    step = step_of(order, command)
    raised = handler.raised(order, command, given) | raised_by_channel(order, command)
    if step is not None:
        raised |= raised_behind(order, command, step)
    code = first_refusal(name, situation_of(order, command, given), raised)
    if code is not None:
        told = step is not None and code == "SIDE_EFFECTS_NOT_ACKNOWLEDGED"
        return Refusal(code, unacknowledged(command, step) if told and step is not None else ())
    deciding = Deciding(order, given)
    if step is None:
        handler.act(deciding, command)
    else:
        ask(deciding, command, step)
    return Decided(tuple(deciding.events), deciding.order)


def _leading(name: str, faults: tuple[FieldFault, ...]) -> str:
    """The code of the answer: a field that cannot be read first, else the first code of the row."""
    codes = {fault.code for fault in faults}
    if "FIELD_INVALID" in codes:
        return "FIELD_INVALID"
    for code in COMMANDS[name].guards:
        if code in codes:
            return code
    return faults[0].code


class Preview(Struct, frozen=True, gc=False):
    """What an edit would do (ED-3): the events of the decision and the order after it."""

    events: tuple[str, ...]
    total: int
    outstanding: int
    refund_due: int
    order: Order


def preview(order: Order, command: c.EditOrder, given: Given) -> Preview | Refusal:
    """ED-3: the same totals, consequences and refusals as the edit at the same sequence, without writing."""
    decided = decide(order, command, given)
    if isinstance(decided, Refusal):
        return decided
    after = decided.order
    return Preview(
        events=tuple(type(event).__name__ for event in decided.events),
        total=money.total(after),
        outstanding=money.outstanding(after),
        refund_due=money.refund_due(after),
        order=after,
    )
