"""The table: guards from left to right, goods by scope, ownership first, and a sentence for every code."""

import pytest
from msgspec.structs import replace

from libs.runtime.problems import SENTENCES
from services.orders.order.events import Method
from services.orders.order.guards import GUARDS, GUARDS_OF
from services.orders.order.model import Billing, Coverage, Fulfilment, Status, Transaction
from services.orders.order.refusals import CODES
from services.orders.order.table import COMMANDS, FACTS, Goods, Situation, allowed, applies, first_refusal

NOT_STARTED = Goods(Fulfilment.NOT_STARTED)
READY = Goods(Fulfilment.READY)
BOOKED = Goods(Fulfilment.BOOKED)
WITH_AWB = Goods(Fulfilment.BOOKED, awb=True)
ON_THE_WAY = Goods(Fulfilment.IN_TRANSIT, awb=True)
ARRIVED = Goods(Fulfilment.DELIVERED, awb=True)
LOST = Goods(Fulfilment.LOST_OR_DAMAGED, awb=True)
RETURNED = Goods(Fulfilment.RETURNED, awb=True)

NEW = Situation(method=Method.TRANSFER, status=Status.NEW, parts=(NOT_STARTED,))
PAID = replace(NEW, status=Status.CONFIRMED, coverage=Coverage.PAID)
CANCELLED = replace(NEW, status=Status.CANCELLED, parts=())
COMPLETED = replace(PAID, status=Status.COMPLETED, parts=(ARRIVED,))


def test_gr_5_open_and_free_are_spelled_out_in_their_order() -> None:
    free = ("ORDER_IS_CANCELLED", "ORDER_IS_COMPLETED", "CANCELLATION_REQUEST_OPEN")
    for number in ["T2", "T3", "T4", "T5", "T7", "T12", "T16", "T24", "T28a", "T28b", "T28d", "T29", "T30"]:
        row = next(row for row in COMMANDS.values() if number in row.numbers)
        assert row.guards[:3] == free, number
    for number in ["T8", "T13", "T26", "T35a", "T35b"]:
        row = next(row for row in COMMANDS.values() if number in row.numbers)
        assert row.guards[:2] == free[:2], number
        assert "CANCELLATION_REQUEST_OPEN" not in row.guards, number


def test_every_row_of_the_rules_is_there_once() -> None:
    numbers = [number for row in COMMANDS.values() for number in row.numbers]
    expected = [f"T{n}" for n in range(1, 17)] + ["T24", "T25", "T26", "T28a", "T28b", "T28d"]
    expected += [f"T{n}" for n in range(29, 34)] + ["T34a", "T34b", "T35a", "T35b", "T36", "T37"]
    assert sorted(numbers) == sorted(expected)
    facts = [row.number for row in FACTS.values()]
    assert [number for number in facts if number.startswith("T")] == (
        [
            "T17a",
            "T17b",
            "T18",
            "T19",
            "T20a",
            "T20b",
            "T21",
            "T22",
            "T23",
            "T27a",
            "T27b",
            "T27c",
            "T27d",
            "T27e",
            "T28c",
        ]
    )


def test_gr_10_an_inverse_is_a_command_of_the_table() -> None:
    assert {name for row in COMMANDS.values() for name in row.inverses} <= COMMANDS.keys()


def test_4_2_every_code_of_the_table_has_sentences_and_no_predicate_is_without_a_row() -> None:
    used = {code for row in COMMANDS.values() for code in row.guards}
    assert used <= CODES.keys()
    assert GUARDS.keys() <= used
    for command, code in GUARDS_OF:
        assert code in COMMANDS[command].guards
    for refusal in CODES.values():
        assert refusal.en.endswith("."), refusal.code
        assert refusal.id.endswith("."), refusal.code
        assert refusal.en != refusal.id


def test_4_2_codes_that_no_situation_answers_are_those_that_hang_on_the_payload() -> None:
    goods = {"NOT_IN_SHIPPING", "ALREADY_PICKED_UP", "AWB_MISSING", "NOT_PREPARED"}
    used = {code for name, row in COMMANDS.items() if name != "PlaceOrder" for code in row.guards}
    assert used - GUARDS.keys() - goods == {
        "AMOUNT_MISMATCH",
        "RECEIPT_NOT_REVERSIBLE",
        "METHOD_LOCKED",
        "LAST_LINE",
        "TOTAL_NOT_POSITIVE",
        "STOCK_NOT_AVAILABLE",
        "AGENT_UNKNOWN",
        "TAG_INVALID",
        "TOO_MANY_TAGS",
        "QUANTITY_NOT_AVAILABLE",
        "REFUND_EXCEEDS_DUE",
        "CREDIT_EXCEEDS_VALUE",
        "ALREADY_REMITTED",
        "READ_TOO_OLD",
    }


