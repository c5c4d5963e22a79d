"""What is forged, broken or too large stops nothing but itself, wherever it comes in."""

import asyncio
import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.layout import ROOT
from deploy.local.services import environment
from tests.integration.judge import assert_whole
from tests.integration.system import Json, System, wait_until

pytestmark = pytest.mark.connected

FACTS_TOPIC = "channels.orders.v1"
# No shop of the system: nobody reads these orders at a marketplace.
CONNECTION = "01920000-0000-7000-8000-00000000c0de"
BODY_BYTES_MAX = 262_144


@pytest.fixture
def tidy(system: System) -> Iterator[System]:
    """The system, in which nothing stays parked afterwards."""
    yield system
    system.query("DELETE FROM orders.parked")
    system.query("DELETE FROM channels.raw_messages WHERE state = 'PARKED'")


# ---- webhooks


def pushes_kept(system: System) -> int:
    return int(system.query("SELECT count(*) FROM channels.raw_messages WHERE verdict <> 'READ'")[0][0])


def refused(system: System, channel: str, outcome: str) -> float:
    return system.metric("channels", "channels_webhook_requests_total", channel=channel, outcome=outcome)


@pytest.mark.parametrize(
    "authorization", [{"authorization": "0" * 64}, {"authorization": ""}, {"user-agent": "unsigned"}]
)
def test_a_lazada_push_that_is_not_signed_is_counted_and_not_kept(
    system: System, authorization: dict[str, str]
) -> None:
    kept, count = pushes_kept(system), refused(system, "lazada", "refused_signature")
    assert system.push_lazada(b'{"message_type":0}', **authorization) == 401
    assert refused(system, "lazada", "refused_signature") == count + 1
    assert pushes_kept(system) == kept


def test_a_signature_of_other_bytes_is_none(system: System) -> None:
    kept = pushes_kept(system)
    webhook = system.endpoints["webhooks"]["lazada"]
    real = webhook["app_key"].encode() + b'{"seller_id":"1000999001"}'
    signature = hmac.new(webhook["app_secret"].encode(), real, hashlib.sha256).hexdigest()
    assert system.push_lazada(b'{"seller_id":"1000999002"}', authorization=signature) == 401
    assert pushes_kept(system) == kept


def test_a_tokopedia_notice_at_a_guessed_path_is_counted_and_not_kept(system: System) -> None:
    url = system.endpoints["webhooks"]["tokopedia"]["status"]
    token = url.rsplit("/", 2)[1]
    kept, count = pushes_kept(system), refused(system, "tokopedia", "refused_path")
    answer = system.http.post(url.replace(token, token[:-1] + "x"), json={"order_id": 1})
    assert answer.status_code == 401
    assert refused(system, "tokopedia", "refused_path") == count + 1
    assert pushes_kept(system) == kept


def test_a_push_above_256_kib_is_not_read(system: System) -> None:
    kept = pushes_kept(system)
    assert system.push_lazada(b" " * (BODY_BYTES_MAX + 1)) == 413
    assert pushes_kept(system) == kept
    assert refused(system, "lazada", "too_large") > 0


def test_a_signed_push_that_is_no_json_is_kept_and_parked_and_others_flow(tidy: System, seed: int) -> None:
    assert tidy.push_lazada(b'{"seller_id": "1000999001", broken') == 200
    assert tidy.push_lazada(b"\xff\xfe no text") == 200
    run = tidy.start_run(seed=seed + 20, orders=10)

    def parked() -> list[Json]:
        return tidy.listed("channels", "/v1/raw-messages", state="PARKED")

    wait_until(lambda: len(parked()) == 2, 120, "both are parked")
    assert {each["route"] for each in parked()} == {"lazada.push"}
    assert all(each["reason"] for each in parked())
    assert tidy.read("channels", "/v1/status")["parked"] == 2
    tidy.query("DELETE FROM channels.raw_messages WHERE state = 'PARKED'")
    assert_whole(tidy, run)


# ---- channels.orders.v1


class Bad(NamedTuple):
    """A record that breaks the contract, and what it is to be parked for."""

    order: str
    reason: str
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def fact(system: System, order: str) -> bytes:
    """The placement of an order as channels would state it."""
    return json.dumps(
        {
            "type": "OrderPlaced",
            "channel": "lazada",
            "site": "id",
            "shop": "1000999003",
            "order": order,
            "scope": {"order": order},
            "occurred_at": "2026-03-05T03:14:22Z",
            "approximate": False,
            "source_status": None,
            "occurrence": 1,
            "translator_version": 1,
            "seller": system.endpoints["seller"],
            "connection": CONNECTION,
            "read_at": "2026-03-05T03:15:09Z",
            "raw": ["01920000-0000-7000-8000-00000000a001"],
            "data": {
                "reference": order,
                "payment_method": "COD",
                "currency": "IDR",
                "total": 25_000,
                "shipping_fee": 5_000,
                "lines": [
                    {
                        "line": f"{order}-1",
                        "product": "2001",
                        "variant": "",
                        "sku": "HANDMADE",
                        "name": "Teh Melati",
                        "quantity": 2,
                        "unit_price": 10_000,
                        "discount": 0,
                    }
                ],
            },
        }
    ).encode()


