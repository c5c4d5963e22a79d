"""What all routes of the registry share: who may, how a write is given, how lists and refusals are told."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
import orjson
from fastapi import Depends, Path, Request
from psycopg import AsyncConnection
from starlette.responses import Response

from libs.runtime.auth import Principal, require
from libs.runtime.pages import PageRequest, cut, page
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.problems import CODES, FieldProblem, Problem
from services.orders.registry.refusals import RegistryRefused, not_found
from services.orders.registry.roles import Role
from services.orders.registry.writing import SCHEMA, By, Work, write

_STATUS: Final = {"NOT_FOUND": 404, "CONFLICT": 409, "INVALID": 422}

# An id or a code in a path: PostgreSQL's text holds no NUL, so that such a one is a wrong field.
PathId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]
# Its bigint ends at 2^63 - 1: a forged cursor is a wrong field too, and no fault of the server.
TextMark = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]
NumberMark = Annotated[int, msgspec.Meta(ge=0, le=9_223_372_036_854_775_807)]

Reader = Annotated[Principal, Depends(require("orders:read", "registry"))]
_registry = require("registry")


async def _owner(request: Request) -> Principal:
    principal = await _registry(request)
    if principal.role != Role.OWNER:
        raise Problem(403, CODES[403], "Only the owner may do this.")
    return principal


# 18.2: the registry is the owner's; agents read what they choose from.
Owner = Annotated[Principal, Depends(_owner)]


def sellers_people(scope: str) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency: the caller, an owner or agent who holds the scope; raises NOT_PERMITTED otherwise."""
    scoped = require(scope)

    async def permitted(request: Request) -> Principal:
        principal = await scoped(request)
        if principal.role not in {Role.OWNER, Role.AGENT}:
            raise Problem(403, CODES[403], "Only the seller's own people may do this.")
        return principal

    return permitted


def answered(body: Any, status: int = 200) -> Response:
    """The body as JSON."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def problem_of(refused: RegistryRefused) -> Problem:
    """The refusal as an answer of HTTP."""
    fields = [
        FieldProblem(field=each.field, code=each.code, sentence=each.sentence) for each in refused.fields
    ]
    return Problem(_STATUS[refused.kind], refused.code, refused.sentence, fields=fields)


def by_of(caller: Principal) -> By:
    """The caller as the registry's history keeps it."""
    return By(caller.seller, caller.id, caller.role)


class Doors:
    """Gives writes and lists of the registry to the database."""

    def __init__(self, pool: AsyncPool) -> None:
        self.pool = pool

    async def write(self, request: Request, caller: Principal, key: str, work: Work) -> Response:
        """Do the work once under the Idempotency-Key, and answer it; a refusal becomes its Problem."""
        asked = hashlib.sha256(
            b"\x00".join(
                (request.method.encode(), request.url.path.encode(), _canonical(await request.body()))
            )
        ).digest()
        try:
            answer = await write(self.pool, by_of(caller), key=key, request=asked, work=work)
        except RegistryRefused as refused:
            raise problem_of(refused) from None
        return answered(answer.shown(), answer.status)

    async def read(self, read: Callable[[AsyncConnection], Any]) -> Any:
        """What the function reads; a refusal becomes its Problem."""
        try:
            async with transient_faults(), self.pool.connection() as connection:
                return await read(connection)
        except RegistryRefused as refused:
            raise problem_of(refused) from None

    async def known(self, caller: Principal) -> None:
        """Answer NOT_FOUND for a seller that the registry does not know."""

        async def look(connection: AsyncConnection) -> None:
            found = await connection.execute(f"SELECT 1 FROM {SCHEMA}.sellers WHERE id = %s", [caller.seller])
            if await found.fetchone() is None:
                raise not_found("registry; the operator registers sellers")

        await self.read(look)

    async def listed(
        self,
        caller: Principal,
        paging: PageRequest,
        *,
        columns: str,
        table: str,
        mark: str,
        shown: Callable[[tuple[Any, ...]], dict[str, Any]],
        latest_first: bool = False,
        mark_type: Any = TextMark,
    ) -> Response:
        """A page of the caller's rows of a table by a column that is unique within the seller."""
        after = paging.after(mark_type)
        beyond = "" if after is None else f" AND {mark} {'<' if latest_first else '>'} %s"
        query = (
            f"SELECT {mark}, {columns} FROM {SCHEMA}.{table} WHERE seller = %s{beyond}"
            f" ORDER BY {mark}{' DESC' if latest_first else ''} LIMIT %s"
        )
        values = [caller.seller, *([] if after is None else [after]), paging.limit + 1]

        async def read(connection: AsyncConnection) -> Sequence[tuple[Any, ...]]:
            return await (await connection.execute(query.encode(), values)).fetchall()

        rows, following = cut(await self.read(read), paging.limit, lambda row: row[0])
        return answered(page([shown(row[1:]) for row in rows], following))


def _canonical(body: bytes) -> bytes:
    """The body so that two of the same meaning are the same bytes; what is no JSON stays as it is."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    except ValueError:
        return body
