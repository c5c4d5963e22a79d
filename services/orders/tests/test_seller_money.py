"""Section 8 on sellers' orders: golden totals, the golden money story, consequences, COD (MO-1 to MO-16)."""

from typing import Any

import pytest

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.events import Actor, TaxMode
from services.orders.order.headline import flags
from services.orders.order.model import Billing, Transaction
from services.orders.tests.seller import Story, cod_shipped, confirmed, fact, line, order_of, paid, shipped

GOLDEN = (line(2, 45_000, sku="A", discount=5_000), line(1, 30_000, sku="B"))
FEES: dict[str, Any] = {"discount": 10_000, "shipping_fee": 18_000, "insurance_fee": 500}


@pytest.mark.parametrize(
    ("mode", "rate", "tax", "total"),
    [
        (TaxMode.NONE, 0, 0, 123_500),
        (TaxMode.EXCLUSIVE, 1_100, 11_550, 135_050),
        (TaxMode.INCLUSIVE, 1_100, 10_405, 123_500),
    ],
)
def test_mo_3_mo_4_golden_totals(mode: TaxMode, rate: int, tax: int, total: int) -> None:
    story = Story(order_of(*GOLDEN, **FEES), seller=c.SellerTerms(tax_mode=mode, tax_rate=rate))
    assert money.goods_total(story.state) == 115_000
    assert money.taxable(story.state) == 105_000
    assert (money.tax(story.state), money.total(story.state)) == (tax, total)
    assert story.events[0].total == total


def test_mo_1_partial_cancellations_do_not_drift() -> None:
    story = Story(order_of(line(3, 33_333, discount=10_000)))
    assert money.total(story.state) == 89_999
    cancel = c.CancelLines(parts=(c.ScopedPart(line="1", quantity=1),), reason="HABIS")
    assert money.total(story.do(cancel).state) == 59_999
    assert money.total(story.do(cancel).state) == 30_000


def test_mo_2_a_discount_counts_at_most_as_much_as_the_goods() -> None:
    story = Story(order_of(line(1, 8_000), discount=10_000, shipping_fee=1_000))
    assert money.taxable(story.state) == 0
    assert money.total(story.state) == 1_000


def test_golden_money_story() -> None:
    story = confirmed().do(c.ConfirmPayment(amount=50_000))
    assert story.figures == (50_000, "PARTLY_PAID", 100_000, 0)
    story.do(c.ConfirmPayment(amount=120_000))
    assert story.figures == (170_000, "PAID", 0, 20_000)
    story.do(c.EditOrder(lines=(c.LineEdit(line="1", unit_price=170_000),)))
    assert story.figures == (170_000, "PAID", 0, 0)
    story.do(c.MarkReady(), c.EditOrder(lines=(c.LineEdit(line="1", unit_price=180_000),)))
    assert story.names == ["OrderEdited", "PackageUnprepared"]
    assert story.figures == (170_000, "PARTLY_PAID", 10_000, 0)
    story.do(c.CancelOrder(reason="HABIS"))
    assert story.names == ["OrderCancelled", "RefundDueChanged"]
    assert (story.figures[:2], story.figures[3]) == ((170_000, "PARTLY_PAID"), 170_000)
    story.do(c.RecordRefund(amount=100_000))
    assert (story.figures[:2], story.figures[3]) == ((70_000, "PARTLY_PAID"), 70_000)
    story.do(c.ReopenOrder(allow_backorder=True))
    assert story.names == ["OrderReopened", "RefundDueChanged"]
    assert story.state.episode == 2
    assert story.figures == (70_000, "PARTLY_PAID", 110_000, 0)


def test_mo_11_money_beyond_paid_is_an_extra_receipt() -> None:
    story = paid()
    assert story.refused(c.ConfirmPayment(amount=1)) == "ALREADY_PAID"
    story.do(c.RecordExtraReceipt(amount=5_000))
    assert story.names == ["ExtraReceiptRecorded", "RefundDueChanged"]
    assert story.figures == (155_000, "PAID", 0, 5_000)


def invoice(**changed: Any) -> Story:
    return confirmed(method="INVOICE", **changed).do(c.CreateBill())


def test_mo_12_b_a_pending_bill_is_issued_and_paid() -> None:
    story = invoice().do(c.ConfirmPayment())
    assert story.names == ["PaymentConfirmed", "BillIssued", "BillPaid"]
    assert story.state.billing is Billing.PAID
    assert story.state.bill_number == "BILL-TOKO-2026-000001"


def test_mo_12_b_with_incomplete_documents_it_is_withdrawn() -> None:
    story = invoice().do(c.ConfirmPayment(), seller=c.SellerTerms(documents_complete=False))
    assert story.names == ["PaymentConfirmed", "BillVoided"]
    assert story.headlines[-1] == "PAID"


