"""What commands do when they are allowed, and when there is nothing to do (sections 3 and 10)."""

from datetime import timedelta

import pytest

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.decide import NumberNeeded
from services.orders.order.events import Actor
from services.orders.order.fact import FactInvalid
from services.orders.order.headline import flags, view
from services.orders.order.model import Status
from services.orders.tests.seller import (
    Story,
    at,
    cod_shipped,
    confirmed,
    fact,
    line,
    order_of,
    paid,
    shipped,
)

CANCEL = c.CancelOrder(reason="HABIS")
ASK = c.RequestCancellation(reason="BERUBAH", note="lewat chat")
GOODS = (line(3, 50_000, sku="A", warehouse="W1"), line(1, 30_000, sku="B", warehouse="W2"))


def part(name: str, quantity: int | None = None) -> tuple[c.ScopedPart, ...]:
    return (c.ScopedPart(line=name, quantity=quantity),)


def test_t1_an_order_of_a_seller_starts_as_new_with_what_it_was_given() -> None:
    story = Story(
        order_of(source="LANDING_PAGE", page="Kaos Murah"),
        actor=Actor.BUYER,
        caller="k1",
        policies=c.Policies(version=7),
        seller=c.SellerTerms(id="s1"),
    )
    placed = story.events[0]
    assert (placed.number, placed.seller, placed.page, placed.source) == (
        "J000001",
        "s1",
        "Kaos Murah",
        "LANDING_PAGE",
    )
    assert (placed.actor, placed.caller, placed.policies) == (Actor.BUYER, "k1", 7)
    assert "STOCK_SHORT" in flags(story.state)


def test_mn_5_an_agent_who_makes_an_order_becomes_its_agent() -> None:
    story = Story(order_of(page="x"), actor=Actor.AGENT, caller="a1")
    assert (story.state.agent, story.state.page) == ("a1", "")


def test_t3_undoes_t2() -> None:
    story = confirmed().do(c.UnconfirmOrder())
    assert (story.names, story.headlines[-1]) == (["OrderUnconfirmed"], "NEW")


def test_t5_the_latest_receipt_by_hand_is_reversed_or_the_named_one() -> None:
    story = confirmed().do(c.ConfirmPayment(amount=10_000), c.ConfirmPayment(amount=20_000))
    first = story.state.receipts[0].id
    story.do(c.ReversePayment())
    assert story.last[0].amount == 20_000
    story.do(c.ReversePayment(receipt=first))
    assert story.figures == (0, "UNPAID", 150_000, 0)
    assert sum(receipt.amount for receipt in story.state.reversals) == 30_000
    assert story.fields(c.ReversePayment(receipt="r99")) == {"receipt": "FIELD_INVALID"}


def test_inv_10_money_that_was_refunded_is_not_reversed() -> None:
    story = paid().do(CANCEL, c.RecordRefund(amount=150_000), c.ReopenOrder(allow_backorder=True))
    assert story.refused(c.ReversePayment()) == "NOTHING_PAID"
    story.do(c.ConfirmPayment(amount=10_000))
    first = story.state.receipts[0].id
    assert story.refused(c.ReversePayment(receipt=first)) == "RECEIPT_NOT_REVERSIBLE"


def test_t6_a_chat_is_asked_for_and_its_text_is_not_kept_in_clear() -> None:
    story = Story().do(c.SendCustomerChat(text="Halo Ibu Contoh"))
    assert story.names == ["CustomerChatRequested"]
    assert "Halo" not in repr(story.last)


def test_t11_looking_is_no_event() -> None:
    assert Story().do(c.ViewOrder()).names == []


def test_t14_the_agent_changes_in_every_state_and_the_same_one_is_nothing_to_do() -> None:
    story = Story().do(CANCEL, c.ChangeAgent(agent="a1"))
    assert (story.last[0].agent, story.last[0].before) == ("a1", "")
    assert story.do(c.ChangeAgent(agent="a1")).names == []
    assert story.do(c.ChangeAgent()).last[0].before == "a1"


def test_at_3_tags_are_a_set_without_case_shown_as_first_written() -> None:
    story = Story().do(c.TagOrder(add=(" VIP ", "vip", "Baru")))
    assert story.state.tags == ("VIP", "Baru")
    assert story.do(c.TagOrder(add=("Vip",), remove=("tidak ada",))).names == []
    assert story.do(c.TagOrder(remove=("BARU",))).state.tags == ("VIP",)


