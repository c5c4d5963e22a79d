"""What a buyer's data is found and told apart by: normalised words, and their keyed hashes (PD-2, PD-5).

Pure. The seller's search key comes from services.orders.buyer_keys; without it the hashes tell nothing.
"""

import hmac
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final, Literal
from uuid import UUID

from services.orders.order.buyer import is_masked
from services.orders.order.phone import HOME, international

Kind = Literal["phone", "name", "address"]
KINDS: Final[tuple[Kind, ...]] = ("phone", "name", "address")

# Which fields each kind of search looks into; no other field is searched.
_KIND_OF: Final[Mapping[str, Kind]] = {
    "name": "name",
    "recipient": "name",
    "phone": "phone",
    "recipient_phone": "phone",
    "address": "address",
    "district": "address",
    "postal_code": "address",
}
_TOKEN_CHARACTERS_MIN: Final = 2
# A field of more tokens than this is found by its first ones.
_TOKENS_MAX: Final = 200
_HASH_BYTES: Final = 8
_ASCII_TOKEN: Final = re.compile("[a-z0-9]{2,}")
# E.164, as numbers are kept.
_INTERNATIONAL: Final = re.compile(r"\+[1-9][0-9]{6,14}")


def tokens(text: str) -> list[str]:
    """The tokens of a name or address (PD-5): each once, in the order of the text.

    NFKC, lower case, marks removed, split at all but letters and digits, 2 characters or more.
    """
    if text.isascii():
        # The same in a tenth of the time; most texts are.
        return list(dict.fromkeys(_ASCII_TOKEN.findall(text.lower())))[:_TOKENS_MAX]
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).lower())
    # Letters (L), digits and other numbers (N) stay, marks (M) vanish, all else parts words.
    kept = "".join(
        sign if (kind := unicodedata.category(sign)[0]) in "LN" else "" if kind == "M" else " "
        for sign in folded
    )
    # Composed again, so that scripts whose letters decompose (Hangul) keep theirs.
    words = unicodedata.normalize("NFKC", kept).split()
    return list(dict.fromkeys(word for word in words if len(word) >= _TOKEN_CHARACTERS_MIN))[:_TOKENS_MAX]


def words_of(kind: Kind, text: str, region: str = HOME) -> list[str]:
    """What is hashed of a text: all of its tokens, or the number in international form; masked: nothing."""
    if is_masked(text):
        return []
    if kind == "phone":
        number = _number(text, region)
        return [] if number is None else [number]
    return tokens(text)


def hashes_of_search(search_key: bytes, kind: Kind, text: str, region: str = HOME) -> list[int]:
    """The hashes that an order must have all of to be found; none means that nothing can be found."""
    return [_hash(search_key, kind, word) for word in words_of(kind, text, region)]


def hashes_of_fields(search_key: bytes, fields: Mapping[str, str]) -> dict[str, list[int]]:
    """By field the hashes by which an order with these values is found; numbers in international form."""
    # Buyer and recipient are mostly one person: what stands twice is hashed once.
    hashed: dict[tuple[Kind, str], list[int]] = {}
    found: dict[str, list[int]] = {}
    for name, value in fields.items():
        kind = _KIND_OF.get(name)
        if kind is None:
            continue
        each = hashed.get((kind, value))
        if each is None:
            each = hashed[kind, value] = hashes_of_search(search_key, kind, value)
        if each:
            found[name] = each
    return found


def identity(search_key: bytes, connection: str, order_id: UUID, fields: Mapping[str, str]) -> bytes:
    """Who the buyer is within the seller, as a keyed hash of 32 bytes (PD-2).

    The marketplace's buyer id within its connection; else the phone number in international form; else the
    order itself. Masked ids and numbers name nobody.
    """
    return _keyed(search_key, "\x1f".join(_identity(connection, order_id, fields)))


def _identity(connection: str, order_id: UUID, fields: Mapping[str, str]) -> Iterator[str]:
    buyer = fields.get("id", "")
    if connection and buyer and not is_masked(buyer):
        yield from ("buyer", connection, buyer)
        return
    for name in ("phone", "recipient_phone"):
        # One that cannot be read as a number stands here as the channel wrote it, and names nobody.
        if (number := _number(fields.get(name, ""))) is not None:
            yield from ("phone", number)
            return
    yield from ("order", str(order_id))


def _number(text: str, region: str = HOME) -> str | None:
    """The number in international form; one that stands in it already is not read once more."""
    return text if _INTERNATIONAL.fullmatch(text) else international(text, region)


def _keyed(search_key: bytes, text: str) -> bytes:
    return hmac.digest(search_key, text.encode(), "sha256")


def _hash(search_key: bytes, kind: Kind, word: str) -> int:
    # Cut to 64 bits, which an index over arrays holds well; two words share one by a chance of 2^-64.
    return int.from_bytes(_keyed(search_key, f"{kind}\x1f{word}")[:_HASH_BYTES], "big", signed=True)
