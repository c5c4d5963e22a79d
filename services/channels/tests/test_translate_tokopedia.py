"""What Tokopedia's payloads state (tokopedia.md A5), rule by rule."""

import json
from typing import Any

import pytest

from services.channels.marketplace import Malformed, PushCategory
from services.channels.tokopedia.statuses import ROWS
from services.channels.tokopedia.translate import classify, parse, translate

ORDER = 1204477310


def notice(status: object, **changes: Any) -> dict[str, Any]:
    return {"order_status": status, "fs_id": 15999, "shop_id": 9301177, "order_id": ORDER} | changes


def row(code: object, at: str = "2023-06-14T10:46:05Z", **changes: Any) -> dict[str, Any]:
    return {
        "action_by": "buyer",
        "hist_status_code": code,
        "message": "",
        "timestamp": at,
        "comment": "",
    } | changes


def single(history: list[dict[str, Any]] | None, **changes: Any) -> dict[str, Any]:
    detail = {"order_detail_id": 1, "product_id": 7, "product_price": 68000, "quantity": 2, "sku": "KOPI"}
    return {
        "order_id": ORDER,
        "seller_id": 9301177,
        "payment_id": 20,
        "order_status": None,
        "open_amt": 154000,
        "order_info": {
            "order_detail": [detail],
            "order_history": history,
            "shipping_info": {"shipping_price": 18000, "awb": "JX1", "logistic_name": "J&T"},
        },
        "create_time": "2023-06-14T10:46:05.061156Z",
    } | changes


def listed(status: object, **changes: Any) -> dict[str, Any]:
    return {
        "fs_id": "15999",
        "order_id": ORDER,
        "shop_id": 9301177,
        "invoice_ref_num": "INV/1",
        "payment_id": 20,
        "order_status": status,
        "products": [{"id": 7, "Name": "Kopi", "quantity": 2, "price": 68000, "sku": "KOPI", "notes": ""}],
        "amt": {"ttl_amount": 154000, "shipping_cost": 18000},
        "create_time": 1686714365,
    } | changes


def stated(kind: str, payload: object) -> list[dict[str, Any]]:
    return translate(kind, parse(json.dumps(payload).encode()), site=None, shop=None)


def kinds(elements: list[dict[str, Any]]) -> list[str]:
    return [element["type"] for element in elements]


@pytest.mark.parametrize(("code", "facts"), [(code, list(row.facts)) for code, row in ROWS.items()])
def test_a_thin_notice_states_the_facts_of_its_code_but_no_payment(code: str, facts: list[str]) -> None:
    expected = [fact for fact in facts if fact != "PaymentSucceeded"]
    for status in (code, int(code)):
        elements = stated("status", notice(status))
        assert kinds(elements) == [*expected, "FetchOrder"]
        assert all(element["source_status"] == code for element in elements[:-1])
        assert all(element["occurred_at"] is None for element in elements[:-1])
        assert stated("cancellation", notice(status)) == elements


@pytest.mark.parametrize("status", [401, 800, 801, "two hundred", "003", -1, ""])
def test_an_unknown_code_is_unknown_and_never_the_nearest(status: object) -> None:
    unknown, fetch = stated("status", notice(status))
    assert (unknown["type"], fetch["type"]) == ("UnknownStatusReported", "FetchOrder")
    assert unknown["source_status"] == str(status)


@pytest.mark.parametrize(
    ("code", "on_hold"), [(690, True), (691, True), (695, True), (698, False), (540, None), (601, None)]
)
def test_a_note_says_where_a_hold_begins_and_ends(code: int, on_hold: bool | None) -> None:
    note, _ = stated("status", notice(code))
    assert note["data"] == ({} if on_hold is None else {"on_hold": on_hold})


def test_a_request_to_cancel_is_the_buyers_and_has_no_status() -> None:
    for order in (ORDER, str(ORDER)):
        request, fetch = stated("cancel-request", {"order_id": order})
        assert (request["type"], request["source_status"], request["shop"]) == (
            "CancellationRequested",
            None,
            None,
        )
        assert request["scope"] == {"order": str(ORDER)}
        assert request["data"] == {"by": "BUYER"}
        assert fetch["type"] == "FetchOrder"
    assert translate("cancel-request", {"order_id": 1}, site="id", shop="9")[0]["shop"] == "9"