def test_t35_holding_twice_and_releasing_twice_is_nothing_to_do() -> None:
    story = Story().do(c.HoldOrder(reason="cek"))
    assert "ON_HOLD" in flags(story.state)
    assert story.do(c.HoldOrder()).names == []
    assert story.do(c.ReleaseOrder()).names == ["OrderReleased"]
    assert story.do(c.ReleaseOrder()).names == []


def test_om_8_one_package_per_warehouse() -> None:
    story = paid(*GOODS).do(c.MarkReady())
    assert story.names == ["PackagePrepared", "PackagePrepared"]
    assert len(story.state.packages) == 2
    assert story.do(c.UnmarkReady()).state.packages == ()
    assert story.parts == ["3 NOT_STARTED", "1 NOT_STARTED"]


def test_om_6_parts_split_when_a_command_names_less() -> None:
    story = paid(*GOODS).do(c.MarkReady(parts=part("1", 2)))
    assert sorted(story.parts) == ["1 NOT_STARTED", "1 NOT_STARTED", "2 READY"]
    assert story.do(c.MarkReady(parts=part("1", 1))).parts.count("1 READY") == 1


def test_gr_7_a_named_part_that_does_not_qualify_refuses_the_command() -> None:
    story = paid(*GOODS).do(c.ShipOrder(parts=part("1", 2)))
    assert story.refused(c.MarkReady(parts=part("1", 2))) == "IN_SHIPPING"
    assert story.do(c.MarkReady()).names == ["PackagePrepared", "PackagePrepared"]
    assert story.fields(c.MarkReady(parts=part("9"))) == {"parts[0].line": "FIELD_INVALID"}
    assert story.fields(c.MarkReady(packages=("#9",))) == {"packages[0]": "FIELD_INVALID"}
    assert story.fields(c.MarkReady(parts=part("1", 4))) == {"parts[0].quantity": "FIELD_INVALID"}


def test_t12_part_of_a_prepared_package_travels_in_one_of_its_own() -> None:
    story = paid(line(3, 50_000)).do(c.MarkReady(), c.ShipOrder(parts=part("1", 1)))
    assert len(story.state.packages) == 2
    by_package: dict[str, set[str]] = {}
    for each in story.state.parts:
        by_package.setdefault(each.package, set()).add(each.value.value)
    assert sorted(map(tuple, by_package.values())) == [("BOOKED",), ("READY",)]


def test_t13_the_awb_is_void_and_never_becomes_live_again() -> None:
    story = shipped().do(c.CancelShipment())
    assert (story.headlines[-1], story.state.void_awbs) == ("READY_TO_SHIP", ("JNE001",))
    story.do(c.ShipOrder()).tell(fact("AwbIssued", awb="JNE001"))
    assert story.names == ["FactRecorded"]
    assert story.tell(fact("AwbIssued", awb="JNE002")).state.packages[0].live


def test_t17b_a_failed_booking_makes_goods_ready_again() -> None:
    story = paid().do(c.ShipOrder()).tell(fact("BookingFailed", reason="NO_CAPACITY"))
    assert (story.names, story.last[0].reason) == (["BookingFailed"], "NO_CAPACITY")
    assert story.headlines[-1] == "READY_TO_SHIP"
    assert shipped().tell(fact("BookingFailed")).names == ["FactRecorded"]


def test_gr_9_scans_between_booking_and_delivery_are_implied() -> None:
    story = shipped().tell(fact("PackageDelivered"))
    assert story.names == ["PackagePickedUp", "PackageDelivered"]
    assert [event.implied for event in story.last] == [True, False]


def test_gr_9_nothing_before_the_booking_is_implied() -> None:
    story = paid().tell(fact("PackagePickedUp"))
    assert (story.names, story.parts) == (["FactRecorded"], ["1 NOT_STARTED"])
    assert flags(story.state).keys() == {"STOCK_SHORT"}


def test_inv_9_a_pick_up_needs_a_known_awb_and_may_bring_it() -> None:
    story = paid().do(c.ShipOrder())
    assert story.tell(fact("PackagePickedUp", 1)).names == ["FactRecorded"]
    story.tell(fact("PackagePickedUp", 2, awb="JNE001"))
    assert story.names == ["AwbIssued", "PackagePickedUp"]


