"""Public events into tables: once, in order, all or nothing; one bad order stops only itself (P1 to P3, P5)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from libs.runtime import parking
from libs.runtime.clock import uuid7
from libs.runtime.consumption import BatchConsumer
from libs.runtime.errors import Fenced, Permanent, Transient
from libs.runtime.kafka import KafkaSettings, make_broker
from libs.runtime.lag import TopicLag, TopicRecreated
from libs.runtime.postgres import RUNTIME_MIGRATIONS, AsyncPool, make_pool, migrate
from libs.runtime.records import Record
from libs.runtime.redrive import Selection, redrive
from libs.runtime.tests.order_records import SOURCE, TYPES, record
from libs.runtime.tests.topics import made
from libs.runtime.transactional import Received, TransactionalHandler

MIGRATION = """
CREATE TABLE {schema}.order_sequences (
    order_id text PRIMARY KEY, sequence bigint NOT NULL, updated_at timestamptz DEFAULT clock_timestamp()
);
CREATE TABLE {schema}.applied (number bigint GENERATED ALWAYS AS IDENTITY, event_id text NOT NULL);
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO {role};
"""


class Ledger:
    """A service of one table: it notes the ids of the events it is given, and fails where it is told to."""

    def __init__(self, fail_on: set[str] | None = None) -> None:
        self.fail_on = fail_on or set()
        self.entered = asyncio.Event()
        self.hold: asyncio.Event | None = None

    async def apply(self, connection: psycopg.AsyncConnection, events: Sequence[Received]) -> None:
        for event in events:
            await connection.execute("INSERT INTO ledger.applied (event_id) VALUES (%s)", [event.envelope.id])
            if event.envelope.id in self.fail_on:
                raise ValueError(event.envelope.id)
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()


@pytest.fixture
def migrated(database: str, tmp_path: Path) -> str:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_ledger.sql").write_text(MIGRATION, encoding="utf-8")
    migrate(database, "ledger", RUNTIME_MIGRATIONS, folder)
    return database


@pytest_asyncio.fixture
async def pool(migrated: str) -> AsyncIterator[AsyncPool]:
    opened = make_pool(migrated, "ledger", name="test", size=3)
    await opened.open()
    yield opened
    await opened.close(1)


def handler_of(
    pool: AsyncPool, ledger: Ledger | None = None, *, parked_max: int = 1_000
) -> TransactionalHandler:
    return TransactionalHandler(
        pool, schema="ledger", types=TYPES, apply=(ledger or Ledger()).apply, parked_max=parked_max
    )


async def applied(pool: AsyncPool) -> list[str]:
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT event_id FROM ledger.applied ORDER BY number")
        return [row[0] for row in await cursor.fetchall()]


async def parked(pool: AsyncPool) -> list[tuple[str, int, str]]:
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT key, position, reason FROM ledger.parked ORDER BY id")
        return await cursor.fetchall()


@pytest.mark.connected
async def test_a_batch_and_its_positions_are_one_commit(pool: AsyncPool) -> None:
    handler = handler_of(pool)
    batch = [record(7, "A", 1), record(8, "B", 1), record(9, "A", 2), record(4, "C", 1, partition=3)]
    outcomes = await handler.handle(batch, {})
    assert dict(outcomes) == {"handled": 4}
    assert await applied(pool) == ["A/1", "B/1", "A/2", "C/1"]
    assert await handler.load_positions(SOURCE) == {0: 9, 3: 4}


@pytest.mark.connected
async def test_repeats_change_nothing_wherever_they_stand(pool: AsyncPool) -> None:
    handler = handler_of(pool)
    first = await handler.handle([record(0, "A", 1), record(1, "A", 1), record(2, "A", 2)], {})
    again = await handler.handle([record(3, "A", 1), record(4, "A", 2), record(5, "A", 3)], {0: 2})
    assert (dict(first), dict(again)) == ({"handled": 2, "duplicate": 1}, {"duplicate": 2, "handled": 1})
    assert await applied(pool) == ["A/1", "A/2", "A/3"]


@pytest.mark.connected
async def test_types_of_no_concern_keep_the_sequence_whole(pool: AsyncPool) -> None:
    handler = handler_of(pool)
    batch = [
        record(0, "A", 1),
        record(1, "A", 2, type_="jejak.orders.OrderAdvanced.v1", value=None),
        record(2, "A", 3),
        record(3, "A", None, type_="com.example.Ping"),
    ]
    assert dict(await handler.handle(batch, {})) == {"handled": 2, "skipped": 2}
    assert await applied(pool) == ["A/1", "A/3"]


@pytest.mark.connected
async def test_a_hole_parks_the_record_and_what_follows_it(pool: AsyncPool) -> None:
    handler = handler_of(pool)
    batch = [record(0, "A", 1), record(1, "A", 3), record(2, "A", 4), record(3, "B", 1)]
    assert dict(await handler.handle(batch, {})) == {"handled": 2, "parked": 2}
    assert await applied(pool) == ["A/1", "B/1"]
    assert await parked(pool) == [("A", 1, "SEQUENCE_GAP"), ("A", 2, "BEHIND")]


@pytest.mark.connected
async def test_what_fills_the_hole_is_applied_and_the_parked_ones_are_released_behind_it(
    pool: AsyncPool,
) -> None:
    handler = handler_of(pool)
    await handler.handle([record(0, "A", 2), record(1, "A", 3)], {})
    again = await redrive(handler, Selection(key="A"), pace=_at_once)
    assert [row.reason for row in again.failed] == ["SEQUENCE_GAP"]
    outcomes = await handler.handle([record(2, "A", 1), record(3, "A", 4)], {0: 1})
    assert dict(outcomes) == {"handled": 1, "parked": 1}
    report = await redrive(handler, Selection(key="A"), pace=_at_once)
    assert report.outcomes == {"handled": 3}
    assert await applied(pool) == ["A/1", "A/2", "A/3", "A/4"]
    assert await parked(pool) == []
    assert dict(await handler.handle([record(4, "A", 5)], {0: 3})) == {"handled": 1}


@pytest.mark.connected
async def test_one_bad_order_stops_only_itself_also_over_batches(pool: AsyncPool) -> None:
    handler = handler_of(pool)
    first = [record(0, "A", 1, value=b"{"), record(1, "A", 2), record(2, "B", 1)]
    assert dict(await handler.handle(first, {})) == {"parked": 2, "handled": 1}
    second = [record(3, "A", 3), record(4, "A", 1, value=None), record(5, "B", 2)]
    assert dict(await handler.handle(second, {0: 2})) == {"parked": 2, "handled": 1}
    assert await applied(pool) == ["B/1", "B/2"]
    assert await parked(pool) == [
        ("A", 0, "MALFORMED"),
        ("A", 1, "BEHIND"),
        ("A", 3, "BEHIND"),
        ("A", 4, "BEHIND"),
    ]
    assert await parking.count(pool, "ledger") == 4


@pytest.mark.connected
async def test_of_two_consumers_that_went_on_from_one_position_one_is_fenced(pool: AsyncPool) -> None:
    one, other = handler_of(pool), handler_of(pool)
    await one.handle([record(0, "A", 1)], {})
    with pytest.raises(Fenced):
        await other.handle([record(0, "A", 1), record(1, "B", 1)], {})
    with pytest.raises(Fenced):
        await other.park(record(1, "B", 1), {}, ValueError("no"))
    assert await applied(pool) == ["A/1"]
    assert await parked(pool) == []


@pytest.mark.connected
async def test_of_two_consumers_at_once_the_later_waits_and_is_fenced(pool: AsyncPool, migrated: str) -> None:
    ledger = Ledger()
    ledger.hold = asyncio.Event()
    slow = asyncio.create_task(handler_of(pool, ledger).handle([record(0, "A", 1)], {}))
    await ledger.entered.wait()
    late = asyncio.create_task(handler_of(pool).handle([record(0, "A", 1), record(1, "A", 2)], {}))
    await until_one_waits(migrated)
    ledger.hold.set()
    assert dict(await slow) == {"handled": 1}
    with pytest.raises(Fenced):
        await late
    assert await applied(pool) == ["A/1"]


@pytest.mark.connected
async def test_a_fault_in_the_effect_leaves_nothing_behind(pool: AsyncPool) -> None:
    handler = handler_of(pool, Ledger(fail_on={"B/1"}))
    with pytest.raises(ValueError, match="B/1"):
        await handler.handle([record(0, "A", 1), record(1, "B", 1)], {})
    assert await applied(pool) == []
    assert await handler.load_positions(SOURCE) == {}


@pytest.mark.connected
async def test_parking_the_culprit_moves_the_position_and_holds_its_key(pool: AsyncPool) -> None:
    handler = handler_of(pool)
    await handler.park(record(0, "A", 1), {}, ValueError("no"))
    await handler.park(record(1, "A", 2), {0: 0}, Permanent("WHY", "Because."))
    await handler.park(record(2, "B", 1), {0: 1}, Permanent("WHY", "Because."))
    assert await parked(pool) == [("A", 0, "FAILED"), ("A", 1, "BEHIND"), ("B", 2, "WHY")]
    assert await handler.load_positions(SOURCE) == {0: 2}


@pytest.mark.connected
async def test_so_much_parked_that_consumption_stops_on_purpose(pool: AsyncPool) -> None:
    handler = handler_of(pool, parked_max=2)
    await handler.handle([record(0, "A", 2), record(1, "A", 3), record(2, "A", 4)], {})
    assert not await handler.parked_too_much(SOURCE)
    await handler.handle([record(3, "B", 2)], {0: 2})
    assert await handler.parked_too_much(SOURCE)


async def until_one_waits(dsn: str) -> None:
    """Return when a connection of the pool waits for a lock that another holds."""
    async with asyncio.timeout(60), await psycopg.AsyncConnection.connect(dsn, autocommit=True) as admin:
        waiting = 0
        while not waiting:
            cursor = await admin.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'test' AND wait_event_type = 'Lock'"
            )
            waiting = (await cursor.fetchone() or (0,))[0]


async def _at_once() -> None:
    """No pace: a test releases as fast as it can."""


@pytest.mark.connected
async def test_a_record_that_cannot_be_released_stays_and_says_why(pool: AsyncPool) -> None:
    ledger = Ledger(fail_on={"B/1"})
    handler = handler_of(pool, ledger)
    await handler.handle([record(0, "A", 1, value=b"{"), record(1, "A", 2)], {})
    await handler.park(record(2, "B", 1), {0: 1}, ValueError("no"))
    report = await redrive(handler, Selection(), pace=_at_once)
    assert [(row.key, row.reason, row.attempts) for row in report.failed] == [
        ("A", "MALFORMED", 2),
        ("B", "FAILED", 2),
    ]
    assert await applied(pool) == []
    ledger.fail_on.clear()
    assert (await redrive(handler, Selection(key="B"), pace=_at_once)).outcomes == {"handled": 1}
    assert await applied(pool) == ["B/1"]
    assert await parked(pool) == [("A", 0, "MALFORMED"), ("A", 1, "BEHIND")]


@pytest.mark.connected
async def test_a_parked_record_that_was_applied_since_is_released_without_effect(pool: AsyncPool) -> None:
    handler = handler_of(pool)
    await handler.handle([record(0, "A", 2)], {})
    await handler.handle([record(1, "A", 1), record(2, "A", 2)], {0: 0})
    assert (await redrive(handler, Selection(), pace=_at_once)).outcomes == {"duplicate": 1}
    assert await applied(pool) == ["A/1", "A/2"]


@pytest.mark.connected
async def test_a_record_that_comes_while_its_key_is_released_waits_for_the_release(
    pool: AsyncPool, migrated: str
) -> None:
    ledger = Ledger()
    handler = handler_of(pool, ledger)
    await handler.park(record(0, "A", 1), {}, ValueError("no"))
    ledger.hold = asyncio.Event()
    releasing = asyncio.create_task(redrive(handler, Selection(), pace=_at_once))
    await ledger.entered.wait()
    coming = asyncio.create_task(handler_of(pool).handle([record(1, "A", 2)], {0: 0}))
    await until_one_waits(migrated)
    ledger.hold.set()
    assert (await releasing).outcomes == {"handled": 1}
    assert dict(await coming) == {"handled": 1}
    assert await applied(pool) == ["A/1", "A/2"]


@pytest.mark.connected
async def test_a_connection_cut_in_the_middle_changes_nothing_and_may_be_tried_again(
    pool: AsyncPool, migrated: str
) -> None:
    ledger = Ledger()
    ledger.hold = asyncio.Event()
    handler = handler_of(pool, ledger)
    cut = asyncio.create_task(handler.handle([record(0, "A", 1)], {}))
    await ledger.entered.wait()
    with psycopg.connect(migrated, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'test' AND state = 'idle in transaction'"
        )
    ledger.hold.set()
    with pytest.raises(Transient):
        await cut
    assert await applied(pool) == []
    assert dict(await handler.handle([record(0, "A", 1)], {})) == {"handled": 1}
    assert await applied(pool) == ["A/1"]


# The same through a real topic.


class Consumption(TransactionalHandler):
    """Tells when everything up to a number of records has had its effect."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]  # Whatever the handler takes.
        self.reached = asyncio.Condition()
        self.last = -1

    async def tell(self, records: Sequence[Record]) -> None:
        async with self.reached:
            self.last = max(self.last, *(each.offset for each in records))
            self.reached.notify_all()

    async def handle(self, records: Sequence[Record], stored):  # type: ignore[no-untyped-def]  # As above.
        outcomes = await super().handle(records, stored)
        await self.tell(records)
        return outcomes

    async def park(self, record: Record, stored, fault: Exception) -> None:  # type: ignore[no-untyped-def]  # As above.
        await super().park(record, stored, fault)
        await self.tell([record])

    async def until(self, offset: int) -> None:
        async with self.reached, asyncio.timeout(60):
            await self.reached.wait_for(lambda: self.last >= offset)


