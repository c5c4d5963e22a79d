"""What the tests of every service that follows orders need: its database, its app, its callers, its records."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import SecretStr

from libs.events.envelope import Envelope, to_headers
from libs.events.wire import PublicEvent
from libs.runtime.clock import now
from libs.runtime.follower import Follower
from libs.runtime.lag import TopicLag
from libs.runtime.postgres import AsyncPool, make_pool
from libs.runtime.records import Record
from libs.runtime.serving import Process
from libs.runtime.settings import ApiKey, FollowerSettings

TOPIC = "orders.orders.v1"


class NoLag(TopicLag):
    def __init__(self) -> None:
        """Nothing to ask: these tests hand the records over themselves."""

    async def records(self) -> int:
        return 0


@asynccontextmanager
async def opened_pool(follower: Follower, database: str) -> AsyncIterator[AsyncPool]:
    """A pool of the service's own in a database that it has migrated."""
    pool = make_pool(database, follower.service, name="test", size=4)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close(1)


def key(name: str, secret: str, *, seller: str | None = None, scope: str) -> ApiKey:
    """A caller with one scope; of the seller of its name unless another is named."""
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return ApiKey(id=name, sha256=digest, scopes=frozenset({scope}), seller=seller or name)


def follower_app(
    follower: Follower,
    settings: type[FollowerSettings],
    pool: AsyncPool,
    database: str,
    keys: Mapping[str, ApiKey],
) -> FastAPI:
    """The service's HTTP door without its process."""
    given = settings(database_url=SecretStr(database), api_keys=tuple(keys.values()), http_port=0)
    return follower.make_app(Process(follower.service), pool, given, NoLag())


def record(
    service: str, offset: int, order: str, sequence: int, event: PublicEvent, *, partition: int = 0
) -> Record:
    """A record of an order's history as the service consumes it."""
    envelope = Envelope(
        id=f"{order}/{sequence}",
        type=type(event).ce_type(),
        source="/jejak/orders",
        subject=order,
        time="2026-03-05T08:00:00Z",
        sequence=sequence,
    )
    return Record(
        f"{service}:{TOPIC}",
        TOPIC,
        partition,
        offset,
        order,
        order.encode(),
        list(to_headers(envelope)),
        event.to_json(),
        now(),
    )
