"""Records that could not be handled wait here under their key, and later ones of the key behind them.

What is parked is also mirrored to `<topic>.<group>.dlq`. Releasing is in libs.runtime.redrive.

Ids are handed out under one advisory lock per schema that is held until the commit, so that they become
visible in their order: a follower that has read up to an id never finds a smaller one later.
"""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from libs.runtime.errors import Malformed, RuntimeFault
from libs.runtime.kafka import Outgoing
from libs.runtime.logs import fault_text, kind_of
from libs.runtime.metrics import PARKED
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.records import Record, frame_headers, unframe_headers
from libs.runtime.relay import Chunk

BEHIND = "BEHIND"
BEHIND_DETAIL = "It waits behind an earlier record of its key."
DETAIL_CHARACTERS_MAX = 500
MIRROR_NAME = "parked-mirror"
MIRROR_ROWS = 200
# Below the producer's largest request, with room for the headers that the mirror adds.
MIRROR_BYTES_MAX = 950_000
OWN_MODULES = ("libs.", "services.")
_VARIABLE = re.compile(r"""'[^']*'|"[^"]*"|[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-fA-F]{12,}\b|\d+""", re.VERBOSE)


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A row of the table `parked` that is to be written."""

    source: str
    partition: int
    position: int
    key: str
    reason: str
    fingerprint: str
    detail: str
    attempts: int
    headers: bytes
    record_key: bytes | None
    value: bytes | None
    produced_at: datetime


@dataclass(frozen=True, slots=True)
class Parked(ParkedRow):
    """A row of the table `parked` as it stands there."""

    id: int
    parked_at: datetime

    def record(self) -> Record:
        """The record as it was consumed."""
        return Record(
            source=self.source,
            topic=topic_of(self.source),
            partition=self.partition,
            offset=self.position,
            key=self.key,
            raw_key=self.record_key,
            headers=unframe_headers(self.headers),
            value=self.value,
            produced_at=self.produced_at,
        )


@dataclass(frozen=True, slots=True)
class ParkedSummary:
    """A parked row without the record's content, for lists."""

    id: int
    source: str
    partition: int
    position: int
    key: str
    reason: str
    fingerprint: str
    detail: str
    attempts: int
    value_bytes: int
    produced_at: datetime
    parked_at: datetime


@dataclass(frozen=True, slots=True)
class Cause:
    """All rows that are parked for the same cause."""

    fingerprint: str
    reason: str
    detail: str
    rows: int
    oldest_at: datetime


def topic_of(source: str) -> str:
    """The topic of a source `<group>:<topic>`."""
    return source.split(":", 1)[1]


def group_of(source: str) -> str:
    """The group of a source `<group>:<topic>`."""
    return source.split(":", 1)[0]


def mirror_topic(source: str) -> str:
    """The topic that the parked records of a source are mirrored to."""
    return f"{topic_of(source)}.{group_of(source)}.dlq"


def channel_of(schema: str) -> str:
    """The NOTIFY channel that wakes the mirror of a schema."""
    return f"{schema}_parked"


def fingerprint(reason: str, fault: BaseException | None = None) -> str:
    """A short hash that is equal for failures of one cause, whatever record met it.

    Made of the reason, the error's class and the innermost place in our own code; where none of our code
    is in the traceback, of the message without numbers, ids and quoted parts. Line numbers are left out,
    so that a deployment does not make old causes new.
    """
    parts = [reason]
    if fault is not None:
        parts += [kind_of(fault), _own_place(fault) or _without_variables(str(fault))]
        if isinstance(fault, Malformed):
            parts.append(_without_variables(fault.field))
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:16]


def detail_of(fault: BaseException) -> str:
    """A sentence about the error that holds nothing of the record's content."""
    if isinstance(fault, RuntimeFault):
        text = str(fault)
    else:
        place, said = _own_place(fault), fault_text(fault)
        text = f"{kind_of(fault)}{f' in {place}' if place else ''}{f': {said}' if said else ''}."
    # PostgreSQL's text holds no NUL.
    return text.replace("\x00", "")[:DETAIL_CHARACTERS_MAX]


