"""The doors of a running system, used as anyone outside can: HTTP with a key, and Kafka.

Nothing of the services is imported: what is read here is what any other program would read.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.layout import StackError

SERVICES = ("orders", "channels", "inventory", "notifications")
ORDERS_TOPIC = "orders.orders.v1"

# The most that a list gives at once.
PAGE = 500
# A list that is longer than this belongs to another purpose than a demo.
PAGES_MAX = 400
TRIES = 4
TOPIC_SECONDS_MAX = 60
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Json = dict[str, Any]


class Event(NamedTuple):
    """One public event of an order: what names it, and a digest of all that it says."""

    id: str
    order: str
    sequence: int
    digest: str


class Sample(NamedTuple):
    """One value of a /metrics page."""

    name: str
    labels: Mapping[str, str]
    value: float


class Doors:
    """The doors that endpoints.json names; to be closed after use.

    Reads are tried a few times; a door that does not answer then is a StackError with its address.
    """

    def __init__(self, endpoints: Mapping[str, Any]) -> None:
        self.endpoints = endpoints
        key = {"authorization": f"Bearer {endpoints['api_key']}"}
        self._keyed = httpx.AsyncClient(headers=key, timeout=10)
        # The simulators are not ours: the key is none of their business.
        self._open = httpx.AsyncClient(timeout=10)

    async def close(self) -> None:
        await self._keyed.aclose()
        await self._open.aclose()

    # ---- the sandbox

    async def start_run(self, spec: Json) -> str:
        """Start a run of made-up orders; its name."""
        url = f"{self.endpoints['sandbox']['control']}/control/runs"
        answer = await self._open.post(url, json=spec)
        if answer.status_code != httpx.codes.OK:
            raise StackError(f"The sandbox did not start a run: {answer.status_code} {answer.text[:300]}")
        return str(answer.json()["run"])

    async def run(self, name: str) -> Json:
        """How a run stands."""
        return await self._get(self._open, f"{self.endpoints['sandbox']['control']}/control/runs/{name}")

    async def truth(self, run: str) -> list[Json]:
        """Every order of a run as the marketplace has it."""
        url = f"{self.endpoints['sandbox']['control']}/control/runs/{run}/orders"
        return [item async for item in self._items(self._open, url)]

    # ---- the services

    async def status(self, service: str) -> Json:
        """What a service has not drained yet."""
        return await self._get(self._keyed, f"{self.endpoints[service]}/v1/status")

    async def orders(self) -> list[Json]:
        """Every order in the list."""
        return [item async for item in self._items(self._keyed, f"{self.endpoints['orders']}/v1/orders")]

    async def order(self, order: str) -> Json:
        """One order by its own door."""
        return await self._get(self._keyed, f"{self.endpoints['orders']}/v1/orders/{order}")

    async def events(self, after: str) -> tuple[list[Event], str]:
        """Every event after a position, oldest first, and the position to go on from."""
        found: list[Event] = []
        url = f"{self.endpoints['orders']}/v1/events"
        while True:
            page = await self._get(self._keyed, url, {"after": after, "limit": str(PAGE)})
            found += [
                Event(item["id"], item["subject"], int(item["sequence"]), _digest(item["type"], item["data"]))
                for item in page["items"]
            ]
            # A page may be empty before the end: one call looks at a part of the log only.
            if page["next"] == after:
                return found, after
            after = page["next"]

    async def metrics(self, service: str) -> list[Sample]:
        """The /metrics page of a service."""
        answer = await self._answered(self._open, f"{self.endpoints[service]}/metrics", {})
        return samples(answer.text)

    async def _items(self, client: httpx.AsyncClient, url: str) -> AsyncIterator[Json]:
        cursor = ""
        for _ in range(PAGES_MAX):
            page = await self._get(
                client, url, {"limit": str(PAGE), **({"cursor": cursor} if cursor else {})}
            )
            for item in page["items"]:
                yield item
            cursor = page["next"]
            if cursor is None:
                return
        raise StackError(f"{url} has more than {PAGES_MAX * PAGE} rows: too many for a demo.")

    async def _get(self, client: httpx.AsyncClient, url: str, query: Mapping[str, str] | None = None) -> Json:
        answer = await self._answered(client, url, query or {})
        found: Json = answer.json()
        return found

    async def _answered(
        self, client: httpx.AsyncClient, url: str, query: Mapping[str, str]
    ) -> httpx.Response:
        last = ""
        for attempt in range(TRIES):
            await asyncio.sleep(0.3 * attempt)
            try:
                answer = await client.get(url, params=query)
            except httpx.TransportError as fault:
                last = type(fault).__name__
                continue
            if answer.status_code == httpx.codes.OK:
                return answer
            last = f"{answer.status_code} {answer.text[:300]}"
            if answer.is_client_error:
                break
        raise StackError(f"GET {url} was not answered: {last}")


async def read_topic(servers: str, topic: str = ORDERS_TOPIC) -> list[Event]:
    """Every event on the topic, from its beginning to its present end, repeats and all; in no group."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        async with asyncio.timeout(TOPIC_SECONDS_MAX):
            await consumer.start()
            # In no group, a consumer has every partition from its start on.
            partitions: set[TopicPartition] = consumer.assignment()
            if not partitions:
                raise StackError(f"There is no topic {topic} at Kafka.")
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(partitions)
            found: list[Event] = []
            while True:
                short = [each for each in partitions if await consumer.position(each) < ends[each]]
                if not short:
                    return found
                batches = await consumer.getmany(*short, timeout_ms=500, max_records=5_000)
                found += [_event(record) for records in batches.values() for record in records]
    except TimeoutError:
        raise StackError(f"Kafka did not give all of {topic} within {TOPIC_SECONDS_MAX} s.") from None
    finally:
        await consumer.stop()


def _event(record: Any) -> Event:
    given = {name: value.decode() for name, value in record.headers if value is not None}
    body = json.loads(record.value) if record.value else None
    sequence = given.get("ce_sequence", "")
    return Event(
        given.get("ce_id", f"{record.partition}@{record.offset} has no id"),
        (record.key or b"").decode(),
        int(sequence) if sequence.isdecimal() else 0,
        _digest(given.get("ce_type", ""), body),
    )


def _digest(kind: str, data: Any) -> str:
    text = json.dumps([kind, data], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def samples(page: str) -> list[Sample]:
    """The values of a /metrics page in Prometheus' text form; what is not a value is passed over."""
    found = []
    for line in page.splitlines():
        parts = _SAMPLE.match(line)
        if parts is not None:
            labels = dict(_LABEL.findall(parts.group(2) or ""))
            found.append(Sample(parts.group(1), labels, float(parts.group(3))))
    return found


def total(found: list[Sample], name: str, **labels: str) -> int:
    """The sum of a metric over the labels that are not named."""
    return int(
        sum(
            sample.value
            for sample in found
            if sample.name == name and all(sample.labels.get(key) == value for key, value in labels.items())
        )
    )
