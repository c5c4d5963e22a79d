"""Which warehouses a seller's products are linked to, as inventory has stated it (MN-3)."""

from collections.abc import Iterable

import psycopg
from msgspec import Struct

from services.orders.order.commands import Command, EditOrder, PlaceOrder
from services.orders.order.decide_edit import relinked
from services.orders.order.model import Order


class LinkedProduct(Struct, frozen=True):
    """A product of one seller and the warehouses that it is linked to; it may be none."""

    product: str
    sku: str
    warehouses: tuple[str, ...]


def names_of(command: Command | None, order: Order | None = None) -> frozenset[str]:
    """What the lines that a command makes or moves name their products by: the SKU, else the product.

    `order` is the one that is edited, since an edit names of a line only what changes.
    """
    if isinstance(command, PlaceOrder):
        return frozenset(line.sku or line.product for line in command.lines) - {""}
    if not isinstance(command, EditOrder):
        return frozenset()
    held = {} if order is None else {line.line: line for line in order.lines}
    moved = [relinked(held[edit.line], edit) for edit in command.lines if edit.line in held]
    added = {line.sku or line.product for line in command.add_lines}
    return frozenset(added | {line.sku or line.product for line in moved if line is not None}) - {""}


def links_of(products: Iterable[LinkedProduct]) -> dict[str, frozenset[str]]:
    """The warehouses by SKU and by product; of two products that share an SKU, those of both."""
    links: dict[str, frozenset[str]] = {}
    for each in products:
        for name in {each.sku, each.product}:
            links[name] = links.get(name, frozenset()) | frozenset(each.warehouses)
    return links


async def products_named(
    connection: psycopg.AsyncConnection, seller: str, names: Iterable[str]
) -> list[LinkedProduct]:
    """The seller's products that have one of these names as their SKU or id."""
    wanted = sorted(names)
    cursor = await connection.execute(
        "SELECT product, sku, warehouses FROM orders.products WHERE seller = %s AND sku = ANY(%s)"
        " UNION SELECT product, sku, warehouses FROM orders.products WHERE product = ANY(%s) AND seller = %s",
        [seller, wanted, wanted, seller],
    )
    return [LinkedProduct(row[0], row[1], tuple(row[2])) for row in await cursor.fetchall()]
