"""Drafts of manual orders as they are kept: bounded, by seller, the buyer's data sealed (MN-1, MN-2).

A draft is no order: it has no events and no number, reserves nothing, and nothing that reads orders finds it.
Its id becomes the order's, so that no draft is placed twice whatever is repeated.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from psycopg import AsyncConnection

from libs.runtime.auth import Principal
from libs.runtime.clock import now, uuid7
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.problems import FieldProblem, Problem
from services.orders.answers import path_of
from services.orders.buyers import Buyers, Told
from services.orders.inputs import FIELD_INVALID
from services.orders.order.commands import Given, Recipient
from services.orders.order.draft import Draft, changed, missing, whole
from services.orders.order.input import FieldFault
from services.orders.order.refusals import CODES
from services.orders.order.words import Sealed
from services.orders.registry.writing import Answer, Work
from services.orders.surroundings import SellerTermsReader

# MN-2: so long after its last change.
DAYS_KEPT: Final = 30
# Of one seller at a time; who makes orders by hand has a few.
DRAFTS_MAX: Final = 1_000
SAID_BYTES_MAX: Final = 131_072
# The fields of the recipient that are data of a buyer (17.1); city and province are not.
_SEALED: Final = ("name", "phone", "email", "address", "district", "postal_code", "note")
_COLUMNS: Final = "id, revision, made_by, said::text, recipient::text, created_at, changed_at"
_KEPT: Final = f"changed_at > clock_timestamp() - make_interval(days => {DAYS_KEPT})"


class Moved(Exception):
    """The draft was changed between its reading and its writing: read it again."""


class Row(Struct, frozen=True):
    """A draft as it lies in its table; of the recipient `said` has city and province only."""

    id: UUID
    revision: int
    made_by: str
    said: str
    recipient: str | None
    created_at: datetime
    changed_at: datetime

    @property
    def sealed(self) -> Sealed | None:
        return None if self.recipient is None else msgspec.json.decode(self.recipient, type=Sealed)


class _Prepared(Struct, frozen=True):
    """What is written of a draft, and what is told of it."""

    said: str
    recipient: str | None
    missing: tuple[FieldFault, ...]


class Drafts:
    """The drafts of all sellers; every method is bounded to the caller's own."""

    def __init__(self, pool: AsyncPool, buyers: Buyers, terms: SellerTermsReader) -> None:
        self._pool = pool
        self._buyers = buyers
        self._terms = terms

    async def making(self, caller: Principal, patch: Mapping[str, Any]) -> Work:
        """What makes a draft of these values.

        Raises the Problem of faulty fields; the work raises TOO_MANY_DRAFTS.
        """
        draft_id = uuid7()
        made = await self._prepared(caller.seller, draft_id, Draft(), patch, None)

        async def work(connection: AsyncConnection) -> Answer:
            # Two that make the last one at once must not both find room.
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"drafts\x1f{caller.seller}"]
            )
            cursor = await connection.execute(
                f"SELECT count(*) FROM orders.drafts WHERE seller = %s AND {_KEPT}", [caller.seller]
            )
            held = await cursor.fetchone()
            assert held is not None, "An aggregate answers one row."
            if held[0] >= DRAFTS_MAX:
                raise _too_many()
            cursor = await connection.execute(
                "INSERT INTO orders.drafts (id, seller, revision, made_by, said, recipient)"
                " VALUES (%s, %s, 1, %s, %s::json, %s::json) RETURNING revision, changed_at",
                [draft_id, caller.seller, caller.stands_as, made.said, made.recipient],
            )
            return _answer(201, draft_id, await cursor.fetchone(), made.missing)

        return work

    async def changing(
        self, caller: Principal, draft_id: UUID, patch: Mapping[str, Any], expected: int | None
    ) -> Work:
        """What changes the draft; the work raises the Problem of why not, and Moved."""
        row = await self.row(caller.seller, draft_id)
        made: _Prepared | Problem
        try:
            if row is None:
                raise draft_not_found()
            _refuse_stale(row.revision, expected)
            made = await self._prepared(caller.seller, draft_id, await self.of(row), patch, row)
        except Problem as problem:
            # Told by the work, since a key that is known has its answer whatever the draft is by now (GR-3).
            made = problem

        async def work(connection: AsyncConnection) -> Answer:
            if isinstance(made, Problem):
                raise made
            assert row is not None, "What is not there is a problem."
            cursor = await connection.execute(
                "UPDATE orders.drafts SET said = %s::json, recipient = %s::json, revision = revision + 1,"
                " changed_at = clock_timestamp() WHERE id = %s AND seller = %s AND revision = %s"
                " RETURNING revision, changed_at",
                [made.said, made.recipient, draft_id, caller.seller, row.revision],
            )
            written = await cursor.fetchone()
            if written is None:
                raise Moved
            return _answer(200, draft_id, written, made.missing)

        return work

    def dropping(self, caller: Principal, draft_id: UUID, expected: int | None) -> Work:
        """What deletes the draft, what is sealed in it included; the work raises the Problem of why not."""

        async def work(connection: AsyncConnection) -> Answer:
            cursor = await connection.execute(
                f"SELECT revision FROM orders.drafts WHERE id = %s AND seller = %s AND {_KEPT} FOR UPDATE",
                [draft_id, caller.seller],
            )
            found = await cursor.fetchone()
            if found is None:
                raise draft_not_found()
            _refuse_stale(found[0], expected)
            await connection.execute("DELETE FROM orders.drafts WHERE id = %s", [draft_id])
            return Answer(200, {"id": str(draft_id)})

        return work

    async def row(self, seller: str, draft_id: UUID, *, settled: bool = False) -> Row | None:
        """The draft as it lies there; `settled`: once whoever changes it now is done. Raises Transient."""
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                f"SELECT {_COLUMNS} FROM orders.drafts WHERE id = %s AND seller = %s AND {_KEPT}"
                f"{' FOR SHARE' if settled else ''}".encode(),
                [draft_id, seller],
            )
            found = await cursor.fetchone()
        return None if found is None else Row(*found)

    async def page(self, seller: str, *, limit: int, before: UUID | None) -> list[Row]:
        """Up to `limit` drafts, the latest made first, made before one of this id."""
        beyond = "" if before is None else " AND id < %s"
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                f"SELECT {_COLUMNS} FROM orders.drafts WHERE seller = %s AND {_KEPT}{beyond}"
                " ORDER BY id DESC LIMIT %s".encode(),
                [seller, *([] if before is None else [before]), limit],
            )
            return [Row(*found) for found in await cursor.fetchall()]

    async def of(self, row: Row) -> Draft:
        """What the draft says, its recipient opened. Raises Transient."""
        [draft] = await self.opened([row])
        return draft

    async def opened(self, rows: Sequence[Row]) -> list[Draft]:
        """The same of several drafts at once; a field whose key is gone is empty."""
        held = [(row.id, [row.sealed] if row.sealed is not None else []) for row in rows]
        found = await self._buyers.open(held)
        return [_with_recipient(row, fields) for row, fields in zip(rows, found, strict=True)]

    async def judged(self, seller: str, draft: Draft) -> tuple[tuple[FieldFault, ...], int | None]:
        """What Buat would refuse now but for stock, and the total if nothing is. Raises Transient."""
        # The number is thrown away: a draft has none (MN-2).
        asked = Given(at=now(), proposed_numbers={"ORDER": "-"})
        given = await self._terms.given(whole(draft)[0], seller, asked)
        return missing(draft, given)

    async def _prepared(
        self, seller: str, draft_id: UUID, before: Draft, patch: Mapping[str, Any], row: Row | None
    ) -> _Prepared:
        draft = changed(before, patch)
        if isinstance(draft, tuple):
            raise fields_problem(draft)
        clear = Recipient(city=draft.recipient.city, province=draft.recipient.province)
        said = msgspec.json.encode(replace(draft, recipient=clear))
        if len(said) > SAID_BYTES_MAX:
            sentence = f"A draft has at most {SAID_BYTES_MAX} bytes; make two orders of it."
            raise fields_problem([FieldFault("lines", FIELD_INVALID, sentence)])
        lacking, _ = await self.judged(seller, draft)
        if row is not None and draft.recipient == before.recipient:
            return _Prepared(said.decode(), row.recipient, lacking)
        fields = {name: value for name in _SEALED if (value := getattr(draft.recipient, name))}
        [sealed] = await self._buyers.seal([Told(order_id=draft_id, seller=seller, fields=fields)])
        box = None if sealed is None else msgspec.json.encode(sealed.sealed).decode()
        return _Prepared(said.decode(), box, lacking)