@pytest_asyncio.fixture
async def topic(kafka: str) -> AsyncIterator[str]:
    name = f"test.{uuid7().hex}"
    async with made(kafka, name):
        yield name


async def send(kafka: str, topic: str, records: Sequence[Record]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        for each in records:
            await producer.send_and_wait(topic, each.value, each.raw_key, headers=list(each.headers))
    finally:
        await producer.stop()


@pytest.mark.connected
async def test_records_of_a_real_topic_end_as_they_should_and_a_restart_repeats_nothing(
    pool: AsyncPool, kafka: str, topic: str
) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka)
    handler = Consumption(pool, schema="ledger", types=TYPES, apply=Ledger(fail_on={"C/1"}).apply)
    lag = TopicLag(settings, topic=topic, source=f"{topic}:{topic}", positions=handler.load_positions)
    batch = [
        record(0, "A", 1),
        record(1, "A", 1),
        record(2, "B", 1, value=b"{"),
        record(3, "B", 2),
        record(4, "C", 1),
        record(5, "C", 2),
        record(6, "A", 2, replaced=[("x-of-others", b"\xff")]),
        record(7, "D", 1, value=None),
        record(8, "E", 1, replaced=[("ce_id", b"\xff")]),
    ]
    await send(kafka, topic, batch)
    async with lag.lent():
        assert await lag.records() == 9
        await _consume(settings, topic, handler, until=8)
        assert await lag.records() == 0
        await send(kafka, topic, [record(9, "A", 2), record(10, "A", 3), record(11, "B", 3)])
        assert await lag.records() == 3
        await _consume(settings, topic, handler, until=11)
        assert await lag.records() == 0
    assert await applied(pool) == ["A/1", "A/2", "A/3"]
    assert await parked(pool) == [
        ("B", 2, "MALFORMED"),
        ("B", 3, "BEHIND"),
        ("C", 4, "FAILED"),
        ("C", 5, "BEHIND"),
        ("D", 7, "NULL_VALUE"),
        ("E", 8, "HEADER_INVALID"),
        ("B", 11, "BEHIND"),
    ]


