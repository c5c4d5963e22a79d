"""The public history of every order on `orders.orders.v1`: one event for each stored one (OM-12)."""

from typing import ClassVar, Final

from libs.events.wire import PublicEvent


class OrderEvent(PublicEvent):
    """One public event of an order."""

    service: ClassVar[str] = "orders"


class OrderAdvanced(OrderEvent):
    """Something happened to the order that says nothing to outsiders; it keeps the sequence without gaps."""


EVENTS: Final[dict[str, type[OrderEvent]]] = {event.__name__: event for event in (OrderAdvanced,)}
