"""The raw messages of channels in PostgreSQL: kept before they are read, and what became of each.

`reads.py` holds the SQL of what is read from the marketplaces, `shops.py` that of shops and their grants.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
import psycopg

from libs.runtime import outbox
from libs.runtime.kafka import Outgoing
from libs.runtime.postgres import AsyncPool, transaction, transient_faults
from libs.runtime.sealing import associated
from libs.runtime.statements import Part, run_together

SCHEMA = "channels"
# Rung when raw messages were kept by a process that does not work them itself.
INBOX_BELL = "channels_inbox"
# Rung, at the commit, when orders are to be read, and when facts are to be published.
READS_BELL, OUTBOX_BELL = "channels_reads", outbox.channel_of(SCHEMA)

LAZADA_PUSH = "lazada.push"
# The verdicts: READ is an answer to a call of ours.
SIGNED, UNSIGNED, READ = "SIGNED", "UNSIGNED", "READ"
PENDING, HANDLED, SKIPPED, PARKED = "PENDING", "HANDLED", "SKIPPED", "PARKED"
# A Tokopedia notice of the same key is a repeat only while the earlier one is younger (channels.md 13).
REPEAT_MINUTES = 10

Connection = psycopg.AsyncConnection[Any]


class Seal(Protocol):
    """Authenticated encryption under the inbox key; `associated` binds the bytes to their row."""

    def seal(self, plain: bytes, associated: bytes) -> bytes: ...

    def open(self, sealed: bytes, associated: bytes) -> bytes: ...


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A raw message to be kept: its content is sealed already."""

    id: UUID
    received_at: datetime
    route: str
    app: str
    verdict: str
    content: bytes
    traceparent: str | None = None