def test_gr_8_a_fact_seen_before_gives_nothing() -> None:
    story = shipped().tell(fact("PackagePickedUp", 10), fact("PackagePickedUp", 10))
    assert story.names == []


def test_t22_a_return_starts_within_the_window_only() -> None:
    story = shipped().tell(fact("PackagePickedUp", 10), fact("PackageDelivered", 20))
    late = Story.__new__(Story)
    late.__dict__.update(story.__dict__, events=list(story.events))
    week = timedelta(days=7) / timedelta(minutes=1)
    assert late.tell(fact("ReturnStarted", 20 + week + 1)).names == ["FactRecorded"]
    assert story.tell(fact("ReturnStarted", 20 + week)).headlines[-1] == "RETURNING"
    story.tell(fact("ReturnReceived", 30 + week, good=1, damaged=0))
    assert (story.last[0].good, story.last[0].damaged) == (1, 0)
    assert story.headlines[-1] == "RETURNED"


def test_t18_the_pick_up_closes_the_request() -> None:
    story = shipped().do(ASK).tell(fact("PackagePickedUp"))
    assert story.names == ["CancellationRequestClosed", "PackagePickedUp"]
    assert story.last[0].outcome.value == "TOO_LATE"


def test_t9_everything_is_as_before_the_request() -> None:
    story = paid().do(c.MarkReady())
    before = story.state
    story.do(ASK, c.ReopenOrder())
    assert story.names == ["CancellationRequestClosed"]
    assert (story.state.parts, story.state.packages, story.headlines[-1]) == (
        before.parts,
        before.packages,
        "READY_TO_SHIP",
    )


def test_gr_11_owner_and_agent_say_how_the_buyer_asked() -> None:
    assert Story().fields(c.RequestCancellation()) == {"note": "FIELD_INVALID"}
    assert Story().do(c.RequestCancellation(), actor=Actor.BUYER).names == ["CancellationRequested"]


def test_cr_4_accepting_a_scope_of_parts_cancels_just_these() -> None:
    ask = c.RequestCancellation(parts=part("1", 2), note="lewat chat")
    story = Story(order_of(*GOODS)).do(ask)
    cancel = c.CancelLines(reason="BERUBAH", by="BUYER", accept_request=True)
    assert story.refused(c.CancelLines(parts=part("1", 1), reason="X")) == "CANCELLATION_REQUEST_OPEN"
    story.do(cancel)
    assert (story.names, story.last[0].accepted) == (["LinesCancelled"], True)
    assert sorted(story.parts) == ["1 NOT_STARTED", "1 NOT_STARTED"]
    assert story.state.request is None


def test_t25_a_whole_request_is_accepted_by_cancelling_the_order() -> None:
    story = paid().do(ASK, CANCEL)
    assert story.names == ["OrderCancelled", "RefundDueChanged"]
    assert (story.last[0].accepted, story.last[0].reason) == (True, "HABIS")


def test_cr_1_a_reason_of_the_sellers_list_and_who_wanted_it() -> None:
    reasons = {"HABIS": "Stok habis"}
    story = Story(reasons=reasons)
    assert story.fields(c.CancelOrder(reason="LAIN")) == {"reason": "FIELD_INVALID"}
    assert story.fields(c.CancelOrder(by="KURIR")) == {"reason": "FIELD_INVALID", "by": "FIELD_INVALID"}
    story.do(c.CancelOrder(reason="HABIS", by="BUYER"))
    assert (story.state.cancel_label, story.state.cancelled_by) == ("Stok habis", Actor.BUYER)
    assert Story(reasons=reasons).do(c.CancelOrder(reason="UNPAID", by="SYSTEM")).names == ["OrderCancelled"]


def test_t8_withdraws_the_bill_and_dissolves_packages() -> None:
    story = confirmed(method="INVOICE").do(c.CreateBill(), c.IssueBill(), c.MarkReady(), CANCEL)
    assert story.names == ["BillVoided", "OrderCancelled"]
    assert (story.state.packages, story.headlines[-1]) == ((), "CANCELLED")


def test_cr_7_cr_8_reopening_restores_what_the_cancellation_took_and_no_more() -> None:
    story = Story(order_of(*GOODS)).do(c.CancelLines(parts=part("1", 1), reason="X"), CANCEL)
    had = money.total(story.state)
    for episode in (2, 3):
        story.do(c.ReopenOrder(allow_backorder=True))
        assert (story.state.episode, story.state.status) == (episode, Status.NEW)
        assert sorted(story.parts) == ["1 NOT_STARTED", "2 NOT_STARTED"]
        assert money.total(story.state) == had
        story.do(CANCEL)


