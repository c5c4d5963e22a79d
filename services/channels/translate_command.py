"""The command `translate`: one payload on standard input, the facts it states as one JSON array.

Needs no running system (design section 4). Malformed input or arguments: nothing on standard output, one
JSON object {"code", "field", "message"} on standard error, exit 2.
"""

import argparse
import json
import sys
from typing import NoReturn

from services.channels.lazada import translate as lazada
from services.channels.marketplace import Element, Malformed, Market, parse
from services.channels.tokopedia import translate as tokopedia

_LAZADA: Market = lazada
_TOKOPEDIA: Market = tokopedia
MARKETS = {"lazada": _LAZADA, "tokopedia": _TOKOPEDIA}
_NOT_TRANSLATED_YET = frozenset({"tiktok"})

# A page of 100 orders, the most that any marketplace gives, stays below 2 MiB.
_INPUT_BYTES_MAX = 16 * 1024 * 1024


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Malformed("BAD_ARGUMENTS", "arguments", f"{message[:1].upper()}{message[1:]}.")


def main(argv: list[str]) -> int:
    """Translate standard input; `argv` is what follows the word `translate`. The exit status: 0 or 2."""
    try:
        elements = _translate(argv)
    except Malformed as malformed:
        sys.stderr.write(json.dumps(malformed.as_json()) + "\n")
        return 2
    sys.stdout.write(json.dumps(elements, indent=2) + "\n")
    return 0


def _translate(argv: list[str]) -> list[Element]:
    parser = _Arguments(
        prog="translate", description="Print the facts that a payload states.", allow_abbrev=False
    )
    parser.add_argument("--marketplace", required=True, help="lazada, tokopedia or tiktok")
    parser.add_argument("--kind", required=True, help="what the payload is, e.g. push, order, orders")
    parser.add_argument("--site", help="the site, where the payload names none")
    parser.add_argument("--shop", help="the external shop id, where the payload names none")
    given = parser.parse_args(argv)
    market = MARKETS.get(given.marketplace)
    if given.marketplace in _NOT_TRANSLATED_YET:
        raise Malformed(
            "NOT_TRANSLATED_YET",
            "--marketplace",
            f"{given.marketplace} is not translated yet; a later release will.",
        )
    if market is None:
        known = ", ".join([*sorted(MARKETS), *sorted(_NOT_TRANSLATED_YET)])
        raise Malformed(
            "UNKNOWN_MARKETPLACE", "--marketplace", f"There is no such marketplace; known: {known}."
        )
    if given.kind not in market.KINDS:
        known = ", ".join(sorted(market.KINDS))
        raise Malformed(
            "UNKNOWN_KIND", "--kind", f"There is no such kind of {given.marketplace}; known: {known}."
        )
    raw = sys.stdin.buffer.read(_INPUT_BYTES_MAX + 1)
    if len(raw) > _INPUT_BYTES_MAX:
        raise Malformed("TOO_LARGE", "payload", f"The payload is larger than {_INPUT_BYTES_MAX} bytes.")
    return market.translate(given.kind, parse(raw), site=given.site or None, shop=given.shop or None)
