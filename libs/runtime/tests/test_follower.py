"""A follower whole: what it cannot apply is parked, mirrored at once and released; it leaves nothing open."""

import asyncio
import gc
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import APIRouter
from pydantic import SecretStr

from libs.runtime import follower
from libs.runtime.clock import uuid7
from libs.runtime.follower import Follower
from libs.runtime.kafka import KafkaSettings
from libs.runtime.postgres import AsyncPool
from libs.runtime.redrive import Selection, redrive
from libs.runtime.serving import Process
from libs.runtime.settings import ApiKey, FollowerSettings
from libs.runtime.tests.order_records import TYPES, headers
from libs.runtime.tests.topics import made
from libs.runtime.transactional import Received, TransactionalHandler

KEY = "key-of-one-0123456789"
MIGRATION = """
CREATE TABLE {schema}.order_sequences (
    order_id text PRIMARY KEY, sequence bigint NOT NULL, updated_at timestamptz DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO {role};
"""


async def apply(connection: psycopg.AsyncConnection, events: Sequence[Received]) -> None:
    """Events of this service have no effect but their sequence."""


def make_handler(pool: AsyncPool, *, parked_max: int) -> TransactionalHandler:
    return TransactionalHandler(pool, schema="ledger", types=TYPES, apply=apply, parked_max=parked_max)


def make_routes(pool: AsyncPool) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/sequences")
    async def sequences() -> dict[str, int]:
        async with pool.connection() as connection:
            cursor = await connection.execute("SELECT order_id, sequence FROM ledger.order_sequences")
            return dict(await cursor.fetchall())

    return router


@pytest_asyncio.fixture
async def topic(kafka: str) -> AsyncIterator[str]:
    name = f"test.{uuid7().hex}.v1"
    async with made(kafka, name, f"{name}.ledger.dlq"):
        yield name


@pytest.fixture
def ledger(topic: str, tmp_path: Path) -> Follower:
    folder = tmp_path / "ledger" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_ledger.sql").write_text(MIGRATION, encoding="utf-8")
    return Follower("ledger", topic, folder, FollowerSettings, make_handler, make_routes)


@pytest.fixture
def settings(ledger: Follower, database: str) -> FollowerSettings:
    ledger.migrate(database)
    key = ApiKey(id="one", sha256=hashlib.sha256(KEY.encode()).hexdigest(), scopes=frozenset(), seller="one")
    return FollowerSettings(database_url=SecretStr(database), api_keys=(key,), http_port=0)


@asynccontextmanager
async def served(
    ledger: Follower, settings: FollowerSettings, kafka: str
) -> AsyncIterator[httpx.AsyncClient]:
    process = Process("ledger")
    ledger.compose(settings, KafkaSettings(bootstrap_servers=kafka), "serve")(process)
    running = asyncio.create_task(process.run())
    try:
        async with asyncio.timeout(60):
            await process.started.wait()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{process.port}",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=60,
        ) as client:
            yield client
    finally:
        process.stop()
        assert await running == 0


async def send(kafka: str, topic: str, *events: tuple[str, int]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for order, sequence in events:
        await producer.send_and_wait(topic, b"{}", order.encode(), headers=headers(order, sequence))
    await producer.stop()


@pytest.mark.connected
async def test_what_is_parked_is_mirrored_at_once_and_nothing_stays_open(
    ledger: Follower, settings: FollowerSettings, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the bell can wake the mirror within this test.
    monkeypatch.setattr(follower, "MIRROR_FALLBACK_SECONDS", 3_600.0)
    mirror = AIOKafkaConsumer(
        f"{ledger.topic}.ledger.dlq", bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    await mirror.start()
    try:
        async with served(ledger, settings, kafka) as client:
            assert (await client.get("/health/ready")).json() == {"status": "ok", "problems": []}
            await send(kafka, ledger.topic, ("A", 1), ("B", 2))
            record = await asyncio.wait_for(mirror.getone(), 60)
            assert (record.key, dict(record.headers)["jejak-parked-reason"]) == (b"B", b"SEQUENCE_GAP")
            assert (await client.get("/v1/sequences")).json() == {"A": 1}
            status = (await client.get("/v1/status")).json()
            assert status == {
                "service": "ledger", "lag_records": 0, "unpublished_events": 0, "waiting": 0, "parked": 1,
            }  # fmt: skip
    finally:
        await mirror.stop()
    # A producer or connection that nobody closed warns here, and a warning is an error.
    gc.collect()


@pytest.mark.connected
async def test_what_was_parked_is_released_once_its_hole_is_filled(
    ledger: Follower, settings: FollowerSettings, kafka: str
) -> None:
    async with served(ledger, settings, kafka) as client:
        await send(kafka, ledger.topic, ("B", 2), ("B", 1))
        async with asyncio.timeout(60):
            while (await client.get("/v1/sequences")).json() != {"B": 1}:
                pass
    async with ledger.open_releaser(settings) as releaser:
        report = await redrive(releaser, Selection())
    assert (report.outcomes, report.failed) == ({"handled": 1}, [])
