"""Whose shops there are, and the tokens that reach them; tokens are sealed at rest."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.runtime.clock import monotonic
from libs.runtime.postgres import AsyncPool, transaction, transient_faults
from libs.runtime.sealing import associated
from services.channels.publishing import Shop
from services.channels.store import Connection, Seal

_COLUMNS = "id, seller, channel, site, shop, name, state"
# Of a shop in these states news is worked and orders are read (channels.md 2).
LIVE = frozenset({"ACTIVE", "EXPIRING"})
RELOAD_SECONDS = 10.0
MISS_RELOAD_SECONDS = 1.0


class Tokens(msgspec.Struct, frozen=True):
    """The secrets of a grant, as the marketplace gave them."""

    access_token: str
    refresh_token: str = ""


class Grant(msgspec.Struct, frozen=True):
    tokens: Tokens
    expires_at: datetime | None


def _associated(connection: UUID) -> bytes:
    return associated("channels", "grants", "tokens", str(connection))


class Shops:
    """The shops of all sellers, cached for some seconds; and their grants, never cached here."""

    def __init__(self, pool: AsyncPool, seal: Seal) -> None:
        self._pool = pool
        self._seal = seal
        self._by_id: dict[UUID, Shop] = {}
        self._by_place: dict[tuple[str, str | None, str], Shop | None] = {}
        self._loaded_at = float("-inf")

    async def refresh(self, *, missed: bool = False) -> None:
        """Load the shops anew when they are stale; after a miss they are stale sooner."""
        age = monotonic() - self._loaded_at
        if age < (MISS_RELOAD_SECONDS if missed else RELOAD_SECONDS):
            return
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                f"SELECT {_COLUMNS} FROM channels.connections WHERE state <> 'DELETED'".encode()
            )
            shops = [Shop(*row) for row in await cursor.fetchall()]
        by_place: dict[tuple[str, str | None, str], Shop | None] = {}
        for shop in shops:
            by_place[shop.channel, shop.site, shop.shop] = shop
            # Without a site a shop is found only if no other site has one of that id.
            anywhere = (shop.channel, None, shop.shop)
            by_place[anywhere] = None if anywhere in by_place else shop
        self._by_id = {shop.id: shop for shop in shops}
        self._by_place = by_place
        self._loaded_at = monotonic()

    def find(self, channel: str, site: str | None, shop: str | None) -> Shop | None:
        """The live shop at that place; None when there is none, or none that is unambiguous."""
        if shop is None:
            return None
        found = self._by_place.get((channel, site, shop))
        return found if found is not None and found.state in LIVE else None

    def get(self, connection: UUID) -> Shop | None:
        return self._by_id.get(connection)

    def of_channel(self, channel: str) -> list[Shop]:
        """The live shops of a channel, in one lasting order."""
        return sorted(
            (shop for shop in self._by_id.values() if shop.channel == channel and shop.state in LIVE),
            key=lambda shop: shop.id,
        )

    async def of_seller(self, seller: UUID | None, *, after: UUID | None, limit: int) -> list[Shop]:
        """The shops of one seller, or of all for None, by id."""
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                f"SELECT {_COLUMNS} FROM channels.connections"
                " WHERE (%(seller)s::uuid IS NULL OR seller = %(seller)s)"
                " AND (%(after)s::uuid IS NULL OR id > %(after)s) ORDER BY id LIMIT %(limit)s".encode(),
                {"seller": seller, "after": after, "limit": limit},
            )
            return [Shop(*row) for row in await cursor.fetchall()]

    async def grant(self, connection: UUID, within: Connection | None = None) -> Grant | None:
        """The grant in force; `within` a transaction its row is locked until that ends."""
        query = "SELECT tokens, expires_at FROM channels.grants WHERE connection_id = %s"
        if within is not None:
            cursor = await within.execute(f"{query} FOR UPDATE".encode(), [connection])
            row = await cursor.fetchone()
        else:
            async with transient_faults(), self._pool.connection() as own:
                row = await (await own.execute(query.encode(), [connection])).fetchone()
        if row is None:
            return None
        plain = self._seal.open(bytes(row[0]), _associated(connection))
        return Grant(msgspec.json.decode(plain, type=Tokens), row[1])

    async def renew(
        self, within: Connection, connection: UUID, tokens: Tokens, expires_at: datetime | None
    ) -> None:
        """Save what a refresh gave, in the transaction that holds the grant's row."""
        await within.execute(
            "UPDATE channels.grants SET tokens = %s, expires_at = %s, updated_at = clock_timestamp()"
            " WHERE connection_id = %s",
            [self._sealed(connection, tokens), expires_at, connection],
        )

    def _sealed(self, connection: UUID, tokens: Tokens) -> bytes:
        return self._seal.seal(msgspec.json.encode(tokens), _associated(connection))

    async def settle(self, shops: Sequence[tuple[Shop, Tokens | None, datetime | None]]) -> None:
        """Make these connections and grants exist, in one transaction; a repeat changes nothing.

        Tokens replace the stored ones only when they differ from what the last seed gave: a refresh since
        then is not undone. A shop that another connection holds is refused by the database.
        """
        async with transaction(self._pool) as connection:
            for shop, tokens, expires_at in shops:
                await connection.execute(
                    f"INSERT INTO channels.connections ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)"
                    " ON CONFLICT (id) DO UPDATE SET name = excluded.name".encode(),
                    [shop.id, shop.seller, shop.channel, shop.site, shop.shop, shop.name, shop.state],
                )
                if tokens is not None:
                    await self._settle_grant(connection, shop.id, tokens, expires_at)

    async def _settle_grant(
        self, connection: Any, shop: UUID, tokens: Tokens, expires_at: datetime | None
    ) -> None:
        await connection.execute(
            "INSERT INTO channels.grants AS held (connection_id, tokens, expires_at, seeded)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT (connection_id) DO UPDATE SET tokens = excluded.tokens,"
            " expires_at = excluded.expires_at, seeded = excluded.seeded, updated_at = clock_timestamp()"
            " WHERE held.seeded <> excluded.seeded",
            [
                shop,
                self._sealed(shop, tokens),
                expires_at,
                hashlib.sha256(msgspec.json.encode(tokens)).digest(),
            ],
        )
