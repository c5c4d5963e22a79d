"""Follows the history of a seller's orders: all of it from the store, then live from Kafka, each event once.

    JEJAK_URL=http://127.0.0.1:8001 JEJAK_KEY=... JEJAK_SELLER=... KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 \
        python examples/python/follow_orders.py

Prints one line of JSON for each event and ends in order at SIGTERM. It needs `aiokafka` and `httpx`, and
nothing of Jejak's own code. docs/consuming.md says why it goes about it in this way.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, ConsumerRecord

TOPIC = "orders.orders.v1"
PAGE = 500

Event = dict[str, Any]


class Gap(Exception):
    """An order's event is missing and the store does not have it either."""


class History:
    """The last sequence of every order, in memory.

    A real consumer keeps it where it keeps the effects, and saves both in one transaction; then it goes on
    after a restart where it was.
    """

    def __init__(self) -> None:
        self.last: dict[str, int] = {}

    def take(self, event: Event, via: str) -> None:
        """Have the event take effect, unless it has had it; raise Gap when one before it is missing."""
        order, sequence = event["subject"], int(event["sequence"])
        last = self.last.get(order, 0)
        if sequence <= last:
            return
        if sequence != last + 1:
            raise Gap(f"Order {order} has event {sequence} after {last}.")
        line = {
            "order": order,
            "sequence": sequence,
            "id": event["id"],
            "type": event["type"],
            "via": via,
            "data": event["data"],
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        self.last[order] = sequence


class Store:
    """The two doors of orders that give events."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._after = ""

    async def news(self) -> AsyncIterator[Event]:
        """All events of the seller after the last one given, oldest first.

        A page may be empty before the end: the end is where `next` stays the same.
        """
        while True:
            answer = await self._http.get("/v1/events", params={"after": self._after, "limit": PAGE})
            page = answer.raise_for_status().json()
            for event in page["items"]:
                yield event
            if page["next"] == self._after:
                return
            self._after = page["next"]

    async def of(self, order: str) -> AsyncIterator[Event]:
        """All events of one order, oldest first; none when it is another seller's."""
        cursor: str | None = ""
        while cursor is not None:
            answer = await self._http.get(
                f"/v1/orders/{order}/events", params={"cursor": cursor, "limit": PAGE}
            )
            if answer.status_code == httpx.codes.NOT_FOUND:
                return
            page = answer.raise_for_status().json()
            for event in page["items"]:
                yield event
            cursor = page["next"]


class Join:
    """Knows until when the store must be read beside the topic.

    What a partition holds before the offset that we joined at was stored before what it holds after it. So
    once the store's door has given one event that we have also read from the partition, it has given all that
    came before. Until then the door may still be behind.
    """

    def __init__(self, partitions: set[int]) -> None:
        # Of each partition not joined yet, the first event of ours that came from it: order and sequence.
        self._open: dict[int, tuple[str, int] | None] = dict.fromkeys(partitions)
        self._given: dict[str, int] = {}

    @property
    def complete(self) -> bool:
        return not self._open

    def read(self, partition: int, event: Event) -> None:
        """An event of ours came from the topic."""
        if partition in self._open and self._open[partition] is None:
            self._open[partition] = (event["subject"], int(event["sequence"]))

    def given(self, event: Event) -> None:
        """The store's door gave an event."""
        if self._open:
            self._given[event["subject"]] = int(event["sequence"])

    def settle(self) -> None:
        """Close the partitions whose first event the store has given too."""
        for partition, first in list(self._open.items()):
            if first is not None and self._given.get(first[0], 0) >= first[1]:
                del self._open[partition]
        if not self._open:
            self._given.clear()


def event_of(record: ConsumerRecord) -> Event:
    """The CloudEvent that a record is in Kafka's binary mode: attributes in headers, data in the value."""
    headers = {name: value.decode() for name, value in record.headers if name.startswith("ce_")}
    attributes = {name.removeprefix("ce_"): value for name, value in headers.items()}
    return {**attributes, "data": json.loads(record.value)}


class Follower:
    """Joins the topic to the store's history."""

    def __init__(self, store: Store, seller: str, join: Join) -> None:
        self._store = store
        self._seller = seller
        self._join = join
        self._history = History()
        self._foreign: set[str] = set()

    async def catch_up(self) -> None:
        """Take what is new at the store's door."""
        async for event in self._store.news():
            self._history.take(event, "store")
            self._join.given(event)
        self._join.settle()

    async def take(self, record: ConsumerRecord) -> None:
        """Take a record of the topic, which holds the orders of every seller."""
        event = event_of(record)
        order = event["subject"]
        if order not in self._history.last and not await self._is_ours(event):
            return
        try:
            self._history.take(event, "topic")
        except Gap:
            # The store's door for one order reads the store itself and is never behind.
            async for missed in self._store.of(order):
                self._history.take(missed, "store")
        self._join.read(record.partition, event)

    async def _is_ours(self, event: Event) -> bool:
        order = event["subject"]
        if order in self._foreign:
            return False
        if event["sequence"] == "1":
            ours = bool(event["data"].get("seller") == self._seller)
        else:
            ours = False
            async for known in self._store.of(order):
                self._history.take(known, "store")
                ours = True
        if not ours:
            self._foreign.add(order)
        return ours


async def follow(environment: dict[str, str], stopping: asyncio.Event) -> None:
    """Follow until told to stop."""
    # Without a group it is assigned every partition; where to begin is told below.
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=environment["KAFKA_BOOTSTRAP_SERVERS"], enable_auto_commit=False
    )
    http = httpx.AsyncClient(
        base_url=environment["JEJAK_URL"],
        headers={"authorization": f"Bearer {environment['JEJAK_KEY']}"},
        timeout=30,
    )
    await consumer.start()
    try:
        async with http:
            partitions = consumer.assignment()
            # First where the topic ends, then the store: what comes between is read twice, never missed.
            for partition, end in (await consumer.end_offsets(partitions)).items():
                consumer.seek(partition, end)
            join = Join({each.partition for each in partitions})
            follower = Follower(Store(http), environment["JEJAK_SELLER"], join)
            await follower.catch_up()
            while not stopping.is_set():
                for records in (await consumer.getmany(timeout_ms=500, max_records=PAGE)).values():
                    for record in records:
                        await follower.take(record)
                if not join.complete:
                    await follower.catch_up()
    finally:
        await consumer.stop()


async def main() -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await follow(dict(os.environ), stopping)


if __name__ == "__main__":
    asyncio.run(main())
