"""Parked records keep what they were and why; they are mirrored, counted and listed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer

from libs.runtime import parking
from libs.runtime.clock import uuid7
from libs.runtime.errors import Malformed, Permanent
from libs.runtime.kafka import KafkaSettings, Publisher
from libs.runtime.parking import (
    BEHIND,
    MirrorSource,
    Parked,
    causes,
    count,
    detail_of,
    fingerprint,
    head_of,
    key_lock,
    listing,
    mirror_topic,
    mirrored,
    note_failure,
    open_faults,
    park,
    park_rows,
    parked_keys,
    parked_row,
    remove,
)
from libs.runtime.postgres import RUNTIME_MIGRATIONS, AsyncPool, Bell, make_pool, migrate
from libs.runtime.records import Record, unframe_headers
from libs.runtime.relay import Relay
from libs.runtime.tests.topics import made

SOURCE = "orders:channels.orders.v1"
PRODUCED_AT = datetime(2026, 3, 5, 8, 0, tzinfo=UTC)
HEADERS = [("ce_id", b"e-1"), ("odd", None), ("odd", b"\xff")]


def record(offset: int, key: str = "k-1", *, partition: int = 0, value: bytes | None = b"{}") -> Record:
    return Record(
        SOURCE, "channels.orders.v1", partition, offset, key, key.encode(), HEADERS, value, PRODUCED_AT
    )


def caught(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except Exception as fault:  # noqa: BLE001  # Whatever is raised is what the test is about.
        return fault
    raise AssertionError("It was to raise.")


def one(text: str) -> int:
    return int(text)


def other(text: str) -> int:
    return int(text)


def test_failures_of_one_cause_have_one_fingerprint() -> None:
    assert fingerprint("FAILED", caught(lambda: one("a"))) == fingerprint("FAILED", caught(lambda: one("b")))
    different = {
        fingerprint("FAILED", caught(lambda: one("a"))),
        fingerprint("FAILED", caught(lambda: other("a"))),
        fingerprint("OTHER", caught(lambda: one("a"))),
        fingerprint("FAILED"),
        fingerprint("FAILED", KeyError("a")),
    }
    assert len(different) == 5


def test_without_our_code_in_the_traceback_the_message_counts_without_its_variables() -> None:
    first = ValueError("Order 018f2c4e-0000-7000-8000-000000000001 has 3 lines of 'blue shirt'.")
    second = ValueError("Order 018f2c4e-0000-7000-8000-00000000abcd has 12 lines of 'red'.")
    assert fingerprint("FAILED", first) == fingerprint("FAILED", second)
    assert fingerprint("FAILED", first) != fingerprint("FAILED", ValueError("The order has no lines."))


def test_the_field_that_is_malformed_is_part_of_the_cause() -> None:
    def malformed(field: str) -> str:
        return fingerprint("MALFORMED", Malformed("It is not a number.", field=field))

    assert malformed("lines.0.quantity") == malformed("lines.7.quantity")
    assert malformed("lines.0.quantity") != malformed("lines.0.price")


def test_the_detail_holds_nothing_of_the_content() -> None:
    assert detail_of(Permanent("GONE", "The shop is\x00 deleted.")) == "The shop is deleted."
    told = detail_of(caught(lambda: one("buyer's phone")))
    assert told.startswith("ValueError in ")
    assert "one" in told
    assert "phone" not in told


def test_a_row_keeps_the_record_as_it_came() -> None:
    row = parked_row(record(7), "FAILED", ValueError("x"))
    assert (row.source, row.partition, row.position, row.key, row.attempts) == (SOURCE, 0, 7, "k-1", 1)
    stored = Parked(
        **{name: getattr(row, name) for name in row.__dataclass_fields__}, id=1, parked_at=PRODUCED_AT
    )
    # msgpack gives lists and tuples back as tuples, so compare what they hold.
    back = stored.record()
    assert [tuple(header) for header in back.headers] == HEADERS
    assert replace_headers(back) == replace_headers(record(7))


def replace_headers(of: Record) -> tuple[Any, ...]:
    return (of.source, of.topic, of.partition, of.offset, of.key, of.raw_key, of.value, of.produced_at)


def test_a_row_behind_needs_no_fault() -> None:
    row = parked_row(record(8), BEHIND)
    assert row.detail == "It waits behind an earlier record of its key."


def parked(**changes: Any) -> Parked:
    row = parked_row(record(7), "FAILED", ValueError("x"))
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return Parked(**fields | {"id": 1, "parked_at": PRODUCED_AT} | changes)


def test_the_mirror_says_why_and_whence() -> None:
    out = mirrored(parked())
    assert out.topic == mirror_topic(SOURCE) == "channels.orders.v1.orders.dlq"
    assert (out.key, out.value) == (b"k-1", b"{}")
    assert [tuple(header) for header in out.headers][:3] == HEADERS
    assert dict(out.headers[3:]) == {
        "jejak-parked-reason": b"FAILED",
        "jejak-parked-partition": b"0",
        "jejak-parked-offset": b"7",
        "jejak-parked-group": b"orders",
        "jejak-parked-fingerprint": parked().fingerprint.encode(),
    }


def test_a_record_too_large_for_the_mirror_is_mirrored_without_its_value() -> None:
    out = mirrored(parked(value=b"x" * 990_000))
    assert (out.key, out.value) == (b"k-1", b"")
    assert dict(out.headers)["jejak-parked-cut"] == b"true"


def test_a_key_counts_for_the_mirror_and_is_cut_when_it_is_too_large_alone() -> None:
    both = mirrored(parked(record_key=b"k" * 500_000, value=b"x" * 500_000))
    assert (both.key, both.value) == (b"k" * 500_000, b"")
    alone = mirrored(parked(record_key=b"k" * 990_000, value=None))
    assert alone.key is not None
    assert len(alone.key) + sum(len(name) + len(text or b"") for name, text in alone.headers) < 960_000
    assert dict(alone.headers)["jejak-parked-cut"] == b"true"


def test_locks_of_keys_differ_and_are_stable() -> None:
    assert key_lock("inventory", SOURCE, "k-1") == key_lock("inventory", SOURCE, "k-1")
    assert (
        len(
            {
                key_lock("inventory", SOURCE, "k-1"),
                key_lock("orders", SOURCE, "k-1"),
                key_lock("orders", SOURCE, "k-2"),
            }
        )
        == 3
    )
    assert -(2**63) <= key_lock("inventory", SOURCE, "k-1") < 2**63


SCHEMA = "inventory"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate(database, SCHEMA, RUNTIME_MIGRATIONS)
    pool = make_pool(database, SCHEMA, name="parking test")
    async with pool:
        yield pool


async def park_all(pool: AsyncPool, *rows: parking.ParkedRow) -> None:
    async with pool.connection() as connection, connection.transaction():
        await park_rows(connection, SCHEMA, rows)


@pytest.mark.connected
async def test_parked_rows_are_counted_and_listed_in_order(pool: AsyncPool) -> None:
    fault = caught(lambda: one("a"))
    async with pool.connection() as connection, connection.transaction():
        await park(connection, SCHEMA, record(1), "FAILED", fault)
    await park_all(
        pool,
        parked_row(record(2), BEHIND),
        parked_row(record(3, "k-2", value=None), "FAILED", fault),
        # The same record again changes nothing.
        parked_row(record(1), "OTHER"),
    )
    assert await count(pool, SCHEMA) == await count(pool, SCHEMA, SOURCE) == 3
    assert await count(pool, SCHEMA, "orders:other") == 0
    assert await open_faults(pool, SCHEMA, SOURCE) == 2
    rows = await listing(pool, SCHEMA, source=SOURCE)
    assert [(row.position, row.key, row.reason, row.value_bytes) for row in rows] == [
        (1, "k-1", "FAILED", 2),
        (2, "k-1", BEHIND, 2),
        (3, "k-2", "FAILED", 0),
    ]
    assert [row.position for row in await listing(pool, SCHEMA, key="k-1", limit=1)] == [1]
    assert [row.position for row in await listing(pool, SCHEMA, key="k-1", after=rows[0].id)] == [2]
    [cause] = await causes(pool, SCHEMA)
    assert (cause.reason, cause.rows) == ("FAILED", 2)


@pytest.mark.connected
async def test_the_head_of_a_key_comes_back_whole_and_its_failures_count(pool: AsyncPool) -> None:
    await park_all(
        pool, parked_row(record(1), "FAILED", caught(lambda: one("a"))), parked_row(record(2), BEHIND)
    )
    async with pool.connection() as connection:
        head = await head_of(connection, SCHEMA, SOURCE, "k-1")
        assert head is not None
        assert head.position == 1
        assert [tuple(header) for header in unframe_headers(head.headers)] == HEADERS
        await note_failure(pool, SCHEMA, head, "MALFORMED", Malformed("It is not a number."))
        again = await head_of(connection, SCHEMA, SOURCE, "k-1")
        assert again is not None
        assert (again.id, again.attempts, again.reason, again.detail) == (
            head.id, 2, "MALFORMED", "It is not a number.",
        )  # fmt: skip
        assert await remove(connection, SCHEMA, head.id)
        assert not await remove(connection, SCHEMA, head.id)


@pytest.mark.connected
async def test_the_head_of_a_key_is_its_earliest_record_whenever_that_was_parked(pool: AsyncPool) -> None:
    await park_all(pool, parked_row(record(7), "FAILED"), parked_row(record(3, partition=1), BEHIND))
    await park_all(pool, parked_row(record(5), "WAITED_TOO_LONG"))
    async with pool.connection() as connection:
        for place in ((0, 5), (0, 7), (1, 3)):
            head = await head_of(connection, SCHEMA, SOURCE, "k-1")
            assert head is not None
            assert (head.partition, head.position) == place
            assert await remove(connection, SCHEMA, head.id)


@pytest.mark.connected
async def test_the_consumer_waits_for_a_release_and_sees_what_it_leaves(pool: AsyncPool) -> None:
    await park_all(pool, parked_row(record(1), "FAILED"))
    lock = key_lock(SCHEMA, SOURCE, "k-1")
    async with pool.connection() as redriver, pool.connection() as consumer, pool.connection() as watcher:
        await redriver.execute("SELECT pg_advisory_lock(%s::bigint)", [lock])

        async def ask() -> set[str]:
            async with consumer.transaction():
                return await parked_keys(consumer, SCHEMA, SOURCE, ["k-1", "k-2"])

        asking = asyncio.create_task(ask())
        await until_one_waits(watcher)
        assert not asking.done()
        await redriver.execute(f"DELETE FROM {SCHEMA}.parked".encode())
        await redriver.execute("SELECT pg_advisory_unlock(%s::bigint)", [lock])
        assert await asking == set()


async def until_one_waits(watcher: psycopg.AsyncConnection) -> None:
    """Return when some session of this database waits for an advisory lock."""
    async with asyncio.timeout(60):
        while True:
            cursor = await watcher.execute(
                "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
                " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
            )
            if await cursor.fetchone() is not None:
                return


@pytest.mark.connected
async def test_keys_that_are_parked_stay_so_until_the_transaction_ends(pool: AsyncPool) -> None:
    await park_all(pool, parked_row(record(1), "FAILED"))
    async with pool.connection() as consumer, pool.connection() as redriver:
        async with consumer.transaction():
            assert await parked_keys(consumer, SCHEMA, SOURCE, ["k-1", "k-2"]) == {"k-1"}
            taken = await redriver.execute(
                "SELECT pg_try_advisory_lock(%s::bigint)", [key_lock(SCHEMA, SOURCE, "k-1")]
            )
            assert await taken.fetchone() == (False,)
        taken = await redriver.execute(
            "SELECT pg_try_advisory_lock(%s::bigint)", [key_lock(SCHEMA, SOURCE, "k-1")]
        )
        assert await taken.fetchone() == (True,)


@pytest.mark.connected
async def test_the_mirror_follows_and_remembers(pool: AsyncPool) -> None:
    source = MirrorSource(pool, SCHEMA)
    assert await source.fetch([]) is None
    await park_all(pool, parked_row(record(1), "FAILED"), parked_row(record(2), BEHIND))
    first = await source.fetch([])
    assert first is not None
    assert [dict(out.headers)["jejak-parked-offset"] for out in first.records] == [b"1", b"2"]
    assert await source.fetch([first.mark]) is None
    again = await source.fetch([])
    assert again is not None
    assert again.mark == first.mark
    await source.done([first.mark])
    assert await source.fetch([]) is None
    await park_all(pool, parked_row(record(3), "FAILED"))
    after = await MirrorSource(pool, SCHEMA).fetch([])
    assert after is not None
    assert [dict(out.headers)["jejak-parked-offset"] for out in after.records] == [b"3"]


@pytest.mark.connected
async def test_ids_become_visible_in_their_order(pool: AsyncPool) -> None:
    source = MirrorSource(pool, SCHEMA)
    async with pool.connection() as slow, pool.connection() as watcher:
        async with slow.transaction():
            await park_rows(slow, SCHEMA, [parked_row(record(1), "FAILED")])
            parking_too = asyncio.create_task(park_all(pool, parked_row(record(2, "k-2"), "FAILED")))
            # The second waits for the first's commit, so that a mirror cannot pass over it.
            await until_one_waits(watcher)
            assert await source.fetch([]) is None
        await parking_too
    chunk = await source.fetch([])
    assert chunk is not None
    assert [dict(out.headers)["jejak-parked-offset"] for out in chunk.records] == [b"1", b"2"]


@pytest.mark.connected
async def test_a_relay_brings_the_mirror_to_its_topic(pool: AsyncPool, database: str, kafka: str) -> None:
    topic = f"mirror.{uuid7().hex}.v1"
    source = f"orders:{topic}"
    dead_letters = mirror_topic(source)
    keyless = Record(source, topic, 0, 2, "none:0:2", None, HEADERS, None, PRODUCED_AT)
    keyed = Record(source, topic, 0, 1, "k-1", b"k-1", HEADERS, b"\xff", PRODUCED_AT)
    await park_all(pool, parked_row(keyed, "FAILED"), parked_row(keyless, "FAILED"))
    publisher = Publisher(KafkaSettings(bootstrap_servers=kafka), client_id="mirror test")
    bell = Bell(database, parking.channel_of(SCHEMA))
    relay = Relay(
        service=SCHEMA, name="mirror", dsn=database, source=MirrorSource(pool, SCHEMA), publisher=publisher,
        bell=bell,
    )  # fmt: skip
    async with made(kafka, dead_letters), publisher.lent():
        running = asyncio.create_task(relay.run())
        consumer = AIOKafkaConsumer(dead_letters, bootstrap_servers=kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            first, second = await consumer.getone(), await consumer.getone()
        finally:
            await consumer.stop()
            running.cancel()
            await asyncio.wait([running])
    assert (first.key, first.value, first.headers[:3]) == (b"k-1", b"\xff", tuple(HEADERS))
    assert (second.key, second.value) == (None, None)
    assert dict(second.headers)["jejak-parked-offset"] == b"2"
