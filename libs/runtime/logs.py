"""One JSON object per line on standard error, from structlog and from the libraries' own loggers alike.

Nothing of a request's body, query string or headers is logged, and no text of an error that may quote it.
"""

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from types import TracebackType
from typing import Any, TextIO

import orjson
import psycopg
import structlog
from aiokafka.errors import KafkaError
from opentelemetry import trace
from pydantic import ValidationError
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from libs.runtime.clock import monotonic
from libs.runtime.errors import RuntimeFault

# A broker that goes away while sends are in flight makes aiokafka write about 3,900 lines per second.
FLOOD_LINES_PER_SECOND = 10
FLOODING_LOGGERS = ("aiokafka",)
# These write request lines at INFO, query strings included.
QUIET_LOGGERS = ("httpx", "httpcore", "uvicorn.access", "asyncio")
# Kinds whose texts are sentences about the system; any other text may quote what was being handled.
SAYABLE = (RuntimeFault, RuntimeError, KafkaError, ConnectionError, TimeoutError, ImportError, AssertionError)
FRAMES_MAX = 30
CHAIN_MAX = 4
REDACTED_KEYS = frozenset({
    "api_key", "authorization", "body", "cookie", "headers", "password", "query", "secret", "token", "url",
})  # fmt: skip


def configure_logs(service: str, level: str = "info", *, stream: TextIO | None = None) -> None:
    """Send every logger's lines to the stream (standard error) as JSON, from this level on.

    At level debug the texts of unknown errors are shown; at any other only their kinds and places.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    render = _Renderer(service, show_texts=number <= logging.DEBUG)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        render.fault,
        _redact,
    ]
    out = stream or sys.stderr
    structlog.configure(
        processors=[*shared, render.line],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = FloodGate(out, service)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render.line],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.INFO))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "faststream", "fastapi"):
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


class FloodGate(logging.StreamHandler[TextIO]):
    """Writes lines, but of a flooding library at most ten a second, then one line that counts the rest."""

    def __init__(self, stream: TextIO, service: str = "") -> None:
        super().__init__(stream)
        self._service = service
        self._second = -1
        self._written = 0
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".", 1)[0] not in FLOODING_LOGGERS:
            super().emit(record)
            return
        second = int(monotonic())
        if second != self._second:
            self._second, self._written, dropped, self._dropped = second, 0, self._dropped, 0
            if dropped:
                super().emit(_count_line(record, dropped))
        if self._written >= FLOOD_LINES_PER_SECOND:
            self._dropped += 1
            return
        self._written += 1
        super().emit(record)


def _count_line(record: logging.LogRecord, dropped: int) -> logging.LogRecord:
    return logging.LogRecord(
        record.name, logging.WARNING, record.pathname, 0, "%d more lines were not written.", (dropped,), None
    )


def fault_text(fault: BaseException) -> str:
    """The text of an error that holds nothing of what was being handled; empty when it may."""
    if isinstance(fault, psycopg.Error):
        # The server's message and detail quote values; the state and the names of things do not.
        if fault.sqlstate is None:
            return str(fault)[:500] if isinstance(fault, psycopg.OperationalError) else ""
        diag = fault.diag
        named = [fault.sqlstate, diag.schema_name, diag.table_name, diag.column_name, diag.constraint_name]
        return " ".join(part for part in named if part)
    if isinstance(fault, ValidationError):
        errors = fault.errors(include_url=False, include_input=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in errors[:10])
    if isinstance(fault, SAYABLE):
        return str(fault)[:500]
    if isinstance(fault, OSError):
        return fault.strerror or ""
    return ""


class _Renderer:
    def __init__(self, service: str, *, show_texts: bool) -> None:
        self._service = service
        self._show_texts = show_texts

    def fault(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Replace `exc_info` by the kinds, texts and places of the error and of its causes."""
        info = _exception_of(event.pop("exc_info", None))
        if info is not None:
            event["exception"] = self._chain(info)
        return event

    def _chain(self, fault: BaseException) -> list[dict[str, Any]]:
        chain: list[dict[str, Any]] = []
        current: BaseException | None = fault
        while current is not None and len(chain) < CHAIN_MAX:
            text = str(current)[:2_000] if self._show_texts else fault_text(current)
            chain.append({"kind": kind_of(current), "text": text, "at": _frames(current.__traceback__)})
            if isinstance(current, BaseExceptionGroup):
                chain += [link for each in current.exceptions[:CHAIN_MAX] for link in self._chain(each)]
            suppressed = current.__suppress_context__
            current = current.__cause__ or (None if suppressed else current.__context__)
        return chain

    def line(self, _logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> str:
        """Render the event as one line; what JSON does not know becomes text."""
        first = {name: event.pop(name) for name in ("timestamp", "level") if name in event}
        return orjson.dumps(
            {**first, "service": self._service, **event}, default=str, option=orjson.OPT_NON_STR_KEYS
        ).decode()


def kind_of(fault: BaseException) -> str:
    """The name of an error's class, with its module unless it is built in."""
    kind = type(fault)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _exception_of(info: ExcInfo | BaseException | bool | None) -> BaseException | None:
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple):
        return info[1]
    return sys.exc_info()[1] if info else None


def _frames(tb: TracebackType | None) -> list[str]:
    frames: Sequence[traceback.FrameSummary] = traceback.extract_tb(tb, limit=-FRAMES_MAX)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = f"{span.trace_id:032x}"
        event["span_id"] = f"{span.span_id:016x}"
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> Mapping[str, Any]:
    for name in REDACTED_KEYS.intersection(event):
        event[name] = "[redacted]"
    return event
