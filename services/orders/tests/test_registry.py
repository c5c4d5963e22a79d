"""The registry over HTTP, in a real PostgreSQL: what it keeps, refuses, and writes into its history (SR-1 ff.)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretBytes

from libs.runtime import clock
from libs.runtime.keys import NamedKey
from libs.runtime.postgres import AsyncPool
from libs.runtime.sealing import SealBroken
from services.orders.app import migrate_orders
from services.orders.registry import customers, reading, registering
from services.orders.registry.bodies import SellerBody
from services.orders.registry.model import UNPAID, PaymentMethod, TaxMode
from services.orders.registry.policies import DEFAULTS
from services.orders.registry.refusals import RegistryRefused
from services.orders.registry.signing import number_place, reseal_numbers, sealer_of
from services.orders.tests.registry_desk import (
    AGENTS,
    MINE,
    RUNS,
    SEALER,
    THEIRS,
    Client,
    body,
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


async def test_a_seller_is_what_it_was_registered_as(client: Client, pool: AsyncPool) -> None:
    """SR-1."""
    assert await client.good("GET", "/v1/seller") == {
        "id": "seller-1",
        "code": "SATU",
        "name": "Toko",
        "address": "Jl. Satu\nJakarta",
        "zone": "Asia/Jakarta",
        "tax_mode": "NONE",
        "tax_rate_basis_points": 0,
        "npwp": None,
        "documents": "COMPLETE",
        "methods": ["COD"],
        "bank_accounts": [],
    }
    async with pool.connection() as connection:
        found = await reading.seller_of(connection, "seller-1")
        assert found is not None
        assert (found.code, found.zone, found.tax_mode) == ("SATU", "Asia/Jakarta", TaxMode.NONE)
        assert found.payment_methods == {PaymentMethod.COD}
        assert await reading.seller_of(connection, "nobody") is None


async def test_a_code_is_unique_and_never_changes(client: Client, pool: AsyncPool, database: str) -> None:
    """SR-1."""
    assert await client.code("POST", "/v1/sellers", body("seller-3", "SATU"), as_=RUNS) == (
        409,
        "CODE_TAKEN",
        [],
    )
    assert await client.code("PATCH", "/v1/seller", {"code": "LAIN"}) == (422, "FIELD_INVALID", ["code"])
    with psycopg.connect(database) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("UPDATE orders.sellers SET code = 'LAIN' WHERE id = 'seller-1'")


async def test_only_the_operator_registers_sellers(client: Client) -> None:
    """18.2; a key of a seller that is not there finds nothing."""
    assert (await client.code("POST", "/v1/sellers", body("seller-3", "TIGA"), as_=AGENTS))[0] == 403
    assert (await client.code("GET", "/v1/seller", as_=RUNS))[0] == 403


async def test_wrong_fields_of_a_seller_are_named_together(client: Client) -> None:
    given = {"zone": "Mars/Olympus", "tax_mode": "EXCLUSIVE", "tax_rate_basis_points": 0}
    assert await client.code("PATCH", "/v1/seller", given) == (
        422,
        "FIELD_INVALID",
        ["zone", "tax_rate_basis_points"],
    )
    assert await client.code("PATCH", "/v1/seller", {"npwp": "01.234.567"}) == (
        422,
        "FIELD_INVALID",
        ["npwp"],
    )
    assert await client.code("PATCH", "/v1/seller", {"colour": "red"}) == (422, "FIELD_INVALID", ["colour"])
    assert (await client.code("PATCH", "/v1/seller", {"name": "a\x00b"}))[2] == ["name"]
    assert await client.history() == (await client.history())
    assert [each["change"] for each in await client.history()] == ["added", "registered"]


async def test_a_taxpayers_number_is_sealed_and_shown_by_its_last_four_digits(
    client: Client, pool: AsyncPool, database: str
) -> None:
    """SD-07, SD-08, SR-14: neither table nor history holds it in clear."""
    shown = await client.good("PATCH", "/v1/seller", {"npwp": "01.234.567.8-901.000"})
    assert shown["npwp"] == "************1000"
    with psycopg.connect(database) as connection:
        [[sealed]] = connection.execute("SELECT npwp_sealed FROM orders.sellers WHERE id = 'seller-1'")
        rows = connection.execute(
            "SELECT to_json(s)::text FROM orders.sellers s UNION ALL"
            " SELECT to_json(h)::text FROM orders.registry_history h UNION ALL"
            " SELECT to_json(a)::text FROM orders.registry_answers a"
        ).fetchall()
    assert SEALER.open(sealed, number_place("seller-1")) == b"0012345678901000"
    assert all("12345678901" not in row[0] for row in rows)


async def test_numbers_are_sealed_anew_so_that_an_old_key_may_go(
    client: Client, pool: AsyncPool, database: str
) -> None:
    """PD-3: after a key-encryption key was changed."""
    await client.good("PATCH", "/v1/seller", {"npwp": "01.234.567.8-901.000"})
    old, new = NamedKey(id="k1", key=SecretBytes(b"k" * 32)), NamedKey(id="k2", key=SecretBytes(b"n" * 32))
    with pytest.raises(SealBroken):
        await reseal_numbers(database, sealer_of([new]))
    assert await reseal_numbers(database, sealer_of([new, old])) == 1
    assert await reseal_numbers(database, sealer_of([new, old])) == 0
    with psycopg.connect(database) as connection:
        [[sealed]] = connection.execute("SELECT npwp_sealed FROM orders.sellers WHERE id = 'seller-1'")
    assert sealer_of([new]).open(sealed, number_place("seller-1")) == b"0012345678901000"


async def test_somebody_always_owns_and_nobody_is_forgotten(client: Client, pool: AsyncPool) -> None:
    """SR-3."""
    people = "/v1/seller/people"
    assert await client.code("PATCH", f"{people}/owner-SATU", {"active": False}) == (409, "LAST_OWNER", [])
    assert await client.code("PATCH", f"{people}/owner-SATU", {"role": "AGENT"}) == (409, "LAST_OWNER", [])
    ani = await client.good("POST", people, {"name": "Ani"})
    async with pool.connection() as connection:
        assert await reading.agents(connection, "seller-1") == {ani["id"]}
        await client.good("PATCH", f"{people}/{ani['id']}", {"active": False})
        assert await reading.agents(connection, "seller-1") == frozenset()
        assert (await reading.people(connection, "seller-1"))[ani["id"]].name == "Ani"
    await client.good("PATCH", f"{people}/{ani['id']}", {"active": True, "role": "OWNER"})
    await client.good("PATCH", f"{people}/owner-SATU", {"active": False})
    assert [each["active"] for each in (await client.good("GET", people))["items"]].count(False) == 1
    assert await client.code("POST", people, {"name": "Budi", "role": "KING"}) == (
        422,
        "FIELD_INVALID",
        ["role"],
    )


async def test_tags_are_kept_once_and_as_first_written(client: Client) -> None:
    """SR-7, AT-3."""
    first = await client.good("POST", "/v1/seller/tags", {"tag": " Prioritas "})
    assert await client.good("POST", "/v1/seller/tags", {"tag": "PRIORITAS"}) == first
    other = await client.good("POST", "/v1/seller/tags", {"tag": "Grosir"})
    assert first["tag"] == "Prioritas"
    path = f"/v1/seller/tags/{other['id']}"
    assert await client.code("PATCH", path, {"tag": "prioritas"}) == (409, "TAG_EXISTS", [])
    assert await client.code("POST", "/v1/seller/tags", {"tag": "x" * 41}) == (422, "FIELD_INVALID", ["tag"])
    assert (await client.good("PATCH", path, {"tag": "GROSIR"}))["tag"] == "GROSIR"
    assert [each["tag"] for each in (await client.good("GET", "/v1/seller/tags"))["items"]] == [
        "GROSIR",
        "Prioritas",
    ]
    await client.good("DELETE", path)
    assert await client.code("DELETE", path) == (404, "NOT_FOUND", [])


async def test_a_reason_is_retired_and_never_lost(client: Client, pool: AsyncPool) -> None:
    """SR-8, WF-5."""
    path = "/v1/seller/reasons"
    given = {"code": "NO_STOCK", "label": "Stok habis", "given_by": "SELLER"}
    assert await client.good("POST", path, given) == {**given, "active": True}
    assert await client.code("POST", path, given) == (409, "REASON_EXISTS", [])
    assert await client.code("POST", path, {**given, "code": "UNPAID"}) == (409, "REASON_EXISTS", [])
    assert await client.code("POST", path, {**given, "code": "no stock", "given_by": "X"}) == (
        422,
        "FIELD_INVALID",
        ["code", "given_by"],
    )
    await client.good("PATCH", f"{path}/NO_STOCK", {"active": False})
    assert await client.code("PATCH", f"{path}/UNPAID", {"label": "x"}) == (409, "REASON_BUILT_IN", [])
    listed = (await client.good("GET", path))["items"]
    assert [(each["code"], each["active"]) for each in listed] == [("UNPAID", True), ("NO_STOCK", False)]
    async with pool.connection() as connection:
        found = await reading.reasons(connection, "seller-1")
    assert (found["UNPAID"], found["NO_STOCK"].label) == (UNPAID, "Stok habis")


async def test_policies_are_versioned_whole_and_hold_from_then_on(client: Client, pool: AsyncPool) -> None:
    """SR-9, CV-6."""
    path = "/v1/seller/policies"
    assert (await client.good("GET", path))["version"] == 0
    async with pool.connection() as connection:
        assert await reading.policies_in_force(connection, "seller-1") == DEFAULTS
        assert await reading.policies_in_force(connection, "nobody") == DEFAULTS
        first = await client.good("PUT", path, {"return_window_days": 14, "unpaid_lapses_days": 3})
        assert (first["version"], first["return_window_days"], first["bill_term_days"]) == (1, 14, 14)
        found = await reading.policies_in_force(connection, "seller-1")
        assert (found.version, found.policies.unpaid_lapses_days) == (1, 3)
        second = await client.good("PUT", path, {"hold_needed": {"manual": False}})
        assert (second["version"], second["return_window_days"]) == (2, 7)
        found = await reading.policies_in_force(connection, "seller-1")
        assert (found.policies.hold_needed.manual, found.policies.hold_needed.storefront) == (False, True)
    assert (await client.good("PUT", path, {"hold_needed": {"manual": False}}))["version"] == 2
    bad = {"return_window_days": 61, "negotiation_applying": "NEVER"}
    assert await client.code("PUT", path, bad) == (422, "FIELD_INVALID", [*bad])
    assert (await client.code("PUT", path, {"return_window_days": "7"}))[2] == ["return_window_days"]
    versions = (await client.good("GET", f"{path}/versions"))["items"]
    assert [(each["version"], each["author"]) for each in versions] == [
        (2, f"env-{MINE}"),
        (1, f"env-{MINE}"),
    ]


async def test_a_version_is_never_changed(client: Client, pool: AsyncPool) -> None:
    """SR-9, SR-14: the service's own role can neither change a version nor the history."""
    await client.good("PUT", "/v1/seller/policies", {"bill_term_days": 30})
    for statement in (
        "UPDATE orders.policy_versions SET version = 9",
        "DELETE FROM orders.calendar_versions",
        "DELETE FROM orders.registry_history",
        "UPDATE orders.registry_history SET caller = 'somebody else'",
        "DELETE FROM orders.people",
        "DELETE FROM orders.cancel_reasons",
    ):
        async with pool.connection() as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)


