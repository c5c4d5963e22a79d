"""A collector of traces for tests: OTLP over HTTP, as the product's exporter speaks it, kept in memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

# The runs of these tests make some ten thousand spans; what is beyond is not kept.
SPANS_MAX = 500_000

Value = str | int | float | bool


class Told(NamedTuple):
    """One span as it came in; ids in hexadecimal, `links` as (trace, span, attributes)."""

    service: str
    trace: str
    span: str
    parent: str
    name: str
    kind: str
    began_ns: int
    ended_ns: int
    failed: bool
    attributes: dict[str, Value]
    links: list[tuple[str, str, dict[str, Value]]]


class Collector:
    """What has been sent so far, and the bytes of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[Told] = []
        self._bodies: list[bytes] = []
        self.address = ""

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        found = [
            _told(_attributes(each.resource.attributes)["service.name"], span)
            for each in request.resource_spans
            for scope in each.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            if len(self._spans) < SPANS_MAX:
                self._spans += found
                self._bodies.append(body)

    def spans(self) -> list[Told]:
        with self._lock:
            return list(self._spans)

    def bodies(self) -> list[bytes]:
        """Everything that was sent, as it was sent."""
        with self._lock:
            return list(self._bodies)


def _told(service: Value, span: Span) -> Told:
    return Told(
        service=str(service),
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
        links=[
            (link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes)) for link in span.links
        ],
    )


def _attributes(pairs: object) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in pairs:  # type: ignore[attr-defined]  # A repeated field of protobuf.
        assert isinstance(pair, KeyValue)
        kind = pair.value.WhichOneof("value")
        found[pair.key] = "" if kind is None else getattr(pair.value, kind)
    return found


@contextmanager
def collecting() -> Iterator[Collector]:
    """Take traces for the block's duration, at the collector's address."""
    collector = Collector()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf":
                collector.take(body)
                self.send_response(200)
            else:
                self.send_response(404)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing: pytest's output is no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        collector.address = f"http://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield collector
        finally:
            server.shutdown()
            serving.join()
