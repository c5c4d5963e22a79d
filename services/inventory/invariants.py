"""What must always hold of the stock: each a statement, a query that finds what breaks it, and its rule.

Read-only. A sound state gives nothing; the tests and the verifier run the same list.
"""

from typing import Final

import psycopg
from msgspec import Struct


class Invariant(Struct, frozen=True):
    """One statement; the query gives (seller, sku, sentence) per violation."""

    rule: str
    statement: str
    query: str


class Violation(Struct, frozen=True):
    """Where an invariant does not hold."""

    rule: str
    seller: str
    sku: str
    sentence: str


# What the ledger alone says the figures are.
_LEDGER = """
    SELECT seller, sku,
           sum(CASE kind WHEN 'RESERVED' THEN units ELSE -units END)::bigint AS reserved_units,
           coalesce(sum(units) FILTER (WHERE kind = 'SHIPPED'), 0)::bigint AS shipped_units
    FROM inventory.movements GROUP BY seller, sku"""

INVARIANTS: Final = (
    Invariant(
        "IV-02",
        "Reserved = reserved - released - shipped of the ledger; shipped = shipped of the ledger",
        f"""
        SELECT coalesce(level.seller, ledger.seller), coalesce(level.sku, ledger.sku),
               format('The figures say %s reserved and %s shipped, the ledger %s and %s.',
                      level.reserved_units, level.shipped_units, ledger.reserved_units, ledger.shipped_units)
        FROM inventory.stock_levels AS level
        FULL JOIN ({_LEDGER}) AS ledger ON ledger.seller = level.seller AND ledger.sku = level.sku
        WHERE (level.reserved_units, level.shipped_units)
              IS DISTINCT FROM (ledger.reserved_units, ledger.shipped_units)""",
    ),
    Invariant(
        "IV-02",
        "Nothing is below zero",
        f"""
        SELECT seller, sku, format('The ledger comes to %s reserved.', reserved_units)
        FROM ({_LEDGER}) AS ledger WHERE reserved_units < 0 OR shipped_units < 0""",
    ),
    Invariant(
        "IV-02",
        "Reserved = sum of the open order lines",
        """
        SELECT coalesce(level.seller, open.seller), coalesce(level.sku, open.sku),
               format('The figures say %s reserved, the open lines %s.',
                      coalesce(level.reserved_units, 0), coalesce(open.units, 0))
        FROM inventory.stock_levels AS level
        FULL JOIN (SELECT seller, sku, sum(open_units)::bigint AS units FROM inventory.order_lines
                   WHERE sku <> '' GROUP BY seller, sku) AS open
             ON open.seller = level.seller AND open.sku = level.sku
        WHERE coalesce(level.reserved_units, 0) <> coalesce(open.units, 0)""",
    ),
    Invariant(
        "MV-02",
        "One event moves a line of a SKU once in each way",
        """
        SELECT seller, sku, format('Event %s moved line %s %s times as %s.', event_id, line, count(*), kind)
        FROM inventory.movements GROUP BY seller, sku, event_id, line, kind HAVING count(*) > 1""",
    ),
)


async def violations(connection: psycopg.AsyncConnection) -> list[Violation]:
    """Everything that does not hold, as one snapshot sees it; empty when all is sound."""
    found: list[Violation] = []
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for invariant in INVARIANTS:
            cursor = await connection.execute(invariant.query.encode())
            found += [Violation(invariant.rule, *row) for row in await cursor.fetchall()]
    return found
