"""Which warehouses a seller's products are linked to, as inventory has stated it (MN-3)."""

from collections.abc import Iterable

import psycopg
from msgspec import Struct

from services.orders.order.commands import Command, EditOrder, PlaceOrder


class LinkedProduct(Struct, frozen=True):
    """A product of one seller and the warehouses that it is linked to; it may be none."""

    product: str
    sku: str
    warehouses: tuple[str, ...]


def names_of(command: Command | None) -> frozenset[str]:
    """What the new lines of a command name their products by: the SKU, else the product."""
    if isinstance(command, PlaceOrder):
        lines = command.lines
    elif isinstance(command, EditOrder):
        lines = command.add_lines
    else:
        return frozenset()
    return frozenset(line.sku or line.product for line in lines) - {""}


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
