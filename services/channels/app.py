"""Composition root of channels: the only place that constructs anything. Tests call the same functions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp

from libs.events.topics import ORDERS_ACTIONS
from libs.runtime import outbox, parking
from libs.runtime.asgi import Status, make_api
from libs.runtime.consumption import BatchConsumer
from libs.runtime.errors import Transient
from libs.runtime.jwe import Envelopes
from libs.runtime.kafka import KafkaSettings, make_broker
from libs.runtime.keys import KeyEncryptionKeys
from libs.runtime.lag import TopicLag
from libs.runtime.openapi import describe
from libs.runtime.postgres import RUNTIME_MIGRATIONS, AsyncPool, Bell, make_pool, migrate
from libs.runtime.relay import add_relay
from libs.runtime.sealing import Sealer
from libs.runtime.serving import Process
from libs.runtime.tokens import callers
from services.channels.answer_shapes import ANSWERS
from services.channels.api import routes
from services.channels.clients import Caller, MarketClient
from services.channels.consumer import ActionsHandler
from services.channels.group_commit import GroupCommit
from services.channels.inbox import Inbox
from services.channels.lazada.client import LazadaClient
from services.channels.lazada.grants import Grants
from services.channels.poller import Poller
from services.channels.reader import Reader
from services.channels.reads import Reads
from services.channels.settings import ChannelsSettings
from services.channels.shops import Shops
from services.channels.store import INBOX_BELL, OUTBOX_BELL, READS_BELL, SCHEMA, Kept, Store
from services.channels.tokopedia.client import TokopediaClient
from services.channels.webhooks import Doors, Webhooks

SERVICE: Final = "channels"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
# Readings that confirm come due by time alone, which rings no bell.
READS_FALLBACK_SECONDS: Final = 0.25
MIRROR_FALLBACK_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 2.0
ROLES: Final = ("serve", "webhooks", "inbox", "reader", "poller", "consumer", "relay")


def migrate_channels(dsn: str) -> list[str]:
    """Bring the schema to this version; the names of the migrations applied."""
    return migrate(dsn, SERVICE, RUNTIME_MIGRATIONS, MIGRATIONS)


def compose(settings: ChannelsSettings, kafka: KafkaSettings, role: str) -> Callable[[Process], None]:
    """What a process of this role is made of; `serve` is all roles in one."""

    def of_role(process: Process) -> None:
        Parts(process, settings, kafka, role).add()

    return of_role


class Parts:
    """The parts of one process; each `_add` is one role."""

    def __init__(self, process: Process, settings: ChannelsSettings, kafka: KafkaSettings, role: str) -> None:
        self.process = process
        self.settings = settings
        self.kafka = kafka
        self.role = role
        self.seal = Sealer(settings.inbox_keys())
        self.envelopes = Envelopes(KeyEncryptionKeys(settings.key_encryption_keys))
        self.pool = self._pool(f"channels {role}", 8)
        self.outbox = outbox.OutboxSource(self.pool, SCHEMA)
        self.store = Store(self.pool, self.seal, hears=self._hears)
        self.shops = Shops(self.pool, self.seal)
        self.reads = Reads(self.pool)
        self.inbox_bell = Bell(settings.dsn, INBOX_BELL)
        self.reads_bell = Bell(settings.dsn, READS_BELL, fallback_seconds=READS_FALLBACK_SECONDS)
        self.outbox_bell = Bell(settings.dsn, OUTBOX_BELL)
        self.actions = ActionsHandler(self.pool)
        topic = ORDERS_ACTIONS.name
        self.lag = TopicLag(
            kafka, topic=topic, source=f"{SERVICE}:{topic}", positions=self.actions.load_positions
        )

    def add(self) -> None:
        app: ASGIApp = self._api()
        if self._is("webhooks"):
            app = self._add_webhooks(app)
        if self._is("inbox"):
            self._add_inbox()
        if self._is("reader") or self._is("poller"):
            clients = self._clients()
            if self._is("reader"):
                self._add_reader(clients)
            if self._is("poller"):
                self._add_poller(clients)
        if self._is("consumer"):
            self._add_consumer()
        if self._is("relay"):
            self._add_relay()
        self.process.http(app, self.settings.http_host, self.settings.http_port)

    def _is(self, role: str) -> bool:
        return self.role in {role, "serve"}

    def _hears(self, bell: str) -> bool:
        """Whether who waits for the bell is in this process; of all relays only the leading one waits."""
        return (bell == READS_BELL and self._is("reader")) or (
            bell == OUTBOX_BELL and self._is("relay") and self.outbox.is_followed
        )

    def _pool(self, name: str, size: int) -> AsyncPool:
        pool = make_pool(self.settings.dsn, SCHEMA, name=name, size=size)
        self.process.pool(pool, name="database" if name.endswith(self.role) else name)
        return pool

    def _add_webhooks(self, app: ASGIApp) -> ASGIApp:
        # A pool of its own: whatever the other roles do, a push finds a connection.
        store = Store(self._pool("webhooks database", 2), self.seal)
        here = self._is("inbox")

        async def write(messages: Sequence[Kept]) -> None:
            # The inbox of this process is rung in memory; another process's by NOTIFY.
            await store.keep(messages, notify=not here)

        commit = GroupCommit(write, on_kept=self.inbox_bell.ring)
        self.process.worker("group commit", commit.run)
        doors = Doors(
            lazada_app=self.settings.lazada_app_key,
            lazada_secrets=[secret.get_secret_value() for secret in self.settings.lazada_app_secrets],
            tokopedia_app=self.settings.tokopedia_fs_id,
            tokopedia_token=self.settings.tokopedia_path_token.get_secret_value(),
            tokopedia_addresses=self.settings.tokopedia_allowed_addresses,
        )
        return Webhooks(app, doors=doors, seal=self.seal, commit=commit)

    def _add_inbox(self) -> None:
        def on_batch() -> None:
            self.outbox_bell.ring()
            self.reads_bell.ring()

        inbox = Inbox(
            self.store, self.shops, self.inbox_bell, seal_buyer=self.envelopes.seal, on_batch=on_batch
        )
        self.process.resource("inbox bell", self.inbox_bell.listening)
        self.process.task("inbox", inbox.run)
        self.process.health.ready("inbox", lambda: inbox.last_fault or None)

    def _add_reader(self, clients: Mapping[str, MarketClient]) -> None:
        reader = Reader(
            self.store,
            self.shops,
            self.reads,
            clients,
            self.reads_bell,
            seal_buyer=self.envelopes.seal,
            on_published=self.outbox_bell.ring,
        )
        self.process.resource("reads bell", self.reads_bell.listening)
        self.process.task("reader", reader.run)
        self.process.health.ready("reader", lambda: reader.last_fault or None)

    def _add_poller(self, clients: Mapping[str, MarketClient]) -> None:
        poller = Poller(
            self.settings.dsn, self.shops, self.reads, clients, every_seconds=self.settings.poll_seconds
        )
        self.process.task("poller", poller.run)
        self.process.health.ready("poller", lambda: poller.last_fault or None)

    def _add_consumer(self) -> None:
        broker = make_broker(self.kafka, client_id="channels-consumer")
        consumer = BatchConsumer(
            broker, self.kafka, topic=ORDERS_ACTIONS.name, group=SERVICE, handler=self.actions
        )
        self.process.resource("topic lag", self.lag.lent)
        # A task and no step before the others: pushes are taken while Kafka does not answer (P1).
        self.process.task("positions", self._refuse_recreated)
        self.process.broker(broker, [consumer])
        mirror_bell = Bell(
            self.settings.dsn, parking.channel_of(SCHEMA), fallback_seconds=MIRROR_FALLBACK_SECONDS
        )
        mirror = parking.MirrorSource(self.pool, SCHEMA)
        add_relay(
            self.process, parking.MIRROR_NAME, mirror, mirror_bell, dsn=self.settings.dsn, kafka=self.kafka
        )

    async def _refuse_recreated(self) -> None:
        while True:
            try:
                await self.lag.refuse_recreated()
                break
            except Transient:
                await asyncio.sleep(RETRY_SECONDS)
        await asyncio.Event().wait()

    def _add_relay(self) -> None:
        add_relay(
            self.process,
            "outbox",
            self.outbox,
            self.outbox_bell,
            dsn=self.settings.dsn,
            kafka=self.kafka,
            stage="published",
        )

    def _clients(self) -> dict[str, MarketClient]:
        clients: dict[str, MarketClient] = {}
        settings = self.settings
        if settings.lazada_app_key:
            clients["lazada"] = LazadaClient(
                app_key=settings.lazada_app_key,
                app_secret=settings.lazada_app_secrets[0].get_secret_value(),
                base_url=settings.lazada_base_url,
                caller=Caller("lazada"),
                grants=Grants(self.store, self.shops),
            )
        if settings.tokopedia_fs_id:
            clients["tokopedia"] = TokopediaClient(
                fs_id=settings.tokopedia_fs_id,
                client_id=settings.tokopedia_client_id,
                client_secret=settings.tokopedia_client_secret.get_secret_value(),
                base_url=settings.tokopedia_base_url,
                accounts_url=settings.tokopedia_accounts_url,
                caller=Caller("tokopedia"),
            )

        @asynccontextmanager
        async def open_until_stopped() -> AsyncIterator[None]:
            try:
                yield
            finally:
                for client in clients.values():
                    await client.close()

        self.process.resource("marketplaces", open_until_stopped)
        return clients

    def _api(self) -> FastAPI:
        async def status() -> Status:
            pending, parked, reads_waiting, reads_parked = await self.store.counts()
            unpublished = await outbox.unpublished(self.pool, SCHEMA)
            actions_parked = await parking.count(self.pool, SCHEMA)
            return Status(
                # Only who consumes the topic asks Kafka: the other roles do without it.
                await self.lag.records() if self._is("consumer") else 0,
                unpublished,
                pending + reads_waiting,
                parked + reads_parked + actions_parked,
            )

        app = make_api(SERVICE, callers(self.settings), health=self.process.health, status=status)
        app.include_router(routes(self.shops, self.store))
        describe(app, ANSWERS)
        return app
