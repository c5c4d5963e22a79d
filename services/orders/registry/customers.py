"""The register of customers (SR-12): category and first sight; who they are is sealed with the buyers."""

from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection

from services.orders.registry import reading
from services.orders.registry.refusals import FieldRefused, invalid, not_found
from services.orders.registry.writing import SCHEMA, By, lock_seller, record

COLUMNS: Final = "buyer, category, source, shop, first_seen_at"


async def customer_seen(
    connection: AsyncConnection,
    seller: str,
    buyer: str,
    *,
    source: str,
    shop: str,
    category: str,
    at: datetime,
) -> str:
    """Note that an order of this buyer came in; the customer's category.

    `category` is the shop's and is given at first sight only: a known customer keeps its own (ST-17). `buyer`
    is the id of PD-2, never a name, a phone number or a marketplace's id in clear.
    """
    row = await (
        await connection.execute(
            f"INSERT INTO {SCHEMA}.customers (seller, buyer, category, source, shop, first_seen_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)"
            # Written again as it stands, since only a written row is returned.
            " ON CONFLICT (seller, buyer) DO UPDATE SET category = customers.category RETURNING category",
            [seller, buyer, category, source, shop, at],
        )
    ).fetchone()
    assert row is not None, "An upsert returns its row."
    return str(row[0])


async def forget_customer(connection: AsyncConnection, seller: str, buyer: str) -> bool:
    """Take the entry of an erased buyer out of the register (PD-6); whether there was one."""
    done = await connection.execute(
        f"DELETE FROM {SCHEMA}.customers WHERE seller = %s AND buyer = %s", [seller, buyer]
    )
    return done.rowcount > 0


async def categorise(connection: AsyncConnection, by: By, buyer: str, category: str) -> dict[str, Any]:
    """Give a customer another category; past orders keep theirs (ST-17)."""
    await lock_seller(connection, by.seller)
    if category not in await reading.categories(connection, by.seller):
        raise invalid([FieldRefused("category", "This seller has no such category; make it first.")])
    before = await customer(connection, by.seller, buyer)
    if before["category"] == category:
        return before
    await connection.execute(
        f"UPDATE {SCHEMA}.customers SET category = %s WHERE seller = %s AND buyer = %s",
        [category, by.seller, buyer],
    )
    await record(
        connection,
        by,
        subject="customer",
        key=buyer,
        change="categorised",
        before={"category": before["category"]},
        after={"category": category},
    )
    return before | {"category": category}


async def customer(connection: AsyncConnection, seller: str, buyer: str) -> dict[str, Any]:
    """One customer of the seller; refused NOT_FOUND when there is none."""
    cursor = await connection.execute(
        f"SELECT {COLUMNS} FROM {SCHEMA}.customers WHERE seller = %s AND buyer = %s".encode(), [seller, buyer]
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("customer")
    return shown(row)


def shown(row: tuple[Any, ...]) -> dict[str, Any]:
    """A row of the register as the API answers it."""
    return {
        "buyer": row[0],
        "category": row[1],
        "first_seen": {"source": row[2], "shop": row[3], "at": row[4].isoformat().replace("+00:00", "Z")},
    }
