"""Traces: where spans begin, what they are called, and how a trace goes on through tables and topics.

Names follow OpenTelemetry's conventions (HTTP and database stable, messaging of August 2026). Off, which is
the default, every function here returns at once. No span has a body, a query string, a caller's path, the
text of an error or any other word that may quote a buyer.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
)
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.runtime.clock import uuid7

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

Item = TypeVar("Item")
Attributes = Mapping[str, str | int]

# Spans of a batch's own messages and links to them; what is beyond only hands its trace on.
TRACED_PER_BATCH_MAX: Final = 128
# How long the end of a process waits for its last spans to be taken.
LAST_SPANS_SECONDS: Final = 1.0

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_TRACEPARENT_LENGTH: Final = 55
# A trace is sampled by 56 random bits, as the SDK's own ratio sampler does it.
_RANDOM_BITS: Final = (1 << 56) - 1


class TracingSettings(BaseSettings):
    """Where traces go and how many there are, under OpenTelemetry's own names."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="OTEL_", env_ignore_empty=True, use_attribute_docstrings=True
    )

    exporter_otlp_endpoint: str | None = None
    """Where traces are sent by OTLP over HTTP, such as http://collector:4318; none: nothing is traced"""

    traces_sampler_arg: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The share of pushes, requests and readings that begin a trace, from 0 to 1"""

    @field_validator("exporter_otlp_endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/]", value):
            raise ValueError("is not an address that begins with http:// or https://")
        return value


_tracer: Tracer | None = None
_provider: "TracerProvider | None" = None
_sampled_below = 0
_random: Callable[[], int] = int


def configure_tracing(
    service: str, settings: TracingSettings, *, exporter: "SpanExporter | None" = None
) -> None:
    """Trace from now on, unless no endpoint is named; an exporter given takes the place of OTLP.

    Roots are sampled by the ratio, everything else as what it belongs to. The standard OTEL_ variables of
    the SDK (headers, resource attributes, batches, time-outs) count too.
    """
    global _tracer, _provider, _sampled_below, _random
    if settings.exporter_otlp_endpoint is None and exporter is None:
        return
    close_tracing()
    # Only here: a process that does not trace need not load them.
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

    if exporter is None and settings.exporter_otlp_endpoint is not None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(f"{settings.exporter_otlp_endpoint.rstrip('/')}/v1/traces")
    ids = RandomIdGenerator()
    _provider = TracerProvider(
        # Whether a root is sampled is decided before it is made, at a fiftieth of the cost.
        sampler=ParentBased(ALWAYS_ON),
        resource=Resource.create(
            {"service.namespace": "jejak", "service.name": service, "service.instance.id": str(uuid7())}
        ),
        shutdown_on_exit=False,
        id_generator=ids,
        span_limits=SpanLimits(max_links=TRACED_PER_BATCH_MAX),
    )
    assert exporter is not None, "Without an endpoint and an exporter nothing is traced."
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("jejak")
    _sampled_below = round(settings.traces_sampler_arg * (_RANDOM_BITS + 1))
    _random = ids.generate_trace_id


def close_tracing() -> None:
    """Send the last spans, for a second at most, and trace no more."""
    global _tracer, _provider
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        # A thread, since a collector that does not answer would keep the process from ending.
        last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(LAST_SPANS_SECONDS)


def is_on() -> bool:
    return _tracer is not None


# ---- the context of a trace as text


def context_of(traceparent: str | None) -> SpanContext | None:
    """The context that a W3C traceparent names; None for a text that is none."""
    if traceparent is None:
        return None
    found = _TRACEPARENT.match(traceparent)
    if found is None:
        return None
    named = SpanContext(
        int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=trace.TraceFlags(int(found[3], 16))
    )
    return named if named.is_valid else None


def checked_traceparent(value: bytes | None) -> str | None:
    """A header's traceparent as text, as version 00 defines it; None when it is none (W3C: ignore it)."""
    if value is None:
        return None
    text = value[:_TRACEPARENT_LENGTH].decode("latin-1")
    return text if _TRACEPARENT.fullmatch(text) else None


