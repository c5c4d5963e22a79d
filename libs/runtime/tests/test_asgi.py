"""The shell: who is let in, what is refused and how, health and pages."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel
from starlette.responses import Response
from structlog.testing import capture_logs

from libs.runtime.asgi import IdempotencyKey, Status, is_open, make_api, routes_of
from libs.runtime.auth import ApiKeys, Principal, require
from libs.runtime.errors import Malformed, Transient
from libs.runtime.health import Health
from libs.runtime.pages import Paging, cursor_of, cut, page
from libs.runtime.settings import ApiKey

NOW = datetime(2026, 3, 5, 8, 0, tzinfo=UTC)
FULL = "k-full-0123456789abcdef"
READER = "k-reader-0123456789abcdef"
EXPIRED = "k-expired-0123456789abcdef"


def key(name: str, secret: str, *scopes: str, expires_at: datetime | None = None) -> ApiKey:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return ApiKey(id=name, sha256=digest, scopes=frozenset(scopes), seller="seller-1", expires_at=expires_at)


KEYS = ApiKeys(
    [
        key("full", FULL, "*"),
        key("reader", READER, "things:read"),
        key("expired", EXPIRED, "*", expires_at=datetime(2026, 3, 5, 7, 59, tzinfo=UTC)),
    ],
    now=lambda: NOW,
)


class Line(BaseModel):
    quantity: int


class Thing(BaseModel):
    name: str
    lines: list[Line]


def things() -> APIRouter:
    router = APIRouter(prefix="/v1/things")

    @router.get("")
    async def listed(paging: Paging) -> dict[str, Any]:
        after = paging.after(int) or 0
        rows = list(range(after + 1, 121))[: paging.limit + 1]
        return page(*cut(rows, paging.limit, lambda row: row))

    @router.post("")
    async def made(
        thing: Thing, idempotency: IdempotencyKey, who: Annotated[Principal, Depends(require("things:write"))]
    ) -> dict[str, Any]:
        return {"seller": who.seller, "key": idempotency, "name": thing.name}

    @router.get("/fails/{how}")
    async def fails(how: str) -> None:
        faults = {
            "transient": Transient("The database did not answer."),
            "malformed": Malformed("The amount is not a whole number.", field="amount"),
            "bug": KeyError("a secret of the buyer"),
        }
        raise faults[how]

    return router


def hooks() -> APIRouter:
    router = APIRouter(prefix="/webhooks")

    @router.post("/{app}")
    async def pushed(app: str, request: Request) -> Response:
        return Response(str(len(await request.body())))

    async def raw(request: Request) -> Response:
        if request.path_params["app"] == "bug":
            raise KeyError("a secret of the buyer")
        return Response(f"{request.path_params['app']} {len(await request.body())}")

    router.add_route("/webhooks/raw/{app}", raw, methods=["POST"])
    return router


@pytest.fixture
def health() -> Health:
    return Health("things")


@pytest.fixture
def app(health: Health) -> FastAPI:
    async def status() -> Status:
        return Status(lag_records=1, unpublished_events=2, waiting=3, parked=4)

    app = make_api("things", KEYS, health=health, status=status, webhooks=hooks(), body_bytes_max=100)
    app.include_router(things())
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


async def test_every_route_needs_a_key_but_health_metrics_and_webhooks(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    routes = list(routes_of(app))
    assert ("POST", "/v1/things") in routes
    assert ("GET", "/openapi.json") in routes
    opened = set()
    for method, path in routes:
        answer = await client.request(method, path)
        if is_open(app, method, path):
            opened.add(f"{method} {path}")
            assert answer.status_code != 401, (method, path)
        else:
            assert answer.status_code == 401, (method, path)
    assert opened == {
        "GET /health/live", "GET /health/ready", "GET /metrics",
        "HEAD /health/live", "HEAD /health/ready", "HEAD /metrics",
        "POST /webhooks/{app}", "POST /webhooks/raw/{app}",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/try", "/nowhere", "/webhooks", "/health/live/x"])
async def test_what_is_not_there_tells_nothing_without_a_key(client: httpx.AsyncClient, path: str) -> None:
    assert_problem(await client.post(path), 401, "UNAUTHENTICATED")
    assert_problem(await client.post(path, headers=bearer(FULL)), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer wrong", f"bearer{FULL}", f"Bearer {'x' * 9000}"],
)
async def test_a_missing_or_wrong_token_is_401(client: httpx.AsyncClient, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await client.get("/v1/things", headers=headers)
    assert_problem(answer, 401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_expired_token_is_401(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/v1/things", headers=bearer(EXPIRED)), 401, "TOKEN_EXPIRED")


async def test_a_missing_scope_is_403(client: httpx.AsyncClient) -> None:
    body = {"name": "a", "lines": []}
    headers = bearer(READER) | {"Idempotency-Key": "one"}
    assert_problem(await client.post("/v1/things", json=body, headers=headers), 403, "NOT_PERMITTED")
    made = await client.post("/v1/things", json=body, headers=bearer(FULL) | {"Idempotency-Key": "one"})
    assert made.json() == {"seller": "seller-1", "key": "one", "name": "a"}


async def test_all_wrong_fields_are_told_together(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/things", json={"lines": [{"quantity": "x"}]}, headers=bearer(FULL))
    fields = assert_problem(answer, 422, "FIELD_INVALID")["fields"]
    assert {(field["field"], field["code"]) for field in fields} == {
        ("Idempotency-Key", "REQUIRED"),
        ("name", "REQUIRED"),
        ("lines.0.quantity", "INT_PARSING"),
    }
    assert all(field["sentence"].endswith(".") for field in fields)


async def test_a_body_that_is_not_json_is_one_problem(client: httpx.AsyncClient) -> None:
    headers = bearer(FULL) | {"Idempotency-Key": "one", "Content-Type": "application/json"}
    answer = await client.post("/v1/things", content=b"{", headers=headers)
    [field] = assert_problem(answer, 422, "FIELD_INVALID")["fields"]
    assert field["code"] == "JSON_INVALID"


async def test_other_errors_are_problems_too(client: httpx.AsyncClient) -> None:
    assert_problem(await client.delete("/v1/things", headers=bearer(FULL)), 405, "METHOD_NOT_ALLOWED")
    transient = await client.get("/v1/things/fails/transient", headers=bearer(FULL))
    assert_problem(transient, 503, "UNAVAILABLE")
    assert transient.headers["retry-after"] == "1"
    malformed = await client.get("/v1/things/fails/malformed", headers=bearer(FULL))
    assert assert_problem(malformed, 422, "FIELD_INVALID")["fields"] == [
        {"field": "amount", "code": "MALFORMED", "sentence": "The amount is not a whole number."}
    ]


async def test_an_unexpected_error_is_logged_under_its_id_and_told_without_detail(
    client: httpx.AsyncClient,
) -> None:
    with capture_logs() as lines:
        answer = await client.get("/v1/things/fails/bug", headers=bearer(FULL) | {"X-Request-ID": "req-1"})
    body = assert_problem(answer, 500, "INTERNAL")
    assert body["request_id"] == "req-1"
    assert "secret" not in answer.text
    [line] = [line for line in lines if line["event"] == "request_failed"]
    assert line["route"] == "/v1/things/fails/{how}"


async def test_an_id_that_could_forge_a_line_is_not_taken_over(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/live", headers={"X-Request-ID": 'a"} {"b'})
    assert len(answer.headers["x-request-id"]) == 36


async def test_a_declared_body_that_is_too_large_is_not_read(client: httpx.AsyncClient) -> None:
    assert (await client.post("/webhooks/a", content=b"x" * 100)).text == "100"
    assert_problem(await client.post("/webhooks/a", content=b"x" * 101), 413, "TOO_LARGE")


async def test_a_plain_webhook_has_the_same_limits_and_problems(client: httpx.AsyncClient) -> None:
    assert (await client.post("/webhooks/raw/a", content=b"xyz")).text == "a 3"

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 30

    assert_problem(await client.post("/webhooks/raw/a", content=chunks()), 413, "TOO_LARGE")
    answer = await client.post("/webhooks/raw/bug", content=b"")
    assert_problem(answer, 500, "INTERNAL")
    assert "secret" not in answer.text
    assert_problem(await client.get("/webhooks/raw/a"), 401, "UNAUTHENTICATED")


async def test_a_chunked_body_is_read_up_to_the_limit_only(client: httpx.AsyncClient) -> None:
    sent = []

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(20):
            sent.append(number)
            yield b"x" * 30

    answer = await client.post("/webhooks/a", content=chunks())
    assert_problem(answer, 413, "TOO_LARGE")
    assert answer.headers["connection"] == "close"
    assert len(sent) <= 5


async def test_a_body_that_never_ends_is_given_up() -> None:
    async def status() -> Status:
        return Status(0, 0, 0, 0)

    app = make_api(
        "things", KEYS, health=Health("things"), status=status, webhooks=hooks(), body_seconds_max=0.01
    )
    answers = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/webhooks/a", "raw_path": b"/webhooks/a", "root_path": "",
        "query_string": b"", "headers": [(b"transfer-encoding", b"chunked")], "http_version": "1.1",
        "scheme": "http", "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip
    await app(scope, receive, send)
    assert answers[0]["status"] == 408


async def test_pages_follow_each_other(client: httpx.AsyncClient) -> None:
    seen: list[int] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        answer = (await client.get("/v1/things", params={"cursor": cursor}, headers=bearer(FULL))).json()
        assert answer.keys() == {"items", "next"}
        seen += answer["items"]
        cursor = answer["next"]
        pages += 1
    assert seen == list(range(1, 121))
    assert pages == 3


@pytest.mark.parametrize("cursor", ["!!", "AAAA", cursor_of("text"), "x" * 2000])
async def test_a_cursor_from_elsewhere_is_a_wrong_field(client: httpx.AsyncClient, cursor: str) -> None:
    answer = await client.get("/v1/things", params={"cursor": cursor}, headers=bearer(FULL))
    [field] = assert_problem(answer, 422, "FIELD_INVALID")["fields"]
    assert field["field"] == "cursor"


@pytest.mark.parametrize(("limit", "status"), [(0, 422), (1, 200), (500, 200), (501, 422)])
async def test_a_page_has_bounds(client: httpx.AsyncClient, limit: int, status: int) -> None:
    answer = await client.get("/v1/things", params={"limit": limit}, headers=bearer(FULL))
    assert answer.status_code == status


async def test_health_tells_why_in_sentences(client: httpx.AsyncClient, health: Health) -> None:
    assert (await client.get("/health/live")).json() == {"status": "ok", "problems": []}
    health.say("start", "Kafka does not answer yet.")
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "failing", "problems": ["Kafka does not answer yet."]},
    )
    assert (await client.get("/health/live")).status_code == 200


async def test_status_and_metrics(client: httpx.AsyncClient) -> None:
    status = await client.get("/v1/status", headers=bearer(READER))
    assert status.json() == {
        "service": "things", "lag_records": 1, "unpublished_events": 2, "waiting": 3, "parked": 4,
    }  # fmt: skip
    assert 'http_requests_total{service="things",status="2xx"}' in (await client.get("/metrics")).text
