"""What decisions read of the registry (CV-4, CV-6): the values that they carry."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from services.orders.registry import policies as rules
from services.orders.registry.model import (
    CATEGORIES,
    NO_CALENDAR,
    UNPAID,
    BankAccount,
    CalendarVersion,
    Holiday,
    PaymentMethod,
    Person,
    Reason,
    Seller,
    TaxMode,
)
from services.orders.registry.policies import DEFAULTS, PolicyVersion

SCHEMA: Final = "orders"
_SELLER: Final = (
    "id, code, name, address, zone, tax_mode, tax_rate, npwp_masked, payment_methods, bank_accounts"
)


async def seller_of(connection: AsyncConnection, seller_id: str) -> Seller | None:
    """The seller as it is now (SR-1), None if the registry has none of this id."""
    row = await _one(connection, f"SELECT {_SELLER} FROM {SCHEMA}.sellers WHERE id = %s", seller_id)
    if row is None:
        return None
    return Seller(
        id=row[0],
        code=row[1],
        name=row[2],
        address=row[3],
        zone=row[4],
        tax_mode=TaxMode(row[5]),
        tax_rate_basis_points=row[6],
        npwp_masked=row[7],
        payment_methods=frozenset(PaymentMethod(each) for each in row[8]),
        bank_accounts=tuple(msgspec.convert(each, BankAccount) for each in row[9]),
    )


async def policies_in_force(connection: AsyncConnection, seller_id: str) -> PolicyVersion:
    """The policies that hold for a decision made now, with the number that its events keep (SR-9, CV-6).

    A seller that has chosen none, also one that the registry does not know, has the defaults, version 0.
    """
    row = await _one(
        connection,
        f"SELECT version, policies FROM {SCHEMA}.policy_versions WHERE seller = %s"
        " ORDER BY version DESC LIMIT 1",
        seller_id,
    )
    return DEFAULTS if row is None else PolicyVersion(row[0], rules.read(row[1]))


async def policies_of_version(connection: AsyncConnection, seller_id: str, version: int) -> PolicyVersion:
    """The policies of the number that an event keeps (CV-6). Raises LookupError where the seller has none."""
    if version == DEFAULTS.version:
        return DEFAULTS
    row = await _one(
        connection,
        f"SELECT policies FROM {SCHEMA}.policy_versions WHERE seller = %s AND version = %s",
        seller_id,
        version,
    )
    if row is None:
        raise LookupError(f"Seller {seller_id} has no version {version} of its policies.")
    return PolicyVersion(version, rules.read(row[0]))


async def calendar_in_force(connection: AsyncConnection, seller_id: str) -> CalendarVersion:
    """The seller's holidays for a deadline set now, with the number that is kept with it (SR-10, TM-2)."""
    row = await _one(
        connection,
        f"SELECT version, days FROM {SCHEMA}.calendar_versions WHERE seller = %s"
        " ORDER BY version DESC LIMIT 1",
        seller_id,
    )
    return NO_CALENDAR if row is None else CalendarVersion(row[0], days_of(row[1]))


def days_of(stored: list[dict[str, Any]]) -> tuple[Holiday, ...]:
    """The days of stored JSON, the earliest first."""
    return tuple(sorted(Holiday(date.fromisoformat(each["day"]), each["name"]) for each in stored))


async def reasons(connection: AsyncConnection, seller_id: str) -> Mapping[str, Reason]:
    """All cancel reasons by code, retired ones too, which stay readable, and the built-in UNPAID (SR-8)."""
    rows = await _all(
        connection,
        f"SELECT code, label, given_by, active FROM {SCHEMA}.cancel_reasons WHERE seller = %s",
        seller_id,
    )
    return {UNPAID.code: UNPAID} | {row[0]: Reason(*row) for row in rows}


async def people(connection: AsyncConnection, seller_id: str) -> Mapping[str, Person]:
    """All people of the seller by id, those who have left too (SR-3)."""
    rows = await _all(
        connection, f"SELECT id, name, role, active FROM {SCHEMA}.people WHERE seller = %s", seller_id
    )
    return {row[0]: Person(*row) for row in rows}


async def agents(connection: AsyncConnection, seller_id: str) -> frozenset[str]:
    """The ids of the active agents: whom ChangeAgent may name (AT-2)."""
    found = await people(connection, seller_id)
    return frozenset(person.id for person in found.values() if person.active and person.role == "AGENT")


async def tags(connection: AsyncConnection, seller_id: str) -> tuple[str, ...]:
    """The seller's tags, for choosing (SR-7); an order may carry others (AT-4)."""
    rows = await _all(
        connection, f"SELECT tag FROM {SCHEMA}.tags WHERE seller = %s ORDER BY folded", seller_id
    )
    return tuple(row[0] for row in rows)


async def categories(connection: AsyncConnection, seller_id: str) -> Mapping[str, str]:
    """The labels of the customer categories by code: the three of ST-17, then the seller's own (SR-12)."""
    rows = await _all(
        connection,
        f"SELECT code, label FROM {SCHEMA}.customer_categories WHERE seller = %s ORDER BY code",
        seller_id,
    )
    return CATEGORIES | dict(rows)


async def _one(connection: AsyncConnection, query: str, *values: Any) -> tuple[Any, ...] | None:
    return await (await connection.execute(query.encode(), values)).fetchone()


async def _all(connection: AsyncConnection, query: str, *values: Any) -> list[Any]:
    return await (await connection.execute(query.encode(), values)).fetchall()
