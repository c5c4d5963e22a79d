"""Composition root of orders: the only place that constructs anything. Tests call the same functions."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from libs.events.topics import CHANNELS_ORDERS
from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys, Callers
from libs.runtime.consumption import BatchConsumer
from libs.runtime.kafka import KafkaSettings, make_broker
from libs.runtime.lag import TopicLag
from libs.runtime.openapi import describe
from libs.runtime.outbox import unpublished as unpublished_answers
from libs.runtime.parking import MIRROR_NAME, MirrorSource, channel_of
from libs.runtime.postgres import RUNTIME_MIGRATIONS, AsyncPool, Bell, make_pool, migrate
from libs.runtime.relay import add_relay
from libs.runtime.serving import Process
from libs.runtime.tokens import TokenSigner, TokenVerifier
from services.orders.action_ends_consumer import action_ends_consumer, action_ends_lag
from services.orders.answer_shapes import ANSWERS
from services.orders.api import routes
from services.orders.buyers import Buyers, buyers_of
from services.orders.command_doors import CommandDoors
from services.orders.consumer import BATCH_RECORDS_MAX, FactsHandler, stored_positions
from services.orders.contact import Contacts, contact_routes
from services.orders.housekeeping import Cleaner, WaitingSweeper
from services.orders.machine_api import machine_routes
from services.orders.products_consumer import products_consumer, products_lag
from services.orders.projector import Projector
from services.orders.read_requests import READS_CHANNEL, ReadRequests, unsent
from services.orders.recorder import EVENTS_CHANNEL
from services.orders.registry.first_sight import CustomerRegister
from services.orders.registry.keys import DatabaseKeys
from services.orders.registry.routes import registry_routes
from services.orders.registry.signing import sealer_of, signer_of
from services.orders.registry.standing import StandingCallers
from services.orders.relay import StoreSource, unpublished
from services.orders.settings import OrdersSettings
from services.orders.surroundings import SellerTermsReader
from services.orders.timer_verifying import TimersVerifier
from services.orders.timers import TimersRunner
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
        buyers = buyers_of(settings, pool)
        process.step("keys", buyers.refuse_missing_keys)
        signer = signer_of(settings.token_keys, settings.token_issuer)
        callers = _callers(pool, settings, signer)
        handler = FactsHandler(pool, buyers, parked_max=settings.parked_max)
        topic = CHANNELS_ORDERS.name
        lag = TopicLag(
            kafka, topic=topic, source=f"{SERVICE}:{topic}", positions=partial(stored_positions, pool)
        )
        process.resource("topic lag", lag.lent)
        doors = CommandDoors(process, pool, settings, kafka, callers, buyers)
        commands_lag = doors.lag()
        process.resource("commands lag", commands_lag.lent)
        lag_of_products = products_lag(pool, kafka)
        process.resource("products lag", lag_of_products.lent)
        lag_of_ends = action_ends_lag(pool, kafka)
        process.resource("action ends lag", lag_of_ends.lent)
        if role in {"serve", "consumer"}:
            process.step("positions", lag.refuse_recreated)
            process.step("positions of commands", commands_lag.refuse_recreated)
            process.step("positions of products", lag_of_products.refuse_recreated)
            process.step("positions of action ends", lag_of_ends.refuse_recreated)
            _add_consumer(process, handler, pool, doors, settings=settings, kafka=kafka)
        if role in {"serve", "relay"}:
            _add_relays(process, pool, settings, kafka)
            doors.add_relay()
        if role in {"serve", "projector"}:
            _add_projector(process, pool, settings)
        if role in {"serve", "timers"}:
            _add_timers(process, pool, settings)
        lags = [lag, commands_lag, lag_of_products, lag_of_ends]
        app = _api(process, pool, buyers, settings, lags=lags, callers=callers, signer=signer)
        if role in {"serve", "api"}:
            doors.add_http(app)
        describe(app, ANSWERS)
        process.http(app, settings.http_host, settings.http_port)

    return of_role


def _add_consumer(
    process: Process,
    handler: FactsHandler,
    pool: AsyncPool,
    doors: CommandDoors,
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
    products = products_consumer(broker, kafka, pool, parked_max=settings.parked_max)
    ends = action_ends_consumer(broker, kafka, pool, parked_max=settings.parked_max)
    process.broker(broker, [consumer, doors.consumer(broker), products, ends])


def _add_projector(process: Process, pool: AsyncPool, settings: OrdersSettings) -> None:
    bell = Bell(settings.dsn, EVENTS_CHANNEL)
    projector = Projector(pool, settings.dsn, bell)
    process.resource("projector bell", bell.listening)
    process.task("projector", projector.run)
    customers_bell = Bell(settings.dsn, EVENTS_CHANNEL)
    customers = CustomerRegister(pool, settings.dsn, customers_bell)
    process.resource("customers bell", customers_bell.listening)
    process.task("customers", customers.run)
    process.health.ready("projector", lambda: projector.last_fault or None)


def _add_timers(process: Process, pool: AsyncPool, settings: OrdersSettings) -> None:
    runner = TimersRunner(pool, settings.dsn, SellerTermsReader(pool))
    process.task("timers", runner.run)
    process.task("timers verifier", TimersVerifier(pool, settings.dsn).run)
    process.task("cleaner", Cleaner(pool, settings.dsn).run)
    process.health.ready("timers", lambda: runner.last_fault or None)


def _add_relays(process: Process, pool: AsyncPool, settings: OrdersSettings, kafka: KafkaSettings) -> None:
    events_bell = Bell(settings.dsn, EVENTS_CHANNEL)
    add_relay(
        process,
        "events",
        StoreSource(pool),
        events_bell,
        dsn=settings.dsn,
        kafka=kafka,
        stage="published",
    )
    reads_bell = Bell(settings.dsn, READS_CHANNEL)
    add_relay(process, "read-requests", ReadRequests(pool), reads_bell, dsn=settings.dsn, kafka=kafka)
    mirror_bell = Bell(settings.dsn, channel_of(SERVICE), fallback_seconds=2.0)
    add_relay(process, MIRROR_NAME, MirrorSource(pool, SERVICE), mirror_bell, dsn=settings.dsn, kafka=kafka)


def _callers(pool: AsyncPool, settings: OrdersSettings, signer: TokenSigner | None) -> Callers:
    tokens = StandingCallers(TokenVerifier(settings.token_issuers, own=signer), pool)
    return Callers([ApiKeys(settings.api_keys), DatabaseKeys(pool)], tokens)


def _api(
    process: Process,
    pool: AsyncPool,
    buyers: Buyers,
    settings: OrdersSettings,
    *,
    lags: Sequence[TopicLag],
    callers: Callers,
    signer: TokenSigner | None,
) -> FastAPI:
    async def status() -> Status:
        # In the order that records go, so that one on its way is counted at least once.
        behind = sum([await lag.records() for lag in lags])
        waiting, parked = await waiting_and_parked(pool)
        answers = await unpublished_answers(pool, SERVICE)
        unsent_records = await unpublished(pool) + await unsent(pool) + answers
        return Status(behind, unsent_records, waiting, parked)

    app = make_api(SERVICE, callers, health=process.health, status=status)
    registry = registry_routes(
        pool,
        sealer=sealer_of(settings.key_encryption_keys),
        signer=signer,
        exchange_keys=buyers.envelopes.public_keys(),
    )
    app.include_router(registry)
    app.include_router(contact_routes(Contacts(pool, buyers)))
    app.include_router(routes(OrderViews(pool, buyers)))
    app.include_router(machine_routes())
    return app