async def test_holidays_are_versioned(client: Client, pool: AsyncPool) -> None:
    """SR-10."""
    path = "/v1/seller/calendars"
    days = [{"day": "2026-12-25", "name": "Natal"}, {"day": "2026-08-17", "name": "Kemerdekaan"}]
    set_ = await client.good("PUT", path, {"days": days})
    assert (set_["version"], [each["day"] for each in set_["days"]]) == (1, ["2026-08-17", "2026-12-25"])
    assert await client.good("GET", path) == set_
    assert await client.code("PUT", path, {"days": [days[0], days[0]]}) == (422, "FIELD_INVALID", ["days"])
    async with pool.connection() as connection:
        found = await reading.calendar_in_force(connection, "seller-1")
        assert (found.version, found.days[0].name) == (1, "Kemerdekaan")
    assert [each["version"] for each in (await client.good("GET", f"{path}/versions"))["items"]] == [1]


async def test_payment_methods_are_a_choice_of_four(client: Client, pool: AsyncPool) -> None:
    """SR-11."""
    path = "/v1/seller/payment-methods"
    account = {"bank": "Bank Contoh", "number": "123-456", "holder": "Toko"}
    assert await client.code("PUT", path, {"methods": ["TRANSFER"]}) == (
        422,
        "FIELD_INVALID",
        ["bank_accounts"],
    )
    assert (await client.code("PUT", path, {"methods": ["BARTER"]}))[0] == 422
    given = {"methods": ["COD", "TRANSFER"], "bank_accounts": [account]}
    assert await client.good("PUT", path, given) == given
    assert await client.good("GET", path) == given
    async with pool.connection() as connection:
        found = await reading.seller_of(connection, "seller-1")
    assert found is not None
    assert found.payment_methods == {PaymentMethod.COD, PaymentMethod.TRANSFER}


