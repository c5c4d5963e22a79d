"""The FastAPI shell of every service: who is let in, how much is read, how errors are told, health, metrics.

Every path needs a bearer token but /health/*, /metrics, /.well-known/jwks.json and the webhooks given at
construction: the door is before routing, so that a route cannot be opened by forgetting something.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import orjson
import structlog
from fastapi import APIRouter, FastAPI, Header
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.runtime.auth import Principals, bearer_token
from libs.runtime.clock import uuid7
from libs.runtime.health import Health
from libs.runtime.http_tracing import ServerRequest, http_server
from libs.runtime.metrics import HTTP_REQUESTS
from libs.runtime.problems import CODES, Problem, problem_of

log = structlog.get_logger(__name__)

BODY_BYTES_MAX = 1_048_576
BODY_SECONDS_MAX = 30.0
# The keys that tokens are verified by are public; only orders answers there.
OPEN_PATHS = frozenset({"/health/live", "/health/ready", "/metrics", "/.well-known/jwks.json"})
_SANE_ID = re.compile(rb"[A-Za-z0-9._:/-]{1,128}")

IdempotencyKey = Annotated[
    str, Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")
]


@dataclass(frozen=True, slots=True)
class Status:
    """What is not drained yet; all 0 means that everything has had its effect and is published."""

    lag_records: int
    unpublished_events: int
    waiting: int
    parked: int


def make_api(
    service: str,
    principals: Principals,
    *,
    health: Health,
    status: Callable[[], Awaitable[Status]],
    webhooks: APIRouter | None = None,
    body_bytes_max: int = BODY_BYTES_MAX,
    body_seconds_max: float = BODY_SECONDS_MAX,
) -> FastAPI:
    """The app of a service; routers are included afterwards and need a token, whatever they forget.

    `webhooks` is the only router without one: its routes verify signatures over the raw bytes; those added
    with `add_route` are answered past the framework, at a tenth of the cost. A handler finds
    `request.state.principal`, `.request_id` and `.correlation_id`.
    """
    door = _Door(webhooks)
    app = FastAPI(
        title=f"Jejak {service}",
        docs_url=None,
        redoc_url=None,
        exception_handlers={HTTPException: _as_problem, RequestValidationError: _as_problem},
        middleware=[
            Middleware(_Outermost, service=service),
            Middleware(_Authentication, principals=principals, door=door),
            Middleware(_BodyLimit, bytes_max=body_bytes_max, seconds_max=body_seconds_max),
            Middleware(_ShortCut, door=door),
        ],
        # Telemetry of the framework would record the texts of exceptions; traces are enough.
        telemetry={"logs": False, "metrics": False, "operation_spans": False, "auto_configure": False},
    )
    app.state.door = door
    # First, so that no other route answers at an open door; not as a router of its own, which costs more.
    app.router.routes[:0] = webhooks.routes if webhooks is not None else []
    _add_operations(app, service, health, status)
    return app


def _add_operations(
    app: FastAPI, service: str, health: Health, status: Callable[[], Awaitable[Status]]
) -> None:
    async def live(_: Request) -> Response:
        return _health_answer(health.liveness())

    async def ready(_: Request) -> Response:
        return _health_answer(await health.readiness())

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def status_now() -> dict[str, Any]:
        return {"service": service, **asdict(await status())}

    app.add_route("/health/live", live, methods=["GET"], include_in_schema=False)
    app.add_route("/health/ready", ready, methods=["GET"], include_in_schema=False)
    app.add_route("/metrics", metrics, methods=["GET"], include_in_schema=False)
    app.add_api_route("/v1/status", status_now, methods=["GET"], summary="What is not drained yet")


def _health_answer(problems: Sequence[str]) -> Response:
    body = {"status": "failing" if problems else "ok", "problems": problems}
    return Response(orjson.dumps(body), 503 if problems else 200, media_type="application/json")


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every (method, path template) that the app answers, those of included routers too."""
    for context in iter_route_contexts(app.routes):
        for method in sorted(context.methods or ()):
            yield method, context.path or ""


def is_open(app: FastAPI, method: str, path: str) -> bool:
    """Whether this request is answered without a token."""
    door: _Door = app.state.door
    return door.is_open({"type": "http", "method": method, "path": path, "root_path": "", "headers": []})


class _Door:
    """Knows which requests need no token."""

    def __init__(self, webhooks: APIRouter | None) -> None:
        self._webhooks = [
            route for route in (webhooks.routes if webhooks else ()) if isinstance(route, Route)
        ]

    def webhook(self, scope: Scope) -> tuple[Route, dict[str, Any]] | None:
        """The webhook that this request is for, and the parameters of its path."""
        path = scope["path"]
        for route in self._webhooks:
            found = route.path_regex.match(path)
            if found and route.methods and scope["method"] in route.methods:
                return route, found.groupdict()
        return None

    def is_open(self, scope: Scope) -> bool:
        return scope["path"] in OPEN_PATHS or self.webhook(scope) is not None


