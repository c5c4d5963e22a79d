"""Commands through the real process, Kafka and PostgreSQL: a kill at any moment repeats nothing and loses nothing."""

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from joserfc.jwk import ECKey
from pydantic import SecretBytes, SecretStr

from libs.events.topics import ORDERS_ANSWERS, ORDERS_COMMANDS
from libs.runtime.auth import Principal
from libs.runtime.clock import now, uuid7
from libs.runtime.jwe import Envelopes, new_exchange_key
from libs.runtime.kafka import KafkaSettings
from libs.runtime.keys import KeyEncryptionKeys, NamedKey
from libs.runtime.tokens import TokenSigner
from libs.runtime.topics import ensure
from services.orders.app import migrate_orders
from services.orders.tests.placing import KEYS, OWNER, placement
from services.orders.tests.test_consumer import SELLER

pytestmark = pytest.mark.connected

ROOT = Path(__file__).parents[3]
ISSUER = "http://orders.test"
KEK = os.urandom(32)
EXCHANGE = new_exchange_key("e1")
TOKEN_KEY = json.dumps(ECKey.generate_key("P-256", {"kid": "t1"}).as_dict(private=True))
ORDERS = 60


class Orders:
    """The process `serve` of orders, which can be killed and started again at the same port."""

    def __init__(self, database: str, kafka: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._environment = os.environ | {
            "DATABASE_URL": database,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "API_KEYS": json.dumps([json.loads(key.model_dump_json()) for key in KEYS]),
            "ORDERS_HTTP_PORT": str(self.port),
            "KEY_ENCRYPTION_KEYS": f"k1:{base64.b64encode(KEK).decode()}",
            "ORDERS_EXCHANGE_KEYS": f"[{EXCHANGE}]",
            "ORDERS_TOKEN_KEYS": f"[{TOKEN_KEY}]",
            "ORDERS_TOKEN_ISSUER": ISSUER,
            "LOG_LEVEL": "warning",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def _begun(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "services.orders", "serve"]
        return subprocess.Popen(command, cwd=ROOT, env=self._environment)

    async def start(self) -> None:
        self._process = self._begun()
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while True:
                try:
                    answer = await client.get(f"http://127.0.0.1:{self.port}/health/ready")
                    if answer.status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                assert self._process.poll() is None, "The process has ended."
                await asyncio.sleep(0.05)

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(60)


@pytest.fixture
async def orders(database: str, kafka: str) -> AsyncIterator[Orders]:
    migrate_orders(database)
    await ensure(KafkaSettings(bootstrap_servers=kafka), replication=1, create=True)
    made = Orders(database, kafka)
    try:
        await made.start()
        yield made
    finally:
        made.end(signal.SIGTERM)


def per_order(database: str, name: str) -> dict[str, int]:
    """How often this happened to each order that was placed by a command."""
    with psycopg.connect(database) as connection:
        # Marketplaces' orders come from facts that other tests have left on the topic.
        rows = connection.execute(
            "SELECT stream_id::text, count(*) FROM orders.events WHERE name = %s AND stream_id IN"
            " (SELECT stream_id FROM orders.events"
            "   WHERE name = 'OrderPlaced.v1' AND state->>'source' <> 'CHANNEL') GROUP BY 1",
            [name],
        ).fetchall()
    return dict(rows)


async def test_p2_a_kill_between_answer_and_append_repeats_no_command(orders: Orders, database: str) -> None:
    headers = {"authorization": f"Bearer {OWNER}"}
    heard: dict[str, dict[str, Any]] = {}
    killed = False
    base = f"http://127.0.0.1:{orders.port}"

    async def ask(client: httpx.AsyncClient, path: str, body: Any, key: str) -> dict[str, Any]:
        """What was answered before must be answered again. With half of all answers heard, the process dies."""
        nonlocal killed
        answer = await client.post(path, json=body, headers={"idempotency-key": key})
        assert answer.status_code < 300, answer.text
        told: dict[str, Any] = answer.json()
        assert heard.setdefault(key, told) == told
        if len(heard) == ORDERS and not killed:
            killed = True
            orders.end(signal.SIGKILL)
        return told

    async def both(client: httpx.AsyncClient, number: int) -> None:
        placed = await ask(client, "/v1/orders", placement(), f"place-{number}")
        path = f"/v1/orders/{placed['order']}/commands/confirm-order"
        await ask(client, path, {}, f"confirm-{number}")

    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
        ended = await asyncio.gather(
            *(both(client, number) for number in range(ORDERS)), return_exceptions=True
        )
        failed = [fault for fault in ended if fault is not None]
        assert failed, "The order whose answer was the last one has something to ask still."
        assert all(isinstance(fault, httpx.TransportError) for fault in failed), failed
    before = len(heard)
    await orders.start()
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
        await asyncio.gather(*(both(client, number) for number in range(ORDERS)))
    assert before >= ORDERS
    assert sorted(per_order(database, "OrderPlaced.v1").values()) == [1] * ORDERS
    assert sorted(per_order(database, "OrderConfirmed.v1").values()) == [1] * ORDERS


def token() -> bytes:
    signer = TokenSigner([SecretStr(TOKEN_KEY)], issuer=ISSUER, audience="jejak")
    caller = Principal("partner", SELLER, frozenset(), "AGENT")
    signed = signer.sign(
        caller, frozenset({"orders:write"}), token_id="t", at=now(), lifetime=timedelta(minutes=15)
    )
    return f"Bearer {signed}".encode()


async def read_answers(
    kafka: str, since: dict[int, int], wanted: set[str]
) -> dict[str, list[dict[str, Any]]]:
    """The answers to these commands; a repeat of the relay is the same record with the same id."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(ORDERS_ANSWERS.name, number) for number in since]
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, since[partition.partition])
        found: dict[str, dict[str, dict[str, Any]]] = {}
        async with asyncio.timeout(60):
            while set(found) < wanted:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        told = dict(record.headers)
                        asked = told["ce_causationid"].decode()
                        if asked in wanted:
                            found.setdefault(asked, {})[told["ce_id"].decode()] = json.loads(record.value)
        return {asked: list(told.values()) for asked, told in found.items()}
    finally:
        await consumer.stop()


async def ends(kafka: str, topic: str) -> dict[int, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(ORDERS_ANSWERS.partitions)]
        return {each.partition: offset for each, offset in (await consumer.end_offsets(partitions)).items()}
    finally:
        await consumer.stop()


async def test_gr_14_commands_on_the_topic_are_answered_once_each_though_the_process_is_killed(
    orders: Orders, database: str, kafka: str
) -> None:
    since = await ends(kafka, ORDERS_ANSWERS.name)
    authorization = token()
    named = {str(uuid7()): f"ask-{number}-{uuid7()}" for number in range(ORDERS)}
    sealing = Envelopes(KeyEncryptionKeys([NamedKey(id="k1", key=SecretBytes(KEK))]))
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True)
    await producer.start()

    async def send(name: str, order: str, key: str, body: dict[str, Any]) -> None:
        headers = [
            ("ce_specversion", b"1.0"), ("ce_id", key.encode()), ("ce_source", b"/partner"),
            ("ce_type", f"jejak.orders.{name}.v1".encode()), ("ce_subject", order.encode()),
            ("authorization", authorization),
        ]  # fmt: skip
        await producer.send(ORDERS_COMMANDS.name, json.dumps(body).encode(), order.encode(), headers=headers)

    for order, key in named.items():
        body = placement()
        body["recipient"] = sealing.seal(json.dumps(body["recipient"]).encode(), order)
        await send("PlaceOrder", order, f"{key}-place", body)
        await send("ConfirmOrder", order, f"{key}-confirm", {})
    await producer.flush()
    async with asyncio.timeout(60):
        while not per_order(database, "OrderPlaced.v1"):
            await asyncio.sleep(0.005)
    orders.end(signal.SIGKILL)
    for order, key in named.items():
        # The sender does not know what became of them and asks again, and the consumer re-reads some.
        await send("ConfirmOrder", order, f"{key}-confirm", {})
    await producer.stop()
    await orders.start()
    wanted = {f"{key}-{what}" for key in named.values() for what in ("place", "confirm")}
    found = await read_answers(kafka, since, wanted)
    assert {told["status"] for key, all_told in found.items() for told in all_told if "place" in key} == {201}
    for key, told in found.items():
        assert all(each == told[0] for each in told), key
        assert told[0]["position"]
    assert per_order(database, "OrderPlaced.v1") == dict.fromkeys(named, 1)
    async with asyncio.timeout(60):
        while per_order(database, "OrderConfirmed.v1") != dict.fromkeys(named, 1):
            await asyncio.sleep(0.05)
