"""The servers that every row runs on, and the small jobs around them: topics, databases, child processes."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.stack import NativeStack

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / ".local" / "bench"
PARTITIONS = 6


@dataclass(frozen=True)
class Servers:
    """Where Kafka and PostgreSQL are; one database for the whole run."""

    kafka: str
    database: str


@contextmanager
def running(say: bool = True) -> Iterator[Servers]:
    """The benchmark's own servers (or those the environment names), and an empty database in them."""
    kafka, database = os.environ.get("KAFKA_BOOTSTRAP_SERVERS"), os.environ.get("DATABASE_URL")
    with NativeStack(
        ROOT / ".local" / "stack" / "bench",
        kafka=kafka,
        database=database,
        say=print if say else (lambda _: None),
    ) as stack:
        servers = Servers(stack.kafka, stack.database.rsplit("/", 1)[0] + "/bench")
        empty(servers)
        yield servers


def empty(servers: Servers) -> None:
    """Make the database anew, so that no row is measured on what another left."""
    with psycopg.connect(servers.database.rsplit("/", 1)[0] + "/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")
        connection.execute("CREATE DATABASE bench")


async def make_topics(kafka: str, *names: str, partitions: int = PARTITIONS) -> None:
    """Delete the topics if they exist and create them empty."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        stale = [name for name in names if name in existing]
        if stale:
            await admin.delete_topics(stale)
            # Kafka tells nobody when a deletion is through.
            while set(stale) & set(await admin.list_topics()):  # noqa: ASYNC110  # There is no event to wait for.
                await asyncio.sleep(0.2)
        await admin.create_topics(
            [NewTopic(name, partitions, 1, topic_configs={"max.message.bytes": "1048588"}) for name in names]
        )
        await asyncio.sleep(0.5)
    finally:
        await admin.close()


async def ends(kafka: str, topic: str) -> dict[int, int]:
    """The end offset of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or range(PARTITIONS)
        ]
        found = await consumer.end_offsets(partitions)
        return {partition.partition: offset for partition, offset in found.items()}
    finally:
        await consumer.stop()


async def arrivals(kafka: str, topic: str, since: dict[int, int], count: int, deadline: float) -> list[int]:
    """The time stamps (ms) of the next `count` records of a topic after the offsets, sorted.

    Polls the end offsets, which costs the measured processes nothing, and reads only at the end.
    """
    until = time.monotonic() + deadline
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, fetch_max_bytes=16_000_000)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, partition) for partition in since]
        while True:
            found = await consumer.end_offsets(partitions)
            if sum(offset - since[p.partition] for p, offset in found.items()) >= count:
                break
            if time.monotonic() > until:
                raise TimeoutError(f"{topic} did not get {count} records in {deadline} s.")
            await asyncio.sleep(0.25)
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, since[partition.partition])
        stamps: list[int] = []
        while len(stamps) < count:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                stamps.extend(record.timestamp for record in records)
        return sorted(stamps)
    finally:
        await consumer.stop()


def rate(stamps: list[int], warm: int) -> float:
    """Records a second from the `warm`-th record to the last."""
    return (len(stamps) - warm) / max(0.001, (stamps[-1] - stamps[warm]) / 1000)


@contextmanager
def process(*arguments: str, environment: dict[str, str], log: str) -> Iterator[subprocess.Popen[bytes]]:
    """A child process of this run, stopped in order at the end; its log is kept beside the results."""
    BENCH.mkdir(parents=True, exist_ok=True)
    with (BENCH / f"{log}.log").open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def free_port() -> int:
    """A free loopback port; taken at once by the process it is given to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until_ready(port: int, path: str, seconds: float = 60.0) -> None:
    """Return when the process answers anything but 5xx at the path."""
    until = time.monotonic() + seconds
    async with httpx.AsyncClient() as client:
        while True:
            with suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{port}{path}")).status_code < 500:
                    return
            if time.monotonic() > until:
                raise TimeoutError(f"Nothing answers on port {port}.")
            await asyncio.sleep(0.1)