def test_the_history_is_stated_in_ascending_order_with_times_and_actors() -> None:
    history = [
        row(0, "2023-06-15T10:46:31.5Z", action_by="system-automatic", comment="Melebihi batas waktu"),
        row(220, "2023-06-14T10:46:31.374626Z"),
        row(100, "2023-06-14T10:46:05.061156Z"),
    ]
    facts = stated("order", single(history, order_status=0))
    assert kinds(facts) == ["OrderPlaced", "PaymentAwaited", "PaymentSucceeded", "OrderCancelled"]
    assert [fact["occurred_at"] for fact in facts] == [
        "2023-06-14T03:46:05Z",
        "2023-06-14T03:46:05Z",
        "2023-06-14T03:46:31Z",
        "2023-06-15T03:46:31Z",
    ]
    assert facts[-1]["data"] == {"by": "CHANNEL", "buyer": {"reason": "Melebihi batas waktu"}}


def test_rows_within_one_second_keep_the_order_of_their_fractions() -> None:
    history = [row(400, "2023-06-14T10:46:31.9Z"), row(450, "2023-06-14T10:46:31.95Z")]
    assert kinds(stated("order", single(history)))[1:] == ["OrderConfirmed", "ShipmentBooked"]


def test_equal_statuses_of_one_history_are_counted() -> None:
    history = [
        row(500, "2023-06-14T14:00:00Z"),
        row(520, "2023-06-14T13:00:00Z"),
        row(500, "2023-06-14T12:00:00Z"),
    ]
    facts = stated("order", single(history))[1:]
    assert [(fact["source_status"], fact["occurrence"]) for fact in facts] == [
        ("500", 1),
        ("520", 1),
        ("500", 2),
    ]


def test_501_books_without_awb_before_500_and_is_a_note_after_it_or_without_a_history() -> None:
    before, early = row(501, "2023-06-14T11:00:00Z"), row(500, "2023-06-14T10:00:00Z")
    booked = stated("order", single([before]))[1]
    assert (booked["type"], booked["data"]) == ("ShipmentBooked", {"courier": "J&T"})
    assert kinds(stated("order", single([before, early])))[1:] == ["PackagePickedUp", "ChannelNote"]
    assert kinds(stated("orders", [listed(501)])) == ["OrderPlaced", "ChannelNote"]
    assert kinds(stated("status", notice(501))) == ["ChannelNote", "FetchOrder"]


def test_an_awb_stands_in_the_goods_fact() -> None:
    picked_up = stated("order", single([row(500)]))[1]
    assert picked_up["data"] == {"awb": "JX1", "courier": "J&T"}


def test_221_states_the_payment_and_a_note() -> None:
    assert kinds(stated("order", single([row(221)])))[1:] == ["PaymentSucceeded", "ChannelNote"]


@pytest.mark.parametrize("flag", [True, "true", 1, "1"])
def test_a_cod_order_states_no_payment(flag: object) -> None:
    placed, confirmed = stated("order", single([row(400), row(220), row(100)], is_cod_mitra=flag))
    assert placed["data"]["payment_method"] == "COD"
    assert confirmed["type"] == "OrderConfirmed"
    assert kinds(stated("notification", listed(220, is_cod_mitra=flag))) == ["OrderPlaced"]


def test_a_status_that_the_history_lacks_stands_last_without_a_time() -> None:
    facts = stated("order", single([row(220)], order_status=400))
    assert kinds(facts)[1:] == ["PaymentSucceeded", "OrderConfirmed"]
    assert facts[-1]["occurred_at"] is None
    paid = stated("order", single(None, order_status=220, payment_date="2023-06-14T10:46:31Z"))[1]
    assert paid["occurred_at"] == "2023-06-14T03:46:31Z"


@pytest.mark.parametrize(
    "unset", [None, "", "0001-01-01T00:00:00Z", {"Time": "0001-01-01T00:00:00Z", "Valid": False}]
)
def test_an_unset_date_is_absent(unset: object) -> None:
    paid = stated("notification", listed(220, payment_date=unset))[1]
    assert paid["occurred_at"] is None
    valid = stated("notification", listed(220, payment_date={"Time": "2023-06-14T10:46:31Z", "Valid": True}))[
        1
    ]
    assert valid["occurred_at"] == "2023-06-14T03:46:31Z"