async def test_a_known_customer_keeps_its_category(client: Client, pool: AsyncPool) -> None:
    """SR-12, ST-17."""
    at = clock.now()
    async with pool.connection() as connection:
        for shop, category in (("shop-1", "RESELLER"), ("shop-2", "CUSTOMER")):
            given = await customers.customer_seen(
                connection, "seller-1", "buyer-1", source="CHANNEL", shop=shop, category=category, at=at
            )
            assert given == "RESELLER"
    await client.good("POST", "/v1/seller/customer-categories", {"code": "VIP", "label": "Utama"})
    path = "/v1/seller/customers/buyer-1"
    assert await client.code("PATCH", path, {"category": "KING"}) == (422, "FIELD_INVALID", ["category"])
    assert (await client.good("PATCH", path, {"category": "VIP"}))["category"] == "VIP"
    [listed] = (await client.good("GET", "/v1/seller/customers"))["items"]
    assert (listed["buyer"], listed["category"], listed["first_seen"]["shop"]) == ("buyer-1", "VIP", "shop-1")
    assert await client.code("GET", path, as_=THEIRS) == (404, "NOT_FOUND", [])
    async with pool.connection() as connection:
        assert await customers.forget_customer(connection, "seller-1", "buyer-1")
        assert not await customers.forget_customer(connection, "seller-1", "buyer-1")


