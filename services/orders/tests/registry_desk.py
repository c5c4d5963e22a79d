"""An app with the registry's routes over a real database, and a client of it, for the tests of the registry."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretBytes, SecretStr

from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys, Callers
from libs.runtime.health import Health
from libs.runtime.jwe import new_exchange_key
from libs.runtime.keys import NamedKey
from libs.runtime.postgres import AsyncPool, make_pool
from libs.runtime.settings import ApiKey
from libs.runtime.tokens import TokenSigner, TokenVerifier
from services.orders.app import migrate_orders
from services.orders.registry import keys
from services.orders.registry.routes import registry_routes
from services.orders.registry.signing import sealer_of

MINE, THEIRS, AGENTS, RUNS = "jejak_mine", "jejak_theirs", "jejak_agents", "jejak_runs"
SEALER = sealer_of([NamedKey(id="k1", key=SecretBytes(b"k" * 32))])
SELLERS = {MINE: ("seller-1", "SATU"), THEIRS: ("seller-2", "DUA")}


def key(text: str, seller: str, role: str, *scopes: str) -> ApiKey:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return ApiKey(id=f"env-{text}", sha256=digest, seller=seller, role=role, scopes=frozenset(scopes))


def body(seller: str, code: str, **more: Any) -> dict[str, Any]:
    person = {"name": f"Pemilik {code}", "id": f"owner-{code}"}
    return {
        "id": seller,
        "code": code,
        "name": "Toko",
        "address": "Jl. Satu\nJakarta",
        "owner": person,
        **more,
    }


@asynccontextmanager
async def opened_pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


def registry_app(pool: AsyncPool) -> FastAPI:
    async def status() -> Status:
        return Status(0, 0, 0, 0)

    environment = ApiKeys(
        [
            key(MINE, "seller-1", "OWNER", "*"),
            key(THEIRS, "seller-2", "OWNER", "*"),
            key(AGENTS, "seller-1", "AGENT", "orders:read", "orders:write", "contact", "registry"),
            key(RUNS, "", "OPERATOR", "operator"),
        ]
    )
    made = [SecretStr(new_exchange_key("t1"))]
    signer = TokenSigner(made, issuer="http://orders.example", audience="jejak")
    callers = Callers([environment, keys.DatabaseKeys(pool)], TokenVerifier([], own=signer))
    built = make_api("orders", callers, health=Health("orders"), status=status)
    built.include_router(registry_routes(pool, sealer=SEALER, signer=signer))
    return built


class Client:
    """Calls the app, each write under a key of its own unless one is named."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.writes = 0

    async def ask(
        self, method: str, path: str, given: Any = None, *, as_: str = MINE, once: str | None = None
    ) -> httpx.Response:
        self.writes += 1
        headers = {"authorization": f"Bearer {as_}", "idempotency-key": once or f"write-{self.writes}"}
        return await self.http.request(method, path, json=given, headers=headers)

    async def good(self, method: str, path: str, given: Any = None, **how: Any) -> dict[str, Any]:
        answer = await self.ask(method, path, given, **how)
        assert answer.status_code in {200, 201}, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def code(self, method: str, path: str, given: Any = None, **how: Any) -> tuple[int, str, list[str]]:
        answer = await self.ask(method, path, given, **how)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        problem = answer.json()
        return answer.status_code, problem["code"], [each["field"] for each in problem.get("fields", ())]

    async def history(self, *, as_: str = MINE) -> list[dict[str, Any]]:
        found = await self.good("GET", "/v1/seller/history?limit=500", as_=as_)
        items: list[dict[str, Any]] = found["items"]
        return items


@asynccontextmanager
async def registered_client(pool: AsyncPool) -> AsyncIterator[Client]:
    """A client of the app, with both sellers registered."""
    app = registry_app(pool)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        made = Client(http)
        for seller, code in SELLERS.values():
            await made.good("POST", "/v1/sellers", body(seller, code), as_=RUNS)
        yield made
