"""Composition root of orders: the only place that constructs anything. Tests call the same functions."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from libs.events.topics import CHANNELS_ORDERS
from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys
from libs.runtime.consumption import BatchConsumer
from libs.runtime.kafka import KafkaSettings, make_broker
from libs.runtime.lag import TopicLag
from libs.runtime.parking import MIRROR_NAME, MirrorSource, channel_of
from libs.runtime.postgres import RUNTIME_MIGRATIONS, AsyncPool, Bell, make_pool, migrate
from libs.runtime.relay import add_relay
from libs.runtime.serving import Process
from services.orders.api import routes
from services.orders.consumer import BATCH_RECORDS_MAX, FactsHandler, stored_positions
from services.orders.housekeeping import WaitingSweeper
from services.orders.projector import Projector
from services.orders.recorder import EVENTS_CHANNEL
from services.orders.relay import StoreSource, unpublished
from services.orders.settings import OrdersSettings
from services.orders.views import OrderViews, waiting_and_parked

SERVICE: Final = "orders"
MIGRATIONS: Final = Path(__file__).parent / "migrations"


def migrate_orders(dsn: str) -> list[str]:
    """Bring the schema to this version; the names of the migrations applied."""
    return migrate(dsn, SERVICE, RUNTIME_MIGRATIONS, MIGRATIONS)


def compose(settings: OrdersSettings, kafka: KafkaSettings, role: str) -> Callable[[Process], None]:
    """What a process of this role is made of; `serve` is all roles in one."""

    def of_role(process: Process) -> None:
        pool = make_pool(settings.dsn, SERVICE, name=f"orders {role}")
        process.pool(pool)
        handler = FactsHandler(pool, parked_max=settings.parked_max)
        topic = CHANNELS_ORDERS.name
        lag = TopicLag(
            kafka, topic=topic, source=f"{SERVICE}:{topic}", positions=partial(stored_positions, pool)
        )
        process.resource("topic lag", lag.lent)
        if role in {"serve", "consumer"}:
            process.step("positions", lag.refuse_recreated)
            _add_consumer(process, handler, pool, settings=settings, kafka=kafka)
        if role in {"serve", "relay"}:
            _add_relays(process, pool, settings, kafka)
        if role in {"serve", "projector"}:
            _add_projector(process, pool, settings)
        process.http(_api(process, pool, settings, lag), settings.http_host, settings.http_port)

    return of_role


def _add_consumer(
    process: Process,
    handler: FactsHandler,
    pool: AsyncPool,
    *,
    settings: OrdersSettings,
    kafka: KafkaSettings,
) -> None:
    broker = make_broker(kafka, client_id="orders-consumer")
    consumer = BatchConsumer(
        broker,
        kafka,
        topic=CHANNELS_ORDERS.name,
        group=SERVICE,
        handler=handler,
        batch_records_max=BATCH_RECORDS_MAX,
    )
    sweeper = WaitingSweeper(pool, settings.dsn, seconds_max=settings.waiting_seconds_max)
    process.task("waiting sweeper", sweeper.run)
    process.broker(broker, [consumer])


def _add_projector(process: Process, pool: AsyncPool, settings: OrdersSettings) -> None:
    bell = Bell(settings.dsn, EVENTS_CHANNEL)
    projector = Projector(pool, settings.dsn, bell)
    process.resource("projector bell", bell.listening)
    process.task("projector", projector.run)
    process.health.ready("projector", lambda: projector.last_fault or None)


def _add_relays(process: Process, pool: AsyncPool, settings: OrdersSettings, kafka: KafkaSettings) -> None:
    events_bell = Bell(settings.dsn, EVENTS_CHANNEL)
    add_relay(process, "events", StoreSource(pool), events_bell, dsn=settings.dsn, kafka=kafka)
    mirror_bell = Bell(settings.dsn, channel_of(SERVICE), fallback_seconds=2.0)
    add_relay(process, MIRROR_NAME, MirrorSource(pool, SERVICE), mirror_bell, dsn=settings.dsn, kafka=kafka)


def _api(process: Process, pool: AsyncPool, settings: OrdersSettings, lag: TopicLag) -> FastAPI:
    async def status() -> Status:
        # In the order that records go, so that one on its way is counted at least once.
        behind = await lag.records()
        waiting, parked = await waiting_and_parked(pool)
        return Status(behind, await unpublished(pool), waiting, parked)

    app = make_api(SERVICE, ApiKeys(settings.api_keys), health=process.health, status=status)
    app.include_router(routes(OrderViews(pool)))
    return app
