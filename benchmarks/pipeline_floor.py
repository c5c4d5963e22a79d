"""The floor of the pipeline as a process: raw aiokafka, orjson, one unnest insert, raw sends; no rules.

`python -m benchmarks.pipeline_floor KAFKA DATABASE IN OUT COUNT [--tuned]`: ends after COUNT records.
"""

import asyncio
import sys
from typing import Any

import orjson
import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.orders.recorder import BinaryArray, int8s, texts, uuids
from services.orders.store import order_id_of

TABLE = """
CREATE TABLE IF NOT EXISTS public.floor_events (
    position bigserial PRIMARY KEY, stream_id uuid NOT NULL, version bigint NOT NULL, name text NOT NULL,
    state json NOT NULL, recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    correlation_id text, causation_id text, traceparent text, UNIQUE (stream_id, version))"""
INSERT = (
    "INSERT INTO public.floor_events"
    " (stream_id, version, name, state, correlation_id, causation_id, traceparent)"
    " SELECT * FROM unnest(%b, %b, %b, %b::json[], %b, %b, %b)"
)
JSON_ARRAY = (199, 114)


async def main(kafka: str, database: str, source: str, target: str, count: int, *, tuned: bool) -> None:
    """Consume, insert, send and commit in batches of 500 until `count` records are through."""
    options = {"partitioner": _cheap} if tuned else {}
    consumer = AIOKafkaConsumer(
        source,
        bootstrap_servers=kafka,
        group_id=f"floor-{source}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_batch_size=65_536, **options
    )
    await consumer.start()
    await producer.start()
    done = 0
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        while done < count:
            batches = await consumer.getmany(timeout_ms=200, max_records=500)
            records = [record for batch in batches.values() for record in batch]
            if records:
                await _through(connection, producer, target, records)
                await consumer.commit(
                    {
                        TopicPartition(p.topic, p.partition): batch[-1].offset + 1
                        for p, batch in batches.items()
                    }
                )
                done += len(records)
    await producer.stop()
    await consumer.stop()


async def _through(
    connection: psycopg.AsyncConnection, producer: AIOKafkaProducer, target: str, records: list[Any]
) -> None:
    bodies = [orjson.loads(record.value) for record in records]
    ids = [order_id_of(body["connection"], body["order"]) for body in bodies]
    headers = [dict(record.headers) for record in records]
    await connection.execute(
        INSERT,
        [
            uuids(ids),
            int8s([1] * len(records)),
            texts(["OrderPlaced.v1"] * len(records)),
            BinaryArray(JSON_ARRAY, [record.value for record in records]),
            texts([head["ce_correlationid"] for head in headers]),
            texts([head["ce_id"] for head in headers]),
            texts([None] * len(records)),
        ],
        prepare=True,
    )
    pending = []
    for record, order_id in zip(records, ids, strict=True):
        subject = str(order_id).encode()
        pending.append(
            await producer.send(
                target,
                record.value,
                subject,
                headers=[
                    ("ce_specversion", b"1.0"),
                    ("ce_id", subject + b"/1"),
                    ("ce_type", b"jejak.orders.OrderPlaced.v1"),
                    ("ce_source", b"/jejak/orders"),
                    ("ce_subject", subject),
                    ("ce_time", b"2026-03-05T07:59:26Z"),
                    ("ce_dataschema", b"urn:jejak:schema:jejak.orders.OrderPlaced.v1"),
                    ("ce_sequence", b"1"),
                    ("ce_partitionkey", subject),
                    ("content-type", b"application/json"),
                    ("ce_correlationid", subject),
                    ("ce_causationid", subject),
                ],
            )
        )
    await asyncio.gather(*pending)


def _cheap(key: bytes, every: list[int], _available: list[int]) -> int:
    return every[hash(key) % len(every)]


if __name__ == "__main__":
    kafka, database, source, target, count, *rest = sys.argv[1:]
    tuned = "--tuned" in rest
    runner = uvloop.run if tuned else asyncio.run
    runner(main(kafka, database, source, target, int(count), tuned=tuned))
