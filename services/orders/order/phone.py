"""Phone numbers in international form, the one form in which they are kept, hashed and compared (MN-6)."""

import re
from functools import lru_cache
from typing import Final

from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    format_number,
    is_possible_number,
    parse,
)

# Where a number without a country code is, unless the order's site says otherwise.
HOME: Final = "ID"
# Longer than any number with all its signs.
_CHARACTERS_MAX: Final = 40
# Indonesian mobile numbers as people and marketplaces write them: 0812..., 62812..., +62812...
_MOBILE: Final = re.compile(r"(?:0|\+?62)(8[1-9][0-9]{7,9})")
_SPACING: Final = {ord(sign): None for sign in " -.()/\u00a0\u2010\u2011\u2012\u2013"}
_SIGNS: Final = frozenset("0123456789+ -.()/\u00a0\u2010\u2011\u2012\u2013")


# Buyer and recipient are mostly one person: the second reading of a number costs nothing.
@lru_cache(maxsize=16)
def international(text: str, region: str = HOME) -> str | None:
    """The number as +<country><rest>, read as the region's where it names no country; None if it is none.

    A number that is masked, or has letters, is none.
    """
    text = text.strip()
    if not text or len(text) > _CHARACTERS_MAX or not _SIGNS.issuperset(text):
        return None
    if region == HOME and (mobile := _MOBILE.fullmatch(text.translate(_SPACING))):
        # What nearly all orders hold, in a twentieth of the library's time. And 62 without a plus is the
        # country here, where the library takes it for digits of the number when it does not know the rest.
        return f"+62{mobile[1]}"
    if text.startswith("00"):
        # What most countries dial for abroad, and people write from all of them.
        text = f"+{text[2:]}"
    found = _possible(text, region)
    if found is None and text.isdigit() and not text.startswith("0"):
        # Marketplaces leave the plus out, of buyers from abroad too.
        found = _possible(f"+{text}", region)
    return None if found is None else format_number(found, PhoneNumberFormat.E164)


def _possible(text: str, region: str) -> PhoneNumber | None:
    try:
        found = parse(text, region)
    except NumberParseException:
        return None
    return found if is_possible_number(found) else None
