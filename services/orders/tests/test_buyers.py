"""Buyers' data from the JWE of a fact to the contact door: sealed at rest, found, opened, rotated (PD-1 to PD-5)."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from psycopg.errors import InsufficientPrivilege
from pydantic import SecretBytes

from libs.runtime.asgi import make_api
from libs.runtime.auth import Principal
from libs.runtime.errors import Transient
from libs.runtime.health import Health
from libs.runtime.jwe import Envelopes
from libs.runtime.keys import KeyEncryptionKeys, KeyGone, NamedKey
from libs.runtime.postgres import AsyncPool, make_pool
from libs.runtime.records import Record
from services.orders.app import migrate_orders
from services.orders.buyers import Buyers, Told
from services.orders.consumer import FactsHandler
from services.orders.contact import Contacts, contact_routes
from services.orders.redriving import FactReleaser
from services.orders.rewrapping import rewrap
from services.orders.store import load, order_id_of
from services.orders.tests.test_consumer import CONNECTION, SELLER, Log, fact, placed, rows

pytestmark = pytest.mark.connected

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
BUYER = {
    "id": "300123",
    "name": "Qzwanda Xqhartono",
    "phone": "081399077431",
    "recipient": "Qzwanda Xqhartono",
    "recipient_phone": "62 813-9907-7431",
    "address": "Jalan Zvermilyon 77",
    "email": "qxsurel@marker.example",
    "note": " ",
    "line_notes": {"1-1": "Zvbungkus rapi"},
}
MARKERS = (
    "Qzwanda",
    "qzwanda",
    "Xqhartono",
    "99077431",
    "Zvermilyon",
    "zvermilyon",
    "qxsurel",
    "Zvbungkus",
    "300123",
)


def keks(*keys: tuple[str, bytes]) -> KeyEncryptionKeys:
    return KeyEncryptionKeys([NamedKey(id=name, key=SecretBytes(key)) for name, key in keys or (("a", OLD),)])


def buyers_in(pool: AsyncPool, *keys: tuple[str, bytes]) -> Buyers:
    ring = keks(*keys)
    return Buyers(pool, ring, Envelopes(ring))


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


@pytest.fixture
def buyers(pool: AsyncPool) -> Buyers:
    return buyers_in(pool)


class Desk:
    """What a test does with one order after the other."""

    def __init__(self, pool: AsyncPool, buyers: Buyers) -> None:
        self.pool = pool
        self.buyers = buyers
        self.log = Log()
        self.handler = FactsHandler(pool, buyers)

    def record(self, body: dict[str, Any], buyer: Mapping[str, Any] | None = None) -> Record:
        if buyer is not None:
            token = self.buyers.envelopes.seal(json.dumps(buyer).encode(), f"{CONNECTION}:{body['order']}")
            body["data"]["buyer"] = token
        return self.log.record(body)

    async def take(self, *records: Record) -> dict[str, int]:
        return dict(await self.handler.handle(records, {0: records[0].offset - 1}))

    async def place(self, order: str, buyer: Mapping[str, Any]) -> UUID:
        assert await self.take(self.record(placed(order), buyer)) == {"handled": 1}
        return order_id_of(CONNECTION, order)

    async def known(self, order_id: UUID) -> dict[str, str]:
        async with self.pool.connection() as connection:
            order = (await load(connection, [order_id]))[order_id][1]
        (opened,) = await self.buyers.open([(order_id, order.buyers)])
        return opened


@pytest.fixture
def desk(pool: AsyncPool, buyers: Buyers) -> Desk:
    return Desk(pool, buyers)


async def everything(pool: AsyncPool) -> str:
    """All rows of all tables of orders as text, those that the service itself may not read too."""
    found: list[str] = []
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL ROLE NONE")
        tables = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'orders'")
        for (name,) in await tables.fetchall():
            cursor = await connection.execute(f"SELECT t::text FROM orders.{name} t".encode())
            found += [row for (row,) in await cursor.fetchall()]
    return "\n".join(found)


async def test_pd_2_what_is_stored_holds_the_buyer_sealed_and_opens(desk: Desk) -> None:
    order_id = await desk.place("1", BUYER)
    ((state,),) = await rows(desk.pool, "SELECT state::text FROM orders.events")
    held = json.loads(state)["buyer"]
    assert held["fields"].keys() == {
        "id", "name", "phone", "recipient", "recipient_phone", "address", "email", "line_notes/1-1"
    }  # fmt: skip
    stored = await everything(desk.pool)
    assert [marker for marker in MARKERS if marker in stored] == []
    known = await desk.known(order_id)
    assert known["phone"] == known["recipient_phone"] == "+6281399077431", "MN-6"
    assert known["name"] == "Qzwanda Xqhartono"
    assert known["line_notes/1-1"] == "Zvbungkus rapi"


async def test_pd_2_a_field_opens_in_its_own_order_and_place_only(desk: Desk) -> None:
    one = await desk.place("1", BUYER)
    other = await desk.place("2", BUYER)
    async with desk.pool.connection() as connection:
        loaded = await load(connection, [one])
    (sealed,) = loaded[one][1].buyers
    assert await desk.buyers.open([(other, [sealed])]) == [{}]
    swapped = {"name": sealed.fields["phone"], "phone": sealed.fields["name"]}
    assert await desk.buyers.open([(one, [type(sealed)(key=sealed.key, fields=swapped)])]) == [{}]


async def test_pd_2_one_key_per_buyer_of_a_shop(desk: Desk) -> None:
    await desk.take(
        desk.record(placed("1"), BUYER),
        desk.record(placed("2"), BUYER | {"name": "Other Name", "phone": "0812000000"}),
        desk.record(placed("3"), {"id": "300124", "phone": BUYER["phone"]}),
    )
    keys = [
        row[0]
        for row in await rows(
            desk.pool, "SELECT state -> 'buyer' ->> 'key' FROM orders.events ORDER BY position"
        )
    ]
    assert keys[0] == keys[1] != keys[2]
    assert await rows(desk.pool, "SELECT count(*) FROM orders.buyer_keys") == [(2,)]
    kinds = await rows(desk.pool, "SELECT purpose, connection FROM orders.owner_keys ORDER BY 1")
    assert kinds == [("SEAL", CONNECTION), ("SEARCH", "")]


async def test_pd_2_a_later_batch_and_another_process_use_the_same_key(desk: Desk) -> None:
    one = await desk.place("1", BUYER)
    again = Desk(desk.pool, buyers_in(desk.pool))
    again.log.offset = desk.log.offset
    two = await again.place("2", BUYER)
    assert await rows(desk.pool, "SELECT count(DISTINCT state -> 'buyer' ->> 'key') FROM orders.events") == [
        (1,)
    ]
    assert (await again.known(one))["name"] == (await desk.known(two))["name"] == "Qzwanda Xqhartono"


async def test_pd_2_a_buyer_whose_key_is_gone_cannot_be_opened_by_whoever_remembers_it(desk: Desk) -> None:
    order_id = await desk.place("1", BUYER)
    assert await desk.known(order_id) != {}
    await rows(desk.pool, "WITH gone AS (DELETE FROM orders.buyer_keys RETURNING id) SELECT id FROM gone")
    assert await desk.known(order_id) == {}
    later = await desk.place("2", BUYER)
    assert (await desk.known(later))["name"] == "Qzwanda Xqhartono", "PD-8: with a new key."


async def test_pd_10_the_end_of_a_shops_key_takes_its_buyers_keys_and_a_new_one_is_made(desk: Desk) -> None:
    order_id = await desk.place("1", BUYER)
    await rows(
        desk.pool,
        "WITH gone AS (DELETE FROM orders.owner_keys WHERE purpose = 'SEAL' RETURNING id) SELECT id FROM gone",
    )
    assert await rows(desk.pool, "SELECT count(*) FROM orders.buyer_keys") == [(0,)]
    assert await desk.known(order_id) == {}
    with pytest.raises(Transient):
        await desk.take(desk.record(placed("2"), BUYER))
    desk.log.offset -= 1
    later = await desk.place("2", BUYER)
    assert (await desk.known(later))["name"] == "Qzwanda Xqhartono"


async def found_by(desk: Desk, kind: Any, text: str) -> list[UUID]:
    wanted = await desk.buyers.hashes_of_search(SELLER, kind, text)
    if not wanted:
        return []
    async with desk.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT order_id FROM orders.search_hashes WHERE seller = %s AND hashes @> %s::bigint[]",
            [SELLER, wanted],
        )
        return [row[0] for row in await cursor.fetchall()]


@pytest.mark.parametrize(
    ("kind", "text", "finds"),
    [
        ("phone", "0813-9907-7431", True),
        ("phone", "+6281399077431", True),
        ("phone", "0813-9907", False),
        ("name", "xqhartono", True),
        ("name", "XQHARTONO qzwanda", True),
        ("name", "Qzwanda Santoso", False),
        ("name", "Qzwan", False),
        ("name", "Zvermilyon", False),
        ("address", "zvermilyon 77", True),
        ("address", "", False),
    ],
)
async def test_pd_5_an_order_is_found_by_whole_words(desk: Desk, kind: str, text: str, finds: bool) -> None:
    order_id = await desk.place("1", BUYER)
    await desk.place("2", {"id": "7", "recipient": "Budi Santoso"})
    assert await found_by(desk, kind, text) == ([order_id] if finds else [])


async def test_mk_2_a_second_placement_tells_what_was_masked_and_then_finds_it(desk: Desk) -> None:
    masked = {"id": "300123", "recipient": "Q******", "phone": "62********31"}
    order_id = await desk.place("1", masked)
    assert await found_by(desk, "name", "qzwanda") == []
    assert (await desk.known(order_id))["recipient"] == "Q******"
    await desk.place("1", BUYER | {"email": "*"})
    known = await desk.known(order_id)
    assert known["recipient"] == "Qzwanda Xqhartono"
    assert known["phone"] == "+6281399077431"
    assert await found_by(desk, "name", "qzwanda") == [order_id]
    await desk.place("1", BUYER | {"email": "*", "recipient": "Somebody Else"})
    assert (await desk.known(order_id))["recipient"] == "Qzwanda Xqhartono", (
        "Only what was missing is filled."
    )
    assert await found_by(desk, "name", "somebody") == []
    names = await rows(desk.pool, "SELECT name FROM orders.events ORDER BY position")
    assert [name for (name,) in names] == ["OrderPlaced.v1", "OrderDetailsCompleted.v1"]


async def test_mk_2_an_order_that_is_placed_and_completed_in_one_batch_is_found_by_both(desk: Desk) -> None:
    masked = {"id": "300123", "recipient": "Q******", "address": "Jalan Zvermilyon 77"}
    await desk.take(
        desk.record(placed("1"), masked), desk.record(placed("1"), {"id": "300123", "recipient": "Qzwanda"})
    )
    assert await found_by(desk, "name", "qzwanda") == await found_by(desk, "address", "zvermilyon")
    assert await found_by(desk, "name", "qzwanda") == [order_id_of(CONNECTION, "1")]


@pytest.mark.parametrize("together", [True, False])
async def test_the_buyers_words_on_a_cancellation_are_sealed_under_the_buyers_key(
    desk: Desk, together: bool
) -> None:
    first = desk.record(placed("1"), BUYER)
    second = desk.record(fact("OrderCancelled", "1", minute=9, by="BUYER"), {"reason": "Zvermilyon pindah"})
    if together:
        await desk.take(first, second)
    else:
        await desk.take(first)
        await desk.take(second)
    states = [
        json.loads(row[0])
        for row in await rows(desk.pool, "SELECT state::text FROM orders.events ORDER BY position")
    ]
    (ended,) = [state for state in states[1:] if "buyer" in state]
    assert ended["buyer"]["key"] == states[0]["buyer"]["key"]
    assert "Zvermilyon" not in json.dumps(states)
    order_id = order_id_of(CONNECTION, "1")
    sealed = desk.handler._states[order_id][1].buyers[0]
    words = type(sealed)(key=ended["buyer"]["key"], fields=ended["buyer"]["fields"])
    assert await desk.buyers.open([(order_id, [words])]) == [{"reason": "Zvermilyon pindah"}]


async def test_a_reason_that_waits_for_its_order_is_kept(desk: Desk) -> None:
    late = desk.record(fact("OrderCancelled", "1", minute=9, by="BUYER"), {"reason": "Zvermilyon pindah"})
    assert await desk.take(late) == {"waiting": 1}
    await desk.take(desk.record(placed("1"), BUYER))
    stored = await rows(desk.pool, "SELECT state::text FROM orders.events WHERE name = 'OrderCancelled.v1'")
    assert "reason" in json.loads(stored[0][0])["buyer"]["fields"]


def forged(record: Record, token: Any) -> Record:
    body = json.loads(record.value or b"")
    body["data"]["buyer"] = token
    return Record(
        **{name: getattr(record, name) for name in record.__struct_fields__}
        | {"value": json.dumps(body).encode()}
    )


async def test_a_jwe_that_cannot_be_opened_parks_its_fact_alone_and_a_redrive_releases_it(desk: Desk) -> None:
    stranger = Desk(desk.pool, buyers_in(desk.pool, ("b", NEW)))
    bad = stranger.record(placed("1"), BUYER)
    desk.log = stranger.log
    outcome = await desk.take(bad, desk.record(placed("2"), BUYER))
    assert outcome == {"parked": 1, "handled": 1}
    ((reason, detail, row_id),) = await rows(desk.pool, "SELECT reason, detail, id FROM orders.parked")
    assert reason == "BUYER_NOT_OPENED"
    assert not any(marker in detail for marker in MARKERS)
    releaser = FactReleaser(desk.pool, buyers_in(desk.pool, ("a", OLD), ("b", NEW)))
    assert await releaser._handler.release(bad, row_id) == "handled"
    assert (await desk.known(order_id_of(CONNECTION, "1")))["name"] == "Qzwanda Xqhartono"


@pytest.mark.parametrize("token", [BUYER, 7, ["x"], "no.jwe", {"buyer": "x"}])
async def test_pd_4_buyer_data_in_clear_is_parked_and_not_quoted(desk: Desk, token: Any) -> None:
    assert await desk.take(forged(desk.record(placed("1"), BUYER), token)) == {"parked": 1}
    ((detail,),) = await rows(desk.pool, "SELECT detail FROM orders.parked")
    assert not any(marker in detail for marker in MARKERS)


async def test_a_jwe_of_another_order_is_parked(desk: Desk) -> None:
    other = json.loads(desk.record(placed("2"), BUYER).value or b"")["data"]["buyer"]
    record = forged(desk.record(placed("1"), BUYER), other)
    assert await desk.handler.handle([record], {}) == {"parked": 1}
    ((detail,),) = await rows(desk.pool, "SELECT detail FROM orders.parked")
    assert detail == "The JWE was made for another record: its sub is not the record's key."


async def test_what_a_body_says_beside_its_data_is_never_taken_for_sealed(desk: Desk) -> None:
    body = placed("1") | {"buyer": {"key": "x", "fields": {"name": "Qzwanda"}}}
    assert await desk.take(desk.log.record(body)) == {"handled": 1}
    assert "Qzwanda" not in await everything(desk.pool)


async def test_pd_3_keys_are_wrapped_anew_and_the_old_key_may_go(desk: Desk, database: str) -> None:
    order_id = await desk.place("1", BUYER)
    with pytest.raises(RuntimeError, match="wrapped under a,"):
        await buyers_in(desk.pool, ("b", NEW)).refuse_missing_keys()
    with pytest.raises(KeyGone):
        await rewrap(database, keks(("b", NEW)))
    assert await rewrap(database, keks(("b", NEW), ("a", OLD))) == 2
    assert await rewrap(database, keks(("b", NEW), ("a", OLD))) == 0
    alone = Desk(desk.pool, buyers_in(desk.pool, ("b", NEW)))
    await alone.buyers.refuse_missing_keys()
    assert (await alone.known(order_id))["name"] == "Qzwanda Xqhartono"
    assert await found_by(alone, "name", "qzwanda") == [order_id]


async def test_an_order_of_the_sellers_own_is_sealed_under_the_sellers_key(desk: Desk) -> None:
    orders = [UUID(int=1), UUID(int=2), UUID(int=3)]
    told = [
        Told(order_id=orders[0], seller=SELLER, fields={"name": "Siti", "phone": "0812 0000 4321"}),
        Told(order_id=orders[1], seller=SELLER, fields={"name": "Siti N", "phone": "+6281200004321"}),
        Told(order_id=orders[2], seller=SELLER, fields={"name": "Siti", "unknown": "x", "phone": " "}),
    ]
    one, two, three = await desk.buyers.seal(told)
    assert one is not None
    assert two is not None
    assert three is not None
    assert one.sealed.key == two.sealed.key != three.sealed.key
    assert three.sealed.fields.keys() == {"name"}, "PD-1: a field without a class is not stored."
    assert await desk.buyers.open([(orders[1], [two.sealed])]) == [
        {"name": "Siti N", "phone": "+6281200004321"}
    ]
    assert await desk.buyers.seal([Told(order_id=orders[0], seller=SELLER, fields={})]) == [None]


class Callers:
    """Callers by the name they give as token."""

    async def of(self, token: str) -> Principal:
        seller = "another" if token == "stranger" else SELLER
        return Principal(token, seller, frozenset({"orders:read"} if token == "reader" else {"contact"}))


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[AsyncClient]:
    app: FastAPI = make_api("orders", Callers(), health=Health("orders"), status=None)  # type: ignore[arg-type]  # No status is asked.
    app.include_router(contact_routes(Contacts(desk.pool, desk.buyers)))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as opened:
        yield opened


async def asked(client: AsyncClient, order_id: UUID | str, caller: str = "agent-7", **query: str) -> Any:
    given = {"purpose": "shipping"} | query
    return await client.get(
        f"/v1/orders/{order_id}/contact",
        params={name: value for name, value in given.items() if value},
        headers={"authorization": f"Bearer {caller}"},
    )


async def test_pd_4_the_contact_is_shown_and_each_reading_is_kept(desk: Desk, client: AsyncClient) -> None:
    order_id = await desk.place("1", BUYER | {"email": "q***@marker.example"})
    answer = await asked(client, order_id)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "order": str(order_id),
        "name": "Qzwanda Xqhartono",
        "phone": "+6281399077431",
        "email": "q***@marker.example",
        "recipient": "Qzwanda Xqhartono",
        "recipient_phone": "+6281399077431",
        "address": "Jalan Zvermilyon 77",
        "district": None,
        "postal_code": None,
        "note": None,
        "line_notes": {"1-1": "Zvbungkus rapi"},
        "city": None,
        "province": None,
        "masked": ["email"],
    }
    kept = await rows(
        desk.pool, "SELECT order_id, seller, caller, purpose, fields FROM orders.contact_readings"
    )
    shown = ["name", "phone", "email", "recipient", "recipient_phone", "address", "line_notes"]
    assert kept == [(order_id, SELLER, "agent-7", "shipping", shown)]
    assert not any(marker in str(kept) for marker in MARKERS)


async def test_pd_4_a_reading_without_a_purpose_is_kept_as_one(desk: Desk, client: AsyncClient) -> None:
    order_id = await desk.place("1", BUYER)
    assert (await asked(client, order_id, purpose="")).status_code == 200
    assert await rows(desk.pool, "SELECT caller, purpose FROM orders.contact_readings") == [
        ("agent-7", "unstated")
    ]


async def test_pd_4_only_with_the_scope_for_the_own_order_and_a_fit_purpose(
    desk: Desk, client: AsyncClient
) -> None:
    order_id = await desk.place("1", BUYER)
    refused = [
        await asked(client, order_id, "reader"),
        await asked(client, order_id, "stranger"),
        await asked(client, UUID(int=9)),
        await asked(client, "none"),
        await asked(client, order_id, purpose="x"),
        await asked(client, order_id, purpose="Qzwanda@marker"),
    ]
    assert [(each.status_code, each.json()["code"]) for each in refused] == [
        (403, "NOT_PERMITTED"),
        (404, "ORDER_NOT_FOUND"),
        (404, "ORDER_NOT_FOUND"),
        (404, "ORDER_NOT_FOUND"),
        (422, "FIELD_INVALID"),
        (422, "FIELD_INVALID"),
    ]
    assert refused[4].json()["fields"][0]["field"] == "purpose"
    # RF-1: a reading is refused with the members that a command is refused with.
    assert set(refused[2].json()) >= {"sentence", "headline", "sequence", "allowed", "fields"}
    assert not any(marker in each.text for each in refused for marker in MARKERS if marker != "Qzwanda")
    assert await rows(desk.pool, "SELECT FROM orders.contact_readings") == []


async def test_contact_unavailable_when_there_is_none_or_its_key_is_gone(
    desk: Desk, client: AsyncClient
) -> None:
    nothing = await desk.place("1", {"id": "7", "note": "tolong"})
    gone = await desk.place("2", BUYER)
    await rows(desk.pool, "WITH gone AS (DELETE FROM orders.buyer_keys RETURNING id) SELECT id FROM gone")
    for order_id in (nothing, gone):
        answer = await asked(client, order_id)
        assert (answer.status_code, answer.json()["code"]) == (409, "CONTACT_UNAVAILABLE")
        assert answer.json()["sentence"].keys() == {"en", "id"}
        assert answer.json()["headline"] == "NEW"
    kept = await rows(desk.pool, "SELECT order_id, fields FROM orders.contact_readings ORDER BY id")
    assert kept == [(nothing, []), (gone, [])]


async def test_readings_can_be_neither_changed_nor_removed(desk: Desk, client: AsyncClient) -> None:
    await asked(client, await desk.place("1", BUYER))
    for change in ("DELETE FROM orders.contact_readings", "UPDATE orders.contact_readings SET caller = 'x'"):
        with pytest.raises(InsufficientPrivilege):
            await rows(desk.pool, change)


async def test_no_key_and_no_sealed_field_is_in_a_log_line(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    order_id = await desk.place("1", BUYER)
    async with desk.pool.connection() as connection:
        (sealed,) = (await load(connection, [order_id]))[order_id][1].buyers
    broken = type(sealed)(key=sealed.key, fields={"name": base64.b64encode(bytes(40)).decode()})
    assert await desk.buyers.open([(order_id, [broken])]) == [{}]
    said = capsys.readouterr()
    assert not any(marker in said.out + said.err for marker in MARKERS)