class _Outermost:
    """Gives the request its ids, counts how it ended, and answers whatever error reaches the outside."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._counters = {kind: HTTP_REQUESTS.labels(service, f"{kind}xx") for kind in range(1, 6)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # Nothing here speaks WebSocket.
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["path"] in OPEN_PATHS:
            # Asked every few seconds by machines, and no part of anything: without a trace.
            await self._answer(scope, receive, send, None)
            return
        with http_server(scope, believe_caller=True) as request:
            try:
                await self._answer(scope, receive, send, request)
            finally:
                if "route" in scope:
                    request.route = _route_of(scope)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, traced: ServerRequest | None) -> None:
        request_id = _id_from(scope, b"x-request-id") or str(uuid7())
        correlation_id = _id_from(scope, b"x-correlation-id") or request_id
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["correlation_id"] = correlation_id
        started = False
        extra = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._counters[message["status"] // 100].inc()
                if traced is not None:
                    traced.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        # The server runs each request in a context of its own, so that nothing has to be unbound.
        structlog.contextvars.bind_contextvars(request_id=request_id, correlation_id=correlation_id)
        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            log.info("client_gone", route=_route_of(scope))
        except Exception as fault:
            problem = problem_of(fault)
            if problem.status_code >= 500:
                log.exception("request_failed", method=scope["method"], route=_route_of(scope))
            if started:
                # The status is out already: only a broken connection tells that the body is not whole.
                raise
            await problem.response(request_id)(scope, receive, answer)


class _Authentication:
    """Lets in who brings a good token; everybody else only at an open door."""

    def __init__(self, app: ASGIApp, principals: Principals, door: _Door) -> None:
        self._app = app
        self._principals = principals
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._door.is_open(scope):
            token = bearer_token(_header(scope, b"authorization"))
            scope["state"]["principal"] = await self._principals.of(token)
        await self._app(scope, receive, send)


class _BodyLimit:
    """Reads no more of a body than allowed, declared or chunked, and waits no longer for it than allowed."""

    def __init__(self, app: ASGIApp, bytes_max: int, seconds_max: float) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._patience = _Patience(seconds_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = _header(scope, b"content-length")
        if declared is not None and (not declared.isdecimal() or int(declared) > self._bytes_max):
            raise self._too_large()
        deadline = self._patience.deadline()
        read = 0
        whole = False

        async def limited() -> Message:
            nonlocal read, whole
            if whole:
                # From here on only a disconnect comes, and that may take as long as the answer takes.
                return await receive()
            message = await self._patience.wait(receive, deadline)
            read += len(message.get("body", b""))
            if read > self._bytes_max:
                raise self._too_large()
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, limited, send)

    def _too_large(self) -> Problem:
        # The connection is closed, so that the rest of the body need not be read.
        return Problem(
            413,
            CODES[413],
            f"A body may have at most {self._bytes_max} bytes.",
            headers={"Connection": "close"},
        )


class _Patience:
    """Ends reads that wait beyond their deadline, with one timer for all of them.

    With uvloop a timer per read costs more than everything else that the shell does (measured).
    """

    def __init__(self, seconds_max: float) -> None:
        self._seconds_max = seconds_max
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._expired: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._seconds_max

    async def wait(self, receive: Receive, deadline: float) -> Message:
        task = asyncio.current_task()
        assert task is not None, "A request is handled in a task."
        self._waiting[task] = deadline
        if self._timer is None:
            self._look_again()
        try:
            return await receive()
        except asyncio.CancelledError:
            if task not in self._expired or task.uncancel() > 0:
                raise
            raise Problem(
                408, CODES[408], "The body took too long to arrive.", headers={"Connection": "close"}
            ) from None
        finally:
            self._waiting.pop(task, None)
            self._expired.discard(task)

    def _look_again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(min(1.0, self._seconds_max), self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for task, deadline in self._waiting.items():
            if deadline <= now and task not in self._expired:
                self._expired.add(task)
                task.cancel()
        if self._waiting:
            self._look_again()


class _ShortCut:
    """Answers webhooks that are plain Starlette routes past the framework's own routing."""

    def __init__(self, app: ASGIApp, door: _Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._door.webhook(scope) if scope["type"] == "http" else None
        if found is None or type(found[0]) is not Route:
            await self._app(scope, receive, send)
            return
        route, parameters = found
        scope["route"] = route
        scope["endpoint"] = route.endpoint
        scope["path_params"] = {
            name: route.param_convertors[name].convert(value) for name, value in parameters.items()
        }
        await route.app(scope, receive, send)


async def _as_problem(request: Request, fault: Exception) -> Response:
    return problem_of(fault).response(request.scope["state"]["request_id"])


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


def _id_from(scope: Scope, name: bytes) -> str | None:
    # A caller's id goes into logs and into stored events, so that only plain characters are taken over.
    for key, value in scope["headers"]:
        if key == name and _SANE_ID.fullmatch(value):
            text: str = value.decode("ascii")
            return text
    return None


def _route_of(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "unmatched"))
