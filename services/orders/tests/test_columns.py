"""The 17 columns of the list, by name, order and format (section 14), and the words orders are found by."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from services.orders.columns import COLUMNS, Names, Recipient, Warehouse, amount, columns
from services.orders.facets import facet, facets
from services.orders.order.events import Method
from services.orders.order.headline import flags, headline
from services.orders.order.model import Order
from services.orders.order_list import facets_of
from services.orders.tests.facts import cod, fact, prepaid

PLACED = datetime(2026, 3, 5, 17, 30, tzinfo=UTC)
TWO_LINES = (("L1", 2), ("L2", 1))


def test_the_columns_are_the_17_of_section_14_in_their_order() -> None:
    shown = columns(prepaid().state, PLACED)
    assert tuple(shown) == COLUMNS
    assert len(shown) == 17


def test_tanggal_is_the_placement_in_the_zone_cv_1() -> None:
    order = prepaid().state
    assert columns(order, PLACED)["Tanggal"] == "06/03/2026 00:30"
    assert columns(order, PLACED, Names(zone=ZoneInfo("Asia/Jayapura")))["Tanggal"] == "06/03/2026 02:30"


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (0, "IDR", "Rp0"),
        (18_000, "IDR", "Rp18.000"),
        (1_234_567, "IDR", "Rp1.234.567"),
        (101_250, "MYR", "MYR 1.012,50"),
        (5, "SGD", "SGD 0,05"),
        (25_000, "VND", "VND 25.000"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency_cv_2(minor: int, currency: str, text: str) -> None:
    assert amount(minor, currency) == text


def test_item_names_active_lines_and_of_a_cancelled_order_all_as_ordered() -> None:
    whole = prepaid(lines=TWO_LINES)
    assert columns(whole.state, PLACED)["Item"] == "Barang L1 × 2; Barang L2 × 1"
    partly = whole.then(fact("LinesCancelled", 9, "L1", status="canceled"))
    assert columns(partly.state, PLACED)["Item"] == "Barang L2 × 1"
    gone = prepaid(fact("OrderCancelled", 9, status="canceled"), lines=TWO_LINES).state
    assert headline(gone) == "CANCELLED"
    assert columns(gone, PLACED)["Item"] == "Barang L1 × 2; Barang L2 × 1"
    assert columns(gone, PLACED)["Total"] == "Rp150.000"


def test_awb_column_shows_live_numbers_only_and_the_search_finds_announced_ones_too_ls_2() -> None:
    ready = prepaid(fact("PackagePrepared", 5, of_package="P1", status="packed", package="P1", awb="JX1"))
    assert columns(ready.state, PLACED)["Nomor Resi/AWB"] == ""
    assert facet(ready.state.seller, "search", "jx1") in facets_of(ready.state)
    sent = ready.then(
        fact("ShipmentBooked", 6, of_package="P1", status="ready_to_ship", package="P1", awb="JX1")
    )
    assert columns(sent.state, PLACED)["Nomor Resi/AWB"] == "JX1"


def test_kurir_is_that_of_each_package_else_the_one_chosen() -> None:
    order = prepaid(courier="J&T", service="Reguler").state
    assert columns(order, PLACED)["Kurir"] == "J&T Reguler"


@pytest.mark.parametrize(
    ("source", "method", "text"),
    [
        ("CHANNEL", Method.GATEWAY, "Marketplace"),
        ("CHANNEL", Method.COD, "COD"),
        ("MANUAL", Method.TRANSFER, "Bank Transfer"),
        ("STOREFRONT", Method.GATEWAY, "Payment Gateway"),
        ("MANUAL", Method.INVOICE, "Tempo"),
    ],
)
def test_payment_method_is_named_as_people_read_it_om_4(source: str, method: Method, text: str) -> None:
    assert columns(replace(cod().state, source=source, method=method), PLACED)["Metode Pembayaran"] == text


def test_names_of_warehouse_agent_page_and_tags() -> None:
    order = replace(prepaid().state, warehouse="W1", agent="A1", tags=("promo", "Ambil"))
    shown = columns(
        order,
        PLACED,
        Names(warehouses={"W1": Warehouse("Gudang Utama", "Jl. Asia 1")}, agents={"A1": "Sari"}),
    )
    assert (shown["Asal"], shown["Gudang"], shown["Agen"]) == ("Jl. Asia 1", "Gudang Utama", "Sari")
    assert (shown["Tag"], shown["Halaman"]) == ("Ambil, promo", "Lazada 1000999001")
    unknown = columns(order, PLACED)
    assert (unknown["Asal"], unknown["Gudang"], unknown["Agen"]) == ("", "W1", "A1")
    page = replace(order, source="LANDING_PAGE", page="Kopi Gayo", agent="")
    assert (columns(page, PLACED)["Halaman"], columns(page, PLACED)["Agen"]) == ("Kopi Gayo", "")


def test_tujuan_is_the_whole_address_and_city_and_province_where_no_more_is_known() -> None:
    order = prepaid().state
    assert columns(order, PLACED)["Tujuan"] == "Bandung, Jawa Barat"
    who = Recipient("Budi", "+628123", "Jl. Braga 1", "Sumur Bandung", "40111")
    shown = columns(order, PLACED, recipient=who)
    assert (shown["Penerima"], shown["Telepon"]) == ("Budi", "+628123")
    assert shown["Tujuan"] == "Jl. Braga 1, Sumur Bandung, Bandung, Jawa Barat, 40111"


def test_words_of_one_seller_never_meet_those_of_another() -> None:
    mine = prepaid().state
    theirs: Order = replace(mine, seller="another")
    shared = set(facets_of(mine)) & set(facets(theirs, headline(theirs), flags(theirs)))
    assert shared == set()
    assert facet("s", "tag", " Promo ") == facet("s", "tag", "promo")
    assert -(2**63) <= facet("s", "tag", "promo") < 2**63
