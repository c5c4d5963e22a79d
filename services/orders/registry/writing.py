"""How the registry is changed: one seller at a time, once per key, and never without a row of its history.

A change, its row of history (SR-14) and the answer under its Idempotency-Key are one transaction.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Json

from libs.runtime.postgres import AsyncPool, transaction
from services.orders.registry.refusals import RegistryRefused, not_found

SCHEMA: Final = "orders"
# A client tries again within minutes; after this long a key may be used anew.
ANSWERS_DAYS: Final = 30
SWEEP_ROWS: Final = 100


class By(NamedTuple):
    """Who changes the registry of which seller."""

    seller: str
    caller: str
    role: str


class Answer(NamedTuple):
    """What a write answers; `once` is shown the first time only and kept nowhere."""

    status: int
    body: dict[str, Any]
    once: dict[str, Any] | None = None

    def shown(self) -> dict[str, Any]:
        return self.body | (self.once or {})


Work = Callable[[AsyncConnection], Awaitable[Answer]]


async def write(pool: AsyncPool, by: By, *, key: str, request: bytes, work: Work) -> Answer:
    """Do the work once under this key of the caller; again, the same answer.

    `request` is the digest of what was asked: with another one the key is refused, KEY_REUSED. A refusal by
    the work is not kept, since nothing was done. Raises Transient when the database does not answer.
    """
    async with transaction(pool) as connection:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"registry\x1f{by.seller}\x1f{by.caller}\x1f{key}"],
        )
        row = await _one(
            connection,
            f"SELECT request, status, answer FROM {SCHEMA}.registry_answers"
            " WHERE seller = %s AND caller = %s AND key = %s",
            [by.seller, by.caller, key],
        )
        if row is not None:
            if bytes(row[0]) != request:
                raise RegistryRefused(
                    "INVALID", "KEY_REUSED", "This idempotency key was used for a different request."
                )
            return Answer(row[1], row[2])
        answer = await work(connection)
        await connection.execute(
            f"INSERT INTO {SCHEMA}.registry_answers (seller, caller, key, request, status, answer)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [by.seller, by.caller, key, request, answer.status, Json(answer.body)],
        )
        await connection.execute(
            f"DELETE FROM {SCHEMA}.registry_answers WHERE (seller, caller, key) IN"
            f" (SELECT seller, caller, key FROM {SCHEMA}.registry_answers"
            " WHERE recorded_at < clock_timestamp() - make_interval(days => %s)"
            " ORDER BY recorded_at LIMIT %s)",
            [ANSWERS_DAYS, SWEEP_ROWS],
        )
        return answer


async def lock_seller(connection: AsyncConnection, seller: str) -> None:
    """Let no other change of this seller's registry come between; refuses NOT_FOUND when there is none."""
    row = await _one(connection, f"SELECT 1 FROM {SCHEMA}.sellers WHERE id = %s FOR UPDATE", [seller])
    if row is None:
        raise not_found("registry; the operator registers sellers")


async def record(
    connection: AsyncConnection, by: By, *, subject: str, key: str, change: str, before: Any, after: Any
) -> None:
    """Write down who changed what (SR-14); values as JSON, None for what was not or is not any more."""
    await connection.execute(
        f"INSERT INTO {SCHEMA}.registry_history"
        " (seller, subject, subject_id, change, caller, role, before, after)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [by.seller, subject, key, change, by.caller, by.role, _json(before), _json(after)],
    )


def _json(value: Any) -> Json | None:
    return None if value is None else Json(msgspec.to_builtins(value))


async def _one(connection: AsyncConnection, query: str, values: list[Any]) -> tuple[Any, ...] | None:
    return await (await connection.execute(query.encode(), values)).fetchone()
