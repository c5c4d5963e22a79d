"""Spans of HTTP: a request that is answered, and a call of another's server.

The conventions' `url.path` is left out: a webhook's path holds a secret, the others' routes say enough.
"""

from collections.abc import Mapping
from contextvars import Token
from typing import Any, Final, Self
from urllib.parse import urlsplit

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode

from libs.runtime.tracing import checked_traceparent, context_of, fail, is_on, is_root_sampled, start

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class ServerRequest:
    """The span of one request that is answered; its user sets the route and the status before the end."""

    __slots__ = ("_method", "_span", "_token", "route", "status")

    def __init__(self, span: Span | None = None, method: str = "") -> None:
        self._span = span
        self._method = method
        self._token: Token[contexts.Context] | None = None
        self.route = ""
        self.status = 0

    def __enter__(self) -> Self:
        if self._span is not None:
            self._token = contexts.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(self, _kind: object, fault: BaseException | None, _where: object) -> None:
        span = self._span
        if span is None or self._token is None:
            return
        contexts.detach(self._token)
        if self.route:
            span.update_name(f"{self._method} {self.route}")
            span.set_attribute("http.route", self.route)
        if self.status:
            span.set_attribute("http.response.status_code", self.status)
        if fault is not None:
            fail(span, fault)
        elif self.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", str(self.status))
        span.end()


_UNTRACED: Final = ServerRequest()


def http_server(scope: Mapping[str, Any], *, believe_caller: bool) -> ServerRequest:
    """The span of a request, in the caller's trace when he is believed and names one, else a new one.

    Its path is not told: one of the webhooks' is a secret.
    """
    if not is_on():
        return _UNTRACED
    parent = _callers_context(scope) if believe_caller else None
    method = scope["method"] if scope["method"] in _METHODS else "HTTP"
    if parent is not None and not parent.trace_flags.sampled:
        # Not recorded, but logs and stored events go on to name the caller's trace.
        return ServerRequest(NonRecordingSpan(parent), method)
    if parent is None and not is_root_sampled():
        return _UNTRACED
    attributes = {
        "http.request.method": method if method != "HTTP" else "_OTHER",
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope.get("http_version", "1.1"),
    }
    return ServerRequest(start(method, parent, SpanKind.SERVER, attributes), method)


def _callers_context(scope: Mapping[str, Any]) -> SpanContext | None:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return context_of(checked_traceparent(value))
    return None


class ClientCall:
    """The span of one call of another's server."""

    __slots__ = ("_span",)

    def __init__(self, span: Span | None = None) -> None:
        self._span = span

    def __enter__(self) -> Self:
        return self

    def answered(self, status: int) -> None:
        if self._span is not None:
            self._span.set_attribute("http.response.status_code", status)
            if status >= 400:
                self._span.set_status(Status(StatusCode.ERROR))
                self._span.set_attribute("error.type", str(status))

    def __exit__(self, _kind: object, fault: BaseException | None, _where: object) -> None:
        if self._span is not None:
            if fault is not None:
                fail(self._span, fault)
            self._span.end()


_NO_CALL: Final = ClientCall()


def http_client(method: str, url: str) -> ClientCall:
    """The span of a call within the current trace; its query string, which holds tokens, is not told.

    The call carries no traceparent: what we do is no business of a marketplace's.
    """
    if not is_on() or not trace.get_current_span().is_recording():
        return _NO_CALL
    parts = urlsplit(url)
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "url.full": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
        "server.address": parts.hostname or "",
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
    }
    parent = trace.get_current_span().get_span_context()
    return ClientCall(start(f"{method} {parts.path}", parent, SpanKind.CLIENT, attributes))