def shown(row: Row, draft: Draft, *, contact: bool) -> dict[str, Any]:
    """The draft as the API answers it; without `contact` nothing that is sealed (PD-2)."""
    said = msgspec.to_builtins(draft)
    if not contact:
        said["recipient"] = {name: said["recipient"][name] for name in ("city", "province")}
    return {
        "id": str(row.id),
        "revision": row.revision,
        "made_by": row.made_by,
        "created_at": _instant(row.created_at),
        "changed_at": _instant(row.changed_at),
        "expires_at": _instant(row.changed_at + timedelta(days=DAYS_KEPT)),
        **said,
    }


def faults_shown(faults: Sequence[FieldFault]) -> list[FieldProblem]:
    """Faults as all doors tell them."""
    return [
        FieldProblem(field=path_of(fault.field), code=fault.code, sentence=fault.sentence) for fault in faults
    ]


def fields_problem(faults: Sequence[FieldFault]) -> Problem:
    """The Problem of wrong fields, told together under the code of the first."""
    refusal = CODES[faults[0].code]
    fields = faults_shown(faults)
    return Problem(refusal.http, faults[0].code, refusal.en, fields=fields, sentence=refusal.sentence)


def draft_not_found() -> Problem:
    """The same answer for a draft of another seller (RF-4), one that is placed, and one that has expired."""
    sentence = {"en": "There is no such draft.", "id": "Draf ini tidak ada."}
    return Problem(404, "DRAFT_NOT_FOUND", sentence["en"], sentence=sentence)


