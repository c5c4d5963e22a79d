"""Section 9: an edit is one decision with its consequences, and its preview says the same (ED-1 to ED-10)."""

from typing import Any

import pytest

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.decide import Decided, Preview, Refusal, decide, preview
from services.orders.order.events import Actor
from services.orders.order.model import Order
from services.orders.order.parts import active
from services.orders.tests.seller import Story, confirmed, fact, given, line, order_of, paid

TWO = (line(2, 50_000, sku="A"), line(1, 30_000, sku="B"))


def edit(name: str = "1", **changed: object) -> c.EditOrder:
    return c.EditOrder(lines=(c.LineEdit(line=name, **changed),), allow_backorder=True)  # type: ignore[arg-type] # One field at a time.


def conserved(order: Order) -> bool:
    """OM-6."""
    return all(
        sum(part.quantity for part in order.parts if part.line == line.line) == line.quantity
        for line in order.lines
    )


def test_ed_4_the_event_holds_old_and_new_values_totals_and_revision() -> None:
    story = Story(order_of(*TWO)).do(c.EditOrder(shipping_fee=9_000, courier="SiCepat"))
    edited = story.last[0]
    assert {(change.field, change.old, change.new) for change in edited.changes} == {
        ("shipping_fee", 0, 9_000),
        ("courier", "JNE", "SiCepat"),
    }
    assert (edited.total, edited.revision, story.state.revision) == (139_000, 2, 2)


def test_om_10_an_edit_of_no_price_leaves_the_revision() -> None:
    assert Story().do(c.EditOrder(service="YES")).state.revision == 1


def test_gr_4_an_edit_without_a_difference_is_nothing_to_do() -> None:
    story = Story(order_of(*TWO)).do(c.EditOrder(shipping_fee=0, courier="JNE"), edit(quantity=2))
    assert story.names == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"sku": "C"}, "NO_LINKED_PRODUCT"),
        ({"sku": "D"}, "NO_LINKED_PRODUCT"),
        ({"warehouse": "W2"}, "NO_LINKED_PRODUCT"),
        ({"sku": "B", "warehouse": "W1"}, "NO_LINKED_PRODUCT"),
        ({"sku": "B", "warehouse": "W2"}, ""),
        ({"warehouse": "W3"}, ""),
        ({"warehouse": ""}, ""),
        ({"sku": "B", "warehouse": ""}, ""),
        # What stays as it was agreed is not asked of again, whatever has become of its link.
        ({"quantity": 3, "unit_price": 1, "name": "Lain"}, ""),
        ({"sku": "A", "warehouse": "W1", "quantity": 1}, ""),
    ],
)
def test_mn_3_a_lines_new_product_or_warehouse_is_a_linked_one(changed: dict[str, Any], code: str) -> None:
    links = {
        "A": frozenset({"W3"}),
        "B": frozenset({"W2"}),
        "C": frozenset[str](),
    }
    order = Story(order_of(line(2, 50_000, sku="A", warehouse="W1"))).state
    command = c.EditOrder(lines=(c.LineEdit(line="1", **changed),), allow_backorder=True)
    answer = decide(order, command, given(links=links))
    if code:
        assert isinstance(answer, Refusal)
        assert (answer.code, [fault.field for fault in answer.fields]) == (code, ["lines[0]"])
    else:
        assert isinstance(answer, Decided)
    assert isinstance(decide(order, command, given()), Decided), "Without a list nothing is checked."


def test_ed_5_a_change_of_quantity_unpacks_the_packages_that_hold_the_line() -> None:
    goods = (line(2, 50_000, sku="A", warehouse="W1"), line(1, 30_000, sku="B", warehouse="W2"))
    story = paid(*goods).do(c.MarkReady(), edit(quantity=1))
    assert story.names == ["PackageUnprepared", "OrderEdited", "RefundDueChanged"]
    assert story.parts == ["1 NOT_STARTED", "1 READY"]
    assert conserved(story.state)


def test_ed_5_other_edits_leave_goods_ready() -> None:
    story = paid(*TWO).do(
        c.MarkReady(), c.EditOrder(lines=(c.LineEdit(line="1", name="Lain"),)), c.EditOrder(courier="SiCepat")
    )
    assert story.parts == ["2 READY", "1 READY"]


def test_ed_6_raising_and_lowering_tell_the_stock_keeper() -> None:
    story = Story(order_of(*TWO)).do(edit(quantity=5))
    raised = story.last[0]
    assert [(each.sku, each.quantity) for each in raised.reserve] == [("A", 3)]
    assert (raised.release, raised.backorder) == ((), True)
    story.do(edit(quantity=1))
    assert [(each.sku, each.quantity) for each in story.last[0].release] == [("A", 4)]
    assert conserved(story.state)


def test_ed_6_another_product_is_released_and_reserved() -> None:
    story = Story(order_of(*TWO)).do(edit(sku="C"))
    assert [(each.sku, each.quantity) for each in story.last[0].release] == [("A", 2)]
    assert [(each.sku, each.quantity) for each in story.last[0].reserve] == [("C", 2)]


