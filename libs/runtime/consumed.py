"""What a consumer into ordinary tables keeps of its topic: positions that only their owner moves.

The services that are not event-sourced build their handlers on it: one transaction per batch holds the
positions, the effect and what is parked (P1, P2).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import psycopg
from psycopg import sql

from libs.runtime import parking
from libs.runtime.errors import Fenced, Permanent
from libs.runtime.postgres import AsyncPool, transaction, transient_faults
from libs.runtime.records import Record
from libs.runtime.redrive import FailuresNoted

# Parked records that nothing but their own fault holds back; beyond it consumption stops on purpose (P5).
PARKED_MAX = 1_000


class ConsumedPositions(FailuresNoted):
    """The positions of a topic's partitions in a service's schema, and the limit to what may be parked."""

    def __init__(self, pool: AsyncPool, *, schema: str, parked_max: int = PARKED_MAX) -> None:
        self.pool = pool
        self.schema = schema
        self._parked_max = parked_max

    async def load_positions(self, source: str) -> dict[int, int]:
        async with transient_faults(), self.pool.connection() as connection:
            cursor = await connection.execute(
                self._sql("SELECT partition, position FROM {}.consumed_positions WHERE source = %s"), [source]
            )
            return dict(await cursor.fetchall())

    async def parked_too_much(self, source: str) -> bool:
        return await parking.open_faults(self.pool, self.schema, source) >= self._parked_max

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[psycopg.AsyncConnection]:
        try:
            async with transaction(self.pool) as connection:
                yield connection
        except psycopg.errors.ProgramLimitExceeded as fault:
            # psycopg calls it operational, but the same values would meet it for ever.
            raise Permanent("TOO_LARGE", "A value is larger than an index of the database takes.") from fault

    async def _take_positions(
        self, connection: psycopg.AsyncConnection, records: Sequence[Record], stored: Mapping[int, int]
    ) -> None:
        """Lock the partitions' positions and move them; Fenced when one is not where the caller stood."""
        source = records[0].source
        reached: dict[int, int] = {}
        for record in records:
            reached[record.partition] = max(reached.get(record.partition, -1), record.offset)
        # Sorted: two handlers that share partitions wait for each other and never in a circle.
        partitions = sorted(reached)
        await connection.execute(
            self._sql(
                "INSERT INTO {}.consumed_positions (source, partition, position)"
                " SELECT %s, partition, -1 FROM unnest(%s::integer[]) AS given(partition)"
                " ORDER BY partition ON CONFLICT DO NOTHING"
            ),
            [source, partitions],
        )
        cursor = await connection.execute(
            self._sql(
                "SELECT partition, position FROM {}.consumed_positions"
                " WHERE source = %s AND partition = ANY(%s) ORDER BY partition FOR UPDATE"
            ),
            [source, partitions],
        )
        moved = [
            f"{source}/{partition}"
            for partition, position in await cursor.fetchall()
            if position != stored.get(partition, -1)
        ]
        if moved:
            raise Fenced(f"Another consumer owns {', '.join(moved)}.")
        await connection.execute(
            self._sql(
                "UPDATE {}.consumed_positions AS stored"
                " SET position = given.position, updated_at = clock_timestamp()"
                " FROM unnest(%s::integer[], %s::bigint[]) AS given(partition, position)"
                " WHERE stored.source = %s AND stored.partition = given.partition"
            ),
            [partitions, [reached[partition] for partition in partitions], source],
        )

    def _sql(self, query: str) -> sql.Composed:
        return sql.SQL(query).format(sql.Identifier(self.schema))