def _too_many() -> Problem:
    sentence = {
        "en": f"A seller keeps at most {DRAFTS_MAX:,} drafts; place or delete one first.",
        "id": f"Paling banyak {DRAFTS_MAX} draf disimpan; buat pesanannya atau hapus satu dahulu.",
    }
    return Problem(409, "TOO_MANY_DRAFTS", sentence["en"], sentence=sentence)


def _refuse_stale(revision: int, expected: int | None) -> None:
    if expected is not None and expected != revision:
        sentence = {
            "en": "The draft has changed since you read it; read it again.",
            "id": "Draf ini sudah berubah sejak Anda membacanya; baca lagi.",
        }
        raise Problem(412, "SEQUENCE_CONFLICT", sentence["en"], sentence=sentence, revision=revision)


def _answer(
    status: int, draft_id: UUID, written: tuple[Any, ...] | None, lacking: Sequence[FieldFault]
) -> Answer:
    """What a write answers and what is kept with its key: nothing that the draft says."""
    assert written is not None, "A written row is returned."
    revision, changed_at = written
    body = {
        "id": str(draft_id),
        "revision": revision,
        "changed_at": _instant(changed_at),
        "expires_at": _instant(changed_at + timedelta(days=DAYS_KEPT)),
        "missing": faults_shown(lacking),
    }
    return Answer(status, body)


def _with_recipient(row: Row, fields: Mapping[str, str]) -> Draft:
    draft = msgspec.json.decode(row.said, type=Draft)
    told = {name: text for name, text in fields.items() if name in _SEALED}
    return replace(draft, recipient=replace(draft.recipient, **told))


def _instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
