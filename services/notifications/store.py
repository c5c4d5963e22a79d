"""The ledger of deliveries in PostgreSQL; all SQL of notifications that is not a migration.

What is written goes through the caller's transaction, so that the ledger and the consumed position are one
commit: a delivery is due once per event, recipient and medium, whatever is repeated (P2).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
import psycopg
from msgspec import Struct
from psycopg.rows import DictRow, dict_row

from libs.runtime.postgres import AsyncPool, transient_faults
from services.notifications.policy import Message, Order

Connection = psycopg.AsyncConnection

# The medium that the recipient prefers when it is sent; preferences come with sending.
DEFAULT_MEDIUM: Final = "DEFAULT"
# Frozen: the ids of all deliveries are derived from it.
_DELIVERIES = UUID("b6a1c1de-52a4-5f0c-8d8e-0d1f6b9d3e77")


class Due(Struct, frozen=True, kw_only=True):
    """One message that an event has made due."""

    event_id: str
    event: str
    order_id: str
    message: Message
    happened_at: datetime
    medium: str = DEFAULT_MEDIUM

    def id(self) -> UUID:
        """The id that the same event, recipient and medium always give."""
        parts = (self.event_id, self.message.recipient, self.medium)
        return uuid5(_DELIVERIES, "".join(f"{len(part)}:{part}" for part in parts))


async def load_orders(connection: Connection, order_ids: Iterable[str]) -> dict[str, Order]:
    """What is known of these orders; one whose placement has not been seen has no entry."""
    cursor = await connection.execute(
        "SELECT order_id, seller, number, channel FROM notifications.orders WHERE order_id = ANY(%s)",
        [sorted(order_ids)],
    )
    return {
        order_id: Order(seller=seller, number=number, channel=channel)
        for order_id, seller, number, channel in await cursor.fetchall()
    }


async def keep_orders(connection: Connection, orders: Mapping[str, Order]) -> None:
    """Keep what the placements told; an order that is known stays as it is."""
    if not orders:
        return
    rows = sorted(orders.items())
    await connection.execute(
        "INSERT INTO notifications.orders (order_id, seller, number, channel)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) ON CONFLICT DO NOTHING",
        [
            [order_id for order_id, _ in rows],
            [order.seller for _, order in rows],
            [order.number for _, order in rows],
            [order.channel for _, order in rows],
        ],
    )


async def add_due(connection: Connection, due: Sequence[Due]) -> None:
    """Write the deliveries in order; one that is there already is not written again."""
    if not due:
        return
    columns: Mapping[str, tuple[str, list[Any]]] = {
        "id": ("uuid", [each.id() for each in due]),
        "event_id": ("text", [each.event_id for each in due]),
        "recipient": ("text", [each.message.recipient for each in due]),
        "medium": ("text", [each.medium for each in due]),
        "order_id": ("text", [each.order_id for each in due]),
        "event": ("text", [each.event for each in due]),
        "kind": ("text", [each.message.kind.value for each in due]),
        "text": ("text", [each.message.text for each in due]),
        "values": ("text", [msgspec.json.encode(each.message.values).decode() for each in due]),
        "happened_at": ("timestamptz", [each.happened_at for each in due]),
    }
    names = ", ".join(f'"{name}"' for name in columns)
    read = ", ".join(f'"{name}"::json' if name == "values" else f'"{name}"' for name in columns)
    arrays = ", ".join(f"%s::{kind}[]" for kind, _ in columns.values())
    await connection.execute(
        f"INSERT INTO notifications.deliveries ({names}) SELECT {read} FROM unnest({arrays})"
        f" WITH ORDINALITY AS given({names}, place) ORDER BY place ON CONFLICT DO NOTHING".encode(),
        [values for _, values in columns.values()],
    )


class Ledger:
    """What may be asked of the deliveries, always bounded to one seller."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool

    async def deliveries(
        self, seller: str, *, order_id: str | None, kind: str | None, before: int | None, limit: int
    ) -> list[DictRow]:
        """The deliveries of the seller, the latest first; `number` is their place."""
        async with (
            transient_faults(),
            self._pool.connection() as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(
                'SELECT number, id::text AS id, kind, state, medium, recipient, order_id AS "order", event,'
                ' event_id, text, "values", happened_at, written_at FROM notifications.deliveries'
                " WHERE recipient = %(seller)s AND (%(order_id)s::text IS NULL OR order_id = %(order_id)s)"
                " AND (%(kind)s::text IS NULL OR kind = %(kind)s)"
                " AND (%(before)s::bigint IS NULL OR number < %(before)s)"
                " ORDER BY number DESC LIMIT %(limit)s",
                {"seller": seller, "order_id": order_id, "kind": kind, "before": before, "limit": limit},
            )
            return await cursor.fetchall()
