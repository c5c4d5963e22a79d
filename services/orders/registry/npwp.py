"""Indonesian numbers of taxpayers and citizens: what is one, and how it is shown (SD-06 to SD-08)."""

import re
from typing import Final

# Dropped before reading (SD-07); any other sign makes it no number.
_PUNCTUATION: Final = re.compile(r"[.\-\s]")
_DIGITS: Final = re.compile(r"[0-9]+")
SHOWN_DIGITS: Final = 4


def npwp_of(text: str) -> str | None:
    """The NPWP in its form of 16 digits, or None if the text is none (SD-07).

    15 digits get a 0 in front; 16 digits that do not begin with 0 are a citizen's number and must be one.
    """
    digits = _PUNCTUATION.sub("", text)
    if not _DIGITS.fullmatch(digits):
        return None
    if len(digits) == 15:
        return f"0{digits}"
    if len(digits) != 16 or (digits[0] != "0" and not is_nik(digits)):
        return None
    return digits


def is_nik(digits: str) -> bool:
    """Whether these are a KTP number's digits: birthday, month and serial are possible ones (SD-06)."""
    if len(digits) != 16 or not _DIGITS.fullmatch(digits):
        return False
    # Of a woman 40 is added to the day of birth.
    day, month = int(digits[6:8]), int(digits[8:10])
    return (1 <= day <= 31 or 41 <= day <= 71) and 1 <= month <= 12 and digits[12:] != "0000"


def masked(number: str) -> str:
    """The number as it is shown: its last four digits only (SD-08)."""
    return "*" * (len(number) - SHOWN_DIGITS) + number[-SHOWN_DIGITS:]