async def test_every_change_has_a_row_of_history_and_no_change_has_none(client: Client) -> None:
    """SR-14: who, when, what."""
    ani = (await client.good("POST", "/v1/seller/people", {"name": "Ani"}))["id"]
    tag = (await client.good("POST", "/v1/seller/tags", {"tag": "A"}))["id"]
    reason = {"code": "LATE", "label": "Terlambat", "given_by": "BUYER"}
    await client.good("POST", "/v1/seller/reasons", reason)
    made = await client.good("POST", "/v1/seller/keys", {"name": "Kasir", "role": "AGENT"})
    writes: list[tuple[str, str, Any]] = [
        ("PATCH", "/v1/seller", {"name": "Toko Baru"}),
        ("PATCH", f"/v1/seller/people/{ani}", {"name": "Ani B."}),
        ("PATCH", f"/v1/seller/tags/{tag}", {"tag": "B"}),
        ("PATCH", "/v1/seller/reasons/LATE", {"label": "Lambat"}),
        ("PUT", "/v1/seller/policies", {"bill_term_days": 30}),
        ("PUT", "/v1/seller/calendars", {"days": [{"day": "2026-12-25", "name": "Natal"}]}),
        ("PUT", "/v1/seller/payment-methods", {"methods": ["COD", "GATEWAY"]}),
        ("POST", "/v1/seller/customer-categories", {"code": "VIP", "label": "Utama"}),
        ("DELETE", f"/v1/seller/keys/{made['id']}", None),
    ]
    for method, path, given in writes:
        before = await client.history()
        await client.good(method, path, given)
        [row] = (await client.history())[: -len(before)]
        assert (row["caller"], row["role"]) == (f"env-{MINE}", "OWNER"), path
        assert row["before"] != row["after"], path
        assert row["at"].startswith("20"), path
        await client.good(method, path, given)
        assert len(await client.history()) == len(before) + 1, f"{path} again is no change."
    assert {row["subject"] for row in await client.history(as_=THEIRS)} == {"seller", "person"}


async def test_a_write_is_done_once_under_its_key(client: Client) -> None:
    """GR-4 for the registry: the same answer, one change; another body is KEY_REUSED."""
    first = await client.good("POST", "/v1/seller/people", {"name": "Ani"}, once="k")
    assert await client.good("POST", "/v1/seller/people", {"name": "Ani"}, once="k") == first
    assert await client.code("POST", "/v1/seller/people", {"name": "Budi"}, once="k") == (
        422,
        "KEY_REUSED",
        [],
    )
    assert await client.code("POST", "/v1/seller/tags", {"tag": "Ani"}, once="k") == (422, "KEY_REUSED", [])
    names = [each["name"] for each in (await client.good("GET", "/v1/seller/people"))["items"]]
    assert names.count("Ani") == 1
    other = await client.good("POST", "/v1/seller/people", {"name": "Budi"}, once="k", as_=THEIRS)
    assert other["name"] == "Budi"
    bare = await client.http.post(
        "/v1/seller/tags", json={"tag": "x"}, headers={"authorization": f"Bearer {MINE}"}
    )
    assert (bare.status_code, bare.json()["fields"][0]["field"]) == (422, "Idempotency-Key")


