"""The sentences of all messages, in Indonesian and English, under the ids that the ledger keeps.

Pure. An id is never removed and never changes its meaning: rows of the ledger refer to it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypedDict


class Sentence(TypedDict):
    """One sentence in each language, by its ISO 639 code."""

    en: str
    id: str


TEXTS: Final[Mapping[str, Sentence]] = MappingProxyType({
    "order_placed": Sentence(
        en="New order {number} from {channel}.",
        id="Pesanan baru {number} dari {channel}.",
    ),
    "cancellation_requested": Sentence(
        en="Somebody asks to cancel order {number}; please answer.",
        id="Ada permintaan pembatalan untuk pesanan {number}; mohon ditanggapi.",
    ),
    "lines_cancelled": Sentence(
        en="A part of order {number} was cancelled.",
        id="Sebagian pesanan {number} dibatalkan.",
    ),
    "order_cancelled": Sentence(
        en="Order {number} was cancelled.",
        id="Pesanan {number} dibatalkan.",
    ),
    "payment_failed": Sentence(
        en="The payment of order {number} failed or lapsed.",
        id="Pembayaran pesanan {number} gagal atau kedaluwarsa.",
    ),
    "delivery_problem": Sentence(
        en="The delivery of order {number} ran into trouble.",
        id="Pengiriman pesanan {number} mengalami kendala.",
    ),
    "goods_lost_or_damaged": Sentence(
        en="Goods of order {number} were lost or damaged on the way.",
        id="Barang pesanan {number} hilang atau rusak dalam perjalanan.",
    ),
    "return_case_opened": Sentence(
        en="A return case was opened for order {number}.",
        id="Kasus pengembalian dibuka untuk pesanan {number}.",
    ),
    "return_started": Sentence(
        en="Goods of order {number} are on their way back.",
        id="Barang pesanan {number} sedang dikirim kembali.",
    ),
    "return_received": Sentence(
        en="Goods of order {number} are back; please check them.",
        id="Barang pesanan {number} sudah kembali; mohon diperiksa.",
    ),
    "order_completed": Sentence(
        en="Order {number} is completed.",
        id="Pesanan {number} selesai.",
    ),
})  # fmt: skip


def sentence(text: str, values: Mapping[str, str]) -> Sentence:
    """The sentence of this id with its values filled in; a value is never read as a pattern."""
    pattern = TEXTS[text]
    return Sentence(en=pattern["en"].format_map(values), id=pattern["id"].format_map(values))