def test_mo_12_c_d_a_paid_bill_becomes_issued_and_goods_stay_ready() -> None:
    story = invoice().do(c.ConfirmPayment(), c.MarkReady(), c.ReversePayment())
    assert story.names == ["PaymentReversed", "BillReopened"]
    assert story.parts == ["1 READY"]


def test_mo_12_d_without_its_bill_goods_are_unpacked() -> None:
    story = invoice().do(c.IssueBill(), c.MarkReady(), c.VoidBill())
    assert story.names == ["BillVoided", "PackageUnprepared"]
    assert (story.parts, story.state.packages) == (["1 NOT_STARTED"], ())


def gateway(**changed: Any) -> Story:
    return Story(order_of(method="GATEWAY"), **changed)


def tell(story: Story, type_: str, **data: Any) -> Story:
    return story.tell(fact(type_, **data), actor=Actor.GATEWAY)


def test_mo_13_a_changed_total_closes_the_awaited_payment() -> None:
    story = tell(gateway(), "PaymentAwaited", reference="t1")
    story.do(c.EditOrder(shipping_fee=10_000))
    assert story.names == ["OrderEdited", "TransactionClosed"]
    assert story.last[1].reason.value == "TOTAL_CHANGED"
    tell(story, "PaymentSucceeded", amount=150_000, reference="t1")
    assert story.names == ["PaymentSucceeded", "PaymentAllocated"]
    assert story.figures == (150_000, "PARTLY_PAID", 10_000, 0)


def test_t27_a_success_is_allocated_in_the_same_decision() -> None:
    story = tell(gateway(), "PaymentAwaited", reference="t1")
    tell(story, "PaymentProcessingStarted", reference="t1")
    assert story.refused(c.CancelOrder(reason="HABIS")) == "PAYMENT_RUNNING"
    tell(story, "PaymentSucceeded", amount=150_000, reference="t1")
    assert story.names == ["PaymentSucceeded", "PaymentAllocated"]
    assert story.headlines == ["NEW", "AWAITING_PAYMENT", "PAYMENT_IN_PROCESS", "PAID"]
    tell(story, "PaymentSucceeded", amount=150_000, reference="t1")
    assert (story.names, story.figures[0]) == ([], 150_000)
    tell(story, "PaymentSucceeded", amount=150_000, reference="t2")
    assert (story.names, story.figures) == (
        ["ExtraReceiptRecorded", "RefundDueChanged"],
        (300_000, "PAID", 0, 150_000),
    )
    tell(story, "PaymentSucceeded", amount=150_000, reference="t2")
    assert (story.names, story.figures[0]) == ([], 300_000)


def test_t27_by_hand_a_success_rests_until_it_is_confirmed() -> None:
    story = gateway(policies=c.Policies(allocate_at_once=False))
    tell(story, "PaymentSucceeded", amount=100_000, reference="t1")
    assert (story.names, story.headlines[-1]) == (["PaymentSucceeded"], "PAYMENT_SUCCEEDED")
    assert story.refused(c.ConfirmPayment(amount=99_999)) == "AMOUNT_MISMATCH"
    tell(story, "PaymentSucceeded", amount=50_000, reference="t2")
    assert story.names == ["PaymentAllocated", "PaymentSucceeded"]
    story.do(c.ConfirmPayment())
    assert story.figures == (150_000, "PAID", 0, 0)
    assert story.state.transaction is Transaction.NONE
    assert story.refused(c.ReversePayment()) == "RECEIPT_NOT_REVERSIBLE"


def test_t27d_a_failed_payment_ends_the_transaction() -> None:
    story = tell(gateway(), "PaymentAwaited", reference="t1")
    assert tell(story, "PaymentFailed", reference="t1").headlines[-1] == "NEW"
    assert tell(story, "PaymentFailed", reference="t1").names == ["FactRecorded"]


def test_cr_3_a_success_after_the_cancellation_is_refund_due() -> None:
    story = tell(gateway(), "PaymentAwaited", reference="t1").do(c.CancelOrder(reason="HABIS"))
    assert story.names == ["TransactionClosed", "OrderCancelled"]
    tell(story, "PaymentSucceeded", amount=150_000, reference="t1")
    assert story.names == ["ExtraReceiptRecorded", "RefundDueChanged"]
    assert (story.headlines[-1], story.figures[3]) == ("CANCELLED", 150_000)


