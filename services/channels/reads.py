"""What is to be read from the marketplaces, what was read last, and how far the lists have been read."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.runtime.postgres import AsyncPool, transaction, transient_faults
from libs.runtime.statements import UNHURRIED, Part, run_together
from services.channels.store import READS_BELL, Connection

# How long a claim lasts; a reader that dies leaves its orders to others after it. A reading is given up
# sooner (reader.READING_SECONDS_MAX), so no claim ends under a reader that is alive.
CLAIM_SECONDS = 30
# Lazada pushes each line by itself and dates a record to the second: after more than one, the pushes of all
# lines have come, and a reading can be told from a later state.
CONFIRM_SECONDS = 1.5


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One order to read, held by one reader; `generation` is that of the newest request it will answer.

    `known` are the hashes of what its last reading stated: only who holds the claim writes another.
    """

    connection: UUID
    order: str
    generation: int
    attempts: int
    claim: UUID
    known: bytes = b""
    traceparent: str | None = None  # Of what asked for it last, if that is traced.
    requested_at: datetime | None = None


class Shown(msgspec.Struct, frozen=True, gc=False):
    """What one reading of an order showed; `raw` is the message that holds it."""

    claim: Claim
    facts_hashes: bytes
    mark: str | None
    final: bool
    raw: UUID
    at: datetime


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """How far a shop's list has been read to its end."""

    connection: UUID
    complete_until: datetime | None
    back_fill: int
    failures: int


async def request(
    within: Connection,
    orders: Iterable[tuple[UUID, str]],
    *,
    delay_seconds: float = 0.0,
    confirming: Iterable[tuple[UUID, str]] = (),
) -> None:
    """Ask for these orders to be read, and ring the readers at the commit; see `asking`."""
    part = asking(orders, delay_seconds=delay_seconds, confirming=confirming)
    if part is not None:
        await run_together(within, [part], [READS_BELL])


def asking(
    orders: Iterable[tuple[UUID, str]],
    *,
    delay_seconds: float = 0.0,
    confirming: Iterable[tuple[UUID, str]] = (),
    traceparents: Mapping[tuple[UUID, str], str] | None = None,
) -> Part | None:
    """What asks for these orders to be read, once for all that wait; None when there are none.

    Those that are to be `confirming` only (what was said of them is published already) wait a little when the
    order was read before, so that the pushes of its other lines need no reading of their own.
    A parked request starts over; one that waits out a failure keeps its time, else the sooner time counts.
    Rows are taken in one order everywhere, so that two workers never wait for each other.
    `traceparents` are those of the traces that the readings are to be part of.
    """
    later = set(confirming) - set(orders := list(orders))
    orders = [*orders, *later]
    ordered = sorted(set(orders))
    if not ordered:
        return None
    # Without a trace among them, as nearly always, no column is sent for one.
    column, asked, kept = "", "", ""
    if traceparents:
        column, asked = ", traceparent", ", %(asked_traceparents)b::text[]"
        kept = ", traceparent = COALESCE(excluded.traceparent, held.traceparent)"
    return Part(
        f"INSERT INTO channels.read_requests AS held (connection_id, order_id, next_at{column})"
        " SELECT connection_id, order_id, clock_timestamp() + make_interval(secs => CASE WHEN confirming"
        "   AND EXISTS (SELECT 1 FROM channels.readings AS known"
        "     WHERE known.connection_id = asked.connection_id AND known.order_id = asked.order_id)"
        f"   THEN %(asked_later)b ELSE %(asked_after)b END){column}"
        " FROM unnest(%(asked_connections)b::uuid[], %(asked_orders)b::text[], %(asked_confirming)b::bool[]"
        f"   {asked}) AS asked (connection_id, order_id, confirming{column})"
        " ON CONFLICT (connection_id, order_id) DO UPDATE SET generation = held.generation + 1,"
        " next_at = CASE WHEN held.state = 'PARKED' THEN excluded.next_at"
        "   WHEN held.attempts > 0 THEN held.next_at ELSE LEAST(held.next_at, excluded.next_at) END,"
        " attempts = CASE WHEN held.state = 'PARKED' THEN 0 ELSE held.attempts END,"
        f" state = 'WAITING', reason = NULL{kept}",
        {
            "asked_later": CONFIRM_SECONDS,
            "asked_after": delay_seconds,
            "asked_connections": [connection for connection, _ in ordered],
            "asked_orders": [order for _, order in ordered],
            "asked_confirming": [each in later for each in ordered],
            **({"asked_traceparents": [traceparents.get(each) for each in ordered]} if traceparents else {}),
        },
    )


