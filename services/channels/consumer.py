"""Kafka in: what orders asks of the marketplaces (`orders.actions.v1`). No rule lives here.

`read_order` becomes a read request in the transaction that moves the position; the readers, rung at its
commit, read at once. What the reading states goes out as facts (AC-13). No other action is carried out yet:
it is passed over, counted and told of by its id.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
import psycopg
import structlog

from libs.events.actions import OrderActionRequested, OrderReadRequested
from libs.events.envelope import Envelope, EnvelopeInvalid, from_headers
from libs.events.upcasts import read
from libs.runtime import parking
from libs.runtime.consumed import PARKED_MAX, ConsumedPositions
from libs.runtime.consumption import Outcomes, reason_of
from libs.runtime.errors import Malformed
from libs.runtime.parking import BEHIND, Parked, ParkedRow
from libs.runtime.postgres import AsyncPool
from libs.runtime.records import Record
from libs.runtime.redrive import GONE
from libs.runtime.statements import run_together
from libs.runtime.tracing import checked_traceparent
from services.channels.metrics import ACTIONS_LEFT
from services.channels.reads import Asked, asking, restating, unanswered
from services.channels.store import READS_BELL, SCHEMA

log = structlog.get_logger(__name__)

# An action names its order and why; nothing of it is long.
BODY_BYTES_MAX: Final = 65_536
NOT_PLACED: Final = "NOT_PLACED"


class Wanted(msgspec.Struct, frozen=True):
    """An order that is to be read, with what asked for it."""

    asked: Asked
    reason: str
    traceparent: str | None


def wanted_of(record: Record) -> Wanted | None:
    """What a record asks to be read; None for an action of another type.

    Raises Malformed (HEADER_INVALID, NULL_VALUE, TOO_LARGE, MALFORMED) without the record's content.
    """
    envelope = _envelope_of(record)
    if envelope.type != OrderReadRequested.ce_type():
        return None
    if record.value is None:
        raise Malformed("The record has no value; an action is never a tombstone.", reason="NULL_VALUE")
    if len(record.value) > BODY_BYTES_MAX:
        raise Malformed(
            f"The record has {len(record.value)} bytes; an action is at most {BODY_BYTES_MAX}.",
            reason="TOO_LARGE",
        )
    try:
        action = read(envelope.type, record.value)
        assert isinstance(action, OrderReadRequested), "The type was asked above."
        connection = UUID(action.connection)
    except (ValueError, RecursionError) as fault:
        # The fault's own text may quote the body.
        raise Malformed(f"The body is not what its type says: {type(fault).__name__}.") from None
    if "\x00" in action.order:
        raise Malformed("The order's id holds U+0000.", field="order")
    asked = Asked(connection, action.order, action.requested_at)
    return Wanted(asked, action.reason, checked_traceparent(_traceparent(record)))


def _envelope_of(record: Record) -> Envelope:
    try:
        return from_headers(record.headers)
    except EnvelopeInvalid as fault:
        raise Malformed(str(fault), field=fault.field, reason="HEADER_INVALID") from None


def _traceparent(record: Record) -> bytes | None:
    return next((value for name, value in record.headers if name == "traceparent"), None)


class _Batch:
    """How the records of one transaction end; nothing here has had an effect."""

    def __init__(self, held_back: set[str]) -> None:
        self.held_back = held_back
        self.wanted: list[Wanted] = []
        self.rows: list[ParkedRow] = []
        # Ids of actions that nothing here carries out.
        self.left: list[str] = []
        self.outcomes = Outcomes()

    def take(self, record: Record) -> None:
        if record.key in self.held_back:
            self.park(record, None)
            return
        try:
            wanted = wanted_of(record)
        except Malformed as fault:
            self.park(record, fault)
            return
        if wanted is None:
            self.outcomes.count("skipped")
            envelope = _envelope_of(record)
            if envelope.type == OrderActionRequested.ce_type():
                self.left.append(envelope.id)
        else:
            self.wanted.append(wanted)
            self.outcomes.count("handled")

    def park(self, record: Record, fault: Exception | None) -> None:
        """Park the record for its own fault, or behind another of its key when it has none."""
        reason = BEHIND if fault is None else reason_of(fault)
        self.rows.append(parking.parked_row(record, reason, fault))
        self.held_back.add(record.key)
        self.outcomes.count("parked")


class ActionsHandler(ConsumedPositions):
    """Turns actions into what channels has to do: a BatchHandler and a Releaser.

    One transaction per batch: the partitions' positions are locked and moved (Fenced when another consumer
    has moved them), what cannot be understood is parked, the rest is asked of the readers. The same action
    again asks again, which does no harm: a reading states what is true then.
    """

    def __init__(self, pool: AsyncPool, *, parked_max: int = PARKED_MAX) -> None:
        super().__init__(pool, schema=SCHEMA, parked_max=parked_max)

    async def handle(self, records: Sequence[Record], stored: Mapping[int, int]) -> Outcomes:
        async with self._transaction() as connection:
            await self._take_positions(connection, records, stored)
            keys = {record.key for record in records}
            batch = _Batch(await parking.parked_keys(connection, SCHEMA, records[0].source, keys))
            for record in records:
                batch.take(record)
            await parking.park_rows(connection, SCHEMA, batch.rows)
            await _ask(connection, batch.wanted)
        self._tell_parked(batch.rows)
        for action in batch.left:
            ACTIONS_LEFT.inc()
            log.warning("action_not_carried_out", action=action)
        return batch.outcomes

    async def park(self, record: Record, stored: Mapping[int, int], fault: Exception) -> None:
        async with self._transaction() as connection:
            await self._take_positions(connection, [record], stored)
            batch = _Batch(await parking.parked_keys(connection, SCHEMA, record.source, {record.key}))
            batch.park(record, None if record.key in batch.held_back else fault)
            await parking.park_rows(connection, SCHEMA, batch.rows)
        self._tell_parked(batch.rows)

    async def release(self, row: Parked) -> str:
        """Carry out one parked action and remove its row, in one transaction.

        Gives handled, skipped, or GONE when the row was gone. Raises what it fails with, nothing changed.
        """
        async with self._transaction() as connection:
            if not await parking.remove(connection, SCHEMA, row.id):
                return GONE
            wanted = wanted_of(row.record())
            if wanted is None:
                return "skipped"
            await _ask(connection, [wanted])
        return "handled"

    def _tell_parked(self, rows: Sequence[ParkedRow]) -> None:
        parking.count_parked(rows)
        for row in rows:
            if row.reason != BEHIND:
                log.warning(
                    "action_parked",
                    source=row.source,
                    partition=row.partition,
                    offset=row.position,
                    reason=row.reason,
                    detail=row.detail,
                )


async def _ask(connection: psycopg.AsyncConnection, wanted: Sequence[Wanted]) -> None:
    """Ask for the readings within the transaction, and ring the readers at its commit.

    An order whose placement is missing needs any reading that ended after the question or is about to be
    made: mostly the push that came before its placement has asked for one already. Any other news needs a
    reading of its own.
    """
    if not wanted:
        return
    unplaced = {each.asked for each in wanted if each.reason == NOT_PLACED}
    missing = await unanswered(connection, unplaced)
    orders = {each.asked.pair for each in wanted if each.reason != NOT_PLACED} | missing
    traceparents = {each.asked.pair: each.traceparent for each in wanted if each.traceparent is not None}
    part = asking(orders, traceparents=traceparents)
    if part is not None:
        # A request before its reading, as readers take them, so that neither waits for the other for ever.
        await run_together(connection, [part], [READS_BELL])
        await restating(connection, missing)
