"""The words and values that the public events of orders are made of.

Storage warning: they lie in topics and archives inside events and change as those may (see orders.py).
"""

from typing import Any, ClassVar, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from libs.events.wire import Amount, Id, PublicEvent, Quantity, Stated, Wire

Actor = Literal["OWNER", "AGENT", "BUYER", "SELLER", "COURIER", "GATEWAY", "CHANNEL", "SYSTEM"]


class Line(Wire):
    """A line as sold; what the channel did not tell is empty."""

    line: Id
    """The line's id within the order."""
    product: str
    """The marketplace's id of the product."""
    variant: str
    """The marketplace's id of the variant."""
    sku: str
    """The seller's own SKU."""
    name: str
    """The product's name as sold."""
    quantity: Quantity
    """Units ordered."""
    unit_price: Amount
    """Price of one unit."""
    discount: Amount
    """What comes off the line."""
    warehouse: str | None = None
    """Where the goods leave from; without a key where it is not known."""

    @model_serializer(mode="wrap")
    def _without_unstated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        whole: dict[str, Any] = handler(self)
        return {name: value for name, value in whole.items() if value is not None}


class LineDetails(Stated):
    """What was filled in of a line."""

    line: Id
    """The line's id within the order."""
    product: str | None = None
    """The marketplace's id of the product."""
    variant: str | None = None
    """The marketplace's id of the variant."""
    sku: str | None = None
    """The seller's own SKU."""
    name: str | None = None
    """The product's name as sold."""


class GoodsPart(Wire):
    """A quantity of a line that an event is about."""

    line: Id
    """The line's id within the order."""
    sku: str
    """The seller's own SKU; empty where it is not known."""
    quantity: Quantity
    """Units concerned."""


class OrderEvent(PublicEvent):
    """What every event of an order says."""

    publisher: ClassVar[str] = "orders"
    later: ClassVar[frozenset[str]] = frozenset()
    # Fields that were added to a type in use: where they say nothing they have no key, as in older records.

    implied: bool
    """True when the step is concluded from later news."""
    actor: Actor
    """Who acted."""

    @model_serializer(mode="wrap")
    def _without_unstated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        whole: dict[str, Any] = handler(self)
        return {name: value for name, value in whole.items() if value is not None or name not in self.later}
