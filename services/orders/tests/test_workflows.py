"""Section 7: both workflows give exactly their headlines (WF-1), and who may complete (WF-2 to WF-4)."""

from services.orders.order import commands as c
from services.orders.order.events import Actor
from services.orders.tests.seller import Story, cod_shipped, fact, line, order_of, shipped


def test_wt_bank_transfer() -> None:
    story = Story(order_of(method="TRANSFER"))
    story.do(c.ConfirmOrder(), c.SendCustomerChat(template="tagihan"), c.ConfirmPayment(amount=150_000))
    story.do(c.MarkReady(), c.ShipOrder()).tell(fact("AwbIssued", awb="JNE001"))
    story.tell(fact("PackagePickedUp"), fact("PackageDelivered")).do(c.CompleteOrder(), actor=Actor.BUYER)
    assert story.headlines == [
        "NEW",
        "CONFIRMED",
        "CONFIRMED",
        "PAID",
        "READY_TO_SHIP",
        "AWAITING_PICKUP",
        "AWAITING_PICKUP",
        "IN_TRANSIT",
        "DELIVERED",
        "COMPLETED",
    ]


def test_wc_cash_on_delivery() -> None:
    story = Story(order_of(method="COD"))
    story.do(c.ConfirmOrder(), c.SendCustomerChat(template="verifikasi"), c.MarkReady(), c.ShipOrder())
    story.tell(fact("AwbIssued", awb="JNE001"), fact("PackagePickedUp"), fact("PackageDelivered"))
    story.tell(fact("CodCollected", amount=150_000))
    assert story.headlines == [
        "NEW",
        "CONFIRMED",
        "CONFIRMED",
        "READY_TO_SHIP",
        "AWAITING_PICKUP",
        "AWAITING_PICKUP",
        "IN_TRANSIT",
        "DELIVERED",
        "COMPLETED",
    ]
    assert story.names == ["CodCollected", "OrderCompleted"]
    assert story.figures == (150_000, "PAID", 0, 0)
    assert story.state.cod[0].collected == story.state.cod[0].expected == 150_000
    assert {event.actor for event in story.last} == {Actor.COURIER}


def test_wf_2_an_unconfirmed_order_may_be_paid_and_is_confirmed_afterwards() -> None:
    story = Story().do(c.ConfirmPayment(), c.ConfirmOrder())
    assert story.headlines == ["NEW", "PAID", "PAID"]


def test_wf_3_cash_is_collected_by_the_buyers_own_report_too() -> None:
    story = cod_shipped().tell(fact("PackagePickedUp"), fact("PackageDelivered")).do(c.CompleteOrder())
    assert story.names == ["CodCollected", "OrderCompleted"]
    assert story.figures == (150_000, "PAID", 0, 0)


def test_wf_4_the_second_report_is_refused_or_recorded() -> None:
    story = shipped().tell(fact("PackagePickedUp"), fact("PackageDelivered")).do(c.CompleteOrder())
    assert story.refused(c.CompleteOrder()) == "ORDER_IS_COMPLETED"
    cod = cod_shipped().tell(fact("PackagePickedUp"), fact("PackageDelivered")).do(c.CompleteOrder())
    cod.tell(fact("CodCollected", amount=150_000))
    assert cod.names == ["FactRecorded"]
    assert cod.figures == (150_000, "PAID", 0, 0)


def test_mo_15_cash_of_two_packages_completes_with_the_second() -> None:
    story = cod_shipped(
        line(1, 100_000, sku="A", warehouse="W1"), line(1, 50_001, sku="B", warehouse="W2"), discount=10_000
    )
    first, second = (package.id for package in story.state.packages)
    assert [package.collect for package in story.state.packages] == [93_333, 46_668]
    story.tell(fact("AwbIssued", package=second, awb="JNE002"))
    story.tell(
        *(
            fact(name, package=each)
            for name in ("PackagePickedUp", "PackageDelivered")
            for each in (first, second)
        )
    )
    story.tell(fact("CodCollected", package=first, amount=93_333))
    assert (story.names, story.headlines[-1]) == (["FactRecorded"], "DELIVERED")
    story.tell(fact("CodCollected", package=second, amount=46_000))
    assert story.names == ["CodCollected", "CodCollected", "OrderCompleted"]
    assert [(entry.expected, entry.collected) for entry in story.state.cod] == [
        (93_333, 93_333),
        (46_668, 46_000),
    ]
    assert story.figures[1:] == ("PAID", 0, 0)
