"""The native stack with real servers: killed at once, it comes up again with what it had."""

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.layout import StackError, port_is_free
from deploy.local.stack import NativeStack

TOPIC = "orders.orders.v1"

pytestmark = pytest.mark.connected


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[NativeStack]:
    stack = NativeStack(tmp_path / "a stack", say=print)
    yield stack
    stack.remove()


def query(stack: NativeStack, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.database, autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []


async def write_a_record(address: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    answer = await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    await admin.close()
    assert answer.topic_errors[0][1] == 0
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
        await producer.send_and_wait(TOPIC, b"one", partition=0)


async def read_the_records(address: str) -> list[bytes | None]:
    async with AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False) as consumer:
        partition = TopicPartition(TOPIC, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        async with asyncio.timeout(60):
            found = await consumer.getmany(partition, timeout_ms=50_000)
        return [record.value for record in found[partition]]


def test_killed_servers_come_up_again_with_their_data(stack: NativeStack) -> None:
    stack.start()
    query(stack, "CREATE TABLE kept AS SELECT 1 AS value")
    asyncio.run(write_a_record(stack.kafka))
    before = (stack.kafka, stack.database, stack.processes)
    stack.start()
    assert before == (stack.kafka, stack.database, stack.processes), "starting what runs changes nothing"

    stack.stop_postgres(kill=True)
    stack.stop_kafka(kill=True)
    assert stack.processes == {}
    stack.start()

    assert (stack.kafka, stack.database) == before[:2]
    assert query(stack, "SELECT value FROM kept") == [(1,)]
    assert asyncio.run(read_the_records(stack.kafka)) == [b"one"]
    stack.stop()
    assert stack.processes == {}
    assert all(port_is_free(stack.layout.port(name)) for name in ("kafka", "kafka_controller", "postgres"))


async def test_the_database_is_durable_and_closed_to_strangers(stack: NativeStack) -> None:
    stack.start_postgres()
    told = {
        name: query(stack, f"SHOW {name}")[0][0] for name in ("fsync", "listen_addresses", "shared_buffers")
    }
    owner, _, rest = stack.database.removeprefix("postgresql://").partition(":")

    assert told == {"fsync": "on", "listen_addresses": "127.0.0.1", "shared_buffers": "256MB"}
    assert stat.S_IMODE(stack.layout.directory.joinpath("settings.json").stat().st_mode) == 0o600
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://{owner}:wrong@{rest.partition('@')[2]}").close()


def test_a_lock_file_with_the_pid_of_another_process_does_not_keep_the_database_down(
    stack: NativeStack,
) -> None:
    stack.start_postgres()
    folder = Path(str(query(stack, "SHOW data_directory")[0][0]))
    lock = (folder / "postmaster.pid").read_text().splitlines()
    stack.stop_postgres(kill=True)
    # Process 1 always lives and is never ours.
    (folder / "postmaster.pid").write_text("\n".join(["1", *lock[1:]]) + "\n")
    stack.start_postgres()

    assert query(stack, "SELECT 1") == [(1,)]


def test_a_server_whose_record_was_lost_is_recognised(stack: NativeStack) -> None:
    stack.start_postgres()
    before = stack.processes
    (stack.layout.run / "postgres.json").unlink()
    stack.start_postgres()

    assert stack.processes == before


def test_servers_of_somebody_else_are_used_and_never_stopped(stack: NativeStack, tmp_path: Path) -> None:
    stack.start_postgres()
    guest = NativeStack(tmp_path / "guest", kafka="127.0.0.1:1", database=stack.database)
    guest.start_postgres()

    assert guest.processes == {}
    with pytest.raises(StackError, match="somebody else"):
        guest.stop_postgres(kill=True)
    with pytest.raises(StackError, match="does not answer"):
        guest.start_kafka()
