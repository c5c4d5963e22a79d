"""Money that came in and went back: MK-9, each case by its rule."""

import pytest

from services.orders.order import money
from services.orders.order.channel_facts import (
    Disposition,
)
from services.orders.order.headline import flags, headline
from services.orders.order.model import Coverage
from services.orders.tests.facts import PRICE, Played, at, cod, fact, placement, prepaid


def test_mk_9_a_real_receipt_replaces_an_implied_one() -> None:
    played = Played(
        placement(), fact("PackagePrepared", 5), fact("PaymentSucceeded", 2, amount=PRICE, reference="R1")
    )
    assert played.last.disposition is Disposition.REAFFIRMED
    (receipt,) = played.state.receipts
    assert (receipt.amount, receipt.at, receipt.reference, receipt.implied) == (PRICE, at(2), "R1", False)


def test_mk_9_real_money_beyond_the_implied_is_refund_due() -> None:
    played = Played(placement(), fact("PackagePrepared", 5), fact("PaymentSucceeded", 2, amount=PRICE + 10))
    assert money.refund_due(played.state) == 10
    assert {"REFUND_DUE", "OVERPAID"} <= flags(played.state).keys()


def test_mk_9_one_payment_told_with_two_times_is_booked_once() -> None:
    played = Played(
        placement(),
        fact("PaymentSucceeded", 1, amount=PRICE, status="220"),
        fact("PaymentSucceeded", 2, amount=PRICE, status="paid"),
        fact("PaymentSucceeded", None, amount=PRICE, status="paid"),
    )
    assert money.net_paid(played.state) == PRICE
    assert played.dispositions == [Disposition.APPLIED, Disposition.REAFFIRMED, Disposition.DUPLICATE]


def test_mk_9_a_second_payment_with_its_own_reference_is_extra() -> None:
    played = Played(
        placement(),
        fact("PaymentSucceeded", 1, amount=PRICE, reference="R1"),
        fact("PaymentSucceeded", 2, amount=PRICE, reference="R2"),
    )
    assert played.names == ["ExtraReceiptRecorded", "RefundDueChanged"]
    assert money.refund_due(played.state) == PRICE


def test_mk_9_a_part_payment_is_no_full_one_until_goods_move() -> None:
    played = Played(placement(), fact("PaymentSucceeded", 1, amount=PRICE - 10))
    assert headline(played.state) == "PARTLY_PAID"
    played.then(fact("PackagePrepared", 3))
    assert money.coverage(played.state) is Coverage.PAID
    assert money.net_paid(played.state) == PRICE


def test_mk_9_a_refund_beyond_what_is_due_brings_a_credit() -> None:
    played = prepaid(fact("RefundPaid", 5, amount=20_000))
    assert played.names == ["CreditRecorded", "RefundPaid"]
    assert money.coverage(played.state) is Coverage.PAID
    assert (money.payable(played.state), money.refund_due(played.state)) == (PRICE - 20_000, 0)


def test_mk_9_a_refund_that_is_due_brings_none() -> None:
    played = prepaid(fact("OrderCancelled", 5), fact("RefundPaid", 6, amount=PRICE))
    assert played.names == ["RefundPaid", "RefundDueChanged"]
    assert money.coverage(played.state) is Coverage.UNPAID


def test_mk_9_a_refund_shows_that_money_had_come() -> None:
    played = Played(placement(), fact("OrderCancelled", 5), fact("RefundPaid", 6, amount=PRICE))
    assert played.names == ["ExtraReceiptRecorded", "RefundPaid"]
    assert money.net_paid(played.state) == 0
    assert played.then(fact("PaymentSucceeded", 2)).last.disposition is Disposition.REAFFIRMED
    assert money.net_paid(played.state) == 0


def test_mk_9_a_refund_without_amount_is_a_note_until_the_amount_is_told() -> None:
    played = prepaid(fact("RefundPaid", 5))
    assert played.last.disposition is Disposition.NOTE
    assert played.last.read_wanted
    played.then(fact("RefundPaid", 5, amount=10))
    assert played.names == ["CreditRecorded", "RefundPaid"]
    assert not played.then(fact("RefundPaid", 5, amount=10)).told


def test_mk_9_a_refund_told_before_the_cash_is_booked_with_it() -> None:
    played = cod(fact("RefundPaid", 9, amount=10), fact("OrderCompleted", 8))
    assert played.names[-4:] == ["CodCollected", "OrderCompleted", "CreditRecorded", "RefundPaid"]
    assert money.net_paid(played.state) == PRICE - 10


@pytest.mark.parametrize("news", ["PaymentSucceeded", "RefundPaid"])
def test_cv_2_money_in_another_currency_is_recorded_and_flagged(news: str) -> None:
    played = Played(placement(), fact(news, 2, amount=5, currency="SGD"))
    assert played.names == ["FactRecorded"]
    assert "TOTALS_DIFFER" in flags(played.state)
    assert money.net_paid(played.state) == 0


def test_mk_9_a_refund_whose_amount_came_later_is_kept_once_until_the_cash_comes() -> None:
    stated = fact("RefundPaid", 5, amount=10)
    played = cod(fact("RefundPaid", 5), stated, stated, fact("OrderCompleted", 6))
    assert not played.judgements[3].events
    assert money.net_paid(played.state) == PRICE - 10
