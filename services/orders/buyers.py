"""Data of buyers: sealed before it is stored, opened at the moment of reading, found by hashes (PD-1 ff.).

`Told` is what somebody said of a buyer, in clear; `SealedBuyer` what may be kept of it.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec
import psycopg
import structlog

from libs.runtime.jwe import Envelopes
from libs.runtime.keys import KeyCipher, KeyEncryptionKeys
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.sealing import SealBroken, associated
from services.orders.buyer_keys import Asked, BuyerKeys, Owner, OwnerKey
from services.orders.buyer_search import Kind, hashes_of_fields, hashes_of_search, identity
from services.orders.order.buyer import is_buyer_field, is_masked, newest
from services.orders.order.phone import HOME, international
from services.orders.order.words import Sealed
from services.orders.recorder import SearchHashes
from services.orders.settings import OrdersSettings

log = structlog.get_logger(__name__)

PHONES: Final = ("phone", "recipient_phone")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of an order's buyer, by field (order.buyer.FIELDS), in clear.

    `region` reads numbers without a country. `connection` is empty for an order of the seller's own. `about`
    tells who the buyer is where the fields do not: another statement of the same order, or the id of the
    key that the order's buyer has.
    """

    order_id: UUID
    seller: str
    fields: Mapping[str, str]
    connection: str = ""
    region: str = HOME
    about: Mapping[str, str] | UUID | None = None


class SealedBuyer(msgspec.Struct, frozen=True):
    """The sealed fields, and by field the hashes that they are found by."""

    sealed: Sealed
    seller: str
    hashes: Mapping[str, Sequence[int]]

    def search_hashes(self, order_id: UUID, kept: Sealed) -> SearchHashes:
        """What the order is found by, of the fields that were kept of these."""
        found = {number for name in kept.fields for number in self.hashes.get(name, ())}
        return SearchHashes(order_id, UUID(kept.key), self.seller, tuple(sorted(found)))


class Buyers:
    """Seals, opens and finds; a method asks the database once or twice, however many orders it is given."""

    def __init__(self, pool: AsyncPool, keks: KeyEncryptionKeys, envelopes: Envelopes) -> None:
        self._pool = pool
        self.keys = BuyerKeys(keks)
        self.envelopes = envelopes

    async def seal(self, told: Sequence[Told]) -> list[SealedBuyer | None]:
        """Each statement's fields, sealed under its buyer's key, in the order given.

        Numbers are put in international form where they can be read as one (MN-6); blank fields and fields of
        no class are left out (PD-1). None where nothing is left, or the key that `about` names is gone.
        Raises Transient.
        """
        stated = [_stated(each) for each in told]
        asked: dict[int, Asked] = {}
        if not told:
            return []
        async with transient_faults(), self._pool.connection() as connection:
            wanted = {Owner(each.seller, each.connection) for each in told}
            wanted |= {Owner(each.seller, "", "SEARCH") for each in told}
            owners = await self.keys.owners(connection, wanted)
            for place, (each, fields) in enumerate(zip(told, stated, strict=True)):
                if fields and not isinstance(each.about, UUID):
                    about = _stated(each, each.about) if each.about else fields
                    who = identity(_search_key(owners, each.seller), each.connection, each.order_id, about)
                    asked[place] = Asked(Owner(each.seller, each.connection), who)
            made = await self.keys.of_buyers(connection, asked.values(), owners)
            named = {each.about for each in told if isinstance(each.about, UUID)}
            known = await self.keys.by_id(connection, named)
        sealed: list[SealedBuyer | None] = []
        for place, (each, fields) in enumerate(zip(told, stated, strict=True)):
            if place in asked:
                key_id, cipher = made[asked[place]]
            elif fields and isinstance(each.about, UUID) and each.about in known:
                key_id, cipher = each.about, known[each.about]
            else:
                sealed.append(None)
                continue
            sealed.append(_sealed(each, fields, key_id, cipher, _search_key(owners, each.seller)))
        return sealed

    async def open(self, held: Sequence[tuple[UUID, Sequence[Sealed]]]) -> list[dict[str, str]]:
        """For each order what its sealed fields say now; a field whose key is gone is left out (PD-7).

        Raises Transient.
        """
        async with transient_faults(), self._pool.connection() as connection:
            return await self.open_within(connection, held)

    async def open_within(
        self, connection: psycopg.AsyncConnection, held: Sequence[tuple[UUID, Sequence[Sealed]]]
    ) -> list[dict[str, str]]:
        """The same over the caller's connection."""
        ciphers = await self.keys.by_id(
            connection, {UUID(sealed.key) for _, buyers in held for sealed in buyers}
        )
        return [_opened(order_id, buyers, ciphers) for order_id, buyers in held]

    async def hashes_of_search(self, seller: str, kind: Kind, text: str) -> list[int]:
        """What `orders.search_hashes.hashes` must contain all of; empty: nothing can be found (PD-5)."""
        owner = Owner(seller, "", "SEARCH")
        async with transient_faults(), self._pool.connection() as connection:
            keys = await self.keys.owners(connection, [owner])
        return hashes_of_search(keys[owner].key, kind, text)

    async def refuse_missing_keys(self) -> None:
        """Raise RuntimeError when a key-encryption key is needed that the settings do not hold."""
        async with transient_faults(), self._pool.connection() as connection:
            missing = await self.keys.missing_keks(connection)
        if missing:
            raise RuntimeError(
                f"Keys are wrapped under {', '.join(missing)}, which KEY_ENCRYPTION_KEYS does not hold."
            )