class RawMessage(msgspec.Struct, frozen=True, gc=False):
    """A raw message in clear; `headers` are the listed ones."""

    id: UUID
    received_at: datetime
    route: str
    app: str
    verdict: str
    headers: dict[str, str]
    body: bytes


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of a raw message; `key` is its delivery key when it has one."""

    id: UUID
    state: str
    reason: str | None
    connection: UUID | None = None
    order: str | None = None


class Listed(msgspec.Struct, frozen=True):
    """A raw message as a list shows it: without its content."""

    id: UUID
    received_at: datetime
    route: str
    verdict: str
    state: str
    reason: str | None
    connection: UUID | None
    order: str | None


_CONTENT = msgspec.msgpack.Decoder(tuple[dict[str, str], bytes])
_PLACE = associated("channels", "raw_messages", "content")
_pack = msgspec.msgpack.Encoder().encode


def seal_content(seal: Seal, message_id: UUID, headers: dict[str, str], body: bytes) -> bytes:
    """Headers and body as they are kept; only the row of this id opens them again."""
    return seal.seal(_pack((headers, body)), _PLACE + message_id.bytes)


def unseal_content(seal: Seal, message_id: UUID, content: bytes) -> tuple[dict[str, str], bytes]:
    return _CONTENT.decode(seal.open(content, _PLACE + message_id.bytes))


class Store:
    """Raw messages and the outbox; every method raises Transient when the database does not answer.

    `hears` says of a bell whether who waits for it is in this process, where it is rung in memory: a NOTIFY
    beside that would wake it twice.
    """

    def __init__(
        self, pool: AsyncPool, seal: Seal, *, hears: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.pool = pool
        self.seal = seal
        self._hears = hears

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction: everything in it is committed together or not at all.

        In a pipeline, so that BEGIN goes with the first statement and COMMIT with the last: of five round
        trips, each a wake-up of both sides, three are left. A statement whose result nobody fetches may
        raise only at the end of the block.
        """
        async with (
            transient_faults(),
            self.pool.connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            yield connection

    async def keep(self, messages: Sequence[Kept], *, notify: bool) -> None:
        """Make the messages durable as one statement; on return they survive a crash of everything."""
        # Without a trace among them, as nearly always, no column is sent for one.
        traceparents = [message.traceparent for message in messages]
        traced = any(traceparents)
        insert = (
            "INSERT INTO channels.raw_messages (id, received_at, route, app, verdict, content,"
            f"{' traceparent,' if traced else ''} state)"
            " SELECT *, 'PENDING' FROM unnest(%b::uuid[], %b::timestamptz[], %b::text[], %b::text[],"
            f" %b::text[], %b::bytea[]{', %b::text[]' if traced else ''})"
        )
        if notify:
            insert = f"WITH kept AS ({insert}) SELECT pg_notify('{INBOX_BELL}', '')"
        async with transient_faults(), self.pool.connection(timeout=0.3) as connection:
            await connection.execute(
                insert.encode(),
                [
                    [message.id for message in messages],
                    [message.received_at for message in messages],
                    [message.route for message in messages],
                    [message.app for message in messages],
                    [message.verdict for message in messages],
                    [message.content for message in messages],
                    *([traceparents] if traced else []),
                ],
            )

    async def take(
        self, connection: Connection, limit: int, only: UUID | None = None
    ) -> list[tuple[Any, ...]]:
        """Lock the oldest pending messages that no other worker has, or one of them, for this transaction."""
        cursor = await connection.execute(
            "SELECT id, received_at, route, app, verdict, content, traceparent FROM channels.raw_messages"
            " WHERE state = 'PENDING' AND (%s::uuid IS NULL OR id = %s)"
            " ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
            [only, only, limit],
            binary=True,
        )
        return await cursor.fetchall()

    async def new_keys(
        self,
        connection: Connection,
        keys: Sequence[tuple[bytes, UUID, datetime, bool]],
    ) -> set[bytes]:
        """Remember (key, message, received at, may return) and give the keys that are no repeats.

        A key of another transaction under way is waited for. Keys are taken in one order everywhere, so
        that two workers never wait for each other.
        """
        if not keys:
            return set()
        ordered = sorted(keys)
        cursor = await connection.execute(
            "INSERT INTO channels.delivery_keys AS held (key, raw_id, first_at)"
            " SELECT key, raw_id, first_at FROM unnest(%b::bytea[], %b::uuid[], %b::timestamptz[])"
            "   AS new (key, raw_id, first_at)"
            " ON CONFLICT (key) DO UPDATE SET raw_id = excluded.raw_id, first_at = excluded.first_at"
            " WHERE held.key = ANY (%b::bytea[])"
            "   AND held.first_at <= excluded.first_at - make_interval(mins => %s)"
            " RETURNING key",
            [
                [key for key, _, _, _ in ordered],
                [raw for _, raw, _, _ in ordered],
                [at for _, _, at, _ in ordered],
                [key for key, _, _, returns in ordered if returns],
                REPEAT_MINUTES,
            ],
            binary=True,
        )
        return {bytes(row[0]) for row in await cursor.fetchall()}

    async def conclude(
        self,
        connection: Connection,
        outcomes: Sequence[Outcome],
        records: Sequence[Outgoing] = (),
        asking: Part | None = None,
    ) -> None:
        """Write on each row what became of it, and with that its facts and what it asks to be read."""
        done = Part(
            "UPDATE channels.raw_messages AS raw SET state = done.state, reason = done.reason,"
            " connection_id = done.connection_id, order_id = done.order_id, worked_at = clock_timestamp()"
            " FROM unnest(%(done_ids)b::uuid[], %(done_states)b::text[], %(done_reasons)b::text[],"
            " %(done_connections)b::uuid[], %(done_orders)b::text[])"
            "   AS done (id, state, reason, connection_id, order_id)"
            " WHERE raw.id = done.id",
            {
                "done_ids": [outcome.id for outcome in outcomes],
                "done_states": [outcome.state for outcome in outcomes],
                "done_reasons": [outcome.reason for outcome in outcomes],
                "done_connections": [outcome.connection for outcome in outcomes],
                "done_orders": [outcome.order for outcome in outcomes],
            },
        )
        parts, bells = _of_facts(records)
        if asking is not None:
            parts, bells = [*parts, asking], [*bells, READS_BELL]
        await self._write(connection, [*parts, done], bells)

    async def keep_readings(
        self,
        connection: Connection,
        readings: Sequence[tuple[Kept, UUID, str]],
        records: Sequence[Outgoing],
        remembering: Part,
    ) -> None:
        """Keep the answers to calls of ours (message, shop, order), worked already, with what they state."""
        parts, bells = _of_facts(records)
        if readings:
            parts = [*parts, _keeping(readings)]
        await self._write(connection, [*parts, remembering], bells)

    async def _write(self, connection: Connection, parts: Sequence[Part], bells: Sequence[str]) -> None:
        await run_together(connection, parts, [bell for bell in bells if not self._hears(bell)])

    async def counts(self) -> tuple[int, int, int, int]:
        """Pending messages, parked messages, waiting reads, parked reads."""
        async with transient_faults(), self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT (SELECT count(*) FROM channels.raw_messages WHERE state = 'PENDING'),"
                " (SELECT count(*) FROM channels.raw_messages WHERE state = 'PARKED'),"
                " (SELECT count(*) FROM channels.read_requests WHERE state = 'WAITING'),"
                " (SELECT count(*) FROM channels.read_requests WHERE state = 'PARKED')"
            )
            row = await cursor.fetchone()
        assert row is not None, "A SELECT of counts answers one row."
        return row[0], row[1], row[2], row[3]

    async def raw_messages(
        self, seller: UUID, *, and_nobodys: bool, state: str | None, after: UUID | None, limit: int
    ) -> list[Listed]:
        """Raw messages without their content, oldest first: one seller's, and those of no shop if asked."""
        async with transient_faults(), self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT raw.id, received_at, route, verdict, raw.state, reason, connection_id, order_id"
                " FROM channels.raw_messages AS raw"
                " LEFT JOIN channels.connections AS shop ON shop.id = raw.connection_id"
                " WHERE (%(state)s::text IS NULL OR raw.state = %(state)s)"
                " AND (%(after)s::uuid IS NULL OR raw.id > %(after)s)"
                " AND (shop.seller = %(seller)s OR (%(nobodys)s AND shop.id IS NULL))"
                " ORDER BY raw.id LIMIT %(limit)s",
                {
                    "state": state,
                    "after": after,
                    "seller": seller,
                    "nobodys": and_nobodys,
                    "limit": limit,
                },
            )
            return [Listed(*row) for row in await cursor.fetchall()]

    async def redrive(self, *, reason: str | None, message: UUID | None, limit: int, dry_run: bool) -> int:
        """Give parked messages back to the inbox, oldest first; how many were, or for a dry run would be."""
        chosen = (
            "SELECT id FROM channels.raw_messages WHERE state = 'PARKED'"
            " AND (%(reason)s::text IS NULL OR reason = %(reason)s)"
            " AND (%(message)s::uuid IS NULL OR id = %(message)s) ORDER BY id LIMIT %(limit)s"
        )
        given = {"reason": reason, "message": message, "limit": limit}
        async with transaction(self.pool) as connection:
            if dry_run:
                cursor = await connection.execute(f"SELECT count(*) FROM ({chosen}) AS rows".encode(), given)
                row = await cursor.fetchone()
                return 0 if row is None else int(row[0])
            cursor = await connection.execute(
                "UPDATE channels.raw_messages SET state = 'PENDING', reason = NULL, worked_at = NULL"
                f" WHERE id IN ({chosen} FOR UPDATE SKIP LOCKED)".encode(),
                given,
            )
            await connection.execute(f"NOTIFY {INBOX_BELL}".encode())
            return cursor.rowcount

    async def prune(self, *, raw_days: int, unknown_days: int, limit: int = 5000) -> int:
        """Delete messages past their time (IN-04, IN-13) and keys nobody repeats any more; how many rows."""
        async with transaction(self.pool) as connection:
            cursor = await connection.execute(
                "DELETE FROM channels.raw_messages WHERE id IN (SELECT id FROM channels.raw_messages"
                " WHERE (state IN ('HANDLED', 'SKIPPED')"
                "     AND received_at < clock_timestamp() - make_interval(days => %s))"
                " OR (state = 'PARKED' AND reason = 'UNKNOWN_SHOP'"
                "     AND received_at < clock_timestamp() - make_interval(days => %s)) ORDER BY id LIMIT %s)",
                [raw_days, unknown_days, limit],
            )
            removed = cursor.rowcount
            cursor = await connection.execute(
                "DELETE FROM channels.delivery_keys WHERE key IN (SELECT key FROM channels.delivery_keys"
                " WHERE first_at < clock_timestamp() - make_interval(days => %s) LIMIT %s)",
                [raw_days, limit],
            )
            return removed + cursor.rowcount


