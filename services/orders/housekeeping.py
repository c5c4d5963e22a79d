"""Ends what waits or is kept too long, without an event of an order (TI-1).

A fact whose order is never placed is parked, in order, with those behind it; drafts and the answers to
commands are removed.
"""

import asyncio
from typing import Any

import psycopg
import structlog

from libs.runtime.errors import Transient
from libs.runtime.metrics import PARKED
from libs.runtime.postgres import AsyncPool, lead, transaction
from services.orders.batch import BEHIND, WAITING_PER_ORDER_MAX, record_of_row, row_of_record
from services.orders.drafts import DAYS_KEPT
from services.orders.recorder import AppendRequest, append

log = structlog.get_logger(__name__)

SWEEP_EVERY_SECONDS = 5.0
# Held in memory at a time; each may have a whole record's bytes.
SWEEP_ROWS = 200
# What is removed may stay a little longer; what is long gone is not looked for all the time.
CLEAN_EVERY_SECONDS = 600.0
# In a transaction at a time, so that nobody waits long behind it.
CLEAN_ROWS = 1_000
# How long a command's key is answered again. The topic of commands is kept 7 days, people try again within
# minutes; the registry keeps its answers as long.
COMMAND_KEYS_DAYS = 30


class WaitingSweeper:
    """Parks the waiting facts of an order when the first has waited too long or they are too many (MK-2)."""

    def __init__(self, pool: AsyncPool, dsn: str, *, seconds_max: int) -> None:
        self._pool = pool
        self._dsn = dsn
        self._seconds_max = seconds_max

    async def run(self) -> None:
        """Sweep for ever, in one process at a time."""
        await lead(self._dsn, "orders waiting sweeper", self._work)

    async def _work(self) -> None:
        while True:
            try:
                while await self.sweep():
                    pass
            except Transient as fault:
                log.warning("sweep_retried", fault=str(fault))
            await asyncio.sleep(SWEEP_EVERY_SECONDS)

    async def sweep(self) -> int:
        """Park what waits under one key beyond its bounds, all or nothing; the number of records parked."""
        parked = 0
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT source, key FROM orders.waiting GROUP BY source, key"
                " HAVING min(waiting_since) < clock_timestamp() - make_interval(secs => %s) OR count(*) > %s"
                " ORDER BY min(waiting_since) LIMIT 1",
                [self._seconds_max, WAITING_PER_ORDER_MAX],
            )
            due = await cursor.fetchone()
            while due is not None and (rows := await _oldest(connection, *due)):
                appended = await append(connection, _request(rows, follow=parked > 0))
                if appended.outcome != "OK":
                    # The placement came meanwhile and took them; the next sweep looks again.
                    parked = 0
                    raise psycopg.Rollback
                parked += len(rows)
        if parked:
            PARKED.labels("orders", "WAITED_TOO_LONG").inc()
            log.warning("waiting_parked", records=parked)
        return parked


class Cleaner:
    """Removes drafts nobody changed for 30 days (MN-2), and keys of commands nobody repeats any more."""

    def __init__(self, pool: AsyncPool, dsn: str) -> None:
        self._pool = pool
        self._dsn = dsn

    async def run(self) -> None:
        """Clean for ever, in one process at a time."""
        await lead(self._dsn, "orders cleaner", self._work)

    async def _work(self) -> None:
        while True:
            try:
                while await self.clean():
                    pass
            except Transient as fault:
                log.warning("cleaning_retried", fault=str(fault))
            await asyncio.sleep(CLEAN_EVERY_SECONDS)

    async def clean(self, rows: int = CLEAN_ROWS) -> bool:
        """Remove up to so many of each; whether there may be more. Raises Transient."""
        drafts = await self._removed(
            "WITH gone AS (DELETE FROM orders.drafts WHERE id IN"
            " (SELECT id FROM orders.drafts WHERE changed_at < clock_timestamp() - make_interval(days => %s)"
            " ORDER BY changed_at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING 1) SELECT count(*) FROM gone",
            [DAYS_KEPT, rows],
        )
        keys = await self._removed("SELECT orders.forget_command_keys(%s, %s)", [COMMAND_KEYS_DAYS, rows])
        if drafts or keys:
            log.info("cleaned", drafts=drafts, command_keys=keys)
        return rows in {drafts, keys}

    async def _removed(self, statement: str, values: list[int]) -> int:
        async with transaction(self._pool) as connection:
            found = await (await connection.execute(statement.encode(), values)).fetchone()
        assert found is not None, "A count answers one row."
        return int(found[0])


async def _oldest(connection: psycopg.AsyncConnection, source: str, key: str) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(
        "SELECT id, source, partition, position, key, headers, record_key, value, produced_at"
        " FROM orders.waiting WHERE source = %s AND key = %s ORDER BY partition, position LIMIT %s",
        [source, key, SWEEP_ROWS],
    )
    return await cursor.fetchall()


def _request(rows: list[tuple[Any, ...]], *, follow: bool) -> AppendRequest:
    """What parks these rows of a key; `follow` when earlier ones of it have been parked in this sweep."""
    request = AppendRequest()
    for row in rows:
        first = not (follow or request.parked)
        reason = "WAITED_TOO_LONG" if first else "BEHIND"
        detail = "No placement came for this order." if first else BEHIND
        request.parked.append(
            row_of_record(record_of_row(row), reason=reason, fingerprint=reason, detail=detail)
        )
        request.remove_waiting.append(row[0])
    return request