def is_sampled(traceparent: str | bytes | None) -> bool:
    """Whether the text says that its trace is recorded; False for anything that is no traceparent."""
    if not traceparent or len(traceparent) != _TRACEPARENT_LENGTH:
        return False
    # The lowest bit of the last hexadecimal digit.
    last = traceparent[-1]
    return (last if isinstance(last, str) else chr(last)) in "13579bdf"


def traceparent_of(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def current_traceparent() -> str | None:
    """The traceparent of what is being done now, to be stored with what it brings; None outside a trace."""
    if _tracer is None:
        return None
    span = trace.get_current_span()
    return traceparent_of(span) if span.get_span_context().is_valid else None


def traceparent_in(headers: Sequence[tuple[str, bytes | None]]) -> bytes | None:
    """The traceparent of a record's headers."""
    # Our own writers put it last.
    if headers and headers[-1][0] == "traceparent":
        return headers[-1][1]
    for name, value in headers:
        if name == "traceparent":
            return value
    return None


def is_root_sampled() -> bool:
    """Whether a new trace is to be recorded; decided by the ratio."""
    return _random() & _RANDOM_BITS < _sampled_below


def start(
    name: str,
    parent: SpanContext | None,
    kind: SpanKind,
    attributes: Attributes | None,
    links: Sequence[Link] = (),
) -> Span:
    """Begin a span of this parent, or a root; it is recorded if the parent is, a root always."""
    assert _tracer is not None, "Whoever starts a span has seen that tracing is on."
    held = contexts.Context()
    if parent is not None:
        held = trace.set_span_in_context(NonRecordingSpan(parent), held)
    return _tracer.start_span(name, held, kind, attributes, links)


def fail(span: Span, fault: BaseException) -> None:
    """Mark the span by the fault's kind; its text may quote what was being handled."""
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", type(fault).__qualname__)


@contextmanager
def _within(span: Span) -> Iterator[None]:
    """Do the block as part of the span, which ends with it."""
    token = contexts.attach(trace.set_span_in_context(span))
    try:
        yield
    except BaseException as fault:
        fail(span, fault)
        raise
    finally:
        contexts.detach(token)
        span.end()


# ---- the store


def store(operation: str, target: str) -> AbstractContextManager[None]:
    """The span of a statement within the current trace: `INSERT channels.raw_messages`."""
    current = trace.get_current_span() if _tracer is not None else None
    if current is None or not current.is_recording():
        return _NO_SPAN
    parent = current.get_span_context()
    return _within(start(f"{operation} {target}", parent, SpanKind.CLIENT, _of_store(operation, target)))


_NO_SPAN: Final[AbstractContextManager[None]] = nullcontext()


@contextmanager
def store_for_each(operation: str, target: str, parents: Sequence[SpanContext]) -> Iterator[None]:
    """As `store`, and once more within each of these traces: one statement serves many."""
    if _tracer is None:
        yield
        return
    attributes = _of_store(operation, target)
    spans = [start(f"{operation} {target}", parent, SpanKind.CLIENT, attributes) for parent in parents]
    try:
        with store(operation, target):
            yield
    except BaseException as fault:
        for span in spans:
            fail(span, fault)
        raise
    finally:
        for span in spans:
            span.end()


def _of_store(operation: str, target: str) -> Attributes:
    kind = "db.stored_procedure.name" if operation == "EXECUTE" else "db.collection.name"
    return {"db.system.name": "postgresql", "db.operation.name": operation, kind: target}


# ---- batches


class Traced:
    """The recorded messages of a batch, each with its span in its own trace; most batches have none."""

    __slots__ = ("_created", "_spans")

    def __init__(self, spans: Mapping[object, Span]) -> None:
        self._spans = spans
        self._created: list[Span] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the batch is recorded, as nearly always."""
        return not self._spans

    def span(self, key: object) -> Span | None:
        """The span of a message; None when its trace is not recorded."""
        return self._spans.get(key)

    def create(self, key: object, destination: str, attributes: Attributes) -> str | None:
        """Begin the span of a record that this message brings; the traceparent to store with the record.

        None when nothing is recorded. The span is sent by `settle`, once the record is durable, or never.
        """
        span = self._spans.get(key)
        if span is None:
            return None
        created = create(span.get_span_context(), destination, attributes)
        self._created.append(created)
        return traceparent_of(created)

    def settle(self) -> None:
        """What was created since the last time is durable."""
        created, self._created = self._created, []
        for span in created:
            span.end()

    def forget(self) -> None:
        """What was created since the last time is not durable, and will be created anew."""
        self._created = []


NOTHING: Final = Traced({})
_current: ContextVar[Traced] = ContextVar("traced", default=NOTHING)


def current_batch() -> Traced:
    """What is recorded of the batch under way; never None."""
    return NOTHING if _tracer is None else _current.get()


def create(parent: SpanContext, destination: str, attributes: Attributes) -> Span:
    """Begin the span of a record for a topic: its context travels with the record and is never changed."""
    named = messaging("create", destination)
    return start(f"create {destination}", parent, SpanKind.PRODUCER, {**named, **attributes})


def messaging(operation: str, destination: str, *, system: str = "kafka") -> dict[str, str | int]:
    """What every span about messages says; our operations are called as the conventions call their types."""
    return {
        "messaging.system": system,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
    }


@contextmanager
def batch(
    name: str,
    kind: SpanKind,
    attributes: Attributes,
    items: Sequence[Item],
    *,
    traceparent: Callable[[Item], str | bytes | None],
    describe: Callable[[Item], tuple[object, Attributes]],
    begins_traces: bool = False,
    alone_in_its_trace: bool = False,
) -> Iterator[Traced]:
    """Do the block for a batch: one span for all of it, and one for each message whose trace is recorded.

    The batch's span is a root that links to its messages, since it belongs to many traces; the messages'
    spans are children of what made them and link back. Without a recorded message there is no span at all.
    `describe` gives a message's key and attributes. With `begins_traces`, messages of no trace begin one, by
    the ratio; with `alone_in_its_trace` a batch of one recorded message is done within that message's span.
    """
    if _tracer is None:
        yield NOTHING
        return
    chosen = _choose(items, traceparent, begins_traces=begins_traces)
    if not chosen:
        yield NOTHING
        return
    described = [(*describe(item), parent) for item, parent in chosen]
    links = [Link(parent, dict(own)) for _, own, parent in described if parent is not None]
    if len(described) == 1 and alone_in_its_trace:
        key, own, parent = described[0]
        only = start(name, parent, kind, {**attributes, **own})
        spans: dict[object, Span] = {key: only}
        outer = only
    else:
        counted = {"messaging.batch.message_count": len(items)} if "messaging.system" in attributes else {}
        outer = start(name, None, kind, {**attributes, **counted}, links)
        back = [Link(outer.get_span_context())]
        spans = {
            key: start(name, parent, kind, {**attributes, **own}, back) for key, own, parent in described
        }
    traced = Traced(spans)
    token = _current.set(traced)
    try:
        with _within(outer):
            yield traced
    except BaseException as fault:
        for span in spans.values():
            if span is not outer:
                fail(span, fault)
        raise
    finally:
        _current.reset(token)
        for span in spans.values():
            if span is not outer:
                span.end()


def _choose(
    items: Sequence[Item], traceparent: Callable[[Item], str | bytes | None], *, begins_traces: bool
) -> list[tuple[Item, SpanContext | None]]:
    chosen: list[tuple[Item, SpanContext | None]] = []
    for item in items:
        text = traceparent(item)
        if text is None:
            if begins_traces and is_root_sampled():
                chosen.append((item, None))
        elif is_sampled(text):
            parent = context_of(text if isinstance(text, str) else checked_traceparent(text))
            if parent is not None:
                chosen.append((item, parent))
        if len(chosen) == TRACED_PER_BATCH_MAX:
            break
    return chosen