def test_t8_a_resting_success_is_allocated_before_the_cancellation() -> None:
    story = gateway(policies=c.Policies(allocate_at_once=False))
    tell(story, "PaymentSucceeded", amount=100_000, reference="t1").do(c.CancelOrder(reason="HABIS"))
    assert story.names == ["PaymentAllocated", "OrderCancelled", "RefundDueChanged"]
    assert story.figures == (100_000, "PARTLY_PAID", 50_000, 100_000)


def test_cv_2_money_in_another_currency_is_recorded_not_booked() -> None:
    story = tell(gateway(), "PaymentSucceeded", amount=150_000, currency="USD", reference="t1")
    assert (story.names, story.figures[0]) == (["FactRecorded"], 0)
    assert "TOTALS_DIFFER" in flags(story.state)


def test_t28c_a_paid_bill_is_a_receipt_of_what_is_outstanding() -> None:
    story = invoice().do(c.IssueBill(), c.ConfirmPayment(amount=50_000))
    assert (story.headlines[-1], "BILL_PARTLY_PAID" in flags(story.state)) == ("BILL_ISSUED", True)
    tell(story, "BillPaid")
    assert (story.names, story.headlines[-1]) == (["BillPaid"], "BILL_PAID")
    assert story.figures == (150_000, "PAID", 0, 0)
    assert tell(story, "BillPaid").names == ["FactRecorded"]


def test_mo_14_cod_packages_share_the_discount_and_the_first_takes_the_fees() -> None:
    goods = (line(1, 100_000, sku="A", warehouse="W1"), line(1, 50_001, sku="B", warehouse="W2"))
    story = cod_shipped(*goods, discount=10_000, shipping_fee=20_000)
    first, second = story.state.packages
    assert (first.collect, second.collect) == (113_333, 46_668)
    assert first.collect + second.collect == money.total(story.state)


def test_mo_14_a_lost_cod_package_is_credited_at_once() -> None:
    goods = (line(1, 100_000, sku="A", warehouse="W1"), line(1, 50_001, sku="B", warehouse="W2"))
    story = cod_shipped(*goods, discount=10_000)
    first, second = (package.id for package in story.state.packages)
    story.tell(fact("AwbIssued", package=second, awb="JNE002"))
    story.tell(fact("PackageLostOrDamaged", package=first))
    assert story.names == ["PackagePickedUp", "PackageLostOrDamaged", "CreditRecorded"]
    assert money.payable(story.state) == 46_668
    assert "MONEY_TO_SETTLE" not in flags(story.state)
    story.tell(fact("PackageDelivered", package=second), fact("CodCollected", package=second, amount=46_668))
    assert story.headlines[-1] == "COMPLETED"
    assert story.figures == (46_668, "PAID", 0, 0)


def test_mo_15_a_difference_is_booked_as_reported_and_flagged() -> None:
    story = cod_shipped().tell(fact("PackagePickedUp"), fact("PackageDelivered"))
    story.tell(fact("CodCollected", amount=140_000))
    assert (story.headlines[-1], story.figures) == ("COMPLETED", (140_000, "PAID", 0, 0))
    assert "COD_DIFFERENCE" in flags(story.state)
    story.do(c.RecordCodRemittance(amount=140_000, awb="JNE001"))
    assert story.state.cod[0].remitted == 140_000
    assert story.refused(c.RecordCodRemittance(amount=140_000)) == "ALREADY_REMITTED"


def test_mo_16_lost_goods_that_were_paid_are_to_be_settled() -> None:
    story = shipped().tell(fact("PackagePickedUp"), fact("PackageLostOrDamaged"))
    assert "MONEY_TO_SETTLE" in flags(story.state)
    story.do(c.RecordCredit(amount=150_000, reason="hilang"))
    assert story.names == ["CreditRecorded", "RefundDueChanged"]
    assert (story.figures[3], "MONEY_TO_SETTLE" in flags(story.state)) == (150_000, False)
    assert story.refused(c.RecordCredit(amount=1, reason="lagi")) == "CREDIT_EXCEEDS_VALUE"


def test_mo_16_a_courier_claim_settles_too() -> None:
    story = shipped().tell(fact("PackagePickedUp"), fact("PackageLostOrDamaged"))
    story.do(c.RecordExtraReceipt(amount=150_000, claim=True))
    assert "MONEY_TO_SETTLE" not in flags(story.state)


def test_t33_a_bill_fully_credited_with_nothing_paid_is_voided() -> None:
    story = invoice().do(c.IssueBill(), c.ShipOrder()).tell(fact("AwbIssued", awb="JNE001"))
    story.tell(fact("PackagePickedUp"), fact("PackageLostOrDamaged")).do(c.RecordCredit(amount=150_000))
    assert story.names == ["CreditRecorded", "BillVoided"]
    assert (story.state.billing, story.figures) == (Billing.NONE, (0, "UNPAID", 0, 0))
