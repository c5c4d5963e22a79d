"""What orders asks a marketplace to do, on its way out: a row of the outbox in the append of its cause.

An action goes out when its turn has come: with the event that asks for it, or with the end of the one before
it (AC-04). A replay appends nothing, so it sends nothing.
"""

from typing import Final
from uuid import UUID

import msgspec

from libs.events.actions import OrderActionRequested
from libs.events.envelope import Envelope, rfc3339, to_headers
from libs.events.topics import ORDERS_ACTIONS
from libs.runtime.records import frame_headers
from services.orders.order.actions import going_out
from services.orders.order.model import ChannelAction, Order
from services.orders.order.words import Instant
from services.orders.recorder import OutboxRow

TYPE: Final = OrderActionRequested.ce_type()
_ENCODER = msgspec.json.Encoder()


def wire_id(order_id: UUID, action: str) -> str:
    """The id under which an action travels: that within the order, with the order's own (AC-03)."""
    return f"{order_id}/{action}"


def rows_going_out(
    order_id: UUID,
    before: Order | None,
    after: Order,
    *,
    correlation: str | None = None,
    causation: str | None = None,
    traceparent: str | None = None,
) -> tuple[OutboxRow, ...]:
    """The row of the action whose turn has come between the two states of the order; mostly there is none."""
    action = going_out(before, after)
    if action is None:
        return ()
    envelope = Envelope(
        id=wire_id(order_id, action.id),
        type=TYPE,
        source="/jejak/orders",
        subject=str(order_id),
        time=_instant(action.at),
        correlationid=correlation,
        causationid=causation,
        traceparent=traceparent,
    )
    body = _ENCODER.encode(_body(order_id, after, action)).decode()
    return (OutboxRow(ORDERS_ACTIONS.name, str(order_id), frame_headers(to_headers(envelope)), body),)


def _body(order_id: UUID, order: Order, action: ChannelAction) -> dict[str, object]:
    return {
        "id": wire_id(order_id, action.id),
        "action": action.action,
        "seller": order.seller,
        "connection": order.connection,
        "channel": order.channel,
        "order": order.marketplace_number,
        "lines": [{"line": each.line, "quantity": each.quantity} for each in action.lines],
        "packages": action.packages,
        "reason": action.reason or None,
        "awb": action.awb or None,
        "courier": action.courier or None,
        "side_effects": action.side_effects,
        "actor": action.actor.value,
        "requested_at": _instant(action.at),
        "not_after": _instant(action.not_after),
    }


def _instant(at: Instant | None) -> str:
    assert at is not None, "A command has a time, and so has what it asks for."
    return rfc3339(at)
