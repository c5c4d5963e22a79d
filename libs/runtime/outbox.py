"""The transactional outbox of the services that are not event-sourced.

A row is written in the transaction of its cause and removed once Kafka has acknowledged it. Rows are
never skipped by number, so one that commits late is published late, not lost.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from libs.runtime.kafka import Outgoing
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.records import frame_headers
from libs.runtime.relay import Chunk

CHUNK_ROWS = 500
_HEADERS = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


def channel_of(schema: str) -> str:
    """The NOTIFY channel that wakes the relay of a schema's outbox."""
    return f"{schema}_outbox"


async def write(connection: psycopg.AsyncConnection, schema: str, records: Sequence[Outgoing]) -> None:
    """Write the records within the caller's transaction, in order, and wake the relay at its commit."""
    if not records:
        return
    await connection.execute(
        sql.SQL(
            "INSERT INTO {}.outbox (topic, key, headers, value)"
            " SELECT * FROM unnest(%b::text[], %b::text[], %b::bytea[], %b::bytea[])"
        ).format(sql.Identifier(schema)),
        [
            [record.topic for record in records],
            [(record.key or b"").decode() for record in records],
            [frame_headers(record.headers) for record in records],
            [record.value for record in records],
        ],
    )
    await connection.execute(sql.SQL("NOTIFY {}").format(sql.Identifier(channel_of(schema))))


class OutboxSource:
    """The outbox as a relay's source; the mark is the ids that `done` removes."""

    def __init__(self, pool: AsyncPool, schema: str) -> None:
        self._pool = pool
        self._table = sql.SQL("{}.outbox").format(sql.Identifier(schema))

    async def fetch(self, after: Any | None) -> Chunk | None:
        """The oldest rows that are not in flight; `after` is the mark whose rows are."""
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                sql.SQL(
                    "SELECT id, topic, key, headers, value, written_at FROM {}"
                    " WHERE id <> ALL(%s::bigint[]) ORDER BY id LIMIT %s"
                ).format(self._table),
                [list(after or ()), CHUNK_ROWS],
            )
            rows = await cursor.fetchall()
        if not rows:
            return None
        records = [Outgoing(row[1], row[2].encode(), row[4], _HEADERS.decode(row[3])) for row in rows]
        return Chunk(records, [row[0] for row in rows], rows[0][5])

    async def done(self, mark: Any) -> None:
        async with transient_faults(), self._pool.connection() as connection:
            await connection.execute(
                sql.SQL("DELETE FROM {} WHERE id = ANY(%b::bigint[])").format(self._table), [mark]
            )


async def unpublished(pool: AsyncPool, schema: str) -> int:
    """Rows that Kafka has not acknowledged."""
    async with transient_faults(), pool.connection() as connection:
        cursor = await connection.execute(
            sql.SQL("SELECT count(*) FROM {}.outbox").format(sql.Identifier(schema))
        )
        row = await cursor.fetchone()
    assert row is not None, "count(*) answers one row."
    return int(row[0])
