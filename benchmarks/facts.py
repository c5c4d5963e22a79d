"""The input of the rows: OrderPlaced facts of orders with one line, some 780 bytes without a buyer."""

import asyncio
from collections.abc import Callable

import orjson
from aiokafka import AIOKafkaProducer
from pydantic import SecretBytes

from libs.runtime.clock import uuid7
from libs.runtime.jwe import Envelopes
from libs.runtime.keys import KeyEncryptionKeys, NamedKey

CONNECTION = "7b0c8f4e-93d1-5b7e-8a55-0f3d9a2b6c11"
SELLER = "0f6e1b8e-2f5d-5c1a-9a57-3f1f0f6e1b8e"

# The key-encryption key of the measured processes, as their environment holds it.
KEK = "bench:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ENVELOPES = Envelopes(KeyEncryptionKeys([NamedKey(id="bench", key=SecretBytes(bytes(range(32))))]))

# What is said of the buyer of the order with this number, or nothing.
Buyer = Callable[[int], dict[str, str] | None]


def nobody(_number: int) -> None:
    """Most rows measure orders without a buyer."""


def somebody(number: int) -> dict[str, str]:
    """A buyer as the marketplaces tell of one; every order has another."""
    return {
        "id": str(300_000_000 + number),
        "name": f"Siti Nurhaliza {number}",
        "phone": f"62812{number:08}",
        "recipient": f"Siti Nurhaliza {number}",
        "recipient_phone": f"62812{number:08}",
        "address": f"Jl. Merdeka Raya No. {number % 200}, RT 03 RW 05",
        "district": "Lowokwaru",
        "postal_code": "65141",
        "note": "Tolong dikemas rapi",
    }


def placed(number: int, run: int, *, buyer: Buyer = nobody) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, body and headers of one fact; unique in (run, number), the same for all variants."""
    order = str(700_000_000_000_000 + run * 10_000_000 + number)
    subject = f"{CONNECTION}:{order}".encode()
    data: dict[str, object] = {
        "reference": order,
        "payment_method": "GATEWAY",
        "currency": "IDR",
        "total": 123_500,
        "discount": 0,
        "shipping_fee": 18_000,
        "insurance_fee": 500,
        "other_fees": 0,
        "lines": [
            {
                "line": f"{order}1",
                "product": "8001000001",
                "variant": "9001000001",
                "sku": "KOPI-GAYO-250",
                "name": "Kopi Arabika Gayo 250 gr",
                "quantity": 1,
                "unit_price": 110_000,
                "discount": 5_000,
            }
        ],
        "city": "Kota Surabaya",
        "province": "Jawa Timur",
        "courier": "J&T",
        "service": "Reguler",
        "warehouse": "dropshipping",
    }
    told = buyer(number)
    if told is not None:
        data["buyer"] = ENVELOPES.seal(orjson.dumps(told), subject.decode())
    body = {
        "type": "OrderPlaced",
        "channel": "lazada",
        "site": "id",
        "shop": "1000999001",
        "order": order,
        "scope": {"order": order},
        "occurred_at": "2026-03-05T07:59:26Z",
        "approximate": False,
        "source_status": None,
        "occurrence": 1,
        "translator_version": 1,
        "data": data,
        "seller": SELLER,
        "connection": CONNECTION,
        "read_at": "2026-03-05T07:59:30Z",
        "raw": ["0195662a-0000-7000-8000-000000000001"],
    }
    identity = str(uuid7()).encode()
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", identity),
        ("ce_type", b"jejak.channels.OrderPlaced.v1"),
        ("ce_source", b"/jejak/channels"),
        ("ce_subject", subject),
        ("ce_time", b"2026-03-05T07:59:26Z"),
        ("ce_dataschema", b"urn:jejak:schema:jejak.channels.OrderPlaced.v1"),
        ("ce_partitionkey", subject),
        ("ce_correlationid", identity),
        ("content-type", b"application/json"),
    ]
    return subject, orjson.dumps(body), headers


async def produce(kafka: str, topic: str, run: int, count: int, *, buyer: Buyer = nobody) -> int:
    """Write `count` facts of a run to the topic, all acknowledged; the bytes of one body."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=262_144
    )
    await producer.start()
    size = 0
    try:
        pending = []
        for number in range(count):
            key, body, headers = placed(number, run, buyer=buyer)
            size = len(body)
            pending.append(await producer.send(topic, body, key, headers=headers))
            if len(pending) >= 5_000:
                await asyncio.gather(*pending)
                pending.clear()
        await asyncio.gather(*pending)
    finally:
        await producer.stop()
    return size
