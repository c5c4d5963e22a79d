"""Every change of the registry, inside a transaction of `writing.write`: checked, done, and in the history.

A change that makes no difference writes nothing, no row of history either.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection, errors
from psycopg.types.json import Json

from services.orders.registry import reading
from services.orders.registry.model import (
    CATEGORIES,
    UNPAID,
    BankAccount,
    CalendarVersion,
    Holiday,
    PaymentMethod,
    Person,
    Reason,
    Seller,
    calendar_faults,
    folded,
    method_faults,
    seller_faults,
    tag_of,
    word_faults,
)
from services.orders.registry.policies import Policies, PolicyVersion, faults_of
from services.orders.registry.refusals import FieldRefused, conflict, invalid, not_found
from services.orders.registry.writing import SCHEMA, By, lock_seller, record

PEOPLE_MAX: Final = 1_000
TAGS_MAX: Final = 500
REASONS_MAX: Final = 200
CATEGORIES_MAX: Final = 50
ROLES_OF_PEOPLE: Final = ("OWNER", "AGENT")
GIVERS: Final = ("BUYER", "SELLER")


async def register_seller(
    connection: AsyncConnection, by: By, seller: Seller, *, owner: Person, numbers: bytes | None
) -> Seller:
    """Begin a seller with its first owner (SR-1, SR-3); `numbers` is the sealed NPWP.

    The same id again changes nothing and gives the seller as it stands. Refused: CODE_TAKEN.
    """
    faults = seller_faults(
        code=seller.code, zone=seller.zone, tax_mode=seller.tax_mode, rate=seller.tax_rate_basis_points
    )
    faults += method_faults(sorted(seller.payment_methods), seller.bank_accounts)
    if faults:
        raise invalid(faults)
    there = await reading.seller_of(connection, seller.id)
    if there is not None:
        return there
    try:
        async with connection.transaction():
            await connection.execute(
                f"INSERT INTO {SCHEMA}.sellers (id, code, name, address, zone, tax_mode, tax_rate,"
                " npwp_masked, npwp_sealed, payment_methods, bank_accounts)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    *(seller.id, seller.code, seller.name, seller.address, seller.zone, seller.tax_mode),
                    *(seller.tax_rate_basis_points, seller.npwp_masked, numbers),
                    *(sorted(seller.payment_methods), Json(msgspec.to_builtins(seller.bank_accounts))),
                ],
            )
    except errors.UniqueViolation:
        raise conflict("CODE_TAKEN", "Another seller has this code; choose another one.") from None
    of_it = By(seller.id, by.caller, by.role)
    await record(
        connection, of_it, subject="seller", key=seller.id, change="registered", before=None, after=seller
    )
    await _insert_person(connection, of_it, owner)
    return seller


async def change_seller(
    connection: AsyncConnection, by: By, changes: dict[str, Any], *, numbers: bytes | None
) -> Seller:
    """Give fields of the seller new values; what is decided stays as it is (SR-1). The code never changes."""
    await lock_seller(connection, by.seller)
    before = await _seller(connection, by)
    after = msgspec.structs.replace(before, **changes)
    faults = seller_faults(
        code=after.code, zone=after.zone, tax_mode=after.tax_mode, rate=after.tax_rate_basis_points
    )
    if after.code != before.code:
        faults.append(FieldRefused("code", "The code of a seller never changes; leave it out."))
    if faults:
        raise invalid(faults)
    # The same last four digits do not make the same number.
    if after == before and numbers is None:
        return before
    await connection.execute(
        f"UPDATE {SCHEMA}.sellers SET name = %s, address = %s, zone = %s, tax_mode = %s, tax_rate = %s,"
        " npwp_masked = %s, npwp_sealed = coalesce(%s, npwp_sealed) WHERE id = %s",
        [
            *(after.name, after.address, after.zone, after.tax_mode, after.tax_rate_basis_points),
            *(after.npwp_masked, numbers, by.seller),
        ],
    )
    await record(
        connection, by, subject="seller", key=by.seller, change="changed", before=before, after=after
    )
    return after


async def offer_methods(
    connection: AsyncConnection, by: By, methods: Sequence[PaymentMethod], accounts: Sequence[BankAccount]
) -> Seller:
    """Offer these payment methods from now on and no others; no order changes (SR-11)."""
    await lock_seller(connection, by.seller)
    if faults := method_faults(methods, accounts):
        raise invalid(faults)
    before = await _seller(connection, by)
    after = msgspec.structs.replace(before, payment_methods=frozenset(methods), bank_accounts=tuple(accounts))
    if after == before:
        return before
    await connection.execute(
        f"UPDATE {SCHEMA}.sellers SET payment_methods = %s, bank_accounts = %s WHERE id = %s",
        [sorted(methods), Json(msgspec.to_builtins(tuple(accounts))), by.seller],
    )
    await record(
        connection,
        by,
        subject="payment-methods",
        key=by.seller,
        change="changed",
        before=_methods(before),
        after=_methods(after),
    )
    return after


async def add_person(connection: AsyncConnection, by: By, person: Person) -> Person:
    """Take somebody on (SR-3)."""
    await lock_seller(connection, by.seller)
    await _refuse_too_many(connection, by, "people", PEOPLE_MAX)
    await _insert_person(connection, by, person)
    return person


async def change_person(
    connection: AsyncConnection, by: By, person_id: str, changes: dict[str, Any]
) -> Person:
    """Change name, role or activity; nobody is deleted (SR-3). Refused: LAST_OWNER."""
    await lock_seller(connection, by.seller)
    everybody = await reading.people(connection, by.seller)
    before = everybody.get(person_id)
    if before is None:
        raise not_found("person")
    after = msgspec.structs.replace(before, **changes)
    _check_role(after)
    if after == before:
        return before
    if not any(each.role == "OWNER" and each.active for each in ({**everybody, person_id: after}).values()):
        raise conflict("LAST_OWNER", "A seller needs an active owner; name another one first.")
    await connection.execute(
        f"UPDATE {SCHEMA}.people SET name = %s, role = %s, active = %s WHERE seller = %s AND id = %s",
        [after.name, after.role, after.active, by.seller, person_id],
    )
    await record(
        connection, by, subject="person", key=person_id, change="changed", before=before, after=after
    )
    return after


async def add_tag(connection: AsyncConnection, by: By, tag_id: str, text: str) -> dict[str, str]:
    """Put a tag on the list; one that differs in case only is there already and stays (AT-3)."""
    await lock_seller(connection, by.seller)
    tag = _tag(text)
    row = await _one(
        connection,
        f"SELECT id, tag FROM {SCHEMA}.tags WHERE seller = %s AND folded = %s",
        [by.seller, folded(tag)],
    )
    if row is not None:
        return {"id": row[0], "tag": row[1]}
    await _refuse_too_many(connection, by, "tags", TAGS_MAX)
    await connection.execute(
        f"INSERT INTO {SCHEMA}.tags (id, seller, tag, folded) VALUES (%s, %s, %s, %s)",
        [tag_id, by.seller, tag, folded(tag)],
    )
    await record(connection, by, subject="tag", key=tag_id, change="added", before=None, after={"tag": tag})
    return {"id": tag_id, "tag": tag}


async def rename_tag(connection: AsyncConnection, by: By, tag_id: str, text: str) -> dict[str, str]:
    """Write a tag otherwise; orders keep the one they carry (AT-4). Refused: TAG_EXISTS."""
    await lock_seller(connection, by.seller)
    tag = _tag(text)
    before = await _tag_there(connection, by, tag_id)
    if before == tag:
        return {"id": tag_id, "tag": tag}
    try:
        async with connection.transaction():
            await connection.execute(
                f"UPDATE {SCHEMA}.tags SET tag = %s, folded = %s WHERE seller = %s AND id = %s",
                [tag, folded(tag), by.seller, tag_id],
            )
    except errors.UniqueViolation:
        raise conflict("TAG_EXISTS", "The list holds this tag already.") from None
    await record(
        connection,
        by,
        subject="tag",
        key=tag_id,
        change="renamed",
        before={"tag": before},
        after={"tag": tag},
    )
    return {"id": tag_id, "tag": tag}


async def delete_tag(connection: AsyncConnection, by: By, tag_id: str) -> dict[str, str]:
    """Take a tag off the list; orders keep it (AT-4)."""
    await lock_seller(connection, by.seller)
    before = await _tag_there(connection, by, tag_id)
    await connection.execute(f"DELETE FROM {SCHEMA}.tags WHERE seller = %s AND id = %s", [by.seller, tag_id])
    await record(
        connection, by, subject="tag", key=tag_id, change="deleted", before={"tag": before}, after=None
    )
    return {"id": tag_id, "tag": before}


async def add_reason(connection: AsyncConnection, by: By, reason: Reason) -> Reason:
    """Offer a reason to cancel (SR-8). Refused: REASON_EXISTS, the built-in one included."""
    await lock_seller(connection, by.seller)
    if faults := [*word_faults("code", reason.code), *_giver_faults(reason)]:
        raise invalid(faults)
    if reason.code in await reading.reasons(connection, by.seller):
        raise conflict("REASON_EXISTS", "There is a reason of this code; a code keeps its meaning.")
    await _refuse_too_many(connection, by, "cancel_reasons", REASONS_MAX)
    await connection.execute(
        f"INSERT INTO {SCHEMA}.cancel_reasons (seller, code, label, given_by, active)"
        " VALUES (%s, %s, %s, %s, %s)",
        [by.seller, reason.code, reason.label, reason.given_by, reason.active],
    )
    await record(connection, by, subject="reason", key=reason.code, change="added", before=None, after=reason)
    return reason


async def change_reason(connection: AsyncConnection, by: By, code: str, changes: dict[str, Any]) -> Reason:
    """Change the label of a reason, or retire it; orders keep what they were given (SR-8)."""
    await lock_seller(connection, by.seller)
    before = (await reading.reasons(connection, by.seller)).get(code)
    if before is None:
        raise not_found("reason")
    if code == UNPAID.code:
        raise conflict("REASON_BUILT_IN", "This reason is built in and does not change.")
    after = msgspec.structs.replace(before, **changes)
    if faults := _giver_faults(after):
        raise invalid(faults)
    if after == before:
        return before
    await connection.execute(
        f"UPDATE {SCHEMA}.cancel_reasons SET label = %s, given_by = %s, active = %s"
        " WHERE seller = %s AND code = %s",
        [after.label, after.given_by, after.active, by.seller, code],
    )
    await record(connection, by, subject="reason", key=code, change="changed", before=before, after=after)
    return after


async def set_policies(connection: AsyncConnection, by: By, policies: Policies) -> PolicyVersion:
    """Record a whole new version, which holds from now on (SR-9); the same values again are no new one."""
    await lock_seller(connection, by.seller)
    if faults := faults_of(policies):
        raise invalid(faults)
    before = await reading.policies_in_force(connection, by.seller)
    if before.policies == policies:
        return before
    after = PolicyVersion(before.version + 1, policies)
    await connection.execute(
        f"INSERT INTO {SCHEMA}.policy_versions (seller, version, policies, author) VALUES (%s, %s, %s, %s)",
        [by.seller, after.version, Json(msgspec.to_builtins(policies)), by.caller],
    )
    await record(
        connection, by, subject="policies", key=str(after.version), change="set", before=before, after=after
    )
    return after


async def set_calendar(connection: AsyncConnection, by: By, days: Sequence[Holiday]) -> CalendarVersion:
    """Record a whole new version of the holidays (SR-10); deadlines that are set do not move (TM-2)."""
    await lock_seller(connection, by.seller)
    if faults := calendar_faults(days):
        raise invalid(faults)
    before = await reading.calendar_in_force(connection, by.seller)
    if before.days == tuple(sorted(days)):
        return before
    after = CalendarVersion(before.version + 1, tuple(sorted(days)))
    await connection.execute(
        f"INSERT INTO {SCHEMA}.calendar_versions (seller, version, days, author) VALUES (%s, %s, %s, %s)",
        [by.seller, after.version, Json(msgspec.to_builtins(after.days)), by.caller],
    )
    await record(
        connection, by, subject="calendar", key=str(after.version), change="set", before=before, after=after
    )
    return after


async def set_category(connection: AsyncConnection, by: By, code: str, label: str) -> dict[str, str]:
    """Make a customer category of the seller's own, or give it another label (SR-12)."""
    await lock_seller(connection, by.seller)
    if faults := word_faults("code", code):
        raise invalid(faults)
    if code in CATEGORIES:
        raise conflict("CATEGORY_BUILT_IN", "This category is built in and does not change.")
    there = await reading.categories(connection, by.seller)
    if there.get(code) == label:
        return {"code": code, "label": label}
    if code not in there:
        await _refuse_too_many(connection, by, "customer_categories", CATEGORIES_MAX)
    await connection.execute(
        f"INSERT INTO {SCHEMA}.customer_categories (seller, code, label) VALUES (%s, %s, %s)"
        " ON CONFLICT (seller, code) DO UPDATE SET label = excluded.label",
        [by.seller, code, label],
    )
    before = {"label": there[code]} if code in there else None
    await record(
        connection, by, subject="category", key=code, change="set", before=before, after={"label": label}
    )
    return {"code": code, "label": label}


