"""The transactional outbox of the services that are not event-sourced.

A row is written in the transaction of its cause and removed once Kafka has acknowledged it. Rows are
never skipped by number, so one that commits late is published late, not lost.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from libs.runtime.clock import monotonic
from libs.runtime.kafka import Outgoing
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.records import frame_headers
from libs.runtime.relay import Chunk
from libs.runtime.statements import UNHURRIED, Part, run_together

CHUNK_ROWS = 500
# A relay that leads asks for rows at least once a second, unless it waits for Kafka.
FOLLOWED_SECONDS = 2.0
_HEADERS = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


def channel_of(schema: str) -> str:
    """The NOTIFY channel that wakes the relay of a schema's outbox."""
    return f"{schema}_outbox"


async def write(connection: psycopg.AsyncConnection, schema: str, records: Sequence[Outgoing]) -> None:
    """Write the records within the caller's transaction, in order, and wake the relay at its commit."""
    if records:
        await run_together(connection, [insertion(schema, records)], [channel_of(schema)])


def insertion(schema: str, records: Sequence[Outgoing]) -> Part:
    """What writes the records in order, for a caller who wakes the relay by itself."""
    return Part(
        f"INSERT INTO {schema}.outbox (topic, key, headers, value) SELECT * FROM unnest("
        "%(outbox_topics)b::text[], %(outbox_keys)b::text[], %(outbox_headers)b::bytea[],"
        " %(outbox_values)b::bytea[])",
        {
            "outbox_topics": [record.topic for record in records],
            "outbox_keys": [(record.key or b"").decode() for record in records],
            "outbox_headers": [frame_headers(record.headers) for record in records],
            "outbox_values": [record.value for record in records],
        },
    )


class OutboxSource:
    """The outbox as a relay's source; a mark is the ids that `done` removes."""

    def __init__(self, pool: AsyncPool, schema: str) -> None:
        self._pool = pool
        self._fetch = (
            f"SELECT id, topic, key, headers, value, written_at FROM {schema}.outbox"
            " WHERE id <> ALL(%b::bigint[]) ORDER BY id LIMIT %b"
        ).encode()
        # Undone by a crash, the rows are published again with the same ids, as after a crash before it.
        self._remove = (
            f"WITH gone AS (DELETE FROM {schema}.outbox WHERE id = ANY(%b::bigint[])) SELECT {UNHURRIED}"
        ).encode()
        self._fetched_at = float("-inf")

    @property
    def is_followed(self) -> bool:
        """Whether a relay has just asked here: it leads, and a bell in memory reaches it without NOTIFY."""
        return monotonic() - self._fetched_at < FOLLOWED_SECONDS

    async def fetch(self, after: Sequence[Any]) -> Chunk | None:
        """The oldest rows that are not in flight; `after` are the marks whose rows are."""
        async with transient_faults(), self._pool.connection() as connection:
            in_flight = list(chain.from_iterable(after))
            cursor = await connection.execute(self._fetch, [in_flight, CHUNK_ROWS], binary=True)
            rows = await cursor.fetchall()
        self._fetched_at = monotonic()
        if not rows:
            return None
        records = [Outgoing(row[1], row[2].encode(), row[4], _HEADERS.decode(row[3])) for row in rows]
        return Chunk(records, [row[0] for row in rows], rows[0][5], more=len(rows) == CHUNK_ROWS)

    async def done(self, marks: Sequence[Any]) -> None:
        async with transient_faults(), self._pool.connection() as connection:
            await connection.execute(self._remove, [list(chain.from_iterable(marks))])


async def unpublished(pool: AsyncPool, schema: str) -> int:
    """Rows that Kafka has not acknowledged."""
    async with transient_faults(), pool.connection() as connection:
        cursor = await connection.execute(
            sql.SQL("SELECT count(*) FROM {}.outbox").format(sql.Identifier(schema))
        )
        row = await cursor.fetchone()
    assert row is not None, "count(*) answers one row."
    return int(row[0])
