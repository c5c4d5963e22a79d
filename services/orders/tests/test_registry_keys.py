"""Keys that owners make and tokens made of them: what they open, and how they end (SR-4, SR-13, 18.2)."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
from pydantic import SecretStr

from libs.runtime import clock
from libs.runtime.auth import Principal
from libs.runtime.jwe import new_exchange_key
from libs.runtime.postgres import AsyncPool
from libs.runtime.tokens import TokenSigner, TokenVerifier
from services.orders.registry import keys
from services.orders.registry.standing import StandingCallers
from services.orders.tests.registry_desk import (
    AGENTS,
    Client,
    opened_pool,
    registered_client,
)

pytestmark = pytest.mark.connected


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    async with opened_pool(database) as made:
        yield made


@pytest.fixture
async def client(pool: AsyncPool) -> AsyncIterator[Client]:
    async with registered_client(pool) as made:
        yield made


async def test_a_key_is_shown_once_and_kept_as_a_hash(client: Client, database: str) -> None:
    """SR-13."""
    given = {"name": "Halaman", "role": "INTAKE"}
    made = await client.good("POST", "/v1/seller/keys", given, once="k")
    assert (made["scopes"], made["key"][:6]) == (["intake"], "jejak_")
    assert (await client.good("POST", "/v1/seller/keys", given, once="k"))["key"] is None
    listed = await client.good("GET", "/v1/seller/keys")
    with psycopg.connect(database) as connection:
        tables = [
            row[0]
            for row in connection.execute(
                "SELECT to_json(k)::text FROM orders.api_keys k UNION ALL"
                " SELECT to_json(h)::text FROM orders.registry_history h UNION ALL"
                " SELECT to_json(a)::text FROM orders.registry_answers a"
            )
        ]
    assert made["key"] not in json.dumps([listed, tables])
    # It opens what its role may, and nothing else.
    assert (await client.code("GET", "/v1/seller", as_=made["key"]))[0] == 403
    assert (await client.good("POST", "/v1/tokens", {}, as_=made["key"]))["scopes"] == ["intake"]


async def test_nobody_grants_what_the_role_or_the_caller_may_not(client: Client) -> None:
    """SR-4."""
    path = "/v1/seller/keys"
    for role, scopes, field in (
        ("AGENT", ["registry"], "scopes"),
        ("INTAKE", ["contact"], "scopes"),
        ("OWNER", ["*"], "scopes"),
        ("OWNER", ["operator"], "scopes"),
        ("OPERATOR", [], "role"),
        ("BUYER", [], "role"),
        ("owner", [], "role"),
    ):
        given = {"name": "x", "role": role, "scopes": scopes}
        assert (await client.code("POST", path, given))[2] == [field], (role, scopes)
    for days in (0, 367):
        assert (await client.code("POST", path, {"name": "x", "role": "AGENT", "days": days}))[2] == ["days"]
    narrow = await client.good("POST", path, {"name": "x", "role": "OWNER", "scopes": ["registry"]})
    given = {"name": "y", "role": "AGENT", "scopes": ["contact"]}
    assert (await client.code("POST", path, given, as_=narrow["key"]))[2] == ["scopes"]


async def test_a_key_ends_by_its_time_by_revocation_and_with_its_person(
    client: Client, pool: AsyncPool
) -> None:
    """SR-3, SR-13: seen at the latest when what a process remembers of a key is 5 s old."""
    passed = 0.0
    source = keys.DatabaseKeys(pool, monotonic=lambda: passed)
    ani = (await client.good("POST", "/v1/seller/people", {"name": "Ani"}))["id"]
    given = {"name": "Ani", "role": "AGENT", "stands_for": ani, "days": 1}
    made = [await client.good("POST", "/v1/seller/keys", given) for _ in range(2)]
    at = clock.now()
    for each in made:
        found = await source.find(each["key"], at)
        assert found is not None
        assert (found.id, found.seller, found.role, found.stands_for) == (
            each["id"],
            "seller-1",
            "AGENT",
            ani,
        )
        with pytest.raises(Exception, match="expired"):
            await source.find(each["key"], at + timedelta(days=1, seconds=1))
    await client.good("DELETE", f"/v1/seller/keys/{made[0]['id']}")
    assert await source.find(made[0]["key"], at) is not None, "remembered"
    passed += keys.REMEMBERED_SECONDS
    with pytest.raises(Exception, match="taken back"):
        await source.find(made[0]["key"], at)
    assert await source.find(made[1]["key"], at) is not None
    await client.good("PATCH", f"/v1/seller/people/{ani}", {"active": False})
    passed += keys.REMEMBERED_SECONDS
    with pytest.raises(Exception, match="taken back"):
        await source.find(made[1]["key"], at)
    assert await source.find("jejak_unknown", at) is None
    given = {"name": "Ani", "role": "AGENT", "stands_for": ani}
    assert (await client.code("POST", "/v1/seller/keys", given))[2] == ["stands_for"]


async def test_a_token_is_made_of_a_key_and_never_of_a_token(client: Client) -> None:
    made = await client.good("POST", "/v1/tokens", {"scopes": ["orders:read"], "seconds": 60}, as_=AGENTS)
    assert (made["scopes"], made["seller"], made["role"]) == (["orders:read"], "seller-1", "AGENT")
    assert (await client.good("GET", "/v1/seller", as_=made["token"]))["code"] == "SATU"
    assert (await client.code("GET", "/v1/seller/customers", as_=made["token"]))[:2] == (403, "NOT_PERMITTED")
    assert (await client.code("POST", "/v1/tokens", {}, as_=made["token"]))[:2] == (403, "NOT_PERMITTED")
    given = {"scopes": ["orders:read", "operator"]}
    assert await client.code("POST", "/v1/tokens", given, as_=AGENTS) == (422, "FIELD_INVALID", ["scopes"])
    assert (await client.code("POST", "/v1/tokens", {"seconds": 901}))[2] == ["seconds"]
    public = await client.http.get("/.well-known/jwks.json")
    [shown] = public.json()["keys"]
    assert (shown["kid"], shown["use"], "d" in shown) == ("t1", "sig", False)


async def test_a_token_ends_with_its_key_and_its_person_where_they_are_known(
    client: Client, pool: AsyncPool
) -> None:
    """SR-3, SR-13: in orders, when what is remembered is 5 s old."""
    passed = 0.0
    made = [SecretStr(new_exchange_key("t2"))]
    signer = TokenSigner(made, issuer="http://orders.example", audience="jejak")
    source = StandingCallers(TokenVerifier([], own=signer), pool, monotonic=lambda: passed)
    ani = (await client.good("POST", "/v1/seller/people", {"name": "Ani"}))["id"]
    given = {"name": "Ani", "role": "AGENT", "stands_for": ani}
    of_key = await client.good("POST", "/v1/seller/keys", given)
    at = clock.now()

    def token(caller: str, person: str | None, role: str = "AGENT") -> str:
        who = Principal(caller, "seller-1", frozenset({"orders:read"}), role, person)
        return signer.sign(who, who.scopes, token_id="t", at=at, lifetime=timedelta(minutes=10))

    of_person = token("idp|ani", ani)
    for each in (token(of_key["id"], ani), of_person, token("somebody", None), token("x", "jne", "COURIER")):
        assert (await source.of(each, at=at)).seller == "seller-1"
    for each in (token("idp|ani", ani, "OWNER"), token("idp|x", "nobody")):
        with pytest.raises(Exception, match="taken back"):
            await source.of(each, at=at)
    await client.good("DELETE", f"/v1/seller/keys/{of_key['id']}")
    passed += keys.REMEMBERED_SECONDS
    later = clock.now()
    with pytest.raises(Exception, match="taken back"):
        await source.of(token(of_key["id"], ani), at=later)
    # What was said before the key was taken back was said by who might say it.
    assert (await source.of(token(of_key["id"], ani), at=at)).id == of_key["id"]
    assert (await source.of(of_person, at=later)).id == "idp|ani"
    await client.good("PATCH", f"/v1/seller/people/{ani}", {"active": False})
    assert (await source.of(of_person, at=later)).id == "idp|ani", "remembered"
    passed += keys.REMEMBERED_SECONDS
    with pytest.raises(Exception, match="taken back"):
        await source.of(of_person, at=later)
