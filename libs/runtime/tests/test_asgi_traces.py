"""The shell's spans: one for each request, by its route; none for what machines ask every few seconds."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys
from libs.runtime.health import Health
from libs.runtime.tests.test_asgi import FULL, key
from libs.runtime.tracing import TracingSettings, close_tracing, configure_tracing, current_traceparent

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BUYER = "siti-nurhaliza"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    found = InMemorySpanExporter()
    configure_tracing("things", TracingSettings(traces_sampler_arg=1), exporter=found)
    yield found
    close_tracing()


@pytest.fixture
def app() -> FastAPI:
    async def status() -> Status:
        return Status(lag_records=0, unpublished_events=0, waiting=0, parked=0)

    router = APIRouter(prefix="/v1/things")

    @router.get("/{name}")
    async def one(name: str) -> dict[str, str | None]:
        if name == "bug":
            raise KeyError(BUYER)
        return {"name": name, "traceparent": current_traceparent()}

    app = make_api("things", ApiKeys([key("full", FULL, "*")]), health=Health("things"), status=status)
    app.include_router(router)
    return app


@pytest.fixture
async def client(app: FastAPI, exporter: InMemorySpanExporter) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {FULL}"}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://things", headers=headers) as client:
        yield client


def ended(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    close_tracing()
    return list(exporter.get_finished_spans())


async def test_a_request_is_traced_by_its_route_in_its_callers_trace(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    answer = await client.get(f"/v1/things/{BUYER}?buyer={BUYER}", headers={"traceparent": CALLER})
    (span,) = ended(exporter)
    assert span.name == "GET /v1/things/{name}"
    assert span.context is not None
    assert span.parent is not None
    assert f"00-{span.parent.trace_id:032x}-{span.parent.span_id:016x}-01" == CALLER
    # What the handler stores is part of the request.
    assert answer.json()["traceparent"] == f"{CALLER[:36]}{span.context.span_id:016x}-01"
    assert (span.attributes or {})["http.response.status_code"] == 200
    assert BUYER not in span.to_json()


async def test_a_fault_is_a_failed_span_without_its_words(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    assert (await client.get("/v1/things/bug")).status_code == 500
    (span,) = ended(exporter)
    assert not span.status.is_ok
    assert (span.attributes or {})["error.type"] == "500"
    assert BUYER not in span.to_json()


async def test_what_is_refused_at_the_door_is_traced_and_no_fault_of_ours(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    answer = await client.get("/v1/things/a", headers={"authorization": "Bearer nobody-s-key-0123456789"})
    assert answer.status_code == 401
    (span,) = ended(exporter)
    assert (span.name, span.status.is_ok) == ("GET", True)
    assert (span.attributes or {})["http.response.status_code"] == 401


async def test_health_and_metrics_have_no_spans(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        await client.get(path)
    assert ended(exporter) == []
