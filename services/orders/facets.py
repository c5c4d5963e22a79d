"""What filters and searches of the order list look for: each word of an order as a 64-bit hash (LS-2).

One index over an array of hashes serves every filter, every search and every combination of them. A hash
holds the seller, so that the words of one seller never meet those of another. Two of a seller's words that
share a hash are to be expected once in some billions of them; the list compares nothing further.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from services.orders.order import money
from services.orders.order.model import Order
from services.orders.order.parts import aggregate

# The filters of LS-2 that compare one word, by the name of their query field; dates are no words.
FILTERS: Final = (
    "headline", "flag", "order_status", "request", "coverage", "transaction", "fulfilment", "billing",
    "channel", "shop", "source", "agent", "warehouse", "courier", "method", "tag", "marketplace_number",
)  # fmt: skip
SEARCH: Final = "search"
OPEN: Final = "OPEN"
NONE: Final = "NONE"


def word_of(text: str) -> str:
    """The form in which words are compared: without outer spaces, and without case (AT-3)."""
    return text.strip().casefold()


def facet(seller: str, kind: str, text: str) -> int:
    """The hash that stands for a word of a filter or of the search, between -2^63 and 2^63 - 1."""
    # Stored: another hash, or another order of the parts, is a new version of the read model.
    digest = blake2b(f"{seller}\x1f{kind}\x1f{word_of(text)}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)


# Words that many orders share; numbers of orders and shipments would only push them out.
_shared = lru_cache(maxsize=50_000)(facet)


@lru_cache(maxsize=5_000)
def _together(seller: str, words: tuple[str, ...], several: tuple[tuple[str, str], ...]) -> frozenset[int]:
    """The hashes of one word each of _SINGLE and of (filter, word) pairs: many orders have all the same."""
    named = (*zip(_SINGLE, words, strict=True), *several)
    return frozenset(_shared(seller, kind, text) for kind, text in named if text)


# The filters of which an order has one word at most, in the order in which `facets` gives the words.
_SINGLE: Final = (
    "headline", "order_status", "request", "coverage", "transaction", "fulfilment", "billing", "channel",
    "shop", "source", "agent", "method", "warehouse", "courier",
)  # fmt: skip


def facets(order: Order, headline: str, flags: Iterable[str]) -> list[int]:
    """The hashes of everything that the order can be found by."""
    seller = order.seller
    words = (
        headline,
        order.status.value,
        NONE if order.request is None else OPEN,
        money.coverage(order).value,
        order.transaction.value,
        aggregate(order).value,
        order.billing.value,
        order.channel,
        order.shop,
        order.source,
        order.agent,
        order.method.value,
        order.warehouse,
        order.courier,
    )
    found = set(_together(seller, words, tuple(_several(order, flags))))
    if order.marketplace_number:
        found.add(facet(seller, "marketplace_number", order.marketplace_number))
    found.update([facet(seller, SEARCH, text) for text in _numbers(order) if text])
    return sorted(found)


def _several(order: Order, flags: Iterable[str]) -> list[tuple[str, str]]:
    """The words of filters of which an order may have several, with their filters."""
    return [
        *[("flag", flag) for flag in flags],
        *[("tag", tag) for tag in order.tags],
        *[("warehouse", part.warehouse) for part in order.parts if part.warehouse and not part.cancelled],
        *[("courier", package.courier) for package in order.packages if package.courier],
    ]


def _numbers(order: Order) -> list[str]:
    """What the search finds whole: the order's numbers, and live and announced AWBs."""
    awbs = [package.awb for package in order.packages]
    return [order.number, order.marketplace_number, order.reference, *awbs]
