"""How a push's trace goes on: with its raw message, with the facts it brings, with the reading it asks for."""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs.runtime.clock import uuid7
from libs.runtime.outbox import OutboxSource
from libs.runtime.postgres import make_pool
from libs.runtime.tracing import TracingSettings, close_tracing, configure_tracing
from services.channels import reads
from services.channels.app import migrate_channels
from services.channels.store import Kept, seal_content
from services.channels.tests.test_inbox import AT, LAZADA, SEAL, SHIPPED, STATUS, TOKOPEDIA, Desk

pytestmark = pytest.mark.connected

FIRST = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECOND = "00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    migrate_channels(database)
    async with make_pool(database, "channels", name="test", size=3) as pool:
        desk = Desk(pool, database)
        await desk.shops.settle([(LAZADA, None, None), (TOKOPEDIA, None, None)])
        yield desk


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    found = InMemorySpanExporter()
    configure_tracing("channels", TracingSettings(traces_sampler_arg=0), exporter=found)
    yield found
    close_tracing()


def ended(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """Every span by its traceparent."""
    close_tracing()
    return {
        f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}": span
        for span in exporter.get_finished_spans()
        if span.context is not None
    }


async def pushed(desk: Desk, *messages: tuple[bytes, str, str | None]) -> None:
    """Messages that came together, as the webhooks keep them."""
    kept = []
    for body, route, traceparent in messages:
        key = uuid7()
        signed = "SIGNED" if route == "lazada.push" else "UNSIGNED"
        app = "123456" if route == "lazada.push" else "15999"
        kept.append(Kept(key, AT, route, app, signed, seal_content(SEAL, key, {}, body), traceparent))
    await desk.store.keep(kept, notify=False)


async def carried(desk: Desk) -> list[str | None]:
    """The traceparents of the facts in the outbox."""
    chunk = await OutboxSource(desk.pool, "channels").fetch([])
    assert chunk is not None
    found = [dict(record.headers).get("traceparent") for record in chunk.records]
    return [None if value is None else value.decode() for value in found]


async def test_facts_and_readings_go_on_in_the_trace_of_their_push(
    desk: Desk, exporter: InMemorySpanExporter
) -> None:
    await pushed(desk, (SHIPPED, "lazada.push", FIRST), (STATUS, "tokopedia.order_status", None))
    assert await desk.inbox.work_batch() == 2
    (fact,) = await carried(desk)
    asked = await desk.ask("SELECT connection_id, traceparent FROM channels.read_requests")
    spans = ended(exporter)
    assert fact is not None
    assert spans[fact].name == "create channels.orders.v1"
    assert (spans[fact].attributes or {})["event.type"] == "ShipmentBooked"
    by_shop = dict(asked)
    assert by_shop[TOKOPEDIA.id] is None
    message = spans[by_shop[LAZADA.id]]
    assert message.name == "process channels.raw_messages"
    # The reading and the fact are both children of the message's span, which is a child of the push's.
    parents = [spans[fact].parent, message.parent]
    assert [f"{parent.span_id:016x}" for parent in parents if parent] == [
        by_shop[LAZADA.id][36:52],
        FIRST[36:52],
    ]


async def test_what_is_not_traced_takes_no_trace_from_a_reading_that_waits(desk: Desk) -> None:
    """Each step asks for the same reading: the last of those that are traced has it."""
    place = (LAZADA.id, "1")
    expected = [None, FIRST, FIRST, SECOND]
    found = []
    for traceparent in (None, FIRST, None, SECOND):
        part = reads.asking([place], traceparents={} if traceparent is None else {place: traceparent})
        assert part is not None
        async with desk.store.transaction() as unit:
            await unit.execute(part.sql.encode(), part.given)
        ((held,),) = await desk.ask("SELECT traceparent FROM channels.read_requests")
        found.append(held)
    assert found == expected
    (claim,) = await reads.Reads(desk.pool).claim(uuid7(), 1, [])
    assert claim.traceparent == SECOND
    assert claim.requested_at is not None


async def test_of_a_batch_that_is_rolled_back_no_fact_is_told(
    desk: Desk, database: str, exporter: InMemorySpanExporter
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE channels.outbox ADD CHECK (value IS NULL)")
    await pushed(desk, (SHIPPED, "lazada.push", FIRST))
    await desk.inbox.work_batch()
    spans = ended(exporter)
    assert "process channels.raw_messages" in {span.name for span in spans.values()}
    assert "create channels.orders.v1" not in {span.name for span in spans.values()}