async def test_agents_read_what_they_choose_from_and_change_nothing(client: Client) -> None:
    """18.2: the registry is the owner's, even for an agent whose key holds the scope."""
    for path in ("", "/people", "/tags", "/reasons", "/policies", "/calendars", "/payment-methods"):
        assert (await client.ask("GET", f"/v1/seller{path}", as_=AGENTS)).status_code == 200, path
    for path in ("/history", "/keys"):
        assert (await client.code("GET", f"/v1/seller{path}", as_=AGENTS))[:2] == (403, "NOT_PERMITTED")
    for method, path, given in (
        ("PATCH", "", {"name": "x"}),
        ("POST", "/people", {"name": "x"}),
        ("POST", "/tags", {"tag": "x"}),
        ("PUT", "/policies", {}),
        ("POST", "/keys", {"name": "x", "role": "AGENT"}),
    ):
        found = await client.code(method, f"/v1/seller{path}", given, as_=AGENTS)
        assert found[:2] == (403, "NOT_PERMITTED"), path


async def test_the_command_registers_once(pool: AsyncPool, database: str) -> None:
    given = SellerBody.model_validate(body("seller-9", "DEMO", npwp="01.234.567.8-901.000"))
    first = await registering.register(database, SEALER, given)
    again = await registering.register(database, SEALER, given)
    assert (first, first["npwp"]) == (again, "************1000")
    with pytest.raises(RegistryRefused, match="another one"):
        await registering.register(database, SEALER, given.model_copy(update={"id": "seller-10"}))
    async with pool.connection() as connection:
        assert len(await reading.people(connection, "seller-9")) == 1


@pytest.mark.parametrize("path", ["people", "tags", "customers", "keys", "history", "policies/versions"])
async def test_a_forged_cursor_is_a_wrong_field(client: Client, path: str) -> None:
    from libs.runtime.pages import cursor_of

    for mark in ("a\x00b", 2**63, -1, ["x"], None):
        answer = await client.ask("GET", f"/v1/seller/{path}?cursor={cursor_of(mark)}")
        assert answer.status_code in {200, 422}, answer.text


async def test_lists_come_in_pages_that_never_skip_or_repeat(client: Client) -> None:
    for number in range(5):
        await client.good("POST", "/v1/seller/tags", {"tag": f"tag {number}"})
    for path, count in (("tags", 5), ("history", 7), ("people", 1)):
        seen: list[str] = []
        cursor = ""
        for _ in range(10):
            page = await client.good("GET", f"/v1/seller/{path}?limit=2&cursor={cursor}")
            seen += [json.dumps(each) for each in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert (len(seen), len(set(seen))) == (count, count), path


async def test_what_a_database_cannot_keep_is_a_wrong_field(client: Client) -> None:
    """No answer is a fault of the server: U+0000 in a path, half a character in a body."""
    for method, path, given in (
        ("PATCH", "tags/a%00b", {"tag": "x"}),
        ("DELETE", "tags/a%00b", None),
        ("GET", "customers/a%00b", None),
        ("PATCH", "customers/a%00b", {"category": "RESELLER"}),
        ("PATCH", "people/a%00b", {"name": "x"}),
        ("PATCH", "reasons/a%00b", {"label": "x"}),
        ("DELETE", "keys/a%00b", None),
    ):
        status, code, fields = await client.code(method, f"/v1/seller/{path}", given)
        assert (status, code, len(fields)) == (422, "FIELD_INVALID", 1), path
    for body_of in (b'{"tag": "\\ud800"}', b'{"tag": "\\u0000"}', b"{", b"[]", b"\xff"):
        answer = await client.http.post(
            "/v1/seller/tags",
            content=body_of,
            headers={
                "authorization": f"Bearer {MINE}",
                "idempotency-key": "k",
                "content-type": "application/json",
            },
        )
        assert answer.status_code in {400, 422}, (body_of, answer.text)


def test_the_command_says_which_field_of_its_file_is_wrong(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate_orders(database)
    capsys.readouterr()
    file = tmp_path / "seller.json"
    good = body("seller-9", "DEMO")
    for given, field in (
        (b"{", ""),
        (json.dumps({**good, "code": "demo"}).encode(), "code"),
        (json.dumps({**good, "npwp": "1"}).encode(), "npwp"),
        (json.dumps({**good, "id": None}).encode(), "id"),
        (json.dumps({**good, "colour": "red"}).encode(), "colour"),
    ):
        file.write_bytes(given)
        assert registering.main(database, SEALER, ["--file", str(file)]) == 2
        said = capsys.readouterr()
        assert (said.out, json.loads(said.err.splitlines()[-1])["field"]) == ("", field)
    file.write_text(json.dumps(good))
    assert registering.main(database, SEALER, ["--file", str(file)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["seller"]["code"] == "DEMO"
