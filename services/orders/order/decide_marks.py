"""What changes no value of the four dimensions: agent, tags, hold, chat, looking (T6, T11, T14, T15, T35)."""

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order.commands import Given
from services.orders.order.deciding import Deciding, Handler, wrong
from services.orders.order.input import FieldFault
from services.orders.order.model import Order
from services.orders.order.seller_state import tags_after

# AT-3.
TAG_MAX, TAGS_MAX = 40, 20


def _chat_faults(_order: Order, command: c.SendCustomerChat, _given: Given) -> list[FieldFault]:
    if command.template or command.text.strip():
        return []
    return [wrong("template", "Name a template, or write a text.")]


def _chat(d: Deciding, command: c.SendCustomerChat) -> None:
    d.emit(e.CustomerChatRequested(**d.said, chat=d.named("m"), template=command.template, text=d.given.text))


def _look(_d: Deciding, _command: c.ViewOrder) -> None:
    """T11: the access is logged by the caller, not in the order."""


def _unknown(_order: Order, command: c.ChangeAgent, given: Given) -> set[str]:
    if not command.agent or given.agents is None or command.agent in given.agents:
        return set()
    return {"AGENT_UNKNOWN"}


def _change_agent(d: Deciding, command: c.ChangeAgent) -> None:
    agent = command.agent or ""
    if agent != d.order.agent:
        d.emit(e.AgentAssigned(**d.said, agent=agent, before=d.order.agent))


def _tag_faults(_order: Order, command: c.TagOrder, _given: Given) -> list[FieldFault]:
    return [
        wrong(f"{field}[{position}]", "A tag has 1 to 40 visible characters.", "TAG_INVALID")
        for field in ("add", "remove")
        for position, tag in enumerate(getattr(command, field))
        if not 1 <= len(tag.strip()) <= TAG_MAX or not tag.strip().isprintable()
    ]


def _tags(order: Order, command: c.TagOrder) -> tuple[str, ...]:
    added = tuple(tag.strip() for tag in command.add)
    return tags_after(order.tags, added, tuple(tag.strip() for tag in command.remove))


def _too_many(order: Order, command: c.TagOrder, _given: Given) -> set[str]:
    return {"TOO_MANY_TAGS"} if len(_tags(order, command)) > TAGS_MAX else set()


def _tag(d: Deciding, command: c.TagOrder) -> None:
    after = _tags(d.order, command)
    added = tuple(tag for tag in after if tag not in d.order.tags)
    removed = tuple(tag for tag in d.order.tags if tag not in after)
    if added or removed:
        d.emit(e.OrderTagged(**d.said, added=added, removed=removed))


def _hold(d: Deciding, _command: c.HoldOrder) -> None:
    if not d.order.on_hold:
        d.emit(e.OrderHeld(**d.said, text=d.given.text))


def _release(d: Deciding, _command: c.ReleaseOrder) -> None:
    if d.order.on_hold:
        d.emit(e.OrderReleased(**d.said))


HANDLERS = {
    "SendCustomerChat": Handler(_chat, faults=_chat_faults),
    "ViewOrder": Handler(_look),
    "ChangeAgent": Handler(_change_agent, raised=_unknown),
    "TagOrder": Handler(_tag, faults=_tag_faults, raised=_too_many),
    "HoldOrder": Handler(_hold),
    "ReleaseOrder": Handler(_release),
}
