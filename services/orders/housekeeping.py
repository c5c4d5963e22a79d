"""Ends what waits too long: a fact whose order is never placed is parked, in order, with those behind it."""

import asyncio

import structlog

from libs.runtime.errors import Transient
from libs.runtime.metrics import PARKED
from libs.runtime.postgres import AsyncPool, lead, transient_faults
from services.orders.batch import BEHIND, WAITING_PER_ORDER_MAX, record_of_row, row_of_record
from services.orders.recorder import AppendRequest, append

log = structlog.get_logger(__name__)

SWEEP_EVERY_SECONDS = 5.0
SWEEP_KEYS = 100


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
        """Park what has waited beyond its bounds; the number of records parked."""
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT id, source, partition, position, key, headers, record_key, value, produced_at,"
                " waiting_since FROM orders.waiting WHERE key IN (SELECT key FROM orders.waiting GROUP BY key"
                " HAVING min(waiting_since) < clock_timestamp() - make_interval(secs => %s) OR count(*) > %s"
                " LIMIT %s) ORDER BY key, id",
                [self._seconds_max, WAITING_PER_ORDER_MAX, SWEEP_KEYS],
            )
            rows = await cursor.fetchall()
            request = AppendRequest()
            seen: set[str] = set()
            for row in rows:
                first = row[4] not in seen
                seen.add(row[4])
                reason = "WAITED_TOO_LONG" if first else "BEHIND"
                detail = "No placement came for this order." if first else BEHIND
                request.parked.append(
                    row_of_record(record_of_row(row), reason=reason, fingerprint=reason, detail=detail)
                )
                request.remove_waiting.append(row[0])
            if not rows:
                return 0
            appended = await append(connection, request)
        if appended.outcome != "OK":
            # The placement came meanwhile and took them; the next sweep looks again.
            return 0
        PARKED.labels("orders", "WAITED_TOO_LONG").inc(len(seen))
        log.warning("waiting_parked", orders=len(seen), records=len(rows))
        return len(rows)
