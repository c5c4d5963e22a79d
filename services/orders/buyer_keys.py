"""The keys of sellers, shops and buyers: made where missing, kept wrapped, unwrapped in memory (PD-3).

A key in memory saves its unwrapping, never the look-up: whose row is gone cannot be opened any more, whatever
a process still remembers.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Final, Literal
from uuid import UUID

import msgspec
import psycopg
from psycopg.errors import ForeignKeyViolation

from libs.runtime.clock import uuid7
from libs.runtime.errors import Transient
from libs.runtime.keys import KeyCipher, KeyEncryptionKeys
from libs.runtime.sealing import KEY_BYTES, associated
from services.orders.recorder import byteas, texts, uuids

Purpose = Literal["SEAL", "SEARCH"]
Connection = psycopg.AsyncConnection

# Each some 2.4 kB. When it is full, all are forgotten: counting which was used last would cost more.
CIPHERS_KEPT: Final = 4_000
OWNERS_KEPT: Final = 2_000
# Two consumers that make the same key at once see each other's on the next question.
QUESTIONS_MAX: Final = 5
REWRAP_ROWS: Final = 500


class OwnerKey(msgspec.Struct, frozen=True):
    """The key of a shop (with its connection) or of the seller itself (without), in clear, in memory only."""

    id: UUID
    key: bytes
    cipher: KeyCipher


class Owner(msgspec.Struct, frozen=True):
    """Whose key is meant, and what for."""

    seller: str
    connection: str
    purpose: Purpose = "SEAL"


class Asked(msgspec.Struct, frozen=True):
    """The buyer whose key is wanted, under the key of a shop or seller."""

    owner: Owner
    identity: bytes


class BuyerKeys:
    """Keys by whose they are; a process has one."""

    def __init__(self, keks: KeyEncryptionKeys) -> None:
        self._keks = keks
        self._owners: dict[Owner, OwnerKey] = {}
        self._ciphers: dict[UUID, KeyCipher] = {}

    async def owners(self, connection: Connection, wanted: Iterable[Owner]) -> dict[Owner, OwnerKey]:
        """The keys of all these, made where there is none yet. Raises KeyGone and Transient."""
        needed = set(wanted)
        # Held here too: while this waits, another task may make the process forget what it keeps.
        found = {owner: self._owners[owner] for owner in needed if owner in self._owners}
        missing = [owner for owner in needed if owner not in found]
        if missing:
            loaded = await self._loaded(connection, missing)
            if len(loaded) < len(missing):
                raise Transient("The key of a shop is gone.")
            self._keep_owners(loaded)
            found |= loaded
        return found

    def _keep_owners(self, owners: dict[Owner, OwnerKey]) -> None:
        if len(self._owners) + len(owners) > OWNERS_KEPT:
            self._owners.clear()
        self._owners |= owners

    async def _loaded(self, connection: Connection, missing: Sequence[Owner]) -> dict[Owner, OwnerKey]:
        found = await self._select_owners(connection, missing)
        absent = [owner for owner in missing if owner not in found]
        if absent:
            await self._make_owners(connection, absent)
            found |= await self._select_owners(connection, absent)
        return found

    async def _select_owners(self, connection: Connection, owners: Sequence[Owner]) -> dict[Owner, OwnerKey]:
        cursor = await connection.execute(
            "SELECT k.id, k.seller, k.connection, k.purpose, k.kek, k.wrapped FROM orders.owner_keys k"
            " JOIN unnest(%b, %b, %b) AS a(seller, connection, purpose) USING (seller, connection, purpose)",
            _columns(owners),
            binary=True,
        )
        found: dict[Owner, OwnerKey] = {}
        for key_id, seller, shop, purpose, kek, wrapped in await cursor.fetchall():
            key = self._keks.unwrap(kek, wrapped, str(key_id))
            found[Owner(seller, shop, purpose)] = OwnerKey(key_id, key, KeyCipher(key))
        return found

    async def _make_owners(self, connection: Connection, owners: Sequence[Owner]) -> None:
        ordered = sorted(owners, key=lambda owner: (owner.seller, owner.connection, owner.purpose))
        ids = [uuid7() for _ in ordered]
        wrapped = [self._keks.wrap(os.urandom(KEY_BYTES), str(key_id)) for key_id in ids]
        await connection.execute(
            "INSERT INTO orders.owner_keys (id, seller, connection, purpose, kek, wrapped)"
            " SELECT * FROM unnest(%b, %b, %b, %b, %b, %b) ON CONFLICT DO NOTHING",
            [
                uuids(ids),
                *_columns(ordered),
                texts([kek for kek, _ in wrapped]),
                byteas([key for _, key in wrapped]),
            ],
        )

    async def of_buyers(
        self, connection: Connection, asked: Iterable[Asked], owners: dict[Owner, OwnerKey]
    ) -> dict[Asked, tuple[UUID, KeyCipher]]:
        """The key of each buyer with its id, made where there is none; one question for all of them.

        What it answers is durable, so that nothing is ever sealed under a key that a crash undoes. Raises
        Transient when a shop's key has gone meanwhile.
        """
        missing = set(asked)
        found: dict[Asked, tuple[UUID, KeyCipher]] = {}
        for _ in range(QUESTIONS_MAX):
            if not missing:
                return found
            found |= await self._ask(connection, list(missing), owners)
            missing -= found.keys()
        raise Transient("The keys of buyers were being made by others each time they were asked for.")

    async def _ask(
        self, connection: Connection, asked: Sequence[Asked], owners: dict[Owner, OwnerKey]
    ) -> dict[Asked, tuple[UUID, KeyCipher]]:
        by_place = {(owners[each.owner].id, each.identity): each for each in asked}
        made = [(uuid7(), os.urandom(KEY_BYTES)) for _ in asked]
        try:
            cursor = await connection.execute(
                "SELECT id, identity, owner_key, wrapped FROM orders.buyer_keys_for(%b, %b, %b, %b, %b)",
                [
                    uuids([key_id for key_id, _ in made]),
                    texts([each.owner.seller for each in asked]),
                    byteas([each.identity for each in asked]),
                    uuids([owners[each.owner].id for each in asked]),
                    byteas(
                        [
                            owners[each.owner].cipher.seal(key, _place(key_id))
                            for each, (key_id, key) in zip(asked, made, strict=True)
                        ]
                    ),
                ],
                prepare=True,
                binary=True,
            )
            rows = await cursor.fetchall()
        except ForeignKeyViolation:
            self._owners.clear()
            raise Transient("The key of a shop is gone.") from None
        new = dict(made)
        found: dict[Asked, tuple[UUID, KeyCipher]] = {}
        for key_id, identity, owner_id, wrapped in rows:
            each = by_place[owner_id, identity]
            fresh = new.get(key_id)
            cipher = self._cipher(key_id, wrapped, owners[each.owner]) if fresh is None else KeyCipher(fresh)
            found[each] = (key_id, cipher)
        self._keep(dict(found.values()))
        return found

    async def by_id(self, connection: Connection, key_ids: Iterable[UUID]) -> dict[UUID, KeyCipher]:
        """The keys of buyers by their ids; one that is gone is not in the answer. Raises KeyGone."""
        wanted = set(key_ids)
        if not wanted:
            return {}
        cursor = await connection.execute(
            "SELECT k.id, k.wrapped, o.id, o.seller, o.connection, o.kek, o.wrapped"
            " FROM orders.buyer_keys k JOIN orders.owner_keys o ON o.id = k.owner_key WHERE k.id = ANY(%b)",
            [uuids(list(wanted))],
            prepare=True,
            binary=True,
        )
        found: dict[UUID, KeyCipher] = {}
        for key_id, wrapped, owner_id, seller, shop, kek, owner_wrapped in await cursor.fetchall():
            owner = self._owners.get(Owner(seller, shop))
            if owner is None or owner.id != owner_id:
                key = self._keks.unwrap(kek, owner_wrapped, str(owner_id))
                owner = OwnerKey(owner_id, key, KeyCipher(key))
                self._keep_owners({Owner(seller, shop): owner})
            found[key_id] = self._cipher(key_id, wrapped, owner)
        self._keep(found)
        return found

    def _cipher(self, key_id: UUID, wrapped: bytes, owner: OwnerKey) -> KeyCipher:
        kept = self._ciphers.get(key_id)
        return KeyCipher(owner.cipher.open(wrapped, _place(key_id))) if kept is None else kept

    def _keep(self, ciphers: dict[UUID, KeyCipher]) -> None:
        if len(self._ciphers) + len(ciphers) > CIPHERS_KEPT:
            self._ciphers.clear()
        self._ciphers |= ciphers

    async def missing_keks(self, connection: Connection) -> list[str]:
        """The ids of key-encryption keys that rows are wrapped under and that this process was not given."""
        cursor = await connection.execute("SELECT DISTINCT kek FROM orders.owner_keys ORDER BY kek")
        return [row[0] for row in await cursor.fetchall() if row[0] not in self._keks.raw]

    async def rewrap(self, connection: Connection) -> int:
        """Wrap up to 500 keys anew that are not under the first key-encryption key; how many there were.

        Only the wrapping changes: what is sealed stays as it is. Raises KeyGone.
        """
        cursor = await connection.execute(
            "SELECT id, kek, wrapped FROM orders.owner_keys WHERE kek <> %s ORDER BY id LIMIT %s",
            [self._keks.first, REWRAP_ROWS],
        )
        rows = await cursor.fetchall()
        for key_id, kek, wrapped in rows:
            first, anew = self._keks.wrap(self._keks.unwrap(kek, wrapped, str(key_id)), str(key_id))
            await connection.execute(
                "UPDATE orders.owner_keys SET kek = %s, wrapped = %s WHERE id = %s AND kek = %s",
                [first, anew, key_id, kek],
            )
        return len(rows)


def _place(key_id: UUID) -> bytes:
    return associated("buyer key", str(key_id))


def _columns(owners: Sequence[Owner]) -> list[object]:
    return [
        texts([owner.seller for owner in owners]),
        texts([owner.connection for owner in owners]),
        texts([owner.purpose for owner in owners]),
    ]
