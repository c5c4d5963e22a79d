"""API keys that owners make: kept by their hash, with role, scopes and expiry, shown once, and taken back.

A key is good for at most 5 s longer than its revocation, and no longer when the process was not asked before.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from msgspec import Struct
from psycopg import AsyncConnection

from libs.runtime import clock
from libs.runtime.auth import Principal, expired, unauthenticated
from libs.runtime.postgres import AsyncPool, transient_faults
from services.orders.registry import reading
from services.orders.registry.refusals import FieldRefused, conflict, invalid, not_found
from services.orders.registry.roles import KEY_ROLES, SCOPES, Role
from services.orders.registry.writing import SCHEMA, By, lock_seller, record

PREFIX: Final = "jejak_"
DAYS_DEFAULT: Final = 90
DAYS_MAX: Final = 366
LIVE_KEYS_MAX: Final = 100
REMEMBERED_SECONDS: Final = 5.0
REMEMBERED_MAX: Final = 4_096
COLUMNS: Final = "id, name, role, scopes, stands_for, created_at, expires_at, revoked_at"


class KeyWish(Struct, frozen=True, kw_only=True):
    """The key that an owner asks for; no scopes: all that the role may hold and the owner holds."""

    name: str
    role: str
    scopes: tuple[str, ...] = ()
    stands_for: str | None = None
    days: int = DAYS_DEFAULT


async def make_key(
    connection: AsyncConnection, by: By, caller: Principal, wish: KeyWish, *, key_id: str, at: datetime
) -> tuple[dict[str, Any], str]:
    """Make a key; its row as it is shown, and the key itself, which is kept nowhere.

    Nobody grants a scope that the role may not hold or that the caller does not hold. A key of the role
    OWNER or AGENT may stand for an active person of that role, and ends with it.
    """
    await lock_seller(connection, by.seller)
    scopes = await _scopes(connection, by, caller, wish)
    live = await (
        await connection.execute(
            f"SELECT count(*) FROM {SCHEMA}.api_keys"
            " WHERE seller = %s AND revoked_at IS NULL AND expires_at > %s",
            [by.seller, at],
        )
    ).fetchone()
    if live is not None and live[0] >= LIVE_KEYS_MAX:
        raise conflict("TOO_MANY", f"A seller may have at most {LIVE_KEYS_MAX} keys; revoke one first.")
    secret = PREFIX + secrets.token_urlsafe(32)
    cursor = await connection.execute(
        f"INSERT INTO {SCHEMA}.api_keys (id, seller, sha256, name, role, scopes, stands_for, expires_at)"
        f" VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING {COLUMNS}".encode(),
        [
            *(key_id, by.seller, _digest(secret), wish.name, wish.role, sorted(scopes), wish.stands_for),
            at + timedelta(days=wish.days),
        ],
    )
    row = await cursor.fetchone()
    assert row is not None, "A written row is returned."
    made = shown(row)
    await record(connection, by, subject="key", key=key_id, change="made", before=None, after=made)
    return made, secret


async def _scopes(connection: AsyncConnection, by: By, caller: Principal, wish: KeyWish) -> frozenset[str]:
    """The scopes that the key gets; refuses every field that is wrong, all of them together."""
    faults = []
    if not 1 <= wish.days <= DAYS_MAX:
        faults.append(FieldRefused("days", f"Give a number of days from 1 to {DAYS_MAX}."))
    if wish.role not in KEY_ROLES:
        faults.append(FieldRefused("role", f"Give one of {', '.join(KEY_ROLES)}."))
        raise invalid(faults)
    holdable = frozenset(scope for scope in SCOPES[Role(wish.role)] if caller.may(scope))
    scopes = frozenset(wish.scopes) or holdable
    if not scopes or scopes - holdable:
        faults.append(
            FieldRefused(
                "scopes", f"A key of this role made by you may hold {', '.join(sorted(holdable)) or 'none'}."
            )
        )
    if wish.stands_for is not None and wish.role in {Role.OWNER, Role.AGENT}:
        person = (await reading.people(connection, by.seller)).get(wish.stands_for)
        if person is None or not person.active or person.role != wish.role:
            faults.append(FieldRefused("stands_for", "Give the id of an active person of this role."))
    if faults:
        raise invalid(faults)
    return scopes


async def revoke_key(connection: AsyncConnection, by: By, key_id: str) -> dict[str, Any]:
    """Take a key back for good; again changes nothing."""
    await lock_seller(connection, by.seller)
    before = await _key(connection, by, key_id)
    if before["revoked_at"] is not None:
        return before
    await connection.execute(
        f"UPDATE {SCHEMA}.api_keys SET revoked_at = clock_timestamp() WHERE seller = %s AND id = %s",
        [by.seller, key_id],
    )
    after = await _key(connection, by, key_id)
    await record(connection, by, subject="key", key=key_id, change="revoked", before=before, after=after)
    return after


async def _key(connection: AsyncConnection, by: By, key_id: str) -> dict[str, Any]:
    cursor = await connection.execute(
        f"SELECT {COLUMNS} FROM {SCHEMA}.api_keys WHERE seller = %s AND id = %s".encode(), [by.seller, key_id]
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("key")
    return shown(row)


def shown(row: tuple[Any, ...]) -> dict[str, Any]:
    """A key as the API answers it: everything but itself."""
    names = [name.strip() for name in COLUMNS.split(",")]
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in zip(names, row, strict=True)
    }


def _digest(key: str) -> bytes:
    # Keys carry 256 random bits, so one plain SHA-256 is enough.
    return hashlib.sha256(key.encode()).digest()


class _Kept(NamedTuple):
    """What the database said of a key, or that it has none."""

    principal: Principal | None
    expires_at: datetime | None
    revoked: bool
    until: float


class DatabaseKeys:
    """Callers by the keys of the registry; implements KeySource."""

    def __init__(self, pool: AsyncPool, *, monotonic: Callable[[], float] = clock.monotonic) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    async def find(self, key: str, at: datetime) -> Principal | None:
        """The caller of this key; None when there is none; Problem 401 when it has ended.

        Transient when the database does not answer.
        """
        if not key.startswith(PREFIX):
            return None
        digest = _digest(key)
        kept = self._kept.get(digest)
        if kept is None or self._monotonic() >= kept.until:
            kept = await self._ask(digest)
            self._kept[digest] = kept
            self._kept.move_to_end(digest)
            while len(self._kept) > REMEMBERED_MAX:
                self._kept.popitem(last=False)
        if kept.principal is None:
            return None
        if kept.revoked:
            raise unauthenticated("The bearer token was taken back.", code="TOKEN_REVOKED")
        if kept.expires_at is not None and at >= kept.expires_at:
            raise expired()
        return kept.principal

    async def _ask(self, digest: bytes) -> _Kept:
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT k.id, k.seller, k.scopes, k.role, k.stands_for, k.expires_at,"
                " k.revoked_at IS NOT NULL"
                # A key of a person who has left, or is something else now, has ended.
                " OR (k.role IN ('OWNER', 'AGENT') AND k.stands_for IS NOT NULL"
                "     AND (p.id IS NULL OR NOT p.active OR p.role <> k.role))"
                f" FROM {SCHEMA}.api_keys k"
                f" LEFT JOIN {SCHEMA}.people p ON p.id = k.stands_for AND p.seller = k.seller"
                " WHERE k.sha256 = %s",
                [digest],
            )
            row = await cursor.fetchone()
        until = self._monotonic() + REMEMBERED_SECONDS
        if row is None:
            return _Kept(None, None, revoked=False, until=until)
        caller = Principal(row[0], row[1], frozenset(row[2]), row[3], row[4])
        return _Kept(caller, row[5], revoked=row[6], until=until)
