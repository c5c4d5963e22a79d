"""What Lazada's payloads state (lazada.md 5), rule by rule."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.channels.lazada.statuses import ITEM_FACTS, OTHER_TYPES, REVERSE_FACTS
from services.channels.lazada.translate import classify, parse, translate
from services.channels.marketplace import Malformed, PushCategory

SAMPLES = Path(__file__).parent / "samples" / "lazada"


def push(status: str | None = "shipped", **changes: Any) -> dict[str, Any]:
    data = {
        "order_status": status,
        "trade_order_id": "712345678901001",
        "trade_order_line_id": "712345679001001",
        "status_update_time": 1772697566,
    }
    return {
        "seller_id": "1000999001",
        "message_type": 0,
        "data": data | changes.pop("data", {}),
        "timestamp": 1772697577,
        "site": "lazada_sg",
    } | changes


def reverse(status: str) -> dict[str, Any]:
    return push(
        message_type=10,
        data={
            "reverse_status": status,
            "reverse_order_id": 712399000002001,
            "reverse_order_line_id": 712399000102001,
            "seller_id": 5,
        },
    )


def order(**changes: Any) -> dict[str, Any]:
    return {
        "order_id": 712345678901001,
        "order_number": 712345678901001,
        "payment_method": "MIXEDCARD",
        "price": "57.80",
        "voucher": 5,
        "shipping_fee": "3.98",
        "created_at": "2026-03-05 10:59:26 +0800",
    } | changes


def item(line: int, status: str | None = "pending", **changes: Any) -> dict[str, Any]:
    return {
        "order_id": 712345678901001,
        "order_item_id": line,
        "status": status,
        "updated_at": "2026-03-05 11:24:26 +0800",
        "item_price": "28.90",
        "voucher_amount": "2.50",
        "currency": "SGD",
        "sku": "TEE",
    } | changes


def stated(kind: str, payload: object) -> list[dict[str, Any]]:
    raw = json.dumps(payload).encode()
    return translate(kind, parse(raw), site="sg", shop="1000999001")


def read(items: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    return stated("read", {"order": order(**changes), "items": items})


def kinds(elements: list[dict[str, Any]]) -> list[str]:
    return [element["type"] for element in elements]


@pytest.mark.parametrize(("status", "fact"), ITEM_FACTS.items())
def test_a_push_states_the_fact_of_its_status_and_asks_for_a_read(status: str, fact: str) -> None:
    facts = [] if fact == "PaymentSucceeded" else [fact]
    assert kinds(stated("push", push(status))) == [*facts, "FetchOrder"]


@pytest.mark.parametrize(("status", "fact"), REVERSE_FACTS.items())
def test_a_reverse_push_states_the_fact_of_its_status(status: str, fact: str) -> None:
    stated_fact, fetch = stated("push", reverse(status))
    assert (stated_fact["type"], fetch["type"]) == (fact, "FetchOrder")
    assert stated_fact["source_status"] == status
    assert stated_fact["shop"] == "1000999001"  # Of the two sellers the top-level one (L14).
    whole = fact == "RefundPaid"
    assert stated_fact["scope"] == ({"order": "712345678901001"} if whole else {"line": "712345679001001"})


@pytest.mark.parametrize("status", ["topack", "toship", "Shipped", "teleported", "", None])
def test_a_status_in_no_table_is_unknown_and_never_the_nearest_name(status: str | None) -> None:
    unknown, fetch = stated("push", push(status))
    assert (unknown["type"], fetch["type"]) == ("UnknownStatusReported", "FetchOrder")
    assert unknown["source_status"] == status
    assert unknown["occurred_at"] == "2026-03-05T07:59:26Z"


def test_unknown_words_of_reverse_and_package_pushes_are_unknown() -> None:
    assert kinds(stated("push", reverse("RTM_TELEPORTED"))) == ["UnknownStatusReported", "FetchOrder"]
    package = push(message_type=14, data={"fulfillment_package_id": "FP1", "status": "LOST"})
    unknown, _ = stated("push", package)
    assert (unknown["type"], unknown["scope"]) == ("UnknownStatusReported", {"package": "FP1"})


def test_a_request_to_fetch_has_no_more_than_five_keys() -> None:
    fetch = stated("push", push("pending"))[-1]
    assert fetch == {
        "type": "FetchOrder",
        "channel": "lazada",
        "site": "sg",
        "shop": "1000999001",
        "order": "712345678901001",
    }


def test_a_push_without_status_time_has_no_time() -> None:
    fact, _ = stated("push", push(data={"status_update_time": None}))
    assert (fact["occurred_at"], fact["approximate"], fact["occurrence"]) == (None, False, 1)


def test_ids_as_numbers_state_the_same_as_ids_as_text() -> None:
    numbers = push(
        seller_id=1000999001,
        message_type="0",
        data={"trade_order_id": 712345678901001, "trade_order_line_id": 712345679001001},
    )
    assert stated("push", numbers) == stated("push", push())


@pytest.mark.parametrize("missing", ["trade_order_id", "trade_order_line_id"])
def test_a_push_without_its_ids_is_malformed(missing: str) -> None:
    with pytest.raises(Malformed) as refused:
        stated("push", push(data={missing: None}))
    assert (refused.value.code, refused.value.field) == ("MISSING", f"data.{missing}")


@pytest.mark.parametrize(
    "probe",
    [
        push("This is a test message", seller_id="9999", data={"trade_order_id": "123456"}),
        push("Initiated", timestamp=1),
        push("unpaid", seller_id="9999", data={"trade_order_id": 123456, "trade_order_line_id": "12345"}),
    ],
)
def test_the_verify_probe_states_nothing(probe: dict[str, Any]) -> None:
    assert stated("push", probe) == []
    assert classify(probe).category is PushCategory.PROBE


@pytest.mark.parametrize("kind", sorted(OTHER_TYPES))
def test_a_push_about_no_order_states_nothing(kind: int) -> None:
    other = {"message_type": kind, "seller_id": "null", "site": "LAZADA_SG", "data": {"status": "close"}}
    assert stated("push", other) == []
    classified = classify(other)
    assert (classified.category, classified.shop) == (PushCategory.OTHER_TYPE, None)


def test_an_unknown_message_type_states_nothing() -> None:
    assert stated("push", push(message_type=99)) == []
    assert classify(push(message_type=99)).category is PushCategory.UNKNOWN_TYPE


def test_what_the_push_names_wins_over_what_is_given() -> None:
    named = translate("push", push(site="LAZADA-VN"), site="sg", shop="1")[0]
    assert (named["site"], named["shop"]) == ("vn", "1000999001")


def test_a_prepaid_read_states_one_payment_with_the_earliest_time() -> None:
    early = "2026-03-05 11:00:00 +0800"
    placed, paid = read([item(1), item(2, updated_at=early)])
    assert paid["type"] == "PaymentSucceeded"
    assert paid["scope"] == {"order": "712345678901001"}
    assert paid["occurred_at"] == "2026-03-05T03:00:00Z"
    assert paid["data"] == {"amount": placed["data"]["total"], "currency": "SGD"}


def test_a_cod_read_states_no_payment() -> None:
    (placed,) = read([item(1), item(2, "unpaid")], payment_method="COD")
    assert placed["data"]["payment_method"] == "COD"


def test_items_alone_do_not_state_that_the_payment_succeeded() -> None:
    assert kinds(stated("items", [item(1), item(2, "unpaid")])) == ["PaymentAwaited", "FetchOrder"]


def test_facts_of_the_whole_order_come_before_lines_and_lines_as_in_the_payload() -> None:
    facts = read([item(9, "shipped"), item(2), item(1, "packed")])
    assert kinds(facts) == ["OrderPlaced", "PaymentSucceeded", "PackagePickedUp", "PackagePrepared"]
    assert [fact["scope"] for fact in facts[2:]] == [{"line": "9"}, {"line": "1"}]


def test_the_placement_adds_up() -> None:
    placed = read([item(1), item(2)], voucher="7.50")[0]["data"]
    goods = sum(line["quantity"] * line["unit_price"] - line["discount"] for line in placed["lines"])
    assert placed["total"] == 5780 - 750 + 398
    assert placed["discount"] == 250
    assert placed["total"] == goods - placed["discount"] + placed["shipping_fee"]


def test_a_read_without_currency_takes_that_of_the_site() -> None:
    placed = stated("read", {"order": order(), "items": [item(1, currency="")]})[0]
    assert placed["data"]["currency"] == "SGD"
    with pytest.raises(Malformed) as refused:
        translate("read", {"order": order(), "items": [item(1, currency="")]}, site=None, shop=None)
    assert refused.value.code == "UNKNOWN_CURRENCY"


def test_a_read_of_the_items_of_another_order_is_malformed() -> None:
    with pytest.raises(Malformed) as refused:
        stated("read", {"order": order(order_id=5), "items": [item(1)]})
    assert refused.value.code == "OTHER_ORDER"


@pytest.mark.parametrize("value", [True, "true", 1, "1"])
def test_a_pending_request_to_cancel_is_stated_beside_the_status(value: object) -> None:
    asked = item(1, "packed", is_cancel_pending=value, cancel_trigger_time="1772697566000", reason=" ")
    packed, request, _ = stated("items", [asked])
    assert (packed["type"], request["type"]) == ("PackagePrepared", "CancellationRequested")
    assert request["source_status"] is None
    assert request["data"] == {"by": "BUYER", "deadline": "2026-03-05T07:59:26Z"}


@pytest.mark.parametrize("value", [False, "false", 0, "0", "", None])
def test_no_request_to_cancel_is_stated_where_the_flag_is_down(value: object) -> None:
    assert "CancellationRequested" not in kinds(stated("items", [item(1, need_cancel_confirm=value)]))


@pytest.mark.parametrize(
    ("initiator", "by"),
    [
        ("buyer-cancel", "BUYER"),
        ("cancellation-customer", "BUYER"),
        ("cancellation-seller", "SELLER"),
        ("cancellation-internal", "CHANNEL"),
        ("null-null", None),
        ("", None),
    ],
)
def test_who_cancelled_is_stated_where_lazada_says_so(initiator: str, by: str | None) -> None:
    cancelled = stated("items", [item(1, "canceled", cancel_return_initiator=initiator)])[0]
    assert cancelled["data"].get("by") == by


def test_several_orders_are_fetched_once_each_after_all_facts() -> None:
    payload = [
        {"order_id": 1, "order_items": [item(1, "shipped", order_id=1), item(2, "shipped", order_id=1)]},
        {"order_id": 2, "order_items": [item(3, "shipped", order_id=2)]},
    ]
    elements = stated("items", payload)
    assert kinds(elements) == ["PackagePickedUp"] * 3 + ["FetchOrder"] * 2
    assert [element["order"] for element in elements[3:]] == ["1", "2"]


def test_an_answer_with_its_envelope_states_the_same_as_its_data() -> None:
    enveloped = {"code": "0", "data": [item(1)], "request_id": "x"}
    assert stated("items", enveloped) == stated("items", [item(1)])
    both = {"order": {"code": "0", "data": order()}, "items": enveloped}
    assert stated("read", both) == read([item(1)])


@pytest.mark.parametrize(
    "page", [{"count": 0}, {"count": "0", "orders": None}, {"count": 0, "orders": []}, []]
)
def test_an_empty_page_states_nothing(page: object) -> None:
    assert stated("orders", page) == []


def test_a_page_that_lacks_its_orders_is_malformed() -> None:
    with pytest.raises(Malformed):
        stated("orders", {"count": 2})


def test_personal_data_stands_under_buyer_only_and_blanks_are_left_out() -> None:
    person = {
        "first_name": "T*****e",
        "last_name": " ",
        "phone": "65******59",
        "address1": "J1",
        "city": "Singapore",
    }
    clear = item(1, digital_delivery_info="t@example.com")
    placed = read([clear], address_shipping=person, customer_first_name="T*****e", remarks="")[0]["data"]
    assert placed["buyer"] == {
        "name": "T*****e",
        "recipient": "T*****e",
        "recipient_phone": "65******59",
        "address": "J1",
    }
    assert placed["city"] == "Singapore"
    assert "example.com" not in json.dumps(placed)


def test_the_delivery_key_of_a_push_is_that_of_its_words() -> None:
    key = classify(push()).delivery_key("app", b"one body")
    same = push(seller_id=1000999001, data={"status_update_time": 1772697566000, "buyer_id": 7})
    assert classify(same).delivery_key("app", b"another body") == key
    for other in (
        push("delivered"),
        push(data={"status_update_time": 1772697567}),
        push(data={"trade_order_line_id": "8"}),
        push(data={"reverse_order_line_id": "9"}),
        push(seller_id="8"),
    ):
        assert classify(other).delivery_key("app", b"one body") != key
    assert classify(push()).delivery_key("other app", b"one body") != key


def test_a_push_about_no_order_is_known_by_its_body() -> None:
    stock = parse((SAMPLES / "push_type06_shallow_stock.json").read_bytes())
    assert classify(stock).delivery_key("app", b"a") != classify(stock).delivery_key("app", b"b")