def parked_row(
    record: Record,
    reason: str,
    fault: BaseException | None = None,
    *,
    detail: str | None = None,
    attempts: int = 1,
) -> ParkedRow:
    """The row that parks this record for this reason; the reason BEHIND needs nothing else."""
    if detail is None:
        detail = detail_of(fault) if fault is not None else BEHIND_DETAIL if reason == BEHIND else reason
    return ParkedRow(
        source=record.source,
        partition=record.partition,
        position=record.offset,
        key=record.key,
        reason=reason,
        fingerprint=fingerprint(reason, fault),
        detail=detail,
        attempts=attempts,
        headers=frame_headers(record.headers),
        record_key=record.raw_key,
        value=record.value,
        produced_at=record.produced_at,
    )


def count_parked(rows: Sequence[ParkedRow]) -> None:
    """Count rows as parked; to be called after their transaction has committed, or a retry counts twice."""
    for row in rows:
        PARKED.labels(group_of(row.source), row.reason).inc()


def key_lock(schema: str, source: str, key: str) -> int:
    """The advisory lock of one key, which a redrive and the consumer of the source share."""
    digest = hashlib.blake2b(f"{schema}\x00{source}\x00{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


async def park(
    connection: psycopg.AsyncConnection,
    schema: str,
    record: Record,
    reason: str,
    fault: BaseException | None = None,
    *,
    detail: str | None = None,
) -> ParkedRow:
    """Park one record within the caller's transaction, which also moves the consumed position."""
    row = parked_row(record, reason, fault, detail=detail)
    await park_rows(connection, schema, [row])
    return row


async def park_rows(connection: psycopg.AsyncConnection, schema: str, rows: Sequence[ParkedRow]) -> None:
    """Park rows within the caller's transaction, in order; a record that is parked already stays as it is.

    From here to the commit all other parking of the schema waits: see the module's docstring.
    """
    if not rows:
        return
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"{schema}.parked"])
    await connection.execute(
        sql.SQL(
            "INSERT INTO {}.parked (source, partition, position, key, reason, fingerprint, detail, attempts,"
            " headers, record_key, value, produced_at)"
            " SELECT source, partition, position, key, reason, fingerprint, detail, attempts,"
            " headers, record_key, value, produced_at"
            " FROM unnest(%b::text[], %b::integer[], %b::bigint[], %b::text[], %b::text[], %b::text[],"
            " %b::text[], %b::integer[], %b::bytea[], %b::bytea[], %b::bytea[], %b::timestamptz[])"
            " WITH ORDINALITY AS row(source, partition, position, key, reason, fingerprint, detail, attempts,"
            " headers, record_key, value, produced_at, place) ORDER BY place"
            " ON CONFLICT (source, partition, position) DO NOTHING"
        ).format(sql.Identifier(schema)),
        [
            [row.source for row in rows],
            [row.partition for row in rows],
            [row.position for row in rows],
            [row.key for row in rows],
            [row.reason for row in rows],
            [row.fingerprint for row in rows],
            [row.detail for row in rows],
            [row.attempts for row in rows],
            [row.headers for row in rows],
            [row.record_key for row in rows],
            [row.value for row in rows],
            [row.produced_at for row in rows],
        ],
    )
    await connection.execute(sql.SQL("NOTIFY {}").format(sql.Identifier(channel_of(schema))))


async def parked_keys(
    connection: psycopg.AsyncConnection, schema: str, source: str, keys: Collection[str]
) -> set[str]:
    """Which of the keys have parked records; asked in the transaction of the effect, before state is loaded.

    The keys in the answer stay parked until the transaction ends: their locks are taken, so that a redrive
    that is just releasing the last of them is waited for and what it leaves is seen.
    """
    if not keys:
        return set()
    question = sql.SQL(
        "SELECT DISTINCT key FROM {}.parked WHERE source = %b AND key = ANY(%b::text[])"
    ).format(sql.Identifier(schema))
    found = await _texts(connection, question, [source, list(keys)])
    if not found:
        return found
    # In one order everywhere, so that two transactions never wait for each other.
    locks = sorted(key_lock(schema, source, key) for key in found)
    await connection.execute("SELECT pg_advisory_xact_lock(lock) FROM unnest(%b::bigint[]) AS lock", [locks])
    return await _texts(connection, question, [source, list(found)])


