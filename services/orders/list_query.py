"""How a page of the order list is found: the statements, and which of them is run (decision 0019)."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import psycopg

from services.orders.facets import SEARCH, facet

# How many orders are walked in the list's order for words that the planner takes to be common.
WALK: Final = 10_000
# A plan that names it looks words up; one that does not walks the list.
_WORDS_INDEX: Final = "order_views_v2_facets"
_COLUMNS: Final = "order_id, placed_at, number, position"

Found = tuple[UUID, datetime, str, int, str]


class Mark(NamedTuple):
    """Where a page of the list ends: the sort order, and time and number of its last order."""

    sort: str
    placed_at: datetime
    number: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a page of the list is asked for; everything given must hold (LS-2).

    `words` are (filter of facets.FILTERS, word); of the days in the seller's zone `since` is inclusive,
    `until` exclusive.
    """

    seller: str
    limit: int
    words: tuple[tuple[str, str], ...] = ()
    search: str = ""
    since: date | None = None
    until: date | None = None
    sort: str = "-placed_at"
    after: Mark | None = None
    # Whether the caller may see and search what is known of buyers (PD-2).
    buyers: bool = False


Statement = tuple[bytes, dict[str, object]]


async def page_rows(
    connection: psycopg.AsyncConnection,
    query: Query,
    zone: ZoneInfo,
    hashes: Sequence[Sequence[int]] = (),
    *,
    ran: list[Statement] | None = None,
) -> list[Any]:
    """Rows of (order id, placed at, number, position, state): the page of the query.

    `hashes` are what the search text is as data of a buyer. Statements are planned for their values anew,
    since the better index depends on how common a word is. The planner knows that of each word, and not of
    words together, nor where in the list they are: so what it would walk the list for is walked for a
    while only, and else looked up. `ran` gets the statements that were run.
    """
    ran = [] if ran is None else ran
    statement = page_statement(query, zone, hashes)
    if query.words and not query.search and await _would_walk(connection, statement):
        statement = walk_statement(query, zone)
        ran.append(statement)
        rows = await (await connection.execute(*statement, prepare=False)).fetchall()
        if len(rows) == query.limit:
            return rows
        statement = page_statement(query, zone)
        ran.append(statement)
        async with connection.transaction():
            # Of the ways that are left the one over the words reads the least.
            await connection.execute("SET LOCAL enable_indexscan = off")
            await connection.execute("SET LOCAL enable_seqscan = off")
            return await (await connection.execute(*statement, prepare=False)).fetchall()
    ran.append(statement)
    return await (await connection.execute(*statement, prepare=False)).fetchall()


async def _would_walk(connection: psycopg.AsyncConnection, statement: Statement) -> bool:
    cursor = await connection.execute(b"EXPLAIN " + statement[0], statement[1], prepare=False)
    return not any(_WORDS_INDEX in row[0] for row in await cursor.fetchall())


def page_statement(query: Query, zone: ZoneInfo, hashes: Sequence[Sequence[int]] = ()) -> Statement:
    """The rows of the page, found by whichever index the planner takes, then their states.

    Each way to find a search text is a query of its own, so that each has its index; the first rows of them
    together are the page.
    """
    conditions, values = _conditions(query, zone)
    if query.words:
        conditions.append("facets @> %(facets)s::bigint[]")
    ways: list[str] = []
    if query.search:
        values["found"] = [facet(query.seller, SEARCH, query.search)]
        ways.append("facets @> %(found)s::bigint[]")
    for number, each in enumerate(hashes):
        values[f"hashes{number}"] = list(each)
        ways.append(
            "order_id IN (SELECT h.order_id FROM orders.search_hashes h WHERE h.seller = %(seller)s"
            f" AND h.hashes @> %(hashes{number})s::bigint[])"
        )
    order = _order(query)
    pages = [
        f"(SELECT {_COLUMNS} FROM orders.order_views_v2 WHERE "
        + " AND ".join([*conditions, *([way] if way else [])])
        + f" ORDER BY {order} LIMIT %(limit)s)"
        for way in ways or [""]
    ]
    return _with_states(" UNION ".join(pages), order), values


def walk_statement(query: Query, zone: ZoneInfo) -> Statement:
    """The rows of the page that are among the next orders of the list; fewer than a page may be not all."""
    conditions, values = _conditions(query, zone)
    values["walk"] = WALK
    order = _order(query)
    near = (
        f"SELECT {_COLUMNS}, facets FROM orders.order_views_v2 WHERE {' AND '.join(conditions)}"
        f" ORDER BY {order} LIMIT %(walk)s"
    )
    page = (
        f"SELECT {_COLUMNS} FROM ({near}) AS near WHERE facets @> %(facets)s::bigint[]"
        f" ORDER BY {order} LIMIT %(limit)s"
    )
    return _with_states(page, order), values


def _with_states(pages: str, order: str) -> bytes:
    return (
        "SELECT order_id, placed_at, number, position, state FROM ("
        f"SELECT * FROM ({pages}) AS ways ORDER BY {order} LIMIT %(limit)s) AS page"
        f" JOIN orders.order_states_v2 USING (order_id) ORDER BY {order}"
    ).encode()


def _order(query: Query) -> str:
    return "placed_at DESC, number DESC" if query.sort == "-placed_at" else "placed_at, number"


def _conditions(query: Query, zone: ZoneInfo) -> tuple[list[str], dict[str, object]]:
    conditions = ["seller = %(seller)s"]
    values: dict[str, object] = {"seller": query.seller, "limit": query.limit}
    if query.words:
        values["facets"] = [facet(query.seller, kind, text) for kind, text in query.words]
    if query.since is not None:
        conditions.append("placed_at >= %(since)s::timestamptz")
        values["since"] = _begin(query.since, zone)
    if query.until is not None:
        conditions.append("placed_at < %(until)s::timestamptz")
        values["until"] = _begin(query.until, zone)
    if query.after is not None:
        beyond = "<" if query.sort == "-placed_at" else ">"
        conditions.append(f"(placed_at, number) {beyond} (%(at)s::timestamptz, %(number)s)")
        values |= {"at": query.after.placed_at, "number": query.after.number}
    return conditions, values


def _begin(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a day."""
    begin = datetime.combine(day, time.min)
    try:
        return begin.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        # The first and the last day that there are, where the zone is ahead or behind.
        return begin.replace(tzinfo=UTC)