def test_rf_2_each_code_has_its_http_status() -> None:
    assert CODES["ORDER_NOT_FOUND"].http == 404
    assert CODES["NOT_PERMITTED"].http == 403
    assert CODES["SEQUENCE_CONFLICT"].http == 412
    assert CODES["KEY_REUSED"].http == 422
    others = [
        code for code in CODES.values() if code.http not in {403, 404, 412} and code.code != "KEY_REUSED"
    ]
    assert {(code.http, code.on_input) for code in others} == {(409, False), (422, True)}
    assert sum(code.on_input for code in CODES.values()) == 14


def test_gr_3_the_first_code_from_left_to_right_is_the_answer() -> None:
    assert first_refusal("ConfirmOrder", replace(PAID, on_hold=True)) == "ALREADY_CONFIRMED"
    assert first_refusal("ConfirmOrder", replace(PAID, request_open=True)) == "CANCELLATION_REQUEST_OPEN"
    assert first_refusal("ConfirmOrder", CANCELLED) == "ORDER_IS_CANCELLED"
    assert first_refusal("ConfirmOrder", NEW) is None


def test_gr_3_a_raised_code_takes_its_place_in_the_row() -> None:
    assert first_refusal("ConfirmPayment", NEW, {"AMOUNT_MISMATCH"}) == "AMOUNT_MISMATCH"
    assert first_refusal("ConfirmPayment", PAID, {"AMOUNT_MISMATCH"}) == "ALREADY_PAID"
    assert first_refusal("EditOrder", NEW, {"STOCK_NOT_AVAILABLE", "LAST_LINE"}) == "LAST_LINE"


def test_gr_3_a_code_that_the_row_does_not_have_is_a_fault_and_never_dropped() -> None:
    with pytest.raises(ValueError, match="NO_CASE"):
        first_refusal("ConfirmOrder", NEW, {"NO_CASE"})
    with pytest.raises(KeyError):
        first_refusal("ExplodeOrder", NEW)


def test_gr_3_ownership_is_asked_before_the_table_and_an_action_in_flight_behind_it() -> None:
    channel = replace(NEW, channel_owned=True, method=Method.GATEWAY)
    assert first_refusal("ConfirmPayment", replace(channel, status=Status.CANCELLED)) == "CHANNEL_OWNED"
    assert first_refusal("EditOrder", replace(channel, status=Status.CANCELLED), {"CHANNEL_OWNED"}) == (
        "CHANNEL_OWNED"
    )
    assert first_refusal("ConfirmOrder", channel, {"ACTION_IN_FLIGHT"}) == "ACTION_IN_FLIGHT"
    again = replace(channel, status=Status.CONFIRMED)
    assert first_refusal("ConfirmOrder", again, {"ACTION_IN_FLIGHT"}) == "ALREADY_CONFIRMED"
    assert first_refusal("ReopenOrder", replace(channel, status=Status.CANCELLED)) == "CANCELLED_BY_CHANNEL"


def test_ma_1_a_command_whose_action_the_channel_lacks_is_not_allowed() -> None:
    channel = replace(NEW, channel_owned=True, method=Method.GATEWAY)
    assert "ConfirmOrder" in allowed(channel)
    assert "ConfirmOrder" not in allowed(channel, unsupported={"ConfirmOrder"})
    assert "ConfirmPayment" not in allowed(channel)