class Asked(msgspec.Struct, frozen=True, gc=False):
    """An order that is to be read, and when that was asked."""

    connection: UUID
    order: str
    at: datetime

    @property
    def pair(self) -> tuple[UUID, str]:
        return self.connection, self.order


async def unanswered(within: Connection, asked: Iterable[Asked]) -> set[tuple[UUID, str]]:
    """Those of the orders that no reading since the question has stated and that none is about to state."""
    ordered = sorted(set(asked), key=lambda each: (each.connection, each.order, each.at))
    if not ordered:
        return set()
    cursor = await within.execute(
        "SELECT connection_id, order_id"
        " FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[]) AS asked (connection_id, order_id, at)"
        " WHERE NOT EXISTS (SELECT FROM channels.readings AS known"
        "   WHERE known.connection_id = asked.connection_id AND known.order_id = asked.order_id"
        "   AND known.read_at >= asked.at)"
        " AND NOT EXISTS (SELECT FROM channels.read_requests AS held"
        "   WHERE held.connection_id = asked.connection_id AND held.order_id = asked.order_id"
        "   AND held.state = 'WAITING')",
        [
            [each.connection for each in ordered],
            [each.order for each in ordered],
            [each.at for each in ordered],
        ],
    )
    return {(row[0], row[1]) for row in await cursor.fetchall()}


async def restating(within: Connection, orders: Iterable[tuple[UUID, str]]) -> None:
    """Forget what the last readings of these orders stated, so that the next ones state all of it again."""
    pairs = sorted(set(orders))
    if pairs:
        await within.execute(
            "UPDATE channels.readings AS known SET facts_hashes = ''"
            " FROM unnest(%b::uuid[], %b::text[]) AS asked (connection_id, order_id)"
            " WHERE known.connection_id = asked.connection_id AND known.order_id = asked.order_id",
            [[connection for connection, _ in pairs], [order for _, order in pairs]],
        )