# The group is the topic's name: one of its own, so that no member of another run is waited for.
async def _consume(settings: KafkaSettings, topic: str, handler: Consumption, *, until: int) -> None:
    broker = make_broker(settings, client_id="test")
    BatchConsumer(broker, settings, topic=topic, group=topic, handler=handler)
    await broker.start()
    try:
        await handler.until(until)
    finally:
        await broker.stop()


@pytest.mark.connected
async def test_the_lag_of_a_topic_that_is_not_there_is_no_number(pool: AsyncPool, kafka: str) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka)
    positions = handler_of(pool).load_positions
    lag = TopicLag(settings, topic=f"test.{uuid7().hex}", source=SOURCE, positions=positions)
    async with lag.lent():
        with pytest.raises(Transient):
            await lag.records()


@pytest.mark.connected
async def test_a_topic_that_was_re_created_is_refused_in_a_sentence(
    pool: AsyncPool, kafka: str, topic: str
) -> None:
    await send(kafka, topic, [record(0, "A", 1)])

    async def positions(_: str) -> dict[int, int]:
        return {0: 7}

    lag = TopicLag(KafkaSettings(bootstrap_servers=kafka), topic=topic, source=SOURCE, positions=positions)
    async with lag.lent():
        with pytest.raises(TopicRecreated, match="re-created"):
            await lag.refuse_recreated()