def _of_facts(records: Sequence[Outgoing]) -> tuple[Sequence[Part], Sequence[str]]:
    """What writes the records to the outbox, and the bell for it; nothing for none."""
    return ([outbox.insertion(SCHEMA, records)], [OUTBOX_BELL]) if records else ((), ())


def _keeping(readings: Sequence[tuple[Kept, UUID, str]]) -> Part:
    return Part(
        "INSERT INTO channels.raw_messages (id, received_at, route, app, verdict, content, connection_id,"
        " order_id, state, worked_at) SELECT *, 'HANDLED', clock_timestamp() FROM unnest("
        "%(kept_ids)b::uuid[], %(kept_times)b::timestamptz[], %(kept_routes)b::text[], %(kept_apps)b::text[],"
        " %(kept_verdicts)b::text[], %(kept_contents)b::bytea[], %(kept_shops)b::uuid[],"
        " %(kept_orders)b::text[])",
        {
            "kept_ids": [message.id for message, _, _ in readings],
            "kept_times": [message.received_at for message, _, _ in readings],
            "kept_routes": [message.route for message, _, _ in readings],
            "kept_apps": [message.app for message, _, _ in readings],
            "kept_verdicts": [message.verdict for message, _, _ in readings],
            "kept_contents": [message.content for message, _, _ in readings],
            "kept_shops": [shop for _, shop, _ in readings],
            "kept_orders": [order for _, _, order in readings],
        },
    )
