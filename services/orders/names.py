"""What people call a seller's things, and the seller's zone: from the registry, kept for some seconds."""

import time
from collections import OrderedDict
from typing import Final
from zoneinfo import ZoneInfo

import psycopg

from services.orders.columns import DEFAULT_ZONE, Names

# A name or zone that was changed shows after this at the latest.
SECONDS_KEPT: Final = 10.0
SELLERS_KEPT_MAX: Final = 1_000


class SellerNames:
    """Names by seller; bounded in number and age."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, Names]] = OrderedDict()

    async def of(self, connection: psycopg.AsyncConnection, seller: str) -> Names:
        """The seller's zone and names; Asia/Jakarta and ids for a seller that the registry does not know."""
        kept = self._kept.get(seller)
        if kept is not None and time.monotonic() - kept[0] < SECONDS_KEPT:
            return kept[1]
        names = await self._read(connection, seller)
        self._kept[seller] = (time.monotonic(), names)
        self._kept.move_to_end(seller)
        while len(self._kept) > SELLERS_KEPT_MAX:
            self._kept.popitem(last=False)
        return names

    async def _read(self, connection: psycopg.AsyncConnection, seller: str) -> Names:
        cursor = await connection.execute("SELECT zone FROM orders.sellers WHERE id = %s", [seller])
        found = await cursor.fetchone()
        if found is None:
            return Names()
        cursor = await connection.execute("SELECT id, name FROM orders.people WHERE seller = %s", [seller])
        agents: dict[str, str] = dict(await cursor.fetchall())
        return Names(zone=ZoneInfo(found[0]) if found[0] else DEFAULT_ZONE, agents=agents)