async def _texts(connection: psycopg.AsyncConnection, question: sql.Composed, values: list[Any]) -> set[str]:
    cursor = await connection.execute(question, values)
    return {row[0] for row in await cursor.fetchall()}


async def count(pool: AsyncPool, schema: str, source: str | None = None) -> int:
    """How many rows are parked, those that wait behind others included."""
    return await _count(pool, schema, source, "TRUE")


async def open_faults(pool: AsyncPool, schema: str, source: str) -> int:
    """How many rows failed themselves: what the limit that stops consumption counts (P5)."""
    return await _count(pool, schema, source, f"reason <> '{BEHIND}'")


async def _count(pool: AsyncPool, schema: str, source: str | None, condition: LiteralString) -> int:
    async with transient_faults(), pool.connection() as connection:
        cursor = await connection.execute(
            sql.SQL("SELECT count(*) FROM {}.parked WHERE {} AND (%b::text IS NULL OR source = %b)").format(
                sql.Identifier(schema), sql.SQL(condition)
            ),
            [source, source],
        )
        row = await cursor.fetchone()
    assert row is not None, "count(*) answers one row."
    return int(row[0])


async def listing(
    pool: AsyncPool,
    schema: str,
    *,
    source: str | None = None,
    key: str | None = None,
    fingerprint: str | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[ParkedSummary]:
    """Parked rows after an id, oldest first, without content; the id of the last is the next `after`."""
    async with (
        transient_faults(),
        pool.connection() as connection,
        connection.cursor(row_factory=class_row(ParkedSummary)) as cursor,
    ):
        await cursor.execute(
            sql.SQL(
                "SELECT id, source, partition, position, key, reason, fingerprint, detail, attempts,"
                " coalesce(octet_length(value), 0) AS value_bytes, produced_at, parked_at FROM {}.parked"
                " WHERE id > %(after)s AND (%(source)s::text IS NULL OR source = %(source)s)"
                " AND (%(key)s::text IS NULL OR key = %(key)s)"
                " AND (%(fingerprint)s::text IS NULL OR fingerprint = %(fingerprint)s)"
                " ORDER BY id LIMIT %(limit)s"
            ).format(sql.Identifier(schema)),
            {"after": after, "source": source, "key": key, "fingerprint": fingerprint, "limit": limit},
        )
        return await cursor.fetchall()


async def causes(pool: AsyncPool, schema: str) -> list[Cause]:
    """What is parked by cause, the commonest first; what only waits behind another is left out."""
    async with (
        transient_faults(),
        pool.connection() as connection,
        connection.cursor(row_factory=class_row(Cause)) as cursor,
    ):
        await cursor.execute(
            sql.SQL(
                "SELECT fingerprint, min(reason) AS reason, min(detail) AS detail, count(*) AS rows,"
                " min(parked_at) AS oldest_at FROM {}.parked WHERE reason <> {}"
                " GROUP BY fingerprint ORDER BY count(*) DESC, fingerprint LIMIT 500"
            ).format(sql.Identifier(schema), sql.Literal(BEHIND))
        )
        return await cursor.fetchall()


async def head_of(connection: psycopg.AsyncConnection, schema: str, source: str, key: str) -> Parked | None:
    """The first parked row of a key by its record's place, content included.

    Not by id: a record that waited, or that a release judged, is parked after later ones of its key (P5).
    """
    async with connection.cursor(row_factory=class_row(Parked)) as cursor:
        await cursor.execute(
            sql.SQL(
                "SELECT id, source, partition, position, key, reason, fingerprint, detail, attempts, headers,"
                " record_key, value, produced_at, parked_at FROM {}.parked"
                " WHERE source = %b AND key = %b ORDER BY partition, position LIMIT 1"
            ).format(sql.Identifier(schema)),
            [source, key],
        )
        return await cursor.fetchone()


async def remove(connection: psycopg.AsyncConnection, schema: str, row_id: int) -> bool:
    """Remove a parked row in the transaction of its effect; False when it is gone: then roll back."""
    cursor = await connection.execute(
        sql.SQL("DELETE FROM {}.parked WHERE id = %b::bigint").format(sql.Identifier(schema)), [row_id]
    )
    return cursor.rowcount == 1


async def note_failure(pool: AsyncPool, schema: str, row: Parked, reason: str, fault: BaseException) -> None:
    """Write down that a release has failed again: one attempt more, and for what cause now."""
    async with transient_faults(), pool.connection() as connection:
        await connection.execute(
            sql.SQL(
                "UPDATE {}.parked SET attempts = attempts + 1, reason = %s, fingerprint = %s, detail = %s"
                " WHERE id = %s"
            ).format(sql.Identifier(schema)),
            [reason, fingerprint(reason, fault), detail_of(fault), row.id],
        )


class MirrorSource:
    """The parked rows of a schema as a relay's source: each goes to its dead-letter topic.

    After a crash some go there again; a row that is released before the relay came to it never does.
    """

    def __init__(self, pool: AsyncPool, schema: str) -> None:
        self._pool = pool
        self._schema = sql.Identifier(schema)

    async def fetch(self, after: Sequence[Any]) -> Chunk | None:
        """The next rows by id; the position is that of the last, since ids appear in order."""
        async with (
            transient_faults(),
            self._pool.connection() as connection,
            connection.cursor(row_factory=class_row(Parked)) as cursor,
        ):
            start = after[-1] if after else await self._remembered(connection)
            await cursor.execute(
                sql.SQL(
                    "SELECT id, source, partition, position, key, reason, fingerprint, detail, attempts,"
                    " headers, record_key, value, produced_at, parked_at FROM {}.parked"
                    " WHERE id > %b::bigint ORDER BY id LIMIT {}"
                ).format(self._schema, sql.Literal(MIRROR_ROWS)),
                [start],
            )
            rows = await cursor.fetchall()
        if not rows:
            return None
        return Chunk([mirrored(row) for row in rows], rows[-1].id, rows[0].parked_at)

    async def _remembered(self, connection: psycopg.AsyncConnection) -> int:
        cursor = await connection.execute(
            sql.SQL("SELECT position FROM {}.followers WHERE name = %b").format(self._schema), [MIRROR_NAME]
        )
        row = await cursor.fetchone()
        return 0 if row is None else int(row[0])

    async def done(self, marks: Sequence[Any]) -> None:
        async with transient_faults(), self._pool.connection() as connection:
            await connection.execute(
                sql.SQL(
                    "INSERT INTO {} (name, position) VALUES (%b, %b::bigint) ON CONFLICT (name) DO UPDATE"
                    " SET position = excluded.position, updated_at = clock_timestamp()"
                ).format(sql.SQL("{}.followers").format(self._schema)),
                [MIRROR_NAME, marks[-1]],
            )


def mirrored(row: Parked) -> Outgoing:
    """The record as it goes to its dead-letter topic: as it came, with headers that say why and whence."""
    headers = unframe_headers(row.headers)
    added = {
        "reason": row.reason,
        "partition": str(row.partition),
        "offset": str(row.position),
        "group": group_of(row.source),
        "fingerprint": row.fingerprint,
    }
    value = row.value
    key = row.record_key
    if len(value or b"") + len(row.headers) + len(key or b"") > MIRROR_BYTES_MAX:
        # It came within its topic's limit; with five headers more it may not, and must not stop the mirror.
        value, headers, key = b"", [], key and key[:MIRROR_BYTES_MAX]
        added["cut"] = "true"
    headers += [(f"jejak-parked-{name}", text.encode()) for name, text in added.items()]
    # Kafka allows a null key, value and header value, and a mirror keeps them.
    return Outgoing(
        mirror_topic(row.source),
        cast("bytes", key),
        cast("bytes", value),
        cast("list[tuple[str, bytes]]", headers),
    )


def _own_place(fault: BaseException) -> str:
    """The innermost function of our own code that the error passed through."""
    place = ""
    frame = fault.__traceback__
    while frame is not None:
        module = frame.tb_frame.f_globals.get("__name__", "")
        if module.startswith(OWN_MODULES):
            place = f"{module}.{frame.tb_frame.f_code.co_qualname}"
        frame = frame.tb_next
    return place


def _without_variables(text: str) -> str:
    return _VARIABLE.sub("#", text)
