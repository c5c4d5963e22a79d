"""What an order holds: made-up goods, money and buyers, derived from its seed alone. Pure.

Money is a whole number of minor units (IDR and VND have none below the unit).
"""

import random
from functools import lru_cache
from typing import NamedTuple

from deploy.sandbox.settings import Buyer


class Product(NamedTuple):
    sku: str
    name: str
    variation: str
    product_id: int
    sku_id: int
    price_idr: int
    weight: float


CATALOGUE = (
    Product(
        "KOPI-GAYO-250", "Kopi Arabika Gayo 250 gr", "Gilingan:Kasar", 4410023871, 9001000001, 68000, 0.27
    ),
    Product("V60-WHT", "Dripper Keramik V60 Putih", "Warna:Putih", 4410023902, 9001000002, 125000, 0.6),
    Product("TEE-BLK-M", "Kaos Polos Katun", "Color:Black, Size:M", 4410023903, 9001000003, 59000, 0.2),
    Product("TEE-BLK-L", "Kaos Polos Katun", "Color:Black, Size:L", 4410023903, 9001000004, 59000, 0.2),
    Product("MUG-BLU", "Mug Enamel 300 ml", "Warna:Biru", 4410023905, 9001000005, 45000, 0.35),
    Product("BAG-CNV", "Tas Kanvas Serut", "", 4410023906, 9001000006, 89000, 0.3),
    Product("SOAP-LVR", "Sabun Lerak 100 gr", "Aroma:Lavender", 4410023907, 9001000007, 18500, 0.11),
    Product("TEA-MLT-50", "Teh Melati 50 kantong", "", 4410023908, 9001000008, 32000, 0.15),
    Product("SCARF-BTK", "Selendang Batik Cap", "Motif:Kawung", 4410023909, 9001000009, 149000, 0.18),
    Product("LAMP-RTN", "Lampu Meja Rotan", "", 4410023910, 9001000010, 275000, 1.4),
    Product("CHIP-PSG", "Keripik Pisang 200 gr", "Rasa:Cokelat", 4410023911, 9001000011, 22000, 0.22),
    Product("NOTE-A5", "Buku Catatan A5 Daur Ulang", "", 4410023912, 9001000012, 39500, 0.25),
)


class Venture(NamedTuple):
    currency: str
    exponent: int
    idr_per_minor: float  # A rough price level, not an exchange rate to rely on.
    offset_hours: int
    country: str
    domain: str


VENTURES = {
    "id": Venture("IDR", 0, 1, 7, "Indonesia", "www.lazada.co.id"),
    "vn": Venture("VND", 0, 0.625, 7, "Vietnam", "www.lazada.vn"),
    "sg": Venture("SGD", 2, 119, 8, "Singapore", "www.lazada.sg"),
    "my": Venture("MYR", 2, 35, 8, "Malaysia", "www.lazada.com.my"),
    "th": Venture("THB", 2, 4.5, 7, "Thailand", "www.lazada.co.th"),
    "ph": Venture("PHP", 2, 2.8, 8, "Philippines", "www.lazada.com.ph"),
}

FIRST_NAMES = (
    "Ayu",
    "Bima",
    "Citra",
    "Dewi",
    "Eko",
    "Fajar",
    "Gita",
    "Hendra",
    "Indah",
    "Joko",
    "Kartika",
    "Lestari",
)
LAST_NAMES = (
    "Pratama",
    "Wulandari",
    "Saputra",
    "Hidayat",
    "Nugroho",
    "Permata",
    "Siregar",
    "Tanoto",
    "Wijaya",
)
STREETS = (
    "Jl. Melati",
    "Jl. Kenanga Raya",
    "Jl. Diponegoro",
    "Jl. Cempaka Putih",
    "Jl. Gatot Subroto",
    "Jl. Anggrek",
)
PLACES = (
    ("Genteng", "Kota Surabaya", "Jawa Timur", "60271"),
    ("Palmerah", "Kota Administrasi Jakarta Barat", "DKI Jakarta", "11410"),
    ("Coblong", "Kota Bandung", "Jawa Barat", "40132"),
    ("Umbulharjo", "Kota Yogyakarta", "DI Yogyakarta", "55161"),
    ("Medan Baru", "Kota Medan", "Sumatera Utara", "20154"),
)