def test_cr_15_reopening_takes_a_hold_for_the_restored_parts() -> None:
    story = Story().do(CANCEL)
    held = c.Hold(
        id="h2",
        lines=(c.HeldLine(key="KAOS", quantity=1),),
        expires_at=at(60),
    )
    story.do(c.ReopenOrder(), hold=held)
    assert (story.last[0].hold, story.last[0].backorder) == ("h2", False)


def test_cr_11_lines_that_are_not_in_shipping_can_still_be_cancelled() -> None:
    story = paid(*GOODS).do(c.ShipOrder(parts=part("1")))
    assert story.refused(CANCEL) == "IN_SHIPPING"
    story.do(c.CancelLines(parts=part("2"), reason="HABIS"))
    assert story.names == ["LinesCancelled", "RefundDueChanged"]
    assert story.figures == (180_000, "PAID", 0, 30_000)


def test_cr_12_lost_goods_end_the_fulfilment_not_the_order() -> None:
    story = shipped().tell(fact("PackageLostOrDamaged"))
    assert (story.headlines[-1], story.state.status) == ("LOST_OR_DAMAGED", Status.CONFIRMED)


def test_cr_13_after_completion_a_return_is_a_case_and_the_headline_stays() -> None:
    story = shipped().tell(fact("PackageDelivered")).do(c.CompleteOrder(), c.OpenReturnCase(lines=("1",)))
    assert (story.headlines[-1], story.state.cases[0].lines) == ("COMPLETED", ("1",))
    story.do(c.CloseReturnCase(outcome="REJECTED", good=0, damaged=1), c.RecordCredit(amount=50_000))
    assert story.figures == (150_000, "PAID", 0, 50_000)
    assert story.do(c.RecordRefund(amount=50_000)).figures == (100_000, "PAID", 0, 0)


def test_mk_13_a_return_reported_after_completion_opens_a_case() -> None:
    story = shipped().tell(fact("PackageDelivered", 10)).do(c.CompleteOrder()).tell(fact("ReturnStarted", 20))
    assert story.names == ["ReturnCaseOpened"]
    assert story.headlines[-1] == "COMPLETED"


def test_t28b_a_bill_has_its_number_and_term() -> None:
    story = confirmed(method="INVOICE").do(c.CreateBill(), c.IssueBill())
    issued = story.last[0]
    assert issued.due_at - issued.at == timedelta(days=14)
    assert story.do(c.MarkReady()).headlines[-1] == "READY_TO_SHIP"


def test_gr_15_stock_news_changes_no_dimension() -> None:
    story = Story(order_of(line(2)))
    story.tell(fact("StockClaimed", warehouses=[{"line": "1", "warehouse": "W1"}]), actor=Actor.SYSTEM)
    assert [each.warehouse for each in story.state.parts] == ["W1"]
    # OM-5: the order as the API shows it says where the units leave from.
    assert [part["warehouse"] for each in view(story.state)["lines"] for part in each["parts"]] == ["W1"]
    story.tell(fact("StockShort", lines=[{"line": "1", "missing": 1}]), actor=Actor.SYSTEM)
    assert flags(story.state)["STOCK_SHORT"] == [{"line": "1", "quantity": 1}]
    story.tell(fact("StockCovered"), actor=Actor.SYSTEM)
    assert "STOCK_SHORT" not in flags(story.state)
    assert set(story.headlines) == {"NEW"}


def test_inv_1_a_cod_order_is_unpaid_until_it_is_completed() -> None:
    story = cod_shipped().tell(fact("PackagePickedUp"), fact("PackageDelivered"))
    assert story.figures[1] == "UNPAID"


@pytest.mark.parametrize("command", [c.ConfirmPayment(amount=0), c.ConfirmPayment(amount=-1)])
def test_an_amount_is_at_least_one(command: c.ConfirmPayment) -> None:
    assert Story().fields(command) == {"amount": "AMOUNT_NOT_POSITIVE"}


def test_mk_5_a_scan_that_comes_late_is_recorded_and_moves_nothing_back() -> None:
    story = shipped().tell(fact("PackageDelivered", 20), fact("PackagePickedUp", 10))
    assert (story.names, story.headlines[-1]) == (["FactRecorded"], "DELIVERED")
    assert story.last[0].disposition.value == "LATE"