def _methods(seller: Seller) -> dict[str, Any]:
    return {"methods": sorted(seller.payment_methods), "bank_accounts": seller.bank_accounts}


async def _seller(connection: AsyncConnection, by: By) -> Seller:
    found = await reading.seller_of(connection, by.seller)
    assert found is not None, "Its row is locked."
    return found


async def _insert_person(connection: AsyncConnection, by: By, person: Person) -> None:
    _check_role(person)
    await connection.execute(
        f"INSERT INTO {SCHEMA}.people (id, seller, name, role, active) VALUES (%s, %s, %s, %s, %s)",
        [person.id, by.seller, person.name, person.role, person.active],
    )
    await record(connection, by, subject="person", key=person.id, change="added", before=None, after=person)


def _check_role(person: Person) -> None:
    if person.role not in ROLES_OF_PEOPLE:
        raise invalid([FieldRefused("role", "Give OWNER or AGENT.")])


def _giver_faults(reason: Reason) -> list[FieldRefused]:
    return [] if reason.given_by in GIVERS else [FieldRefused("given_by", "Give BUYER or SELLER.")]


def _tag(text: str) -> str:
    tag = tag_of(text)
    if tag is None:
        raise invalid([FieldRefused("tag", "A tag has 1 to 40 visible characters.", "TAG_INVALID")])
    return tag


async def _tag_there(connection: AsyncConnection, by: By, tag_id: str) -> str:
    row = await _one(
        connection, f"SELECT tag FROM {SCHEMA}.tags WHERE seller = %s AND id = %s", [by.seller, tag_id]
    )
    if row is None:
        raise not_found("tag")
    return str(row[0])


async def _refuse_too_many(connection: AsyncConnection, by: By, table: str, most: int) -> None:
    row = await _one(connection, f"SELECT count(*) FROM {SCHEMA}.{table} WHERE seller = %s", [by.seller])
    if row is not None and row[0] >= most:
        raise conflict("TOO_MANY", f"A seller may have at most {most} of these.")


async def _one(connection: AsyncConnection, query: str, values: list[Any]) -> tuple[Any, ...] | None:
    return await (await connection.execute(query.encode(), values)).fetchone()
