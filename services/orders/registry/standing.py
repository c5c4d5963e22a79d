"""Tokens of callers who still stand: one whose key was taken back, or whose person has left, ends early.

Orders knows keys and people and asks its database; other services have only the token's own, short, time.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from libs.runtime import clock
from libs.runtime.auth import Principal, Principals, unauthenticated
from libs.runtime.postgres import AsyncPool, transient_faults
from services.orders.registry.keys import REMEMBERED_MAX, REMEMBERED_SECONDS
from services.orders.registry.roles import Role
from services.orders.registry.writing import SCHEMA

_PEOPLE: Final = frozenset({Role.OWNER, Role.AGENT})


class _Stands(NamedTuple):
    """What the database said of a caller; `revoked_at` is its key's, None if it is good or not kept here."""

    revoked_at: datetime | None
    left: bool
    until: float


class StandingCallers:
    """Callers by token, as another Principals finds them, less those who stand no more."""

    def __init__(
        self, tokens: Principals, pool: AsyncPool, *, monotonic: Callable[[], float] = clock.monotonic
    ) -> None:
        self._tokens = tokens
        self._pool = pool
        self._monotonic = monotonic
        self._kept: OrderedDict[Principal, _Stands] = OrderedDict()

    async def of(self, token: str, *, at: datetime | None = None) -> Principal:
        """The caller of the token at this instant; raises what the other raises, and TOKEN_REVOKED (401).

        `stands_for` of an owner or agent must be an active person of the seller in that role: of a key that
        holds it is so already, and of an identity provider it is what makes leaving count at once.
        """
        found = await self._tokens.of(token, at=at)
        stands = self._kept.get(found)
        if stands is None or self._monotonic() >= stands.until:
            stands = await self._ask(found)
            self._kept[found] = stands
            self._kept.move_to_end(found)
            while len(self._kept) > REMEMBERED_MAX:
                self._kept.popitem(last=False)
        revoked = stands.revoked_at is not None and (at is None or stands.revoked_at <= at)
        if revoked or stands.left:
            raise unauthenticated("The bearer token was taken back.", code="TOKEN_REVOKED")
        return found

    async def _ask(self, caller: Principal) -> _Stands:
        person = caller.stands_for if caller.role in _PEOPLE else None
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                f"SELECT (SELECT revoked_at FROM {SCHEMA}.api_keys WHERE id = %s AND seller = %s),"
                f" EXISTS (SELECT 1 FROM {SCHEMA}.people"
                " WHERE id = %s AND seller = %s AND role = %s AND active)",
                [caller.id, caller.seller, person, caller.seller, caller.role],
            )
            row = await cursor.fetchone()
        assert row is not None, "A selection without a table has one row."
        left = person is not None and not row[1]
        return _Stands(row[0], left, self._monotonic() + REMEMBERED_SECONDS)