def test_gr_7_a_named_part_that_does_not_qualify_refuses_the_whole_command() -> None:
    mixed = replace(PAID, parts=(NOT_STARTED, BOOKED))
    assert first_refusal("ShipOrder", mixed) is None
    assert first_refusal("ShipOrder", replace(mixed, scope=(NOT_STARTED,))) is None
    assert first_refusal("ShipOrder", replace(mixed, scope=(NOT_STARTED, BOOKED))) == "IN_SHIPPING"
    assert first_refusal("ShipOrder", replace(mixed, parts=(BOOKED, BOOKED))) == "IN_SHIPPING"


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ((READY, BOOKED, ON_THE_WAY), "NOT_IN_SHIPPING"),
        ((BOOKED, ON_THE_WAY), "AWB_MISSING"),
        ((WITH_AWB, ON_THE_WAY), "ALREADY_PICKED_UP"),
        ((WITH_AWB, BOOKED), "AWB_MISSING"),
        ((WITH_AWB,), None),
    ],
)
def test_gr_7_the_code_is_that_of_the_least_advanced_part_that_does_not_qualify(
    scope: tuple[Goods, ...], code: str | None
) -> None:
    assert first_refusal("CancelShipment", replace(PAID, parts=scope, scope=scope)) == code


def test_gr_7_without_a_scope_only_parts_that_qualify_are_needed() -> None:
    assert first_refusal("CancelShipment", replace(PAID, parts=(READY, BOOKED, WITH_AWB))) is None
    assert first_refusal("CancelShipment", replace(PAID, parts=(READY, BOOKED))) == "NOT_IN_SHIPPING"
    assert first_refusal("MarkReady", replace(PAID, parts=(READY, BOOKED))) == "ALREADY_PREPARED"
    assert first_refusal("UnmarkReady", replace(PAID, parts=(NOT_STARTED, BOOKED))) == "NOT_PREPARED"
    assert first_refusal("UnmarkReady", replace(PAID, parts=(NOT_STARTED, READY))) is None
    assert first_refusal("CancelLines", replace(PAID, parts=(NOT_STARTED, BOOKED))) is None


def test_ag_6_all_other_commands_look_at_the_whole_order() -> None:
    one_booked = replace(PAID, parts=(NOT_STARTED, BOOKED))
    for command in ("UnconfirmOrder", "ReversePayment", "EditOrder", "CancelOrder"):
        assert first_refusal(command, one_booked) == "IN_SHIPPING", command
    assert first_refusal("UnconfirmOrder", replace(PAID, parts=(NOT_STARTED, READY))) == "ALREADY_PREPARED"


def test_t24_a_request_is_stopped_by_what_was_picked_up_in_its_own_scope() -> None:
    under_way = replace(PAID, parts=(NOT_STARTED, ON_THE_WAY))
    assert first_refusal("RequestCancellation", under_way) == "ALREADY_PICKED_UP"
    assert first_refusal("RequestCancellation", replace(under_way, scope=(NOT_STARTED,))) is None


def test_t25_a_cancel_lines_that_accepts_the_request_is_not_stopped_by_it() -> None:
    asked = replace(PAID, request_open=True)
    assert first_refusal("CancelLines", asked) == "CANCELLATION_REQUEST_OPEN"
    assert first_refusal("CancelLines", replace(asked, accepts_request=True)) is None


def test_t9_and_t10_reopen_what_is_asked_to_be_cancelled_or_cancelled() -> None:
    assert first_refusal("ReopenOrder", PAID) == "NOTHING_TO_REOPEN"
    assert first_refusal("ReopenOrder", replace(PAID, request_open=True)) is None
    assert first_refusal("ReopenOrder", CANCELLED) is None
    assert first_refusal("ReopenOrder", CANCELLED, {"STOCK_NOT_AVAILABLE"}) == "STOCK_NOT_AVAILABLE"


def test_t26_a_bill_that_stands_for_the_payment_does_not_complete_an_order() -> None:
    billed = replace(
        PAID, method=Method.INVOICE, coverage=Coverage.UNPAID, billing=Billing.ISSUED, parts=(ARRIVED,)
    )
    assert first_refusal("CompleteOrder", billed) == "PAYMENT_INCOMPLETE"
    assert first_refusal("ShipOrder", replace(billed, parts=(NOT_STARTED,))) is None
    assert first_refusal("CompleteOrder", replace(billed, method=Method.COD)) is None
    assert first_refusal("CompleteOrder", replace(PAID, parts=(ARRIVED, RETURNED))) is None
    assert first_refusal("CompleteOrder", replace(PAID, parts=(ARRIVED, ON_THE_WAY))) == "NOT_DELIVERED"
    assert first_refusal("CompleteOrder", replace(PAID, parts=(ARRIVED,), case_open=True)) == "CASE_OPEN"