def buyers_of(settings: OrdersSettings, pool: AsyncPool) -> Buyers:
    """The buyers of a process with these settings."""
    keks = KeyEncryptionKeys(settings.key_encryption_keys)
    return Buyers(pool, keks, Envelopes(keks, settings.exchange_keys))


def _search_key(owners: Mapping[Owner, OwnerKey], seller: str) -> bytes:
    return owners[Owner(seller, "", "SEARCH")].key


def _stated(told: Told, of: Mapping[str, str] | UUID | None = None) -> dict[str, str]:
    """The fields that are not blank and have a class, numbers in international form."""
    given = told.fields if of is None or isinstance(of, UUID) else of
    fields = {name: text for name, value in given.items() if is_buyer_field(name) and (text := value.strip())}
    for name in PHONES:
        if name in fields:
            fields[name] = international(fields[name], told.region) or fields[name]
    return fields


def _sealed(
    told: Told, fields: Mapping[str, str], key_id: UUID, cipher: KeyCipher, search_key: bytes
) -> SealedBuyer:
    # The names of a place one after the other are what `associated` makes of all of them.
    order, key = associated(str(told.order_id)), str(key_id)
    end = associated(key)
    boxes = {
        name: base64.b64encode(cipher.seal(value.encode(), order + _name(name) + end)).decode("ascii")
        for name, value in fields.items()
    }
    masked = tuple([name for name, value in fields.items() if is_masked(value)])
    sealed = Sealed(key=key, fields=boxes, masked=masked)
    return SealedBuyer(sealed, told.seller, hashes_of_fields(search_key, fields))


@lru_cache(maxsize=256)
def _name(field: str) -> bytes:
    return associated(field)


def _opened(order_id: UUID, buyers: Sequence[Sealed], ciphers: Mapping[UUID, KeyCipher]) -> dict[str, str]:
    opened: dict[str, str] = {}
    for name, sealed in newest(buyers).items():
        cipher = ciphers.get(UUID(sealed.key))
        if cipher is None:
            continue
        try:
            box = base64.b64decode(sealed.fields[name], validate=True)
            opened[name] = cipher.open(box, associated(str(order_id), name, sealed.key)).decode()
        except (SealBroken, binascii.Error) as fault:
            # One broken field must not hide the others; somebody has to look at it.
            log.warning("buyer_field_not_opened", order=str(order_id), field=name, fault=type(fault).__name__)
    return opened