def test_lines_without_ids_of_their_own_are_counted_per_product_and_bundles_once() -> None:
    product = {"id": 7, "name": "Kopi", "quantity": 1, "price": 100, "notes": "halus"}
    bundled = {"bundle": [{"bundle_id": 1, "order_detail": [product]}], "non_bundle": [product]}
    order = listed(220, products=[product, product | {"id": 8}, product], bundle_detail=bundled)
    placed = stated("notification", order)[0]["data"]
    assert [line["line"] for line in placed["lines"]] == ["7/1", "8/1", "7/2"]
    assert set(placed["buyer"]["line_notes"]) == {"7/1", "8/1", "7/2"}


def test_the_total_is_what_is_left_after_promos() -> None:
    order = listed(220, promo_order_detail={"total_discount": 10000})
    placed = stated("orders", [order])[0]["data"]
    assert (placed["total"], placed["discount"]) == (144000, 10000)
    goods = sum(line["quantity"] * line["unit_price"] for line in placed["lines"])
    assert placed["total"] == goods - placed["discount"] + placed["shipping_fee"]


def test_three_names_of_the_invoice_and_two_of_the_buyer_are_one() -> None:
    old = listed(
        220, invoice_ref_num=None, invoice_num="INV/2", buyer={"id": 3, "name": "Budi", "email": " "}
    )
    placed = stated("notification", old)[0]["data"]
    assert placed["reference"] == "INV/2"
    assert placed["buyer"] == {"id": "3", "name": "Budi"}


@pytest.mark.parametrize("empty", [[], {"header": {"messages": "processed successfully"}, "data": None}])
def test_an_empty_list_states_nothing(empty: object) -> None:
    assert stated("orders", empty) == []


@pytest.mark.parametrize(
    "answer",
    [
        {"header": {"error_code": "ORD_API_008", "messages": "x"}, "data": None},
        {"header": {"error_code": 0, "messages": "We had a problem with our server."}, "data": None},
        {"header": {"messages": "Our server encounters an error", "response_id": "b"}, "data": None},
        {"data": None, "status": "400 Bad Request", "error_message": ["bad input data"]},
    ],
)
def test_an_error_answer_is_malformed_in_every_shape(answer: dict[str, Any]) -> None:
    for kind in ("order", "orders", "notification"):
        with pytest.raises(Malformed) as refused:
            stated(kind, answer)
        assert refused.value.code == "MARKETPLACE_ERROR"


def test_an_order_without_lines_or_with_a_line_of_none_is_malformed() -> None:
    for products in ([], [{"id": 7, "quantity": 0}], [{"quantity": 1}]):
        with pytest.raises(Malformed):
            stated("notification", listed(220, products=products))


def test_keys_are_read_without_regard_to_case() -> None:
    shouted = {key.upper(): value for key, value in listed(220).items()}
    assert stated("notification", shouted) == stated("notification", listed(220))


def test_another_site_than_id_is_malformed() -> None:
    with pytest.raises(Malformed) as refused:
        translate("status", notice(220), site="sg", shop=None)
    assert refused.value.code == "SITE_NOT_SUPPORTED"


def test_a_topic_is_classified_by_its_path() -> None:
    found = classify("order_status", notice(0))
    assert (found.category, found.order, found.shop, found.site) == (
        PushCategory.ORDER,
        str(ORDER),
        "9301177",
        "id",
    )
    assert found.key == ("15999", "9301177", "order_status", str(ORDER), "0")
    assert classify("chat_notification", {"msg_id": 1}).category is PushCategory.OTHER_TYPE
    assert classify("weather", []).category is PushCategory.UNKNOWN_TYPE


def test_delivery_keys_follow_the_topic() -> None:
    status = classify("order_status", notice(0))
    assert status.delivery_key("path", b"a") != status.delivery_key("path", b"b")
    request = classify("order_request_cancellation", {"order_id": ORDER})
    text = classify("order_request_cancellation", {"order_id": str(ORDER)})
    assert request.delivery_key("path", b"a") == text.delivery_key("path", b"b")
