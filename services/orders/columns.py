"""The 17 columns of the order list, exactly as people read them (section 14)."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from services.orders.order import money
from services.orders.order.events import Method
from services.orders.order.headline import headline
from services.orders.order.model import Order, Part
from services.orders.order.parts import active
from services.orders.order.statuses import STATUSES

COLUMNS: Final = (
    "Tanggal", "ID Pesanan", "Item", "Status", "Penerima", "Telepon", "Asal", "Tujuan", "Agen", "Halaman",
    "Gudang", "Kurir", "Nomor Resi/AWB", "Biaya Kirim", "Metode Pembayaran", "Total", "Tag",
)  # fmt: skip

# 2.1: the names of the 21 statuses as Bisajual prints them.
STATUS_NAMES: Final[Mapping[str, str]] = {row.code: row.indonesian for row in STATUSES}
_METHODS: Final = {
    Method.COD: "COD",
    Method.TRANSFER: "Bank Transfer",
    Method.GATEWAY: "Payment Gateway",
    Method.INVOICE: "Tempo",
}
_CHANNELS: Final = {"lazada": "Lazada", "tokopedia": "Tokopedia", "tiktok": "TikTok Shop"}
# CV-2; a currency that is not here has two decimals.
_EXPONENTS: Final = {"IDR": 0, "VND": 0}
# Where no zone is kept for a seller or shop.
DEFAULT_ZONE: Final = ZoneInfo("Asia/Jakarta")


class Recipient(msgspec.Struct, frozen=True):
    """Who receives the order, opened for this reading (PD-2); what is not known is empty."""

    name: str = ""
    phone: str = ""
    street: str = ""
    district: str = ""
    postal_code: str = ""


# What a field of a buyer shows once the buyer is erased (PD-7).
ERASED: Final = "dihapus"


def recipient_of(known: Collection[str], opened: Mapping[str, str]) -> Recipient:
    """Who receives an order of which these fields are sealed and these could be opened.

    A field that is there and cannot be opened is one of an erased buyer; of the address then city and
    province remain (17.3).
    """

    def shown(*fields: str) -> str:
        for field in fields:
            if field in known:
                return opened.get(field, ERASED)
        return ""

    return Recipient(
        name=shown("recipient", "name"),
        phone=shown("recipient_phone", "phone"),
        street=opened.get("address", ""),
        district=opened.get("district", ""),
        postal_code=opened.get("postal_code", ""),
    )


class Warehouse(msgspec.Struct, frozen=True):
    """A warehouse as people know it."""

    name: str
    address: str = ""


class Names(msgspec.Struct, frozen=True):
    """Names of the seller's things by their ids (what is not known shows its id), and the zone (CV-1)."""

    zone: ZoneInfo = DEFAULT_ZONE
    warehouses: Mapping[str, Warehouse] = {}
    agents: Mapping[str, str] = {}
    shops: Mapping[str, str] = {}


NOBODY: Final = Recipient()
NAMELESS: Final = Names()


def columns(
    order: Order, placed_at: datetime, names: Names = NAMELESS, recipient: Recipient = NOBODY
) -> dict[str, str]:
    """The 17 columns by name, in their order; times in the shop's zone (CV-1), amounts as money is read."""
    warehouses = [names.warehouses.get(each) or Warehouse(each) for each in _warehouses(order)]
    return {
        "Tanggal": placed_at.astimezone(names.zone).strftime("%d/%m/%Y %H:%M"),
        "ID Pesanan": order.number,
        "Item": _items(order),
        "Status": STATUS_NAMES[headline(order)],
        "Penerima": recipient.name,
        "Telepon": recipient.phone,
        "Asal": _distinct(each.address for each in warehouses),
        "Tujuan": _joined(
            (recipient.street, recipient.district, order.city, order.province, recipient.postal_code)
        ),
        "Agen": names.agents.get(order.agent, order.agent),
        "Halaman": _page(order, names),
        "Gudang": _distinct(each.name for each in warehouses),
        "Kurir": _couriers(order),
        "Nomor Resi/AWB": "; ".join(_live_awbs(order)),
        "Biaya Kirim": amount(order.shipping_fee, order.currency),
        "Metode Pembayaran": _method(order),
        "Total": amount(money.total(order), order.currency),
        "Tag": ", ".join(sorted(order.tags, key=str.casefold)),
    }


def amount(minor: int, currency: str) -> str:
    """Minor units as people read them in Indonesian: "Rp18.000", "MYR 1.012,50"."""
    exponent = _EXPONENTS.get(currency, 2)
    whole, rest = divmod(minor, 10**exponent)
    figure = f"{whole:,}".replace(",", ".") + (f",{rest:0{exponent}}" if exponent else "")
    return f"Rp{figure}" if currency == "IDR" else f"{currency} {figure}"


def _distinct(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(word for word in words if word))


def _joined(words: Iterable[str]) -> str:
    return ", ".join(word for word in words if word)


def _items(order: Order) -> str:
    """Active lines in order; of an order that is cancelled whole the lines as ordered."""
    quantities = _quantities(order, lambda part: not part.cancelled)
    if not quantities:
        quantities = {line.line: line.quantity for line in order.lines}
    return "; ".join(
        f"{line.name or line.sku or line.product or line.line} × {quantities[line.line]}"  # noqa: RUF001  # The sign of the list.
        for line in order.lines
        if line.line in quantities
    )


def _quantities(order: Order, counts: Callable[[Part], bool]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in order.parts:
        if counts(part):
            found[part.line] = found.get(part.line, 0) + part.quantity
    return found


def _warehouses(order: Order) -> list[str]:
    """Of each active part; of a marketplace's order that names one for all, that one."""
    return list(
        dict.fromkeys(found for part in active(order) if (found := part.warehouse or order.warehouse))
    )


def _page(order: Order, names: Names) -> str:
    """Where the buyer ordered: the page, or the channel and its shop; a manual order has none."""
    if order.source != "CHANNEL":
        return order.page
    shop = names.shops.get(order.shop, order.shop)
    return f"{_CHANNELS.get(order.channel, order.channel)} {shop}".strip()


def _couriers(order: Order) -> str:
    held = {part.package for part in active(order)}
    chosen = (order.courier, order.service)
    sent = [
        (package.courier or order.courier, package.service or order.service)
        for package in order.packages
        if package.id in held
    ]
    return _distinct(" ".join(filter(None, each)) for each in sent or [chosen])


def _live_awbs(order: Order) -> list[str]:
    held = {part.package for part in order.parts}
    return [each.awb for each in order.packages if each.live and each.awb and each.id in held]


def _method(order: Order) -> str:
    # The gateway of a marketplace's order is the marketplace (OM-4).
    if order.source == "CHANNEL" and order.method is Method.GATEWAY:
        return "Marketplace"
    return _METHODS[order.method]
