"""Connections and grants: seeded once, tokens sealed, renewed one at a time and never undone by a seed."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest

from libs.runtime.postgres import AsyncPool, make_pool
from libs.runtime.sealing import Sealer
from services.channels.app import migrate_channels
from services.channels.clients import Passing, Refused
from services.channels.lazada.grants import Grants
from services.channels.publishing import Shop
from services.channels.seeding import SeedRefused, read_seed, seed
from services.channels.shops import Shops
from services.channels.store import Store

SELLER = "0190a000-0000-7000-8000-000000000001"
SEAL = Sealer([b"k" * 32])


def file(**changes: Any) -> bytes:
    lazada = {
        "marketplace": "lazada",
        "site": "sg",
        "shop": "1000999001",
        "access_token": "access-1",
        "refresh_token": "refresh-1",
    }
    tokopedia = {"channel": "tokopedia", "site": "id", "shop": 9301177}
    return json.dumps({"seller": SELLER, "connections": [lazada | changes, tokopedia]}).encode()


def test_an_id_that_is_not_given_is_made_of_channel_site_shop_and_seller() -> None:
    (first, tokens, _), (second, none, _) = read_seed(file())
    (again, _, _), _ = read_seed(file(access_token="another"))
    assert first.id == again.id != second.id
    assert first.id.version == 5
    assert tokens is not None
    assert none is None
    given = "0190a000-0000-7000-8000-00000000abcd"
    assert read_seed(file(id=given))[0][0].id == UUID(given)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"{", "file"),
        (b"{}", "file"),
        (file(marketplace="shopee"), "connections[0].channel"),
        (file(site="xx"), "connections[0].site"),
        (file(shop=""), "connections[0].shop"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_field(raw: bytes, field: str) -> None:
    with pytest.raises(SeedRefused) as refused:
        read_seed(raw)
    assert refused.value.field == field
    assert "access-1" not in str(refused.value)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_channels(database)
    async with make_pool(database, "channels", name="test", size=4) as pool:
        yield pool


async def loaded(pool: AsyncPool) -> tuple[Shops, Shop]:
    shops = Shops(pool, SEAL)
    await shops.refresh()
    shop = shops.find("lazada", "sg", "1000999001")
    assert shop is not None
    return shops, shop


@pytest.mark.connected
async def test_a_repeated_seed_changes_nothing_and_tokens_are_sealed(database: str, pool: AsyncPool) -> None:
    first = await seed(database, SEAL, file())
    assert await seed(database, SEAL, file()) == first
    async with pool.connection() as connection:
        ((sealed,),) = await (await connection.execute("SELECT tokens FROM channels.grants")).fetchall()
    assert b"access-1" not in bytes(sealed)
    shops, shop = await loaded(pool)
    grant = await shops.grant(shop.id)
    assert grant is not None
    assert grant.tokens.access_token == "access-1"


@pytest.mark.connected
async def test_a_seed_undoes_no_renewal_but_brings_new_tokens(database: str, pool: AsyncPool) -> None:
    await seed(database, SEAL, file())
    shops, shop = await loaded(pool)
    market = Market()
    grants = market.grants(pool, shops)
    assert await grants.renewed(shop, "access-1") == "renewed-1"
    await seed(database, SEAL, file())
    assert await market.grants(pool, shops).token(shop) == "renewed-1"
    await seed(database, SEAL, file(access_token="access-2"))
    assert await market.grants(pool, shops).token(shop) == "access-2"


@pytest.mark.connected
async def test_a_shop_that_another_connection_holds_is_refused(database: str, pool: AsyncPool) -> None:
    await seed(database, SEAL, file())
    with pytest.raises(SeedRefused, match="connected already"):
        await seed(database, SEAL, file(id="0190a000-0000-7000-8000-00000000abcd"))


class Market:
    """Renews tokens and counts how often it was asked."""

    def __init__(self, answer: Mapping[str, Any] | None = None) -> None:
        self.asked: list[str] = []
        self.answer = answer

    def grants(self, pool: AsyncPool, shops: Shops) -> Grants:
        grants = Grants(Store(pool, SEAL), shops)
        grants.renew_by(self.refresh)
        return grants

    async def refresh(self, refresh_token: str) -> Mapping[str, Any]:
        self.asked.append(refresh_token)
        await asyncio.sleep(0)
        if self.answer is not None:
            return self.answer
        number = len(self.asked)
        return {
            "access_token": f"renewed-{number}",
            "refresh_token": f"refresh-{number + 1}",
            "expires_in": 864_000,
        }


@pytest.mark.connected
async def test_many_callers_and_processes_renew_once(database: str, pool: AsyncPool) -> None:
    await seed(database, SEAL, file())
    shops, shop = await loaded(pool)
    market = Market()
    here, there = market.grants(pool, shops), market.grants(pool, shops)
    got = await asyncio.gather(*(grants.renewed(shop, "access-1") for grants in (here, there, here, there)))
    assert set(got) == {"renewed-1"}
    assert market.asked == ["refresh-1"]
    assert await here.renewed(shop, "renewed-1") == "renewed-2"
    assert market.asked == ["refresh-1", "refresh-2"]


@pytest.mark.connected
@pytest.mark.parametrize("answer", [{}, {"access_token": ""}, {"access_token": 5}])
async def test_an_answer_without_a_token_changes_nothing(
    database: str, pool: AsyncPool, answer: Mapping[str, Any]
) -> None:
    await seed(database, SEAL, file())
    shops, shop = await loaded(pool)
    with pytest.raises(Refused):
        await Market(answer).grants(pool, shops).renewed(shop, "access-1")
    assert await Market().grants(pool, shops).token(shop) == "access-1"


@pytest.mark.connected
async def test_a_marketplace_that_is_down_leaves_the_grant(database: str, pool: AsyncPool) -> None:
    await seed(database, SEAL, file())
    shops, shop = await loaded(pool)
    grants = Grants(Store(pool, SEAL), shops)

    async def down(_: str) -> Mapping[str, Any]:
        raise Passing("TIMEOUT")

    grants.renew_by(down)
    with pytest.raises(Passing):
        await grants.renewed(shop, "access-1")
    assert await Market().grants(pool, shops).renewed(shop, "access-1") == "renewed-1"
