"""Row 2, `append`: events a second in batches of 100 orders x 3 events, against raw inserts of the same rows.

The floor writes the same rows with no checks, no lock and no function: events by one unnest insert, and
beside them the same command keys and the same position, in one transaction. Ours is orders.append.
"""

import asyncio
import json
import statistics
import time
import uuid
from typing import Any

import psycopg

from benchmarks.servers import Servers
from services.orders import recorder
from services.orders.app import migrate_orders

ORDERS, EVENTS, ROUNDS, CALLS = 100, 3, 9, 25
STATE_BYTES = 780
STATE = json.dumps({"pad": "x" * (STATE_BYTES - 11)}).encode()

FLOOR_TABLES = """
CREATE TABLE floor_events (
    position bigserial PRIMARY KEY, stream_id uuid NOT NULL, version bigint NOT NULL, name text NOT NULL,
    state json NOT NULL, recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    correlation_id text, causation_id text, traceparent text, UNIQUE (stream_id, version));
CREATE TABLE floor_keys (id uuid PRIMARY KEY, caller text NOT NULL, key text NOT NULL,
    body_sha256 bytea NOT NULL, answer text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE floor_positions (source text, partition integer, position bigint NOT NULL,
    PRIMARY KEY (source, partition))
"""
INSERT_EVENTS = (
    "INSERT INTO floor_events (stream_id, version, name, state, correlation_id, causation_id, traceparent)"
    " SELECT * FROM unnest(%b, %b, %b, %b, %b, %b, %b)"
)
INSERT_KEYS = (
    "INSERT INTO floor_keys (id, caller, key, body_sha256, answer) SELECT * FROM unnest(%b, %b, %b, %b, %b)"
)
UPSERT_POSITION = (
    "INSERT INTO floor_positions VALUES (%s, %s, %s)"
    " ON CONFLICT (source, partition) DO UPDATE SET position = excluded.position"
)


def request(position: int, *, keys: bool) -> recorder.AppendRequest:
    """One batch: 100 new orders of 3 events each, one consumed position, a command key per order."""
    made = recorder.AppendRequest()
    made.positions.append(recorder.Position("bench", 0, position, position + ORDERS))
    for _ in range(ORDERS):
        stream = uuid.uuid4()
        made.streams[stream] = 0
        made.handled.add(str(stream))
        for version in range(1, EVENTS + 1):
            made.events.append(
                recorder.NewEvent(stream, version, "OrderPlaced.v1", STATE, str(stream), str(stream), None)
            )
        if keys:
            made.keys.append(
                recorder.CommandKey("bench", str(stream), bytes(32), '{"sequence":3,"events":3}')
            )
    return made


async def _floor(connection: psycopg.AsyncConnection, made: recorder.AppendRequest) -> None:
    # The arrays are packed by the same code, so that the client costs both the same.
    parameters = made.parameters()
    events = parameters[7:14]
    keys = parameters[14:19]
    async with connection.pipeline(), connection.transaction():
        await connection.execute(INSERT_EVENTS, events, prepare=True)
        if made.keys:
            await connection.execute(INSERT_KEYS, keys, prepare=True)
        position = made.positions[0]
        await connection.execute(
            UPSERT_POSITION, [position.source, position.partition, position.went_to], prepare=True
        )


async def _ours(connection: psycopg.AsyncConnection, made: recorder.AppendRequest) -> None:
    appended = await recorder.append(connection, made)
    assert appended.outcome == "OK", appended


async def measure(servers: Servers) -> dict[str, Any]:
    """The row, and beside it the same without command keys, as batches of facts are."""
    migrate_orders(servers.database)
    with psycopg.connect(servers.database, autocommit=True) as plain:
        plain.execute(FLOOR_TABLES)
    position = -1
    seconds: dict[str, list[float]] = {}
    async with await psycopg.AsyncConnection.connect(servers.database, autocommit=True) as connection:
        for round_ in range(ROUNDS + 1):
            for name, write, keys in (
                ("floor", _floor, True),
                ("ours", _ours, True),
                ("floor_without_keys", _floor, False),
                ("ours_without_keys", _ours, False),
            ):
                spent = 0.0
                for _ in range(CALLS):
                    made = request(position, keys=keys)
                    if write is _ours:
                        position += ORDERS
                    began = time.perf_counter()
                    await write(connection, made)
                    spent += time.perf_counter() - began
                if round_:
                    seconds.setdefault(name, []).append(spent)
    rates = {name: ORDERS * EVENTS * CALLS / statistics.median(spent) for name, spent in seconds.items()}
    ratios = [floor / ours for floor, ours in zip(seconds["floor"], seconds["ours"], strict=True)]
    plain_ratios = [
        floor / ours
        for floor, ours in zip(seconds["floor_without_keys"], seconds["ours_without_keys"], strict=True)
    ]
    return {
        "ours": round(rates["ours"]),
        "floor": round(rates["floor"]),
        "peer": None,
        "ratio_to_floor": round(statistics.median(ratios), 3),
        "ratio_to_peer": None,
        "unit": "events/s",
        "event_bytes": STATE_BYTES,
        "batch": f"{ORDERS} orders x {EVENTS} events, 1 position, {ORDERS} command keys",
        "rounds": ROUNDS,
        "without_keys": {
            "ours": round(rates["ours_without_keys"]),
            "floor": round(rates["floor_without_keys"]),
            "ratio_to_floor": round(statistics.median(plain_ratios), 3),
        },
    }


if __name__ == "__main__":
    from benchmarks.servers import running

    with running() as servers:
        print(json.dumps(asyncio.run(measure(servers)), indent=1))