class BuyerShown(NamedTuple):
    """A buyer as the marketplace shows one: masked, or in clear."""

    id: int
    name: str
    phone: str
    email: str
    address: str
    district: str
    city: str
    province: str
    postal_code: str
    masked: bool


class Row(NamedTuple):
    """One line: a single unit at Lazada, a quantity of one product at Tokopedia."""

    product: Product
    quantity: int
    price: int
    voucher_platform: int
    voucher_seller: int
    shipping: int
    note: str


class Content(NamedTuple):
    rows: tuple[Row, ...]
    price: int
    voucher: int
    shipping: int
    insurance: int
    total: int
    currency: str
    buyer: BuyerShown


def masked(text: str) -> str:
    """`Theresa` as `T*****a`: the way Lazada hides what an app has no right to see."""
    return text if len(text) < 3 else text[0] + "*" * (len(text) - 2) + text[-1]


@lru_cache(maxsize=8192)
def content(seed: int, lines: int, site: str | None, planted: Buyer) -> Content:
    """The order's content; `site` is a Lazada venture, or None for Tokopedia.

    The total is what the buyer pays: goods less vouchers, shipping and insurance, canceled lines included.
    """
    rng = random.Random(seed)
    venture = VENTURES[site or "id"]
    rows = tuple(_row(rng, venture, lazada=site is not None) for _ in range(lines))
    price = sum(row.price * row.quantity for row in rows)
    voucher = sum(row.voucher_platform + row.voucher_seller for row in rows)
    if site is None:
        shipping = rng.choice((9000, 12000, 18000, 26500))
        insurance = rng.choice((0, 0, 600, 1200))
    else:
        shipping, insurance = sum(row.shipping for row in rows), 0
    total = price - voucher + shipping + insurance
    buyer = _buyer(rng, planted)
    return Content(rows, price, voucher, shipping, insurance, total, venture.currency, buyer)


def _row(rng: random.Random, venture: Venture, *, lazada: bool) -> Row:
    product = rng.choice(CATALOGUE)
    price = _minor(product.price_idr, venture)
    note = rng.choice(("", "", "", "tolong bungkus rapi"))
    if not lazada:
        return Row(product, rng.choices((1, 2, 3), (70, 20, 10))[0], price, 0, 0, 0, note)
    platform = _minor(rng.choice((0, 0, 0, 2000)), venture)
    seller = _minor(rng.choice((0, 0, 1000, 3000)), venture)
    shipping = _minor(rng.choice((0, 4500, 6000, 9000)), venture)
    return Row(product, 1, price, platform, seller, shipping, note)


def _minor(idr: int, venture: Venture) -> int:
    return round(idr / venture.idr_per_minor)


def _buyer(rng: random.Random, planted: Buyer) -> BuyerShown:
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    district, city, province, postal_code = rng.choice(PLACES)
    digits = rng.randrange(10**7, 10**8)
    hidden = rng.random() < 0.6
    is_planted = any((planted.name, planted.phone, planted.address, planted.email))
    return BuyerShown(
        id=1_000_000_000 + rng.randrange(10**8),
        name=planted.name or f"{first} {last}",
        phone=planted.phone or f"62812{digits}",
        email=planted.email or f"{first.lower()}.{last.lower()}{digits % 1000}@example.com",
        address=planted.address or f"{rng.choice(STREETS)} No. {rng.randint(1, 180)}, RT 02/RW 05",
        district=district,
        city=city,
        province=province,
        postal_code=postal_code,
        masked=hidden and not is_planted,
    )
