"""Which events of an order a seller hears of, and in which sentence: one table, everything else is silence.

Pure. No sentence holds data of a buyer (design 3.13): an order is named by its number and its channel only.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct


class Kind(StrEnum):
    """What a message is about; its text stands in messages.py under the same word, in lower case."""

    ORDER_PLACED = "ORDER_PLACED"
    CANCELLATION_REQUESTED = "CANCELLATION_REQUESTED"
    LINES_CANCELLED = "LINES_CANCELLED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    DELIVERY_PROBLEM = "DELIVERY_PROBLEM"
    GOODS_LOST_OR_DAMAGED = "GOODS_LOST_OR_DAMAGED"
    RETURN_CASE_OPENED = "RETURN_CASE_OPENED"
    RETURN_STARTED = "RETURN_STARTED"
    RETURN_RECEIVED = "RETURN_RECEIVED"
    ORDER_COMPLETED = "ORDER_COMPLETED"


# By the name of the public event. What is not here is silence: a seller who is told everything reads nothing.
TOLD: Final[Mapping[str, Kind]] = MappingProxyType({
    "OrderPlaced": Kind.ORDER_PLACED,
    "CancellationRequested": Kind.CANCELLATION_REQUESTED,
    "LinesCancelled": Kind.LINES_CANCELLED,
    "OrderCancelled": Kind.ORDER_CANCELLED,
    "PaymentFailed": Kind.PAYMENT_FAILED,
    "DeliveryProblemReported": Kind.DELIVERY_PROBLEM,
    "PackageLostOrDamaged": Kind.GOODS_LOST_OR_DAMAGED,
    "ReturnCaseOpened": Kind.RETURN_CASE_OPENED,
    "ReturnStarted": Kind.RETURN_STARTED,
    "ReturnReceived": Kind.RETURN_RECEIVED,
    "OrderCompleted": Kind.ORDER_COMPLETED,
})  # fmt: skip


class Order(Struct, frozen=True, kw_only=True, gc=False):
    """What a message may say of an order, known from its placement."""

    seller: str
    number: str
    channel: str


class Message(Struct, frozen=True, kw_only=True, gc=False):
    """What one recipient is to be told of one event; the texts are looked up by `text` when it is shown."""

    recipient: str
    kind: Kind
    text: str
    values: dict[str, str]


def message_of(event_name: str, order: Order | None, *, implied: bool = False) -> Message | None:
    """The message that an event becomes, or silence.

    A step that was only concluded from later news (MK-7) is silence: that news speaks for itself. So is an
    order whose placement is not known: it belongs to nobody that could be told.
    """
    kind = TOLD.get(event_name)
    if kind is None or order is None or implied:
        return None
    return Message(
        recipient=order.seller,
        kind=kind,
        text=kind.value.lower(),
        values={"number": order.number, "channel": order.channel},
    )
