"""The command `seed`: makes the connections and grants of a file exist; a repeat changes nothing."""

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec
import psycopg

from libs.runtime.postgres import make_pool
from services.channels.marketplace import SITES
from services.channels.publishing import Shop
from services.channels.shops import Shops, Tokens
from services.channels.store import SCHEMA, Seal

# Of connections whose id the file does not give; never changed, since order ids are made of it.
NAMESPACE = UUID("5c0d7f52-6a53-4f0e-9d0e-0b6d1c7b8a10")
CHANNELS = ("lazada", "tokopedia", "tiktok")


class SeededConnection(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of the file; `channel` may be called `marketplace`."""

    shop: str | int
    channel: str | None = None
    marketplace: str | None = None
    site: str = "id"
    id: UUID | None = None
    name: str = ""
    state: str = "ACTIVE"
    access_token: str | None = None
    refresh_token: str = ""
    expires_at: datetime | None = None


class SeedFile(msgspec.Struct, frozen=True):
    seller: UUID
    connections: list[SeededConnection]


class SeedRefused(Exception):
    """The file cannot be used; `field` says where."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def read_seed(raw: bytes) -> list[tuple[Shop, Tokens | None, datetime | None]]:
    """The connections of a file; SeedRefused when it is not what it should be. Tokens are in no message."""
    try:
        found = msgspec.json.decode(raw, type=SeedFile, strict=False)
    except msgspec.ValidationError as fault:
        raise SeedRefused("file", f"The file is not a seed: {fault}.") from None
    except msgspec.DecodeError:
        raise SeedRefused("file", "The file is not JSON.") from None
    return [_connection(found.seller, row, f"connections[{n}]") for n, row in enumerate(found.connections)]


def _connection(
    seller: UUID, row: SeededConnection, path: str
) -> tuple[Shop, Tokens | None, datetime | None]:
    channel = row.channel or row.marketplace
    if channel not in CHANNELS:
        raise SeedRefused(f"{path}.channel", f"There is no such channel; known: {', '.join(CHANNELS)}.")
    if row.site not in SITES:
        raise SeedRefused(f"{path}.site", f"There is no such site; known: {', '.join(SITES)}.")
    number = str(row.shop)  # An id of a marketplace is text, whatever type it arrives in (CN-06).
    if not number:
        raise SeedRefused(f"{path}.shop", "The shop is empty.")
    key = row.id or uuid5(NAMESPACE, f"{channel}/{row.site}/{number}/{seller}")
    shop = Shop(key, seller, channel, row.site, number, row.name or f"{channel} {number}", row.state)
    tokens = Tokens(row.access_token, row.refresh_token) if row.access_token else None
    expires = row.expires_at
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return shop, tokens, expires


async def seed(dsn: str, seal: Seal, raw: bytes) -> list[dict[str, Any]]:
    """Make them exist in one transaction and give them without their tokens.

    SeedRefused when a shop is another connection's already.
    """
    connections = read_seed(raw)
    async with make_pool(dsn, SCHEMA, name="channels seed", size=1) as pool:
        try:
            await Shops(pool, seal).settle(connections)
        except psycopg.errors.UniqueViolation:
            raise SeedRefused(
                "connections", "One of the shops is connected already, under another id."
            ) from None
    return [
        {"id": str(shop.id), "channel": shop.channel, "site": shop.site, "shop": shop.shop}
        for shop, _, _ in connections
    ]


def main(dsn: str, seal: Seal, argv: list[str]) -> int:
    """Run the command; the exit status: 0, or 2 when the file is wrong."""
    parser = argparse.ArgumentParser(prog="python -m services.channels seed", description=__doc__)
    parser.add_argument("--file", required=True, type=Path)
    try:
        raw = parser.parse_args(argv).file.read_bytes()
        made = asyncio.run(seed(dsn, seal, raw))
    except OSError as fault:
        return _refuse("file", f"The file cannot be read: {fault.strerror}.")
    except SeedRefused as refused:
        return _refuse(refused.field, str(refused))
    sys.stdout.write(json.dumps({"connections": made}) + "\n")
    return 0


def _refuse(field: str, message: str) -> int:
    sys.stderr.write(json.dumps({"code": "SEED_REFUSED", "field": field, "message": message}) + "\n")
    return 2
