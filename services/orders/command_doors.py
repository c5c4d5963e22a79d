"""What the doors of commands are made of: one decider, the group writer behind HTTP, the topic's consumer."""

from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI
from faststream.kafka import KafkaBroker

from libs.events.topics import ORDERS_COMMANDS
from libs.runtime.auth import Principals
from libs.runtime.consumption import BatchConsumer
from libs.runtime.kafka import KafkaSettings
from libs.runtime.lag import TopicLag
from libs.runtime.outbox import OutboxSource
from libs.runtime.outbox import channel_of as outbox_channel_of
from libs.runtime.postgres import AsyncPool, Bell
from libs.runtime.relay import add_relay
from libs.runtime.serving import Process
from services.orders.buyers import Buyers
from services.orders.commands_api import command_routes
from services.orders.commands_consumer import CommandsHandler
from services.orders.concluding import Decider
from services.orders.consumer import stored_positions
from services.orders.dispatch import Dispatcher
from services.orders.draft_placing import DraftPlacing
from services.orders.drafts import Drafts
from services.orders.drafts_api import draft_routes
from services.orders.holds import HoldKeys
from services.orders.registry.doors import Doors
from services.orders.settings import OrdersSettings
from services.orders.surroundings import SellerTermsReader
from services.orders.writer import GroupWriter

SCHEMA = "orders"
BATCH_RECORDS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class CommandDoors:
    """The doors of one process; each `add_` gives the process what that door needs."""

    process: Process
    pool: AsyncPool
    settings: OrdersSettings
    kafka: KafkaSettings
    principals: Principals
    buyers: Buyers

    def decider(self) -> Decider:
        return Decider(SellerTermsReader(self.pool), HoldKeys(self.settings.hold_keys), self.buyers)

    def add_http(self, app: FastAPI) -> None:
        """Answer commands over HTTP; the writer goes on until everything that was taken in is answered."""
        writer = GroupWriter(self.pool)
        self.process.task("group writer", writer.run)
        dispatcher = Dispatcher(self.pool, writer, self.decider())
        drafts = Drafts(self.pool, self.buyers, SellerTermsReader(self.pool))
        app.include_router(draft_routes(drafts, Doors(self.pool)))
        app.include_router(command_routes(dispatcher, DraftPlacing(drafts)))

    def lag(self) -> TopicLag:
        """How far the topic of commands is read."""
        topic = ORDERS_COMMANDS.name
        return TopicLag(
            self.kafka,
            topic=topic,
            source=f"{SCHEMA}:{topic}",
            positions=partial(stored_positions, self.pool),
        )

    def consumer(self, broker: KafkaBroker) -> BatchConsumer:
        """The consumer of commands, in a group of its own: facts never wait for its rebalances."""
        handler = CommandsHandler(
            self.pool, self.decider(), self.principals, parked_max=self.settings.parked_max
        )
        return BatchConsumer(
            broker,
            self.kafka,
            topic=ORDERS_COMMANDS.name,
            group=SCHEMA,
            group_id=f"{SCHEMA}.commands",
            handler=handler,
            batch_records_max=BATCH_RECORDS_MAX,
        )

    def add_relay(self) -> None:
        """Publish the answers of the topic's commands."""
        bell = Bell(self.settings.dsn, outbox_channel_of(SCHEMA))
        add_relay(
            self.process,
            "answers",
            OutboxSource(self.pool, SCHEMA),
            bell,
            dsn=self.settings.dsn,
            kafka=self.kafka,
        )
