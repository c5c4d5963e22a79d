"""The peer of the pipeline as a process: stock FastStream per message, stock eventsourcing, publish.

`python -m benchmarks.pipeline_peer KAFKA DATABASE IN OUT COUNT`: ends after COUNT records.
"""

import asyncio
import os
import sys
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from pydantic import BaseModel

NAMESPACE = UUID("6b1f5f0e-7a53-5d0c-9d27-5f1f3c2f8a10")


class PlacedFact(BaseModel):
    """The fact as a stock handler would declare it."""

    type: str
    channel: str
    shop: str
    order: str
    connection: str
    data: dict[str, Any]


class PeerOrder(Aggregate):
    """An order as the library's own tutorial would write it."""

    @event("Placed")
    def __init__(self, connection: str, order: str, data: dict[str, Any]) -> None:
        self.connection = connection
        self.order = order
        self.data = data

    @staticmethod
    def create_id(connection: str, order: str, data: dict[str, Any]) -> UUID:  # noqa: ARG004  # The library passes every argument.
        return uuid5(NAMESPACE, f"{connection}:{order}")


def application(database: str) -> Application[UUID]:
    """The stock application on the stock PostgreSQL recorder."""
    parts = urlsplit(database)
    return Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": parts.path.lstrip("/"),
            "POSTGRES_HOST": parts.hostname or "",
            "POSTGRES_PORT": str(parts.port),
            "POSTGRES_USER": parts.username or "",
            "POSTGRES_PASSWORD": parts.password or "",
        }
    )


async def main(kafka: str, database: str, source: str, target: str, count: int) -> None:
    """Handle one message at a time until `count` are through."""
    app = application(database)
    broker = KafkaBroker(kafka, acks="all", enable_idempotence=True, logger=None)
    done = asyncio.Event()
    handled = 0

    @broker.subscriber(
        source, group_id=f"peer-{source}", auto_offset_reset="earliest", ack_policy=AckPolicy.ACK
    )
    async def handle(fact: PlacedFact) -> None:
        nonlocal handled
        order = PeerOrder(fact.connection, fact.order, fact.data)
        await asyncio.to_thread(app.save, order)
        await broker.publish(fact, target, key=str(order.id).encode())
        handled += 1
        if handled >= count:
            done.set()

    await broker.start()
    await done.wait()
    await broker.stop()
    app.close()


if __name__ == "__main__":
    kafka, database, source, target, count = sys.argv[1:]
    os.environ.setdefault("TZ", "UTC")
    asyncio.run(main(kafka, database, source, target, int(count)))
