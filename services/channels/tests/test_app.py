"""The service whole: a push in, its fact on Kafka; the API shows the caller's own; wrong settings are said."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr, ValidationError

from libs.runtime.kafka import KafkaSettings
from libs.runtime.sealing import Sealer
from libs.runtime.serving import Process
from libs.runtime.settings import ApiKey
from libs.runtime.topics import ensure
from services.channels.app import compose, migrate_channels
from services.channels.seeding import seed
from services.channels.settings import ChannelsSettings

SELLER, STRANGER = "0190a000-0000-7000-8000-000000000001", "0190a000-0000-7000-8000-000000000002"
KEY = b"k" * 32
PUSH = (Path(__file__).parent / "samples/lazada/push_trade_05_ready_to_ship.json").read_bytes()


def settings(database: str, **changes: Any) -> ChannelsSettings:
    keys = [
        {"id": "own", "sha256": hashlib.sha256(b"own").hexdigest(), "scopes": ["*"], "seller": SELLER},
        {"id": "other", "sha256": hashlib.sha256(b"other").hexdigest(), "scopes": ["*"], "seller": STRANGER},
        {
            "id": "none",
            "sha256": hashlib.sha256(b"none").hexdigest(),
            "scopes": ["orders:read"],
            "seller": SELLER,
        },
    ]
    given: dict[str, Any] = {
        "database_url": SecretStr(database),
        "api_keys": tuple(ApiKey.model_validate(key) for key in keys),
        "http_port": 0,
        "inbox_key": [base64.b64encode(KEY).decode()],
        "key_encryption_keys": f"test:{base64.b64encode(KEY).decode()}",
        "lazada_app_key": "123456",
        "lazada_app_secrets": ["secret"],
        # Nobody answers there: every reading is tried again later.
        "lazada_base_url": "http://127.0.0.1:9/rest",
        "poll_seconds": 3600,
    }
    return ChannelsSettings(**(given | changes))


@asynccontextmanager
async def served(database: str, kafka: str, role: str = "serve") -> AsyncIterator[httpx.AsyncClient]:
    process = Process("channels")
    compose(settings(database), KafkaSettings(bootstrap_servers=kafka), role)(process)
    task = asyncio.create_task(process.run())
    try:
        async with asyncio.timeout(60):
            await process.started.wait()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}", timeout=60) as client:
            yield client
    finally:
        process.stop()
        assert await task == 0


async def push(client: httpx.AsyncClient, body: bytes = PUSH) -> int:
    signature = hmac.new(b"secret", b"123456" + body, hashlib.sha256).hexdigest()
    answer = await client.post("/webhooks/lazada/123456", content=body, headers={"authorization": signature})
    return answer.status_code


async def get(client: httpx.AsyncClient, path: str, key: str = "own") -> httpx.Response:
    return await client.get(path, headers={"authorization": f"Bearer {key}"})


@pytest.mark.connected
async def test_a_push_becomes_a_fact_on_kafka_and_its_shop_sees_what_became_of_it(
    database: str, kafka: str
) -> None:
    migrate_channels(database)
    await ensure(KafkaSettings(bootstrap_servers=kafka), create=True, replication=1)
    shop = {"channel": "lazada", "site": "sg", "shop": "1000999001", "access_token": "access"}
    file = json.dumps({"seller": SELLER, "connections": [shop]}).encode()
    (made,) = await seed(database, Sealer([KEY]), file)
    consumer = AIOKafkaConsumer("channels.orders.v1", bootstrap_servers=kafka, auto_offset_reset="latest")
    await consumer.start()
    try:
        for partition in consumer.assignment():
            await consumer.position(partition)
        async with served(database, kafka) as client:
            assert await push(client) == 200
            assert await push(client) == 200
            assert await push(client, b"{broken") == 200
            record = await asyncio.wait_for(consumer.getone(), 60)
            while not record.key.startswith(made["id"].encode()):
                record = await asyncio.wait_for(consumer.getone(), 60)
            fact = json.loads(record.value)
            assert (fact["type"], fact["seller"]) == ("ShipmentBooked", SELLER)

            messages = await until_worked(client)
            assert sorted(one["state"] for one in messages) == ["HANDLED", "PARKED", "SKIPPED"]
            assert (await get(client, "/v1/shops")).json()["items"][0]["shop"] == "1000999001"
            assert (await get(client, "/v1/shops", "other")).json()["items"] == []
            assert (await get(client, "/v1/raw-messages", "none")).status_code == 403
            assert (await client.get("/v1/raw-messages")).status_code == 401
    finally:
        await consumer.stop()


async def until_worked(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The raw messages, once all are worked and all that came of them, and of what others asked, is done."""
    async with asyncio.timeout(60):
        while True:
            status = (await get(client, "/v1/status")).json()
            messages: list[dict[str, Any]] = (await get(client, "/v1/raw-messages")).json()["items"]
            pending = [one for one in messages if one["state"] == "PENDING"]
            if not (pending or status["unpublished_events"] or status["lag_records"]):
                return messages


@pytest.mark.connected
async def test_the_webhooks_role_keeps_and_leaves_the_rest_to_the_inbox(database: str, kafka: str) -> None:
    migrate_channels(database)
    async with served(database, kafka, "webhooks") as client:
        assert await push(client) == 200
        assert (await get(client, "/v1/status")).json()["waiting"] == 1
    async with served(database, kafka, "inbox") as client:
        assert await push(client) == 401, "This role has no webhook doors."
        async with asyncio.timeout(60):
            while (await get(client, "/v1/status")).json()["parked"] != 1:
                pass


@pytest.mark.parametrize(
    "changes",
    [
        {"inbox_key": []},
        {"inbox_key": ["not base64!"]},
        {"inbox_key": [base64.b64encode(b"short").decode()]},
        {"lazada_app_secrets": []},
        {"lazada_app_secrets": ["one", "two", "three"]},
        {"tokopedia_fs_id": "15999", "tokopedia_path_token": "short"},
        {"tokopedia_allowed_addresses": "not an address"},
        {"poll_seconds": 0},
    ],
)
def test_wrong_settings_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        settings("postgresql://nobody@127.0.0.1:1/none", **changes)
    assert "secret" not in str(refused.value).replace("app_secrets", "").replace("APP_SECRETS", "")
