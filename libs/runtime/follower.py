"""A service that follows one topic in plain transactions: what its process is made of, and its commands.

The service gives its names, its settings, its handler and its routes. What an event means is the handler's.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fastapi import APIRouter, FastAPI

from libs.runtime import parking
from libs.runtime.asgi import Status, make_api
from libs.runtime.consumption import BatchConsumer
from libs.runtime.kafka import KafkaSettings, make_broker
from libs.runtime.lag import TopicLag
from libs.runtime.openapi import Answers, describe
from libs.runtime.outbox import unpublished
from libs.runtime.postgres import RUNTIME_MIGRATIONS, AsyncPool, Bell, make_pool, migrate, transient_faults
from libs.runtime.redrive import redrive_command
from libs.runtime.relay import add_relay
from libs.runtime.serving import Process
from libs.runtime.settings import FollowerSettings, load_or_exit
from libs.runtime.tokens import callers
from libs.runtime.transactional import TransactionalHandler

MIRROR_FALLBACK_SECONDS = 2.0


class MakeHandler(Protocol):
    """Gives what has the effect of the topic's records, with a limit to what may be parked."""

    def __call__(self, pool: AsyncPool, *, parked_max: int) -> TransactionalHandler: ...


@dataclass(frozen=True, slots=True)
class Follower:
    """What is one service's own; its name is that of its schema and of its consumer group too."""

    service: str
    topic: str
    migrations: Path
    settings: type[FollowerSettings]
    make_handler: MakeHandler
    make_routes: Callable[[AsyncPool], APIRouter]
    answers: Answers = field(default_factory=dict)

    def migrate(self, dsn: str) -> list[str]:
        """Bring the schema to this version; the names of the migrations applied."""
        return migrate(dsn, self.service, RUNTIME_MIGRATIONS, self.migrations)

    def compose(
        self, settings: FollowerSettings, kafka: KafkaSettings, role: str
    ) -> Callable[[Process], None]:
        """What a process of this role is made of; every role is all of it, and answers for its own health."""

        def of_role(process: Process) -> None:
            pool = make_pool(settings.dsn, self.service, name=f"{self.service} {role}")
            process.pool(pool)
            handler = self.make_handler(pool, parked_max=settings.parked_max)
            lag = TopicLag(
                kafka,
                topic=self.topic,
                source=f"{self.service}:{self.topic}",
                positions=handler.load_positions,
            )
            process.resource("topic lag", lag.lent)
            process.step("positions", lag.refuse_recreated)
            self._add_consumer(process, kafka, handler)
            self._add_mirror(process, pool, settings, kafka)
            process.http(self.make_app(process, pool, settings, lag), settings.http_host, settings.http_port)

        return of_role

    def make_app(
        self, process: Process, pool: AsyncPool, settings: FollowerSettings, lag: TopicLag
    ) -> FastAPI:
        """The HTTP door: health, metrics, what is not drained yet, and the service's routes."""

        async def status() -> Status:
            return Status(
                lag_records=await lag.records(),
                unpublished_events=await unpublished(pool, self.service),
                # A record has its effect at once or is parked.
                waiting=0,
                parked=await parking.count(pool, self.service),
            )

        app = make_api(self.service, callers(settings), health=process.health, status=status)
        app.include_router(self.make_routes(pool))
        describe(app, self.answers)
        return app

    @asynccontextmanager
    async def open_releaser(self, settings: FollowerSettings) -> AsyncIterator[TransactionalHandler]:
        """What `redrive` releases parked records with; Transient when the database does not answer."""
        pool = make_pool(settings.dsn, self.service, name=f"{self.service} redrive", size=2)
        async with transient_faults():
            await pool.open(wait=True)
        try:
            yield self.make_handler(pool, parked_max=settings.parked_max)
        finally:
            await pool.close(3)

    def redrive(self, argv: list[str]) -> int:
        """Run the command `redrive`; the exit code. Settings are read once its arguments are found good."""
        return redrive_command(
            argv,
            lambda: self.open_releaser(load_or_exit(self.settings)),
            program=f"python -m services.{self.service} redrive",
        )

    def _add_consumer(self, process: Process, kafka: KafkaSettings, handler: TransactionalHandler) -> None:
        broker = make_broker(kafka, client_id=f"{self.service}-consumer")
        consumer = BatchConsumer(broker, kafka, topic=self.topic, group=self.service, handler=handler)
        process.broker(broker, [consumer])

    def _add_mirror(
        self, process: Process, pool: AsyncPool, settings: FollowerSettings, kafka: KafkaSettings
    ) -> None:
        channel = parking.channel_of(self.service)
        add_relay(
            process,
            parking.MIRROR_NAME,
            parking.MirrorSource(pool, self.service),
            Bell(settings.dsn, channel, fallback_seconds=MIRROR_FALLBACK_SECONDS),
            dsn=settings.dsn,
            kafka=kafka,
        )
