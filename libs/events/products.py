"""What inventory tells of sellers' products, on `inventory.products.v1`: the whole of a product each time.

Storage warning: these bodies lie in topics and archives; a field is added, never renamed, retyped or removed.
The topic is compacted: a key's newest record is the product as it stands, one without a value removes it.
"""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from libs.events.wire import Amount, Currency, Id, PublicEvent

WAREHOUSES_MAX: Final = 1_000


class ProductChanged(PublicEvent):
    """A product as it stands now, with the warehouses it is linked to; what was said before holds no more."""

    publisher: ClassVar[str] = "inventory"

    product: Id
    """The product's id, the record's key; no two sellers share one."""
    seller: Id
    """The seller whose product it is."""
    sku: Id
    """The SKU that lines of orders name it by."""
    name: Annotated[str, Field(min_length=1, max_length=1_000)]
    """The name that it is sold under."""
    warehouses: Annotated[tuple[Id, ...], Field(max_length=WAREHOUSES_MAX)]
    """The warehouses that it is linked to; with none, no order can name it."""
    floor: Amount | None = None
    """The lowest unit price that may be agreed on, in minor units; not set: none is."""
    currency: Currency | None = None
    """The currency of the floor; set where the floor is."""
    negotiable: bool | None = None
    """Whether its price may be negotiated; not set: inventory does not say."""


PRODUCTS: Final[dict[str, type[PublicEvent]]] = {event.__name__: event for event in (ProductChanged,)}
"""Every event about products by its name."""