def test_ed_6_lines_are_added_and_removed() -> None:
    story = Story(order_of(*TWO)).do(
        c.EditOrder(add_lines=(line(1, 10_000, sku="C"),), remove_lines=("2",), allow_backorder=True)
    )
    assert [each.line for each in story.state.lines] == ["1", "3"]
    assert money.total(story.state) == 110_000
    assert story.refused(c.EditOrder(remove_lines=("1", "3"))) == "LAST_LINE"


def test_om_6_a_removed_line_keeps_what_was_cancelled_before() -> None:
    cancel = c.CancelLines(parts=(c.ScopedPart(line="1", quantity=1),), reason="HABIS")
    story = Story(order_of(*TWO)).do(cancel, c.EditOrder(remove_lines=("1",)))
    assert conserved(story.state)
    assert money.total(story.state) == 30_000
    assert [part.line for part in active(story.state)] == ["2"]


def test_ed_7_the_method_changes_while_nothing_is_paid_and_closes_what_is_awaited() -> None:
    story = Story(order_of(method="GATEWAY")).tell(fact("PaymentAwaited"), actor=Actor.GATEWAY)
    story.do(c.EditOrder(payment_method="COD"))
    assert story.names == ["OrderEdited", "TransactionClosed"]
    assert story.last[1].reason.value == "METHOD_CHANGED"
    assert story.headlines[-1] == "NEW"


def test_ed_7_goods_that_no_longer_meet_the_condition_are_unpacked() -> None:
    story = confirmed(method="COD").do(c.MarkReady(), c.EditOrder(payment_method="TRANSFER"))
    assert story.names == ["OrderEdited", "PackageUnprepared"]


def test_ed_8_a_pending_bill_takes_the_new_amount() -> None:
    story = confirmed(method="INVOICE").do(c.CreateBill(), c.EditOrder(shipping_fee=5_000))
    assert story.names == ["OrderEdited", "BillAmended"]
    assert story.state.bill_amount == 155_000


def test_mo_12_a_lower_total_pays_the_order() -> None:
    story = confirmed().do(c.ConfirmPayment(amount=100_000), edit(unit_price=90_000))
    assert story.names == ["OrderEdited", "RefundDueChanged"]
    assert story.figures == (100_000, "PAID", 0, 10_000)


@pytest.mark.parametrize(
    "command",
    [
        edit(quantity=1),
        edit(unit_price=60_000),
        c.EditOrder(shipping_fee=9_000),
        c.EditOrder(payment_method="COD"),
        c.EditOrder(remove_lines=("1", "2")),
        edit("9", quantity=1),
    ],
)
def test_ed_3_the_preview_says_what_the_edit_does(command: c.EditOrder) -> None:
    story = paid(*TWO).do(c.MarkReady())
    seen = preview(story.state, command, given(story.minutes + 1))
    done = story.tried(command)
    if isinstance(done, Decided):
        assert isinstance(seen, Preview)
        assert seen.events == tuple(type(event).__name__ for event in done.events)
        assert (seen.total, seen.order) == (money.total(done.order), done.order)
    else:
        assert seen == done


def test_pd_1_an_edit_names_the_buyers_fields_and_keeps_none_of_them() -> None:
    told = c.Recipient(name="Pak Lain", phone="+62 813 0000 0001", address="Jalan Lain 2", city="Garut")
    story = Story().do(c.EditOrder(recipient=told))
    text = repr(story.last)
    assert "Lain" not in text
    assert "813" not in text
    assert story.state.city == "Garut"
    assert {change.field for change in story.last[0].changes} == {
        "city",
        "recipient.name",
        "recipient.phone",
        "recipient.address",
    }


def test_faults_of_an_edit_are_told_by_field() -> None:
    story = Story(order_of(*TWO))
    assert story.fields(edit("9", quantity=1)) == {"lines[0].line": "FIELD_INVALID"}
    assert story.fields(edit(quantity=0)) == {"lines[0].quantity": "QUANTITY_INVALID"}
    assert story.fields(edit(discount=100_001)) == {"lines[0].discount": "PRICE_INVALID"}
    assert story.fields(c.EditOrder(payment_method="BARTER")) == {"payment_method": "METHOD_UNKNOWN"}
    assert story.fields(c.EditOrder(remove_lines=("9",))) == {"remove_lines[0]": "FIELD_INVALID"}
    assert story.fields(c.EditOrder(recipient=c.Recipient(phone="x"))) == {"recipient.phone": "FIELD_INVALID"}


def test_ed_1_a_recipient_is_changed_by_what_is_named_of_it() -> None:
    story = Story().do(c.EditOrder(recipient=c.Recipient(note="titip satpam")))
    assert [change.field for change in story.last[0].changes] == ["recipient.note"]
    assert story.state.city == "Bandung"


def test_a_total_beyond_what_readers_can_hold_is_no_total() -> None:
    story = Story()
    huge = c.EditOrder(
        lines=(c.LineEdit(line="1", quantity=1_000_000, unit_price=10**12),), allow_backorder=True
    )
    assert story.fields(huge) == {"lines": "PRICE_INVALID"}
