"""Row 6, `projection`: a rebuild of the order list, events a second, from its beginning to its swap.

The peer is the stock library on its own store: `ProjectionRunner` over PostgreSQL, one event at a time, with
the same fold and the same row. The floor is the read of the rebuild in one process, page by page, without
fold and without writing; printed beside it is the same with the rows made into events, as every fold has to.
Ours and floors alternate over the same log; the peer has fewer events, since it takes them singly.
"""

import asyncio
import json
import statistics
import time
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, DomainEvent, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import get_topic
from psycopg.sql import SQL, Composed

from benchmarks.order_list import fill, histories
from benchmarks.servers import Servers
from services.orders.app import migrate_orders
from services.orders.order.state import evolve
from services.orders.order_list import decode_state, encode_state, facets_of
from services.orders.rebuild import PAGE_EVENTS, Rebuild
from services.orders.rebuild_streams import FIRST, LAST, whole_streams
from services.orders.store import decode, is_order_event

ORDERS, PEER_ORDERS, ROUNDS = 60_000, 300, 3


class PeerOrder(Aggregate):
    """An order whose events hold ours, as they are stored."""

    class Told(Aggregate.Event):
        """One of our events."""

        name: str
        state: str

    @event(Told)
    def tell(self, name: str, state: str) -> None:
        self.last = (name, state)


class PeerRows(PostgresTrackingRecorder):
    """The stock way to keep a view: a row and the tracking of its event in one transaction."""

    def __init__(self, datastore: PostgresDatastore, **arguments: Any) -> None:
        super().__init__(datastore, **arguments)
        self.sql_create_statements.append(
            Composed(
                [
                    SQL(
                        "CREATE TABLE IF NOT EXISTS peer_rows (order_id uuid PRIMARY KEY, facets bigint[],"
                        " state text)"
                    )
                ]
            )
        )

    def tell(self, order_id: UUID, name: str, state: str, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute("SELECT state FROM peer_rows WHERE order_id = %s", [order_id])
            found = cursor.fetchone()
            order = evolve(decode_state(found["state"]) if found else None, decode(name, state))
            cursor.execute(
                "INSERT INTO peer_rows VALUES (%s, %s, %s) ON CONFLICT (order_id) DO UPDATE"
                " SET facets = excluded.facets, state = excluded.state",
                [order_id, facets_of(order), encode_state(order).decode()],
            )
            self._insert_tracking(cursor, tracking)


class PeerList(Projection[PeerRows]):
    """One event after the other, as the runner gives them."""

    topics = (get_topic(PeerOrder.Told),)

    def process_event(self, domain_event: DomainEvent, tracking: Tracking) -> None:
        told: Any = domain_event
        self.view.tell(told.originator_id, told.name, told.state, tracking)


def _environment(database: str) -> dict[str, str]:
    parts = urlsplit(database)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
    }


def peer(database: str) -> float:
    """Events a second of the stock runner, from its start until the last one is in the view."""
    environment = _environment(database)
    application = Application[UUID](env=environment)
    events = 0
    for _, _, stored in histories(PEER_ORDERS):
        order = PeerOrder()
        for name, state in stored:
            order.tell(name, state.decode())
        application.save(order)
        events += len(stored)
    last = application.recorder.max_notification_id()
    application.close()
    assert last is not None, "Events have been saved."
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=Application[UUID], projection_class=PeerList, view_class=PeerRows, env=environment
    ) as runner:
        runner.wait(last, timeout=120)
        spent = time.perf_counter() - began
    return events / spent


async def floor(database: str, *, decoded: bool = False) -> float:
    """The seconds that all pages of the rebuild take when nothing is done with them but to decode them."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as reader:
        await reader.execute("SET enable_seqscan = off")
        await reader.execute("SET enable_sort = off")
        began = time.perf_counter()
        last = FIRST
        while True:
            events, last = await whole_streams(reader, last, LAST, 2**62, PAGE_EVENTS)
            if not events:
                return time.perf_counter() - began
            if decoded:
                for _, _, _, name, state, _ in events:
                    if is_order_event(name):
                        decode(name, state)


async def measure(servers: Servers) -> dict[str, Any]:
    """The row: ours is everything, indexes, comparison and swap included."""
    migrate_orders(servers.database)
    events = await asyncio.to_thread(fill, servers.database, ORDERS)
    ours: list[float] = []
    read: list[float] = []
    decoded: list[float] = []
    for round_ in range(ROUNDS + 1):
        spent_reading = await floor(servers.database)
        spent_decoding = await floor(servers.database, decoded=True)
        began = time.perf_counter()
        report = await Rebuild(servers.database).run()
        spent = time.perf_counter() - began
        assert (report.orders, report.swapped, report.differences) == (ORDERS, True, 0), report
        if round_:
            ours.append(events / spent)
            read.append(events / spent_reading)
            decoded.append(events / spent_decoding)
    theirs = await asyncio.to_thread(peer, servers.database)
    rate = statistics.median(ours)
    return {
        "ours": round(rate),
        "floor": round(statistics.median(read)),
        "peer": round(theirs),
        "ratio_to_floor": round(statistics.median(o / f for o, f in zip(ours, read, strict=True)), 3),
        "decoded": round(statistics.median(decoded)),
        "ratio_to_decoded": round(statistics.median(o / f for o, f in zip(ours, decoded, strict=True)), 3),
        "ratios": [round(o / f, 3) for o, f in zip(ours, read, strict=True)],
        "ratio_to_peer": round(rate / theirs, 1),
        "unit": "events/s",
        "orders": ORDERS,
        "events": events,
        "rounds": ROUNDS,
    }


if __name__ == "__main__":
    from benchmarks.servers import running

    with running() as servers:
        print(json.dumps(asyncio.run(measure(servers)), indent=1))
