"""What every marketplace's translator needs: exact reading of raw JSON, and the elements it states.

Pure: no clock, no input or output. Money is an integer number of minor units (CN-01), an instant is UTC, an
id is text (CN-06). What a payload says in a wrong type is `Malformed`, never guessed and never defaulted.
"""

import enum
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Protocol

import msgspec

Element = dict[str, Any]

SITES = ("my", "sg", "th", "vn", "id", "ph")
# Minor units per currency (CN-01).
EXPONENTS: Mapping[str, int] = {"IDR": 0, "VND": 0, "MYR": 2, "SGD": 2, "THB": 2, "PHP": 2}

PAYMENT_FACTS = frozenset({"PaymentAwaited", "PaymentProcessingStarted", "PaymentSucceeded", "RefundPaid"})
GOODS_FACTS = frozenset(
    {
        "PackagePrepared",
        "ShipmentBooked",
        "ShipmentCancelled",
        "PackagePickedUp",
        "PackageDelivered",
        "DeliveryProblemReported",
        "PackageLostOrDamaged",
        "ReturnStarted",
        "ReturnReceived",
    }
)
CASE_FACTS = frozenset(
    {
        "CancellationRequested",
        "CancellationRequestClosed",
        "OrderCancelled",
        "ReturnCaseOpened",
        "ReturnCaseClosed",
    }
)
UNKNOWN_STATUS = "UnknownStatusReported"

_DEPTH_MAX = 64  # The deepest sample has 8 levels.
_DIGITS_MAX = 100  # An id has at most 19 digits today; beyond this a number is kept as Decimal.
_ID_LENGTH_MAX = 128  # As for the ids of other connectors (IN-16).
_UNIT_DIGITS_MAX = 15  # Whole units of money; above it no order is real.
# NUL and halves of surrogate pairs (names cut by the sender) can be stored by no database of ours.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_AMOUNT = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,24})?")
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r" ?(Z|UTC|[+-][0-9]{2}:?[0-9]{2})?"
)
_MILLISECONDS_ABOVE = 10**11  # As seconds that is the year 5138 (lazada.md 3.4).
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Malformed(Exception):
    """The payload cannot be read; `code` is stable, `field` the path of what is wrong in it."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.message = message

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "field": self.field, "message": self.message}


class Market(Protocol):
    """What the module `translate` of each marketplace offers."""

    TRANSLATOR_VERSION: int
    KINDS: frozenset[str]

    def translate(self, kind: str, payload: object, *, site: str | None, shop: str | None) -> list[Element]:
        """The elements the payload states, or Malformed; no other exception for any JSON value."""


class PushCategory(enum.Enum):
    ORDER = "ORDER"
    PROBE = "PROBE"
    OTHER_TYPE = "OTHER_TYPE"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"


class PushClass(msgspec.Struct, frozen=True, kw_only=True):
    """What a push is about, read without translating it; `key` are the parts of its delivery key."""

    category: PushCategory
    topic: str
    shop: str | None
    site: str | None
    order: str | None
    key: tuple[str, ...]
    keyed_by_body: bool

    def delivery_key(self, door: str, body: bytes) -> str:
        """The delivery key of channels.md 13 as 64 hex digits; `door` is the app (Lazada) or the path."""
        digest = (hashlib.sha256(body).hexdigest(),) if self.keyed_by_body else ()
        parts = [door, *self.key, *digest]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def parse(raw: bytes) -> object:
    """The JSON value of a body, its fractions as Decimal from the raw text; Malformed if it is none."""
    try:
        value: object = json.loads(
            raw.decode("utf-8-sig"),
            parse_float=Decimal,
            parse_int=_integer,
            parse_constant=_not_a_number,
        )
    except RecursionError:
        raise _too_deep() from None
    except (ValueError, ArithmeticError):
        # An HTML page, for instance, which Lazada sends to addresses it does not know (L26).
        raise Malformed("NOT_JSON", "payload", "The payload is not JSON in UTF-8.") from None
    _check_depth(value)
    return value


def _integer(text: str) -> int | Decimal:
    # Converting thousands of digits is quadratic and refused by Python; Decimal keeps them.
    return int(text) if len(text) <= _DIGITS_MAX else Decimal(text)


def _not_a_number(text: str) -> object:
    raise Malformed("NOT_JSON", "payload", f"{text} is no JSON number.")


def _too_deep() -> Malformed:
    return Malformed("TOO_DEEP", "payload", f"The payload nests more than {_DEPTH_MAX} levels.")


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(_DEPTH_MAX):
        below: list[object] = []
        for each in level:
            if isinstance(each, dict):
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
        if not below:
            return
        level = below
    raise _too_deep()


def scalar_text(value: object, path: str) -> str | None:
    """A JSON scalar as text, numbers too; None for null. Containers, booleans and floats are Malformed."""
    if value is None:
        return None
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, bool):
        raise Malformed("WRONG_TYPE", path, f"{path} is a boolean where a text or a number is expected.")
    if isinstance(value, int) and value.bit_length() <= 4 * _DIGITS_MAX:
        return str(value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= _ID_LENGTH_MAX:
        whole = value.to_integral_value()
        return format(whole if whole == value else value, "f")
    raise Malformed("WRONG_TYPE", path, f"{path} is not a text or a number of usual size.")


def minor_units(value: object, currency: str, path: str) -> int | None:
    """An amount in minor units, half up on exact integers (CN-01); None when null or blank."""
    if isinstance(value, str):
        text = value.strip().replace(",", "")  # Thousands separators: none seen, stripped defensively.
        if not text:
            return None
        if not _AMOUNT.fullmatch(text):
            raise Malformed("UNREADABLE_AMOUNT", path, f"{path} is not an amount.")
        value = Decimal(text)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 4 * _DIGITS_MAX:
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise Malformed("UNREADABLE_AMOUNT", path, f"{path} is not an exact amount.")
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or value.adjusted() >= _UNIT_DIGITS_MAX or exponent < -_DIGITS_MAX:
        raise Malformed("UNREADABLE_AMOUNT", path, f"{path} is too large or too fine for an amount.")
    if sign and value:
        raise Malformed("UNREADABLE_AMOUNT", path, f"{path} is negative.")
    if not value:
        return 0
    shift = exponent + exponent_of(currency, path)
    number: int = int("".join(map(str, digits))) * 10 ** max(shift, 0)
    divisor: int = 10 ** max(-shift, 0)
    return (2 * number + divisor) // (2 * divisor)


def exponent_of(currency: str, path: str) -> int:
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise Malformed("UNKNOWN_CURRENCY", path, f"The minor units of {currency[:8]!r} are not known.")
    return exponent


class Zone(msgspec.Struct, frozen=True):
    """How texts without a true zone are read: `naive` for those with none, `zulu` for those with Z."""

    naive: tzinfo | None
    zulu: tzinfo


STATED_ZONE = Zone(naive=None, zulu=UTC)


def instant(value: object, zone: Zone, path: str) -> datetime | None:
    """A source time in UTC with its fraction; None when null, blank or unset (year 1, epoch 0).

    Seconds or milliseconds since 1970 by magnitude, RFC 3339, or `YYYY-MM-DD HH:MM:SS +ZZZZ`.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            return _from_text(text, zone, path)
        value = int(text)
    if value is None:
        return None
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < 18:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _unreadable_time(path)
    return _from_epoch(value, path)