async def waiting(within: Connection, orders: Iterable[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
    """Those of the orders whose reading has not begun yet."""
    pairs = sorted(set(orders))
    cursor = await within.execute(
        "SELECT connection_id, order_id FROM channels.read_requests"
        " JOIN unnest(%b::uuid[], %b::text[]) AS asked (connection_id, order_id)"
        "   USING (connection_id, order_id)"
        " WHERE state = 'WAITING' AND (claim IS NULL OR claimed_until < clock_timestamp())",
        [[connection for connection, _ in pairs], [order for _, order in pairs]],
    )
    return {(row[0], row[1]) for row in await cursor.fetchall()}


async def holders(within: Connection, channel: str, orders: Sequence[str]) -> dict[str, UUID]:
    """The connection under which each order was read before, for notices that name no shop."""
    cursor = await within.execute(
        "SELECT DISTINCT ON (reading.order_id) reading.order_id, reading.connection_id"
        " FROM channels.readings AS reading"
        " JOIN channels.connections AS shop ON shop.id = reading.connection_id AND shop.channel = %s"
        " WHERE reading.order_id = ANY (%s) AND shop.state <> 'DELETED'"
        " ORDER BY reading.order_id, reading.read_at DESC",
        [channel, list(orders)],
    )
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def finish(within: Connection, claims: Sequence[Claim]) -> set[tuple[UUID, str]]:
    """Remove these requests, or give back those that were asked for again meanwhile.

    What is not in the answer is no longer ours: another reader has the order, and nothing may be written of
    it.
    """
    if not claims:
        return set()
    mine = _columns(claims)
    cursor = await within.execute(
        "DELETE FROM channels.read_requests AS held USING"
        "   unnest(%b::uuid[], %b::text[], %b::int8[], %b::uuid[])"
        "   AS mine (connection_id, order_id, generation, claim)"
        " WHERE held.connection_id = mine.connection_id AND held.order_id = mine.order_id"
        " AND held.claim = mine.claim AND held.generation = mine.generation"
        " RETURNING held.connection_id, held.order_id",
        mine,
    )
    ours = {(row[0], row[1]) for row in await cursor.fetchall()}
    if len(ours) < len(claims):
        cursor = await within.execute(
            "UPDATE channels.read_requests AS held SET claim = NULL, claimed_until = NULL, attempts = 0,"
            " next_at = clock_timestamp()"
            " FROM unnest(%b::uuid[], %b::text[], %b::int8[], %b::uuid[])"
            "   AS mine (connection_id, order_id, generation, claim)"
            " WHERE held.connection_id = mine.connection_id AND held.order_id = mine.order_id"
            " AND held.claim = mine.claim RETURNING held.connection_id, held.order_id",
            mine,
        )
        again = {(row[0], row[1]) for row in await cursor.fetchall()}
        if again:
            await within.execute(f"NOTIFY {READS_BELL}".encode())
        ours |= again
    return ours


def remembering(shown: Sequence[Shown]) -> Part:
    """What remembers what these readings showed; one that showed nothing new keeps its raw message."""
    return Part(
        "INSERT INTO channels.readings (connection_id, order_id, facts_hashes, mark, final, raw_id, read_at)"
        " SELECT * FROM unnest(%(shown_connections)b::uuid[], %(shown_orders)b::text[],"
        " %(shown_hashes)b::bytea[], %(shown_marks)b::text[], %(shown_final)b::bool[],"
        " %(shown_raws)b::uuid[], %(shown_times)b::timestamptz[])"
        " ON CONFLICT (connection_id, order_id) DO UPDATE SET"
        " raw_id = CASE WHEN readings.facts_hashes = excluded.facts_hashes THEN readings.raw_id"
        "   ELSE excluded.raw_id END,"
        " facts_hashes = excluded.facts_hashes, mark = excluded.mark, final = excluded.final,"
        " read_at = excluded.read_at",
        {
            "shown_connections": [each.claim.connection for each in shown],
            "shown_orders": [each.claim.order for each in shown],
            "shown_hashes": [each.facts_hashes for each in shown],
            "shown_marks": [each.mark for each in shown],
            "shown_final": [each.final for each in shown],
            "shown_raws": [each.raw for each in shown],
            "shown_times": [each.at for each in shown],
        },
    )


async def first_seen(
    within: Connection, facts: Sequence[tuple[UUID, str, str]], at: datetime
) -> dict[tuple[UUID, str, str], datetime]:
    """When each fact (connection, order, key), which has no source time, was first seen: else now (IN-10)."""
    if not facts:
        return {}
    ordered = sorted(set(facts))
    columns = [[fact[0] for fact in ordered], [fact[1] for fact in ordered], [fact[2] for fact in ordered]]
    await within.execute(
        "INSERT INTO channels.first_seen (connection_id, order_id, fact, seen_at)"
        " SELECT *, %s FROM unnest(%b::uuid[], %b::text[], %b::text[]) ON CONFLICT DO NOTHING",
        [at, *columns],
    )
    cursor = await within.execute(
        "SELECT connection_id, order_id, fact, seen_at FROM channels.first_seen"
        " JOIN unnest(%b::uuid[], %b::text[], %b::text[]) AS asked (connection_id, order_id, fact)"
        "   USING (connection_id, order_id, fact)",
        columns,
    )
    return {(row[0], row[1], row[2]): row[3] for row in await cursor.fetchall()}


def _columns(claims: Sequence[Claim]) -> list[list[Any]]:
    ordered = sorted(claims, key=lambda claim: (claim.connection, claim.order))
    return [
        [claim.connection for claim in ordered],
        [claim.order for claim in ordered],
        [claim.generation for claim in ordered],
        [claim.claim for claim in ordered],
    ]


class Reads:
    """Read requests outside a transaction of somebody else's, and the poller's cursors."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool

    async def claim(self, token: UUID, limit: int, shops_excluded: Sequence[UUID]) -> list[Claim]:
        """Take up to `limit` orders that are due, oldest first, for `CLAIM_SECONDS`."""
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "WITH due AS (SELECT connection_id, order_id FROM channels.read_requests"
                "   WHERE state = 'WAITING' AND next_at <= clock_timestamp()"
                "   AND (claim IS NULL OR claimed_until < clock_timestamp())"
                "   AND connection_id <> ALL (%s::uuid[])"
                "   ORDER BY next_at LIMIT %s FOR UPDATE SKIP LOCKED),"
                " mine AS (UPDATE channels.read_requests AS held SET claim = %s,"
                "   claimed_until = clock_timestamp() + make_interval(secs => %s)"
                "   FROM due WHERE held.connection_id = due.connection_id AND held.order_id = due.order_id"
                "   RETURNING held.connection_id, held.order_id, generation, attempts, traceparent,"
                "   requested_at)"
                " SELECT connection_id, order_id, generation, attempts, facts_hashes, traceparent,"
                "  requested_at,"
                # Undone by a crash of the database, the orders are claimed and read once more.
                f"  {UNHURRIED}"
                " FROM mine LEFT JOIN channels.readings USING (connection_id, order_id)".encode(),
                [list(shops_excluded), limit, token, CLAIM_SECONDS],
                binary=True,
            )
            return [
                Claim(row[0], row[1], row[2], row[3], token, row[4] or b"", row[5], row[6])
                for row in await cursor.fetchall()
            ]

    async def give_back(
        self, claims: Sequence[Claim], *, reason: str, wait_seconds: float, counts: bool
    ) -> None:
        """Let the orders be read again after a while; `counts` as a failed attempt or not (a limit)."""
        await self._change(
            claims,
            "attempts = held.attempts + %s, reason = %s, claim = NULL, claimed_until = NULL,"
            " next_at = clock_timestamp() + make_interval(secs => %s)",
            [int(counts), reason, wait_seconds],
        )

    async def gone(self, claims: Sequence[Claim]) -> set[tuple[UUID, str]]:
        """End the requests of orders that were read before and that the marketplace no longer knows (GL-06).

        They are read no more unless a push asks again; what we hold of them stays. Those never read, and
        those asked for again meanwhile, are not in the answer and keep their request.
        """
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "WITH gone AS (DELETE FROM channels.read_requests AS held USING"
                "   unnest(%b::uuid[], %b::text[], %b::int8[], %b::uuid[])"
                "   AS mine (connection_id, order_id, generation, claim)"
                " WHERE held.connection_id = mine.connection_id AND held.order_id = mine.order_id"
                "   AND held.claim = mine.claim AND held.generation = mine.generation"
                "   AND EXISTS (SELECT FROM channels.readings AS known"
                "     WHERE known.connection_id = held.connection_id AND known.order_id = held.order_id)"
                " RETURNING held.connection_id, held.order_id)"
                " UPDATE channels.readings AS known SET final = true FROM gone"
                " WHERE known.connection_id = gone.connection_id AND known.order_id = gone.order_id"
                " RETURNING known.connection_id, known.order_id",
                _columns(claims),
            )
            return {(row[0], row[1]) for row in await cursor.fetchall()}

    async def park(self, claims: Sequence[Claim], *, reason: str) -> None:
        """Stop trying until a newer request or a person asks again."""
        await self._change(
            claims,
            "attempts = held.attempts + 1, reason = %s, claim = NULL, claimed_until = NULL,"
            # A request that came meanwhile is newer than the failure and is tried.
            " state = CASE WHEN held.generation = mine.generation THEN 'PARKED' ELSE 'WAITING' END",
            [reason],
        )

    async def _change(self, claims: Sequence[Claim], change: str, values: list[Any]) -> None:
        async with transient_faults(), self._pool.connection() as connection:
            await connection.execute(
                (
                    f"UPDATE channels.read_requests AS held SET {change}"
                    " FROM unnest(%b::uuid[], %b::text[], %b::int8[], %b::uuid[])"
                    "   AS mine (connection_id, order_id, generation, claim)"
                    " WHERE held.connection_id = mine.connection_id AND held.order_id = mine.order_id"
                    " AND held.claim = mine.claim"
                ).encode(),
                [*values, *_columns(claims)],
            )

    async def release_all(self, token: UUID) -> None:
        """Give back at once whatever this reader still holds, as it stops."""
        async with transient_faults(), self._pool.connection() as connection:
            await connection.execute(
                "UPDATE channels.read_requests SET claim = NULL, claimed_until = NULL WHERE claim = %s",
                [token],
            )

    async def unpark(self, *, reason: str | None, limit: int, dry_run: bool) -> int:
        """Let parked orders be read again; how many were, or for a dry run would be."""
        chosen = (
            "SELECT connection_id, order_id FROM channels.read_requests WHERE state = 'PARKED'"
            " AND (%(reason)s::text IS NULL OR reason = %(reason)s) ORDER BY requested_at LIMIT %(limit)s"
        )
        given = {"reason": reason, "limit": limit}
        async with transient_faults(), self._pool.connection() as connection:
            if dry_run:
                cursor = await connection.execute(f"SELECT count(*) FROM ({chosen}) AS rows".encode(), given)
                row = await cursor.fetchone()
                return 0 if row is None else int(row[0])
            cursor = await connection.execute(
                "UPDATE channels.read_requests SET state = 'WAITING', attempts = 0,"
                " next_at = clock_timestamp()"
                f" WHERE (connection_id, order_id) IN ({chosen} FOR UPDATE SKIP LOCKED)".encode(),
                given,
            )
            await connection.execute(f"NOTIFY {READS_BELL}".encode())
            return cursor.rowcount

    async def changed(self, connection_id: UUID, marks: Mapping[str, str]) -> list[str]:
        """Of the orders that a list shows, those whose mark is not that of the last reading (RC-04)."""
        orders = sorted(marks)
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT order_id, mark FROM channels.readings"
                " WHERE connection_id = %s AND order_id = ANY (%s)",
                [connection_id, orders],
            )
            held: dict[str, str | None] = dict(await cursor.fetchall())
        return [order for order in orders if held.get(order) != marks[order]]

    async def open_orders(self, connection_id: UUID, *, older_than: datetime, limit: int) -> list[str]:
        """Orders that are not final and were read longest ago."""
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT order_id FROM channels.readings WHERE connection_id = %s AND NOT final"
                " AND read_at < %s ORDER BY read_at LIMIT %s",
                [connection_id, older_than, limit],
            )
            return [row[0] for row in await cursor.fetchall()]

    async def due_cursors(self, shops: Sequence[UUID]) -> list[Cursor]:
        """The cursors of these shops that are due; a shop that never was polled has one from now on."""
        async with transient_faults(), self._pool.connection() as connection:
            await connection.execute(
                "INSERT INTO channels.poll_cursors (connection_id) SELECT unnest(%b::uuid[])"
                " ON CONFLICT DO NOTHING",
                [list(shops)],
            )
            cursor = await connection.execute(
                "SELECT connection_id, complete_until, back_fill, failures FROM channels.poll_cursors"
                " WHERE connection_id = ANY (%s) AND next_at <= clock_timestamp() ORDER BY next_at",
                [list(shops)],
            )
            return [Cursor(*row) for row in await cursor.fetchall()]

    async def cursor_moved(
        self, cursor: Cursor, *, complete_until: datetime, back_fill: int, wait_seconds: float
    ) -> None:
        """The window was read to its end and its orders are asked for (RC-02)."""
        async with transient_faults(), self._pool.connection() as connection:
            await connection.execute(
                "UPDATE channels.poll_cursors SET complete_until = %s, back_fill = %s, failures = 0,"
                " reason = NULL, polled_at = clock_timestamp(),"
                " next_at = clock_timestamp() + make_interval(secs => %s) WHERE connection_id = %s",
                [complete_until, back_fill, wait_seconds, cursor.connection],
            )

    async def cursor_stays(self, cursor: Cursor, *, reason: str, wait_seconds: float) -> None:
        """The window failed; it is repeated from its start after a while (RC-02, RC-06)."""
        async with transient_faults(), self._pool.connection() as connection:
            await connection.execute(
                "UPDATE channels.poll_cursors SET failures = failures + 1, reason = %s,"
                " next_at = clock_timestamp() + make_interval(secs => %s) WHERE connection_id = %s",
                [reason, wait_seconds, cursor.connection],
            )

    async def ask(self, connection_id: UUID, orders: Sequence[str], *, delay_seconds: float) -> None:
        """Ask for these orders of one shop to be read, durably."""
        async with transaction(self._pool) as connection:
            pairs = [(connection_id, order) for order in orders]
            await request(connection, pairs, delay_seconds=delay_seconds)
