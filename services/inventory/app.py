"""Composition root of inventory: the only place that constructs anything. Tests call the same functions."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from libs.events.topics import ORDERS_ORDERS
from libs.runtime import parking
from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys
from libs.runtime.consumption import BatchConsumer
from libs.runtime.kafka import KafkaSettings, Publisher, make_broker
from libs.runtime.lag import TopicLag
from libs.runtime.outbox import unpublished
from libs.runtime.postgres import RUNTIME_MIGRATIONS, AsyncPool, Bell, make_pool, migrate, transient_faults
from libs.runtime.relay import Relay
from libs.runtime.serving import Process
from libs.runtime.transactional import TransactionalHandler
from services.inventory.api import routes
from services.inventory.consumer import SCHEMA, handler
from services.inventory.settings import InventorySettings
from services.inventory.store import StockViews

SERVICE: Final = "inventory"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
ROLES: Final = ("serve", "consumer")


def migrate_inventory(dsn: str) -> list[str]:
    """Bring the schema to this version; the names of the migrations applied."""
    return migrate(dsn, SCHEMA, RUNTIME_MIGRATIONS, MIGRATIONS)


def compose(settings: InventorySettings, kafka: KafkaSettings, role: str) -> Callable[[Process], None]:
    """What a process of this role is made of; `serve` is all roles in one, each answers for its health."""

    def of_role(process: Process) -> None:
        pool = make_pool(settings.dsn, SCHEMA, name=f"inventory {role}")
        process.pool(pool)
        handling = handler(pool, parked_max=settings.parked_max)
        lag = make_lag(kafka, handling)
        process.resource("topic lag", lag.lent)
        process.step("positions", lag.refuse_recreated)
        _add_consumer(process, kafka, handling)
        _add_mirror(process, pool, settings, kafka)
        process.http(make_app(process, pool, settings, lag), settings.http_host, settings.http_port)

    return of_role


@asynccontextmanager
async def open_releaser(settings: InventorySettings) -> AsyncIterator[TransactionalHandler]:
    """What the command `redrive` releases parked records with."""
    pool = make_pool(settings.dsn, SCHEMA, name="inventory redrive", size=2)
    async with transient_faults():
        await pool.open(wait=True)
    try:
        yield handler(pool, parked_max=settings.parked_max)
    finally:
        await pool.close(3)


def make_lag(kafka: KafkaSettings, handling: TransactionalHandler) -> TopicLag:
    """What is not consumed yet of the whole topic, whoever consumes it."""
    topic = ORDERS_ORDERS.name
    return TopicLag(kafka, topic=topic, source=f"{SERVICE}:{topic}", positions=handling.load_positions)


def make_app(process: Process, pool: AsyncPool, settings: InventorySettings, lag: TopicLag) -> FastAPI:
    """The HTTP door."""

    async def status() -> Status:
        return Status(
            lag_records=await lag.records(),
            unpublished_events=await unpublished(pool, SCHEMA),
            waiting=0,
            parked=await parking.count(pool, SCHEMA),
        )

    app = make_api(SERVICE, ApiKeys(settings.api_keys), health=process.health, status=status)
    app.include_router(routes(StockViews(pool)))
    return app


def _add_consumer(process: Process, kafka: KafkaSettings, handling: TransactionalHandler) -> None:
    broker = make_broker(kafka, client_id=f"{SERVICE}-consumer")
    consumer = BatchConsumer(broker, kafka, topic=ORDERS_ORDERS.name, group=SERVICE, handler=handling)
    process.broker(broker, [consumer])


def _add_mirror(process: Process, pool: AsyncPool, settings: InventorySettings, kafka: KafkaSettings) -> None:
    relay = Relay(
        service=SERVICE,
        name=parking.MIRROR_NAME,
        dsn=settings.dsn,
        source=parking.MirrorSource(pool, SCHEMA),
        publisher=Publisher(kafka, client_id=f"{SERVICE}-relay-parked-mirror"),
        bell=Bell(settings.dsn, parking.channel_of(SCHEMA), fallback_seconds=2.0),
    )
    process.task("relay parked-mirror", relay.run)
    process.health.ready("relay parked-mirror", lambda: relay.last_fault or None)
