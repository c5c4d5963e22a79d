"""What the registry holds, and what may stand in it: pure rules and frozen values (SR-1 to SR-12)."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Final
from zoneinfo import available_timezones

from msgspec import Struct

from services.orders.registry.refusals import FieldRefused

CODE: Final = re.compile(r"[A-Z0-9]{2,8}")
WORD: Final = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
TAG_CHARACTERS_MAX: Final = 40
RATE_MAX: Final = 10_000
CALENDAR_DAYS_MAX: Final = 400
BANK_ACCOUNTS_MAX: Final = 20


class TaxMode(StrEnum):
    """How a seller's prices stand to tax (MO-4)."""

    NONE = "NONE"
    EXCLUSIVE = "EXCLUSIVE"
    INCLUSIVE = "INCLUSIVE"


class PaymentMethod(StrEnum):
    """What a seller may offer (SR-11)."""

    COD = "COD"
    TRANSFER = "TRANSFER"
    GATEWAY = "GATEWAY"
    INVOICE = "INVOICE"


class BankAccount(Struct, frozen=True, kw_only=True):
    """An account of the seller that is shown to a buyer who pays by transfer."""

    bank: str
    number: str
    holder: str


class Seller(Struct, frozen=True, kw_only=True):
    """A seller as decisions and papers need it (SR-1); `npwp_masked` is empty when no NPWP is known."""

    id: str
    code: str
    name: str
    address: str
    zone: str
    tax_mode: TaxMode
    tax_rate_basis_points: int
    npwp_masked: str = ""
    payment_methods: frozenset[PaymentMethod] = frozenset()
    bank_accounts: tuple[BankAccount, ...] = ()
    # Documents have no door yet; until then they count as complete (SR-2, SD-04).
    documents_complete: bool = True


class Person(Struct, frozen=True):
    """Somebody who works for the seller (SR-3)."""

    id: str
    name: str
    role: str
    active: bool


class Reason(Struct, frozen=True):
    """Why an order is cancelled (SR-8); `given_by` says whether buyers or sellers choose it."""

    code: str
    label: str
    given_by: str
    active: bool = True


class Holiday(Struct, frozen=True, order=True):
    """A day on which nobody need answer (SR-10)."""

    day: date
    name: str


class CalendarVersion(Struct, frozen=True):
    """A seller's holidays and the number of their version (TM-2); 0 is none."""

    version: int
    days: tuple[Holiday, ...]


# WF-5: given by SYSTEM only, in no seller's list of choices.
UNPAID: Final = Reason("UNPAID", "Belum dibayar", "SYSTEM")
CATEGORIES: Final[dict[str, str]] = {
    "CUSTOMER": "Pelanggan",
    "RESELLER": "Reseller",
    "DROPSHIPPER": "Dropshipper",
}
NO_CALENDAR: Final = CalendarVersion(0, ())


@cache
def zones() -> frozenset[str]:
    """The names of the IANA zones."""
    return frozenset(available_timezones())


def seller_faults(*, code: str, zone: str, tax_mode: TaxMode, rate: int) -> list[FieldRefused]:
    """What is wrong with a seller's own fields (SR-1)."""
    found = []
    if not CODE.fullmatch(code):
        found.append(FieldRefused("code", "Give 2 to 8 of the characters A to Z and 0 to 9."))
    if zone not in zones():
        found.append(FieldRefused("zone", "Give the name of an IANA zone, such as Asia/Jakarta."))
    if not 0 <= rate <= RATE_MAX:
        found.append(FieldRefused("tax_rate_basis_points", f"Give basis points from 0 to {RATE_MAX}."))
    elif (tax_mode is TaxMode.NONE) != (rate == 0):
        found.append(
            FieldRefused("tax_rate_basis_points", "Give 0 with the mode NONE, and above 0 with any other.")
        )
    return found


def tag_of(text: str) -> str | None:
    """The tag as it is kept, or None: 1 to 40 visible characters after trimming (AT-3)."""
    tag = unicodedata.normalize("NFC", text).strip()
    visible = all(not unicodedata.category(sign).startswith("C") for sign in tag)
    return tag if visible and 1 <= len(tag) <= TAG_CHARACTERS_MAX else None


def folded(tag: str) -> str:
    """What two tags have in common that differ in case only (AT-3)."""
    return unicodedata.normalize("NFC", tag.casefold())


def word_faults(field: str, code: str) -> list[FieldRefused]:
    """What is wrong with a code that a seller chooses (CV-7)."""
    if WORD.fullmatch(code):
        return []
    return [FieldRefused(field, "Give 1 to 40 of A to Z, 0 to 9 and _, a letter first.")]


def method_faults(methods: Sequence[PaymentMethod], accounts: Sequence[BankAccount]) -> list[FieldRefused]:
    """What is wrong with the methods that a seller offers (SR-11)."""
    found = []
    if len(set(methods)) < len(methods):
        found.append(FieldRefused("methods", "Name each method once."))
    if PaymentMethod.TRANSFER in methods and not accounts:
        found.append(FieldRefused("bank_accounts", "Name an account that buyers may transfer to."))
    return found


def calendar_faults(days: Sequence[Holiday]) -> list[FieldRefused]:
    """What is wrong with a calendar: each day stands once (SR-10)."""
    if len({each.day for each in days}) < len(days):
        return [FieldRefused("days", "Name each day once.")]
    return []
