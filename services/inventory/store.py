"""The ledger, the figures and the open lines in PostgreSQL; all SQL of inventory that is not a migration.

What is written goes through the caller's transaction, so that lines, movements, figures and the consumed
position are one commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row

from libs.runtime.postgres import AsyncPool, transient_faults
from services.inventory.stock import Level, Line, Movement, sums

Connection = psycopg.AsyncConnection


async def load_lines(connection: Connection, order_ids: Iterable[str]) -> dict[str, dict[str, Line]]:
    """The lines of these orders, by order and line; an order without any has no entry."""
    cursor = await connection.execute(
        "SELECT order_id, line, seller, sku, units, open_units, sequence FROM inventory.order_lines"
        " WHERE order_id = ANY(%s)",
        [sorted(order_ids)],
    )
    orders: dict[str, dict[str, Line]] = {}
    for order_id, line, seller, sku, units, open_units, sequence in await cursor.fetchall():
        orders.setdefault(order_id, {})[line] = Line(
            seller=seller, line=line, sku=sku, units=units, open_units=open_units, sequence=sequence
        )
    return orders


async def keep(
    connection: Connection, lines: Mapping[tuple[str, str], Line], movements: Sequence[Movement]
) -> int:
    """Write the lines by (order, line) and the movements, and change the figures by what was written.

    A movement that is there already is not written again and changes no figure (MV-02). Gives the number of
    movements written.
    """
    await _keep_lines(connection, lines)
    written = await _add_movements(connection, movements)
    await _change_levels(connection, sums(each for each in movements if each.id in written))
    return len(written)


async def _keep_lines(connection: Connection, lines: Mapping[tuple[str, str], Line]) -> None:
    if not lines:
        return
    rows = sorted(lines.items())
    await connection.execute(
        "INSERT INTO inventory.order_lines (order_id, line, seller, sku, units, open_units, sequence)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],"
        " %s::bigint[])"
        " ON CONFLICT (order_id, line) DO UPDATE SET sku = excluded.sku, open_units = excluded.open_units,"
        " sequence = excluded.sequence",
        [
            [order_id for (order_id, _), _ in rows],
            [name for (_, name), _ in rows],
            [line.seller for _, line in rows],
            [line.sku for _, line in rows],
            [line.units for _, line in rows],
            [line.open_units for _, line in rows],
            [line.sequence for _, line in rows],
        ],
    )


async def _add_movements(connection: Connection, movements: Sequence[Movement]) -> set[UUID]:
    if not movements:
        return set()
    cursor = await connection.execute(
        "INSERT INTO inventory.movements (id, seller, sku, kind, units, order_id, line, event_id, at)"
        " SELECT id, seller, sku, kind, units, order_id, line, event_id, at FROM unnest(%s::uuid[],"
        " %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[],"
        " %s::timestamptz[]) WITH ORDINALITY"
        " AS given(id, seller, sku, kind, units, order_id, line, event_id, at, place) ORDER BY place"
        " ON CONFLICT (id) DO NOTHING RETURNING id",
        [
            [movement.id for movement in movements],
            [movement.seller for movement in movements],
            [movement.sku for movement in movements],
            [movement.kind.value for movement in movements],
            [movement.units for movement in movements],
            [movement.order_id for movement in movements],
            [movement.line for movement in movements],
            [movement.event_id for movement in movements],
            [movement.at for movement in movements],
        ],
    )
    return {row[0] for row in await cursor.fetchall()}


async def _change_levels(connection: Connection, changes: Mapping[tuple[str, str], Level]) -> None:
    if not changes:
        return
    # Sorted, so that two consumers that touch the same SKUs take their locks in the same order.
    rows = sorted(changes.items(), key=lambda row: row[0])
    sellers, skus = [seller for (seller, _), _ in rows], [sku for (_, sku), _ in rows]
    # A difference may be negative, which the table's checks refuse in an insert, so the row is made first.
    await connection.execute(
        "INSERT INTO inventory.stock_levels (seller, sku)"
        " SELECT seller, sku FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS given(seller, sku, place)"
        " ORDER BY place ON CONFLICT DO NOTHING",
        [sellers, skus],
    )
    await connection.execute(
        "SELECT FROM inventory.stock_levels"
        " WHERE (seller, sku) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
        ' ORDER BY seller COLLATE "C", sku COLLATE "C" FOR UPDATE',
        [sellers, skus],
    )
    await connection.execute(
        "UPDATE inventory.stock_levels AS level SET reserved_units = level.reserved_units + given.reserved,"
        " shipped_units = level.shipped_units + given.shipped, updated_at = clock_timestamp()"
        " FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[])"
        " AS given(seller, sku, reserved, shipped)"
        " WHERE level.seller = given.seller AND level.sku = given.sku",
        [
            sellers,
            skus,
            [change.reserved_units for _, change in rows],
            [change.shipped_units for _, change in rows],
        ],
    )


class StockViews:
    """What may be asked of the stock, always bounded to one seller."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool

    async def levels(self, seller: str, *, sku: str | None, after: str | None, limit: int) -> list[DictRow]:
        """The figures by SKU, those after the given one."""
        return await self._rows(
            "SELECT sku, reserved_units AS reserved, shipped_units AS shipped, updated_at"
            " FROM inventory.stock_levels WHERE seller = %(seller)s"
            " AND (%(sku)s::text IS NULL OR sku = %(sku)s) AND (%(after)s::text IS NULL OR sku > %(after)s)"
            " ORDER BY sku LIMIT %(limit)s",
            {"seller": seller, "sku": sku, "after": after, "limit": limit},
        )

    async def movements(self, seller: str, sku: str, *, after: int | None, limit: int) -> list[DictRow]:
        """The movements of one SKU that make its figures, the oldest first; `number` is their place."""
        return await self._rows(
            'SELECT number, id::text AS id, sku, kind, units AS quantity, order_id AS "order", line,'
            " event_id AS event, at, recorded_at FROM inventory.movements"
            " WHERE seller = %(seller)s AND sku = %(sku)s AND number > %(after)s"
            " ORDER BY number LIMIT %(limit)s",
            {"seller": seller, "sku": sku, "after": after or 0, "limit": limit},
        )

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[DictRow]:
        async with (
            transient_faults(),
            self._pool.connection() as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(query.encode(), values)
            return await cursor.fetchall()