def test_wf_3_cash_reported_while_the_order_is_held_is_booked_when_it_completes() -> None:
    story = cod_shipped().tell(fact("PackageDelivered")).do(c.HoldOrder())
    story.tell(fact("CodCollected", amount=149_000))
    assert (story.names, story.figures[1]) == (["FactRecorded"], "UNPAID")
    story.do(c.ReleaseOrder(), c.CompleteOrder())
    assert [(entry.expected, entry.collected) for entry in story.state.cod] == [(150_000, 149_000)]


def test_gr_13_a_fact_may_name_its_package_by_awb() -> None:
    story = paid(*GOODS).do(c.ShipOrder())
    first, second = (package.id for package in story.state.packages)
    story.tell(fact("AwbIssued", package=first, awb="J1"), fact("AwbIssued", package=second, awb="J2"))
    story.tell(fact("PackageDelivered", package="J2"))
    assert sorted(story.parts) == ["1 DELIVERED", "3 BOOKED"]
    with pytest.raises(FactInvalid):
        story.tell(fact("PackageDelivered", package="J3"))
    with pytest.raises(FactInvalid):
        story.tell(fact("OrderPlaced"))


def test_cr_10_packages_move_independently_and_the_order_follows_the_least_advanced() -> None:
    story = paid(*GOODS).do(c.ShipOrder(parts=part("1")))
    assert (story.headlines[-1], "PARTLY_SHIPPED" in flags(story.state)) == ("PAID", True)
    story.do(c.ShipOrder())
    first, second = (package.id for package in story.state.packages)
    story.tell(fact("AwbIssued", package=first, awb="J1"), fact("AwbIssued", package=second, awb="J2"))
    story.tell(fact("PackageDelivered", package=first), fact("PackagePickedUp", package=second))
    assert story.headlines[-1] == "IN_TRANSIT"
    story.tell(fact("ReturnReceived", package=second))
    assert (story.headlines[-1], "HAS_RETURN" in flags(story.state)) == ("DELIVERED", True)
    assert story.do(c.CompleteOrder()).headlines[-1] == "COMPLETED"


def test_cv_6_every_event_of_a_decision_keeps_the_policies_and_the_caller() -> None:
    told = {"caller": "k9", "policies": c.Policies(version=3), "actor": Actor.AGENT}
    story = confirmed(method="INVOICE").do(c.CreateBill()).do(c.ConfirmPayment(), **told)
    assert {(event.caller, event.policies, event.actor) for event in story.last} == {("k9", 3, Actor.AGENT)}
    assert [event.implied for event in story.last] == [False, True, True]


def test_iv_1_a_decision_that_needs_a_number_says_which() -> None:
    story = confirmed(method="INVOICE").do(c.CreateBill())
    with pytest.raises(NumberNeeded) as needed:
        story.tried(c.IssueBill(), proposed_numbers={})
    assert needed.value.series == "BILL"


def test_t6_the_result_of_a_message_is_kept_with_it() -> None:
    story = Story().do(c.SendCustomerChat(template="tagihan"))
    chat = story.last[0].chat
    story.tell(fact("CustomerChatFailed", chat=chat, reason="NO_WHATSAPP"), actor=Actor.SYSTEM)
    assert (story.last[0].chat, story.last[0].reason) == (chat, "NO_WHATSAPP")
    story.tell(fact("CustomerChatDelivered", chat=chat), actor=Actor.SYSTEM)
    assert story.names == ["CustomerChatDelivered"]
    assert set(story.headlines) == {"NEW"}


def test_t18_a_request_for_units_that_are_not_picked_up_stays_open() -> None:
    story = paid(*GOODS).do(c.ShipOrder(parts=part("1", 1))).tell(fact("AwbIssued", awb="J1"))
    story.do(c.RequestCancellation(parts=part("1", 2), note="lewat chat")).tell(fact("PackagePickedUp"))
    assert (story.names, story.headlines[-1]) == (["PackagePickedUp"], "CANCELLATION_REQUESTED")
    story.do(c.CancelLines(reason="BERUBAH", by="BUYER", accept_request=True))
    assert sorted(story.parts) == ["1 IN_TRANSIT", "1 NOT_STARTED"]
    assert story.state.request is None