def headers(event_id: str, fact_type: str = "OrderPlaced") -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_type", f"jejak.channels.{fact_type}.v1".encode()),
        ("ce_source", b"/jejak/channels"),
        ("ce_time", b"2026-03-05T03:14:22Z"),
        ("content-type", b"application/json"),
    ]


def bad_records(system: System) -> list[Bad]:
    good = fact(system, "bad-header")
    return [
        Bad("bad-null", "NULL_VALUE", None, headers("bad-1")),
        Bad("bad-header", "HEADER_INVALID", good, [("ce_id", b"\xff\xfe"), *headers("bad-2")[2:]]),
        Bad("bad-json", "MALFORMED", good[:-20], headers("bad-3")),
        Bad("bad-size", "TOO_LARGE", b'"' + b"x" * 900_000 + b'"', headers("bad-4")),
        Bad("bad-shape", "MALFORMED", b'{"type": "OrderPlaced", "order": 7}', headers("bad-5")),
    ]


def produce(system: System, records: Sequence[tuple[str, bytes | None, Sequence[tuple[str, bytes]]]]) -> None:
    """Write records of these orders to one partition, in order."""

    async def write() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=system.endpoints["kafka"], max_request_size=1_000_000
        ) as producer:
            for order, value, given in records:
                key = f"{CONNECTION}:{order}".encode()
                await producer.send_and_wait(FACTS_TOPIC, value, key, partition=0, headers=list(given))

    asyncio.run(write())


def held(system: System, order: str) -> list[Json]:
    return system.listed("orders", "/v1/orders", marketplace_number=order)


def redrive(system: System, *arguments: str) -> Json:
    told = environment(
        system.layout, "orders", kafka=system.endpoints["kafka"], database=system.endpoints["database"]
    )
    done = subprocess.run(
        [sys.executable, "-m", "services.orders", "redrive", *arguments],
        cwd=ROOT,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: Json = json.loads(done.stdout)
    return report


def test_a_record_that_cannot_be_read_parks_its_key_only_and_is_released_in_order(tidy: System) -> None:
    bad = bad_records(tidy)
    handled = tidy.metric("orders", "messages_total", topic=FACTS_TOPIC, outcome="skipped")
    unknown = ("new-type", fact(tidy, "new-type"), headers("new-1", "SomethingNew"))
    produce(tidy, [(each.order, each.value, each.headers) for each in bad])
    # Behind them on the same partition: a type of the future, an order of its own, and one of a parked key.
    produce(tidy, [unknown, ("good", fact(tidy, "good"), headers("good-1"))])
    produce(tidy, [("bad-null", fact(tidy, "bad-null"), headers("good-2"))])

    wait_until(lambda: len(held(tidy, "good")) == 1, 120, "the order behind the broken records is there")
    wait_until(lambda: tidy.read("orders", "/v1/status")["lag_records"] == 0, 120, "all records are judged")
    parked = tidy.listed("orders", "/v1/parked")
    found = {(each["key"].removeprefix(f"{CONNECTION}:"), each["reason"]) for each in parked}
    assert found == {(each.order, each.reason) for each in bad} | {("bad-null", "BEHIND")}
    assert tidy.read("orders", "/v1/status")["parked"] == len(bad) + 1
    assert tidy.metric("orders", "messages_total", topic=FACTS_TOPIC, outcome="skipped") == handled + 1
    assert held(tidy, "bad-null") == [], "What is behind a parked record waits."

    shown = redrive(tidy, "--all", "--dry-run")
    assert {(each["key"], each["reason"]) for each in shown["would_release"]} == {
        (each["key"], each["reason"]) for each in parked
    }
    assert tidy.read("orders", "/v1/status")["parked"] == len(bad) + 1, "A dry run changes nothing."
    assert redrive(tidy, "--all")["outcomes"] == {}, "Nothing of it can be read now either."

    # The broken record is given up by hand; what waited behind it is then released, once.
    tidy.query("DELETE FROM orders.parked WHERE reason = 'NULL_VALUE'")
    released = redrive(tidy, "--key", f"{CONNECTION}:bad-null")
    assert released["outcomes"] == {"handled": 1}
    assert redrive(tidy, "--key", f"{CONNECTION}:bad-null")["rows"] == 0
    wait_until(lambda: len(held(tidy, "bad-null")) == 1, 120, "the released order is there")
    assert [
        each["sequence"]
        for each in tidy.listed("orders", f"/v1/orders/{held(tidy, 'bad-null')[0]['id']}/events")
    ] == ["1"]


def test_broken_records_on_every_partition_hold_up_no_order(tidy: System, seed: int) -> None:
    run = tidy.start_run(seed=seed + 21, orders=30)
    run.wait_for(0.3)

    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=tidy.endpoints["kafka"]) as producer:
            for number in range(60):
                key = f"{CONNECTION}:broken-{number}".encode()
                await producer.send_and_wait(
                    FACTS_TOPIC, b"{", key, partition=number % 6, headers=headers("x")
                )

    asyncio.run(write())
    wait_until(lambda: tidy.read("orders", "/v1/status")["parked"] == 60, 120, "all of them are parked")
    run.wait()
    tidy.query("DELETE FROM orders.parked")
    assert_whole(tidy, run)
