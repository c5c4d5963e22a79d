"""Which trace a stored event belongs to: that of the fact that brought it, as far as it is recorded."""

from collections.abc import AsyncIterator, Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs.runtime.kafka_tracing import processing
from libs.runtime.postgres import AsyncPool, make_pool
from libs.runtime.records import Record
from libs.runtime.tracing import TracingSettings, close_tracing, configure_tracing
from services.orders.app import migrate_orders
from services.orders.consumer import FactsHandler
from services.orders.recorder import AppendRequest, NewEvent, append
from services.orders.store import order_id_of
from services.orders.tests.test_consumer import CONNECTION, TOPIC, Log, fact, placed, rows

pytestmark = pytest.mark.connected

FIRST = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECOND = b"00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"
UNSAMPLED = FIRST[:-2] + b"00"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    found = InMemorySpanExporter()
    configure_tracing("orders", TracingSettings(traces_sampler_arg=0), exporter=found)
    yield found
    close_tracing()


async def handle(pool: AsyncPool, batch: list[Record], stored: dict[int, int]) -> None:
    """What the consumer does with a batch."""
    with processing(TOPIC, "orders", batch):
        await FactsHandler(pool).handle(batch, stored)


async def traceparents(pool: AsyncPool) -> list[str | None]:
    return [row[0] for row in await rows(pool, "SELECT traceparent FROM orders.events ORDER BY position")]


def creations(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """The spans of created events, by the traceparent that is stored with the event."""
    close_tracing()
    return {
        f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}": span
        for span in exporter.get_finished_spans()
        if span.name == "create orders.orders.v1" and span.context is not None
    }


def parents(spans: list[ReadableSpan]) -> set[tuple[str, str]]:
    return {(f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") for span in spans if span.parent}


async def test_each_event_is_stored_with_the_span_that_created_it(
    pool: AsyncPool, exporter: InMemorySpanExporter
) -> None:
    log = Log()
    batch = [
        log.record(placed("1"), traceparent=FIRST),
        log.record(placed("2")),
        log.record(placed("3"), traceparent=UNSAMPLED),
        log.record(placed("4"), traceparent=b"no traceparent at all"),
    ]
    await handle(pool, batch, {})
    stored = await traceparents(pool)
    created = creations(exporter)
    assert set(stored) == {*created, UNSAMPLED.decode(), None}
    names = {str((span.attributes or {})["event.type"]) for span in created.values()}
    assert "OrderPlaced.v1" in names
    order = str(order_id_of(CONNECTION, "1"))
    assert {(span.attributes or {})["order.id"] for span in created.values()} == {order}
    ended = exporter.get_finished_spans()
    own = {
        f"{span.context.span_id:016x}"
        for span in ended
        if span.context is not None and span.name == f"process {TOPIC}" and span.parent is not None
    }
    assert parents(list(created.values())) == {(FIRST[3:35].decode(), each) for each in own}
    assert [span.name for span in ended].count("EXECUTE orders.append") == 2, "In the batch and in the trace."


async def test_a_fact_that_waited_goes_on_in_its_own_trace(
    pool: AsyncPool, exporter: InMemorySpanExporter
) -> None:
    log = Log()
    late = log.record(fact("PaymentSucceeded", "1", minute=5, status="pending"), traceparent=FIRST)
    await handle(pool, [late], {})
    assert await traceparents(pool) == []
    await handle(pool, [log.record(placed("1"), traceparent=SECOND)], {0: 0})
    stored = await traceparents(pool)
    assert {text and text[3:35] for text in stored} == {FIRST[3:35].decode(), SECOND[3:35].decode()}
    created = creations(exporter)
    assert set(stored) == set(created)
    of_late = [span for text, span in created.items() if text[3:35] == FIRST[3:35].decode()]
    assert parents(of_late) == {(FIRST[3:35].decode(), FIRST[36:52].decode())}


async def test_of_an_append_that_has_to_be_made_anew_only_the_last_is_told(
    pool: AsyncPool, exporter: InMemorySpanExporter
) -> None:
    log = Log()
    handler = FactsHandler(pool)
    await handler.handle([log.record(placed("1"))], {})
    # Behind the handler's back the order moves, so that what it decides on is stale.
    stream = order_id_of(CONNECTION, "1")
    before = await rows(pool, "SELECT version, name, state::text FROM orders.events ORDER BY version")
    version, name, state = before[-1]
    moved = AppendRequest(
        streams={stream: version}, events=[NewEvent(stream, version + 1, name, state.encode())]
    )
    async with pool.connection() as connection:
        assert (await append(connection, moved)).outcome == "OK"
    batch = [log.record(fact("PaymentSucceeded", "1", minute=5, status="pending"), traceparent=FIRST)]
    with processing(TOPIC, "orders", batch):
        await handler.handle(batch, {0: 0})
    stored = [text for text in await traceparents(pool) if text is not None]
    assert stored
    assert set(stored) == set(creations(exporter))


async def test_without_tracing_a_records_context_is_handed_on_as_it_is(pool: AsyncPool) -> None:
    await handle(pool, [Log().record(placed("1"), traceparent=FIRST)], {})
    assert set(await traceparents(pool)) == {FIRST.decode()}