def _from_epoch(number: int, path: str) -> datetime | None:
    if number <= 0:
        return None
    try:
        if number > _MILLISECONDS_ABOVE:
            return _EPOCH + timedelta(milliseconds=number)
        return _EPOCH + timedelta(seconds=number)
    except OverflowError:
        raise _unreadable_time(path) from None


def _from_text(text: str, zone: Zone, path: str) -> datetime | None:
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise _unreadable_time(path)
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if year <= 1:
        return None
    micros = int((found[7] or "0").ljust(6, "0")[:6])
    try:
        where = _zone_of(found[8], zone)
        if where is None:
            raise _unreadable_time(path)
        return datetime(year, month, day, hour, minute, second, micros, where).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _unreadable_time(path) from None


def _zone_of(suffix: str | None, zone: Zone) -> tzinfo | None:
    if suffix is None:
        return zone.naive
    if suffix in {"Z", "UTC"}:
        return zone.zulu
    minutes = int(suffix[1:3]) * 60 + int(suffix[-2:])
    return timezone(timedelta(minutes=-minutes if suffix[0] == "-" else minutes))


def _unreadable_time(path: str) -> Malformed:
    return Malformed("UNREADABLE_TIME", path, f"{path} is not a time with its zone.")


def wire_time(at: datetime | None) -> str | None:
    """An instant as the wire has it: UTC, whole seconds, the fraction cut, `Z`."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def stated(**values: object) -> Element:
    """Only what is stated: None and empty objects are left out."""
    return {name: value for name, value in values.items() if value is not None and value != {}}


class Fields:
    """One JSON object of a payload, read by key; `path` names it in Malformed."""

    def __init__(self, value: object, path: str, *, fold: bool = False) -> None:
        """Take an object; with `fold` its keys are met without regard to case (K7).

        Of keys that differ in case only the lower-case one wins, so the order of keys is without effect.
        """
        if not isinstance(value, dict):
            raise Malformed("WRONG_TYPE", path or "payload", f"{path or 'The payload'} is not an object.")
        self.path = path
        self._fold = fold
        self._raw: dict[str, object] = value
        if fold:
            self._raw = {key.lower(): value[key] for key in sorted(value)}

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        return self._raw.get(name) is not None

    def get(self, name: str) -> object:
        return self._raw.get(name)

    def raw_text(self, name: str) -> str | None:
        """The text as it arrived, also a blank one; None when missing or null."""
        return scalar_text(self.get(name), self.at(name))

    def text(self, *names: str) -> str | None:
        """The first of these that is stated, as it arrived; blank counts as not stated (CN-06)."""
        for name in names:
            found = self.raw_text(name)
            if found is not None and found.strip():
                return found
        return None

    def optional_id(self, *names: str) -> str | None:
        """An id as text; missing, blank, 0 and the text "null" (L13) are no id."""
        for name in names:
            found = (self.raw_text(name) or "").strip()
            if len(found) > _ID_LENGTH_MAX:
                raise Malformed("TOO_LONG", self.at(name), f"{self.at(name)} is longer than an id may be.")
            if found and found not in {"0", "null"}:
                return found
        return None

    def id(self, name: str) -> str:
        found = self.optional_id(name)
        if found is None:
            raise Malformed("MISSING", self.at(name), f"{self.at(name)} is missing.")
        return found

    def integer(self, name: str) -> int | None:
        found = (self.raw_text(name) or "").strip()
        if not found:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", found):
            raise Malformed("WRONG_TYPE", self.at(name), f"{self.at(name)} is not a usual whole number.")
        return int(found)

    def flag(self, name: str) -> bool:
        """True for true, 1 and their texts (L20); false for anything else that is a scalar."""
        value = self.get(name)
        if isinstance(value, bool):
            return value
        return (scalar_text(value, self.at(name)) or "").strip().lower() in {"true", "1"}

    def amount(self, name: str, currency: str) -> int | None:
        return minor_units(self.get(name), currency, self.at(name))

    def time(self, name: str, zone: Zone) -> datetime | None:
        return instant(self.get(name), zone, self.at(name))

    def child(self, name: str) -> "Fields":
        """The object of that name; null, a blank text and an empty list are an empty object."""
        value = self.get(name)
        if value is None or value == [] or (isinstance(value, str) and not value.strip()):
            value = {}
        return Fields(value, self.at(name), fold=self._fold)

    def children(self, name: str) -> list["Fields"]:
        return objects(self.get(name), self.at(name), fold=self._fold)


def objects(value: object, path: str, *, fold: bool = False) -> list[Fields]:
    """The objects of a list; null is an empty list."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed("WRONG_TYPE", path or "payload", f"{path or 'The payload'} is not a list.")
    return [Fields(each, f"{path}[{index}]", fold=fold) for index, each in enumerate(value)]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Whose order a payload speaks of; builds the elements of design section 4 about it."""

    channel: str
    site: str | None
    shop: str | None
    order: str
    version: int

    @property
    def whole(self) -> dict[str, str]:
        """The scope of the whole order."""
        return {"order": self.order}

    def fact(
        self,
        kind: str,
        *,
        scope: Mapping[str, str],
        at: datetime | None,
        status: str | None,
        occurrence: int = 1,
        data: Element | None = None,
    ) -> Element:
        """One fact with every key; the translator never reads a clock, so no time is approximate here."""
        return {
            "type": kind,
            "channel": self.channel,
            "site": self.site,
            "shop": self.shop,
            "order": self.order,
            "scope": dict(scope),
            "occurred_at": wire_time(at),
            "approximate": False,
            "source_status": status,
            "occurrence": occurrence,
            "translator_version": self.version,
            "data": data or {},
        }

    def fetch(self) -> Element:
        """The request to read the order: no fact, so it has no more than these keys."""
        return {
            "type": "FetchOrder",
            "channel": self.channel,
            "site": self.site,
            "shop": self.shop,
            "order": self.order,
        }


def earliest(times: Sequence[datetime | None]) -> datetime | None:
    """The earliest of the stated times, None when none is stated."""
    return min((at for at in times if at is not None), default=None)


def site_code(value: str | None, path: str) -> str | None:
    """A site as design section 4 spells it, from `sg`, `lazada_sg`, `LAZADA-SG`; Malformed for any other."""
    if value is None or not value.strip():
        return None
    code = value.strip().lower().replace("-", "_").removeprefix("lazada_")
    if code not in SITES:
        raise Malformed(
            "SITE_NOT_SUPPORTED", path, f"There is no site {value[:32]!r}; known: {', '.join(SITES)}."
        )
    return code


def unknown_kind(kind: str, known: frozenset[str]) -> Malformed:
    return Malformed(
        "UNKNOWN_KIND", "kind", f"There is no kind {kind[:32]!r} here; known: {', '.join(sorted(known))}."
    )
