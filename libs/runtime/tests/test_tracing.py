"""Spans: what begins a trace, how it goes on, what a span says and what it never says."""

import asyncio
import io
import json
import logging
import socket
import threading
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from libs.runtime import tracing
from libs.runtime.clock import now
from libs.runtime.http_tracing import http_client, http_server
from libs.runtime.kafka import Outgoing
from libs.runtime.kafka_tracing import processing, sending
from libs.runtime.logs import configure_logs
from libs.runtime.records import Record
from libs.runtime.tracing import (
    TracingSettings,
    batch,
    checked_traceparent,
    close_tracing,
    configure_tracing,
    context_of,
    current_batch,
    current_traceparent,
    is_sampled,
    store,
    store_for_each,
    traceparent_of,
)

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = SAMPLED[:-2] + "00"
TRACE = int(SAMPLED[3:35], 16)
SECRET = "a-buyer's-own-words"


class Spans:
    """What has been exported so far, by name."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def ended(self) -> list[ReadableSpan]:
        assert tracing._provider is not None
        tracing._provider.force_flush()
        return list(self.exporter.get_finished_spans())

    def names(self) -> list[str]:
        return [span.name for span in self.ended()]


@pytest.fixture
def ratio() -> float:
    return 1.0


@pytest.fixture
def spans(ratio: float) -> Iterator[Spans]:
    found = Spans()
    configure_tracing("test", TracingSettings(traces_sampler_arg=ratio), exporter=found.exporter)
    try:
        yield found
    finally:
        close_tracing()


def scope(method: str = "GET", path: str = "/v1/orders", **headers: str) -> dict[str, object]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": SECRET.encode(),
        "scheme": "http",
        "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


def consumed(offset: int, traceparent: str | None = SAMPLED) -> Record:
    headers: list[tuple[str, bytes | None]] = [("ce_id", b"01920000-0000-7000-8000-000000000001/3")]
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    return Record("g:t", "t", 2, offset, "key", b"key", headers, SECRET.encode(), now())


def kept_in(outer: ReadableSpan, span: ReadableSpan) -> bool:
    return bool(span.parent and outer.context and span.parent.span_id == outer.context.span_id)


# ---- off


def test_without_an_endpoint_nothing_is_traced() -> None:
    configure_tracing("test", TracingSettings())
    assert not tracing.is_on()
    with http_server(scope(), believe_caller=True), store("INSERT", "t"), processing("t", "g", [consumed(1)]):
        assert not trace.get_current_span().get_span_context().is_valid
        assert current_traceparent() is None
        assert current_batch().create((2, 1), "t", {}) is None


@pytest.mark.parametrize("address", ["collector:4318", "ftp://collector", "http://"])
def test_an_endpoint_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        TracingSettings(exporter_otlp_endpoint=address)


def test_the_end_of_a_process_does_not_wait_for_a_collector_that_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        configure_tracing("test", TracingSettings(exporter_otlp_endpoint=address, traces_sampler_arg=1.0))
        with http_server(scope(), believe_caller=False):
            pass
        close_tracing()
        assert not tracing.is_on()
        sending = [thread for thread in threading.enumerate() if thread.name == "last spans"]
        assert sending, "The spans are still on their way to a collector that does not answer."
        # Nothing of this test may run beside the next ones: now it answers.
        asked, _ = silent.accept()
        with asked:
            asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            for thread in sending:
                thread.join(60)
                assert not thread.is_alive()


# ---- the context as text


@given(st.binary(max_size=80))
def test_any_bytes_are_a_traceparent_or_none(value: bytes) -> None:
    found = checked_traceparent(value)
    assert found is None or value.startswith(found.encode())


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_what_is_written_is_read_back(trace_id: int, span_id: int, flags: int) -> None:
    text = f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}"
    context = context_of(text)
    assert context is not None
    assert traceparent_of(trace.NonRecordingSpan(context)) == text == checked_traceparent(text.encode())
    assert is_sampled(text) == is_sampled(text.encode()) == bool(flags & 1)


@pytest.mark.parametrize(
    "text",
    [
        "ff" + SAMPLED[2:],
        "00-" + "0" * 32 + SAMPLED[35:],
        SAMPLED[:36] + "0" * 16 + SAMPLED[52:],
        SAMPLED.upper(),
        SAMPLED[:-1],
        "",
    ],
)
def test_what_the_standard_forbids_names_no_trace(text: str) -> None:
    assert context_of(text) is None


# ---- HTTP


def test_a_request_is_one_span_that_says_its_route_and_neither_path_nor_query(spans: Spans) -> None:
    with http_server(scope("POST", f"/v1/orders/{SECRET}"), believe_caller=True) as request:
        inside = current_traceparent()
        request.route, request.status = "/v1/orders/{order_id}", 201
    (span,) = spans.ended()
    assert (span.name, span.kind, span.parent) == ("POST /v1/orders/{order_id}", SpanKind.SERVER, None)
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.route": "/v1/orders/{order_id}",
        "http.response.status_code": 201,
    }
    assert span.context is not None
    assert inside is not None
    assert f"{span.context.trace_id:032x}" in inside
    assert current_traceparent() is None, "The context ends with the request."
    assert span.resource.attributes["service.name"] == "test"


def test_a_request_goes_on_in_its_callers_trace_only_where_he_is_believed(spans: Spans) -> None:
    for believed in (True, False):
        with http_server(scope(traceparent=SAMPLED), believe_caller=believed):
            pass
    of_caller, own = spans.ended()
    assert of_caller.context is not None
    assert own.context is not None
    assert of_caller.context.trace_id == TRACE
    assert own.context.trace_id != TRACE
    assert own.parent is None


def test_a_callers_trace_that_is_not_recorded_is_only_handed_on(spans: Spans) -> None:
    with http_server(scope(traceparent=UNSAMPLED), believe_caller=True):
        assert current_traceparent() == UNSAMPLED
        with store("INSERT", "t"), processing("t", "g", [consumed(1, UNSAMPLED)]):
            assert current_traceparent() == UNSAMPLED
    assert spans.ended() == []


@pytest.mark.parametrize("ratio", [0.0])
def test_at_ratio_0_nothing_begins_a_trace_and_what_is_sampled_goes_on(spans: Spans) -> None:
    with http_server(scope(), believe_caller=True):
        assert current_traceparent() is None
    with processing("t", "g", [consumed(1, None), consumed(2)]):
        pass
    assert spans.names() == ["process t"] * 2


@pytest.mark.parametrize("ratio", [0.25])
def test_the_ratio_is_the_share_of_requests_that_begin_a_trace(spans: Spans) -> None:
    for _ in range(1000):
        with http_server(scope(), believe_caller=True):
            pass
    # Six standard deviations of a binomial with n = 1000 and p = 0.25: once in 500 million runs.
    assert 168 < len(spans.ended()) < 332


def test_a_fault_is_told_by_its_kind_and_never_by_its_words(spans: Spans) -> None:
    with pytest.raises(LookupError), http_server(scope(), believe_caller=True):
        raise LookupError(SECRET)
    with pytest.raises(LookupError), processing("t", "g", [consumed(1)]):
        raise LookupError(SECRET)
    ended = spans.ended()
    assert [(span.attributes or {}).get("error.type") for span in ended] == ["LookupError"] * 3
    assert not any(SECRET in span.to_json() for span in ended)


def test_a_call_of_another_is_part_of_the_trace_without_its_query(spans: Spans) -> None:
    with http_client("GET", "http://alone.example/x"):
        pass
    with (
        http_server(scope(), believe_caller=True),
        http_client("GET", f"https://user:{SECRET}@api.example:8443/rest/order/get?sign={SECRET}") as call,
    ):
        call.answered(429)
    call_span, request = spans.ended()
    assert (call_span.name, call_span.kind) == ("GET /rest/order/get", SpanKind.CLIENT)
    assert kept_in(request, call_span)
    assert dict(call_span.attributes or {}) == {
        "http.request.method": "GET",
        "url.full": "https://api.example:8443/rest/order/get",
        "server.address": "api.example",
        "server.port": 8443,
        "http.response.status_code": 429,
        "error.type": "429",
    }


# ---- batches


def test_a_batch_is_one_span_with_links_and_its_recorded_messages_have_spans_in_their_traces(
    spans: Spans,
) -> None:
    records = [consumed(1), consumed(2, None), consumed(3, UNSAMPLED), consumed(4, SAMPLED)]
    with processing("t", "g", records):
        assert current_batch().span((2, 1)) is not None
        assert current_batch().span((2, 2)) is None
        assert current_batch().span((2, 3)) is None
    outer, first, second = sorted(spans.ended(), key=lambda span: len(span.attributes or {}))
    assert (outer.name, outer.kind, outer.parent) == ("process t", SpanKind.CONSUMER, None)
    assert dict(outer.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "t",
        "messaging.consumer.group.name": "g",
        "messaging.batch.message_count": 4,
    }
    assert [
        (link.context.trace_id, (link.attributes or {})["messaging.kafka.offset"]) for link in outer.links
    ] == [
        (TRACE, 1),
        (TRACE, 4),
    ]
    for span in (first, second):
        assert (span.name, span.kind) == ("process t", SpanKind.CONSUMER)
        assert span.parent is not None
        assert f"{span.parent.span_id:016x}" == SAMPLED[36:52]
        assert [link.context for link in span.links] == [outer.context]
        assert (span.attributes or {})["messaging.message.id"] == "01920000-0000-7000-8000-000000000001/3"
    assert current_batch() is tracing.NOTHING


def test_a_batch_without_a_recorded_message_has_no_span(spans: Spans) -> None:
    with processing("t", "g", [consumed(1, None), consumed(2, UNSAMPLED)]):
        assert not trace.get_current_span().is_recording()
    assert spans.ended() == []


def test_of_a_large_batch_only_so_many_messages_have_spans(spans: Spans) -> None:
    with processing("t", "g", [consumed(offset) for offset in range(1000)]):
        pass
    ended = spans.ended()
    assert len(ended) == tracing.TRACED_PER_BATCH_MAX + 1
    assert max(len(span.links) for span in ended) == tracing.TRACED_PER_BATCH_MAX


def test_what_is_created_is_told_once_it_is_durable_and_else_never(spans: Spans) -> None:
    with processing("t", "g", [consumed(1)]):
        traced = current_batch()
        lost = traced.create((2, 1), "out", {"event.type": "Lost.v1"})
        traced.forget()
        kept = traced.create((2, 1), "out", {"event.type": "Kept.v1"})
        traced.settle()
        late = traced.create((2, 1), "out", {"event.type": "Late.v1"})
    created = [span for span in spans.ended() if span.kind is SpanKind.PRODUCER]
    assert [(span.name, (span.attributes or {})["event.type"]) for span in created] == [
        ("create out", "Kept.v1")
    ]
    assert created[0].context is not None
    assert kept == traceparent_of(trace.NonRecordingSpan(created[0].context))
    assert is_sampled(lost)
    assert is_sampled(late)


def test_what_is_sent_keeps_the_context_that_created_it(spans: Spans) -> None:
    records = [
        Outgoing("a", b"k", SECRET.encode(), [("traceparent", SAMPLED.encode())]),
        Outgoing("b", b"k", SECRET.encode(), [("traceparent", SAMPLED.encode()), ("other", b"last")]),
        Outgoing("b", b"k", SECRET.encode(), []),
    ]
    with sending(records):
        pass
    ended = spans.ended()
    assert sorted(span.name for span in ended) == ["send a", "send a", "send b", "send b"]
    assert {span.kind for span in ended} == {SpanKind.CLIENT}
    assert [record.headers[0][1] for record in records[:2]] == [SAMPLED.encode()] * 2
    assert not any(SECRET in span.to_json() for span in ended)


def test_a_reading_alone_is_done_within_its_own_trace_and_may_begin_one(spans: Spans) -> None:
    def read(*asked: str | None) -> None:
        with (
            batch(
                "read order",
                SpanKind.INTERNAL,
                {},
                asked,
                traceparent=lambda text: text,
                describe=lambda text: (text, {}),
                begins_traces=True,
                alone_in_its_trace=True,
            ),
            http_client("GET", "http://market.example/order"),
        ):
            pass

    read(SAMPLED)
    call, reading = spans.ended()
    assert reading.context is not None
    assert reading.context.trace_id == TRACE
    assert kept_in(reading, call)
    spans.exporter.clear()
    read(None)
    call, reading = spans.ended()
    assert reading.parent is None
    assert kept_in(reading, call)


def test_a_statement_that_serves_many_traces_is_told_in_each(spans: Spans) -> None:
    parent = context_of(SAMPLED)
    assert parent is not None
    with store_for_each("EXECUTE", "orders.append", []):
        pass
    assert spans.ended() == []
    with processing("t", "g", [consumed(1)]), store_for_each("EXECUTE", "orders.append", [parent]):
        pass
    told = [span for span in spans.ended() if span.name == "EXECUTE orders.append"]
    assert {span.parent.trace_id == TRACE for span in told if span.parent} == {True, False}
    assert dict(told[0].attributes or {}) == {
        "db.system.name": "postgresql",
        "db.operation.name": "EXECUTE",
        "db.stored_procedure.name": "orders.append",
    }


async def test_tasks_begun_within_a_batch_belong_to_it(spans: Spans) -> None:
    async def append() -> str | None:
        await asyncio.sleep(0)
        return current_batch().create((2, 1), "out", {})

    with processing("t", "g", [consumed(1)]):
        assert is_sampled(await asyncio.create_task(append()))


@pytest.mark.usefixtures("own_logs")
def test_the_lines_of_what_is_traced_name_the_trace(spans: Spans) -> None:
    stream = io.StringIO()
    configure_logs("orders", stream=stream)
    structlog.get_logger("x").info("before")
    with processing("t", "g", [consumed(1)]):
        structlog.get_logger("x").info("within")
        logging.getLogger("uvicorn.error").warning("A library says something.")
    before, *within = [json.loads(line) for line in stream.getvalue().splitlines()]
    outer = next(span for span in spans.ended() if span.parent is None)
    assert "trace_id" not in before
    assert outer.context is not None
    assert [(line["trace_id"], line["span_id"]) for line in within] == [
        (f"{outer.context.trace_id:032x}", f"{outer.context.span_id:016x}")
    ] * 2