def test_t28d_a_pending_bill_can_be_voided_when_part_is_paid_and_an_issued_one_cannot() -> None:
    pending = replace(PAID, method=Method.INVOICE, coverage=Coverage.PARTLY_PAID, billing=Billing.PENDING)
    assert first_refusal("VoidBill", pending) is None
    assert first_refusal("VoidBill", replace(pending, billing=Billing.ISSUED)) == "BILL_HAS_PAYMENT"
    assert first_refusal("IssueBill", replace(pending, documents_complete=False)) == "DOCUMENTS_INCOMPLETE"


def test_t31_to_t33_money_after_the_fact() -> None:
    assert first_refusal("RecordExtraReceipt", NEW) == "USE_CONFIRM_PAYMENT"
    assert first_refusal("RecordExtraReceipt", CANCELLED) is None
    assert first_refusal("RecordExtraReceipt", replace(COMPLETED, method=Method.COD)) == "COD_ORDER"
    assert first_refusal("RecordRefund", PAID) == "NOTHING_TO_REFUND"
    assert first_refusal("RecordRefund", replace(PAID, refund_due=True)) is None
    assert first_refusal("RecordCredit", PAID) == "NOTHING_TO_CREDIT"
    assert first_refusal("RecordCredit", replace(PAID, parts=(LOST, ARRIVED))) is None
    # COD before completion: nothing was collected.
    assert (
        first_refusal("RecordCredit", replace(PAID, method=Method.COD, parts=(LOST,))) == "NOTHING_TO_CREDIT"
    )
    assert first_refusal("RecordCredit", replace(COMPLETED, method=Method.COD)) is None


def test_t34_return_cases_open_within_their_window_and_once() -> None:
    assert first_refusal("OpenReturnCase", PAID) == "NOT_DELIVERED"
    assert first_refusal("OpenReturnCase", replace(PAID, parts=(ARRIVED, ON_THE_WAY))) is None
    assert first_refusal("OpenReturnCase", COMPLETED) is None
    assert first_refusal("OpenReturnCase", replace(COMPLETED, returns_open=False)) == "RETURN_WINDOW_CLOSED"
    assert first_refusal("OpenReturnCase", replace(COMPLETED, case_open=True)) == "CASE_OPEN"
    assert first_refusal("CloseReturnCase", COMPLETED) == "NO_CASE"


def test_ls_3_allowed_names_what_nothing_refuses_in_the_order_of_the_table() -> None:
    assert allowed(NEW) == [
        "ConfirmOrder",
        "ConfirmPayment",
        "SendCustomerChat",
        "EditOrder",
        "CancelOrder",
        "ViewOrder",
        "ChangeAgent",
        "TagOrder",
        "RequestCancellation",
        "CancelLines",
        "HoldOrder",
        "ReleaseOrder",
    ]


def test_t17_to_t23_a_courier_fact_applies_where_its_row_says() -> None:
    assert applies("AwbIssued", replace(PAID, parts=(BOOKED,)))
    assert not applies("AwbIssued", replace(PAID, parts=(WITH_AWB,)))
    assert not applies("PackagePickedUp", replace(PAID, parts=(BOOKED,)))
    assert applies("PackagePickedUp", replace(PAID, parts=(BOOKED, WITH_AWB)))
    assert not applies("ReturnStarted", replace(PAID, parts=(ARRIVED,), returns_open=False))
    assert applies("ReturnStarted", replace(PAID, parts=(ARRIVED,)))
    assert not applies("ReturnStarted", COMPLETED)


def test_t27_a_gateway_fact_applies_where_its_row_says() -> None:
    gateway = replace(NEW, method=Method.GATEWAY)
    assert applies("PaymentAwaited", gateway)
    assert not applies("PaymentAwaited", replace(gateway, negotiation_open=True))
    assert not applies("PaymentAwaited", NEW)
    assert not applies("PaymentFailed", gateway)
    assert applies("PaymentFailed", replace(gateway, transaction=Transaction.PROCESSING))
    assert applies("PaymentSucceeded", replace(gateway, status=Status.CANCELLED))


def test_4_2_what_the_shell_answers_under_a_code_of_the_rules_has_its_sentences() -> None:
    assert {code: CODES[code].sentence for code in SENTENCES} == SENTENCES
