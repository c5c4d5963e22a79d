"""Every code of every row of 3.2 to 3.4, from an order that a history of its own brought there (GR-2, RF-1)."""

from collections.abc import Callable
from typing import Any

import pytest

from services.orders.order import commands as c
from services.orders.order.commands import Command
from services.orders.order.decide import Decided, Refusal, decide
from services.orders.order.events import Actor
from services.orders.order.table import COMMANDS, FREE, OPEN
from services.orders.tests.seller import (
    Story,
    at,
    cod_shipped,
    confirmed,
    fact,
    given,
    line,
    order_of,
    paid,
    shipped,
)

CANCEL = c.CancelOrder(reason="HABIS")
LINES = c.CancelLines(parts=(c.ScopedPart(line="1", quantity=1),), reason="HABIS")
ASK = c.RequestCancellation(reason="BERUBAH", note="lewat chat")
BY_HAND = c.Policies(allocate_at_once=False)


def gateway(*types: str, **told: Any) -> Story:
    story = Story(order_of(method="GATEWAY"), **told)
    for type_ in types:
        data = {"amount": 150_000, "reference": "t1"} if type_ == "PaymentSucceeded" else {"reference": "t1"}
        story.tell(fact(type_, **data), actor=Actor.GATEWAY)
    return story


def processing() -> Story:
    return gateway("PaymentAwaited", "PaymentProcessingStarted")


def resting() -> Story:
    return gateway("PaymentAwaited", "PaymentSucceeded", policies=BY_HAND)


def taken(**changed: Any) -> Story:
    return shipped(**changed).tell(fact("PackagePickedUp"))


def delivered() -> Story:
    return taken().tell(fact("PackageDelivered"))


def completed() -> Story:
    return delivered().do(c.CompleteOrder())


def cancelled() -> Story:
    return Story().do(CANCEL)


def asked() -> Story:
    return Story().do(ASK)


def held() -> Story:
    return paid().do(c.HoldOrder(reason="cek"))


def billed(*, issued: bool = False) -> Story:
    story = confirmed(method="INVOICE").do(c.CreateBill())
    return story.do(c.IssueBill()) if issued else story


def returning() -> Story:
    story = billed(issued=True).do(c.ShipOrder()).tell(fact("AwbIssued", awb="J1"), fact("PackagePickedUp"))
    return story.tell(fact("ReturnStarted"))


def lost() -> Story:
    story = billed(issued=True).do(c.ShipOrder()).tell(fact("AwbIssued", awb="J1"), fact("PackagePickedUp"))
    return story.tell(fact("PackageLostOrDamaged"))


def with_case() -> Story:
    return delivered().do(c.OpenReturnCase())


def late(story: Story) -> Story:
    story.minutes += 60 * 24 * 30
    return story


def of_cod() -> Story:
    return cod_shipped().tell(fact("PackagePickedUp"), fact("PackageDelivered")).do(c.CompleteOrder())


Case = tuple[str, str, Callable[[], Story], Command, dict[str, Any]]


def case(name: str, code: str, story: Callable[[], Story], command: Command, **told: Any) -> Case:
    return name, code, story, command, told


COMMON: dict[str, Command] = {
    "ConfirmOrder": c.ConfirmOrder(),
    "UnconfirmOrder": c.UnconfirmOrder(),
    "ConfirmPayment": c.ConfirmPayment(),
    "ReversePayment": c.ReversePayment(),
    "EditOrder": c.EditOrder(shipping_fee=1_000),
    "CancelOrder": CANCEL,
    "ShipOrder": c.ShipOrder(),
    "CancelShipment": c.CancelShipment(),
    "MarkReady": c.MarkReady(),
    "RequestCancellation": ASK,
    "CompleteOrder": c.CompleteOrder(),
    "CreateBill": c.CreateBill(),
    "IssueBill": c.IssueBill(),
    "VoidBill": c.VoidBill(),
    "UnmarkReady": c.UnmarkReady(),
    "CancelLines": LINES,
    "HoldOrder": c.HoldOrder(reason="cek"),
    "ReleaseOrder": c.ReleaseOrder(),
}
STATES: dict[str, Callable[[], Story]] = {
    "ORDER_IS_CANCELLED": cancelled,
    "ORDER_IS_COMPLETED": completed,
    "CANCELLATION_REQUEST_OPEN": asked,
}
GUARDED = [
    case(name, code, STATES[code], command)
    for name, command in COMMON.items()
    for code in (FREE if COMMANDS[name].guards[: len(FREE)] == FREE else OPEN)
]

OWN = [
    case("ConfirmOrder", "ALREADY_CONFIRMED", confirmed, c.ConfirmOrder()),
    case("ConfirmOrder", "ORDER_ON_HOLD", lambda: Story().do(c.HoldOrder(reason="x")), c.ConfirmOrder()),
    case("UnconfirmOrder", "NOT_CONFIRMED", Story, c.UnconfirmOrder()),
    case("UnconfirmOrder", "IN_SHIPPING", shipped, c.UnconfirmOrder()),
    case("UnconfirmOrder", "ALREADY_PREPARED", lambda: paid().do(c.MarkReady()), c.UnconfirmOrder()),
    case("UnconfirmOrder", "PAYMENT_RECORDED", paid, c.UnconfirmOrder()),
    case("UnconfirmOrder", "BILL_EXISTS", billed, c.UnconfirmOrder()),
    case("UnconfirmOrder", "PAYMENT_RUNNING", lambda: processing().do(c.ConfirmOrder()), c.UnconfirmOrder()),
    case("UnconfirmOrder", "PAYMENT_UNALLOCATED", lambda: resting().do(c.ConfirmOrder()), c.UnconfirmOrder()),
    case("ConfirmPayment", "COD_ORDER", lambda: Story(order_of(method="COD")), c.ConfirmPayment()),
    case("ConfirmPayment", "ALREADY_PAID", paid, c.ConfirmPayment()),
    case("ConfirmPayment", "RETURN_IN_PROGRESS", returning, c.ConfirmPayment()),
    case("ConfirmPayment", "FULFILMENT_FINAL", lost, c.ConfirmPayment()),
    case("ConfirmPayment", "PAYMENT_RUNNING", processing, c.ConfirmPayment()),
    case("ConfirmPayment", "AMOUNT_MISMATCH", resting, c.ConfirmPayment(amount=1)),
    case("ReversePayment", "NOTHING_PAID", Story, c.ReversePayment()),
    case("ReversePayment", "IN_SHIPPING", shipped, c.ReversePayment()),
    case("ReversePayment", "RECEIPT_NOT_REVERSIBLE", lambda: gateway("PaymentSucceeded"), c.ReversePayment()),
    case(
        "SendCustomerChat",
        "CONTACT_UNAVAILABLE",
        Story,
        c.SendCustomerChat(template="tagihan"),
        contact=c.Contact(usable=False),
    ),
    case(
        "SendCustomerChat",
        "CONTACT_NOT_PERMITTED",
        Story,
        c.SendCustomerChat(template="tagihan"),
        contact=c.Contact(permitted=False),
    ),
    case("EditOrder", "IN_SHIPPING", shipped, c.EditOrder(shipping_fee=1)),
    case("EditOrder", "BILL_ALREADY_ISSUED", lambda: billed(issued=True), c.EditOrder(shipping_fee=1)),
    case("EditOrder", "PAYMENT_RUNNING", processing, c.EditOrder(shipping_fee=1)),
    case("EditOrder", "METHOD_LOCKED", paid, c.EditOrder(payment_method="COD")),
    case("EditOrder", "LAST_LINE", Story, c.EditOrder(remove_lines=("1",))),
    case("EditOrder", "TOTAL_NOT_POSITIVE", Story, c.EditOrder(discount=150_000)),
    case(
        "EditOrder",
        "STOCK_NOT_AVAILABLE",
        Story,
        c.EditOrder(lines=(c.LineEdit(line="1", quantity=2),)),
    ),
    case("CancelOrder", "IN_SHIPPING", shipped, CANCEL),
    case("CancelOrder", "PAYMENT_RUNNING", processing, CANCEL),
    case("ReopenOrder", "NOTHING_TO_REOPEN", Story, c.ReopenOrder()),
    case("ReopenOrder", "STOCK_NOT_AVAILABLE", cancelled, c.ReopenOrder()),
    case("ShipOrder", "IN_SHIPPING", shipped, c.ShipOrder()),
    case("ShipOrder", "NOT_CONFIRMED", Story, c.ShipOrder()),
    case("ShipOrder", "PAYMENT_INCOMPLETE", confirmed, c.ShipOrder()),
    case("ShipOrder", "ORDER_ON_HOLD", held, c.ShipOrder()),
    case("ShipOrder", "SHIPPING_INCOMPLETE", paid, c.ShipOrder(), recipient_gone=True),
    case("CancelShipment", "NOT_IN_SHIPPING", paid, c.CancelShipment()),
    case("CancelShipment", "ALREADY_PICKED_UP", taken, c.CancelShipment()),
    case("CancelShipment", "AWB_MISSING", lambda: paid().do(c.ShipOrder()), c.CancelShipment()),
    case("ChangeAgent", "AGENT_UNKNOWN", Story, c.ChangeAgent(agent="a2"), agents=frozenset({"a1"})),
    case("TagOrder", "TAG_INVALID", Story, c.TagOrder(add=("x" * 41,))),
    case("TagOrder", "TOO_MANY_TAGS", Story, c.TagOrder(add=tuple(f"t{n}" for n in range(21)))),
    case("MarkReady", "IN_SHIPPING", shipped, c.MarkReady()),
    case("MarkReady", "ALREADY_PREPARED", lambda: paid().do(c.MarkReady()), c.MarkReady()),
    case("MarkReady", "NOT_CONFIRMED", Story, c.MarkReady()),
    case("MarkReady", "PAYMENT_INCOMPLETE", confirmed, c.MarkReady()),
    case("MarkReady", "ORDER_ON_HOLD", held, c.MarkReady()),
    case("RequestCancellation", "ALREADY_PICKED_UP", taken, ASK),
    case("CompleteOrder", "NOT_DELIVERED", taken, c.CompleteOrder()),
    case(
        "CompleteOrder",
        "PAYMENT_INCOMPLETE",
        lambda: (
            billed(issued=True)
            .do(c.ShipOrder())
            .tell(fact("AwbIssued", awb="J1"), fact("PackagePickedUp"), fact("PackageDelivered"))
        ),
        c.CompleteOrder(),
    ),
    case(
        "CompleteOrder", "ORDER_ON_HOLD", lambda: delivered().do(c.HoldOrder(reason="x")), c.CompleteOrder()
    ),
    case("CompleteOrder", "CASE_OPEN", with_case, c.CompleteOrder()),
    case("CreateBill", "NOT_INVOICE_ORDER", confirmed, c.CreateBill()),
    case("CreateBill", "NOT_CONFIRMED", lambda: Story(order_of(method="INVOICE")), c.CreateBill()),
    case("CreateBill", "BILL_EXISTS", billed, c.CreateBill()),
    case(
        "CreateBill",
        "ALREADY_PAID",
        lambda: confirmed(method="INVOICE").do(c.ConfirmPayment()),
        c.CreateBill(),
    ),
    case(
        "CreateBill",
        "FULFILMENT_FINAL",
        lambda: lost().do(c.RecordCredit(amount=150_000, reason="hilang")),
        c.CreateBill(),
    ),
    case("IssueBill", "NOT_INVOICE_ORDER", confirmed, c.IssueBill()),
    case("IssueBill", "NO_BILL", lambda: confirmed(method="INVOICE"), c.IssueBill()),
    case("IssueBill", "BILL_ALREADY_ISSUED", lambda: billed(issued=True), c.IssueBill()),
    case(
        "IssueBill",
        "DOCUMENTS_INCOMPLETE",
        billed,
        c.IssueBill(),
        seller=c.SellerTerms(documents_complete=False),
    ),
    case("VoidBill", "NOT_INVOICE_ORDER", confirmed, c.VoidBill()),
    case("VoidBill", "NO_BILL", lambda: confirmed(method="INVOICE"), c.VoidBill()),
    case("VoidBill", "IN_SHIPPING", lost, c.VoidBill()),
    case(
        "VoidBill",
        "BILL_HAS_PAYMENT",
        lambda: billed(issued=True).do(c.ConfirmPayment(amount=1)),
        c.VoidBill(),
    ),
    case("UnmarkReady", "IN_SHIPPING", shipped, c.UnmarkReady()),
    case("UnmarkReady", "NOT_PREPARED", paid, c.UnmarkReady()),
    case("CancelLines", "IN_SHIPPING", shipped, LINES),
    case("CancelLines", "BILL_ALREADY_ISSUED", lambda: billed(issued=True), LINES),
    case("CancelLines", "PAYMENT_RUNNING", processing, LINES),
    case(
        "CancelLines",
        "QUANTITY_NOT_AVAILABLE",
        Story,
        c.CancelLines(parts=(c.ScopedPart(line="1", quantity=2),), reason="HABIS"),
    ),
    case("CancelLines", "LAST_LINE", Story, LINES),
    case("RecordExtraReceipt", "COD_ORDER", of_cod, c.RecordExtraReceipt(amount=1)),
    case("RecordExtraReceipt", "USE_CONFIRM_PAYMENT", Story, c.RecordExtraReceipt(amount=1)),
    case("RecordRefund", "NOTHING_TO_REFUND", paid, c.RecordRefund(amount=1)),
    case(
        "RecordRefund",
        "REFUND_EXCEEDS_DUE",
        lambda: confirmed().do(c.ConfirmPayment(amount=150_001)),
        c.RecordRefund(amount=2),
    ),
    case("RecordCredit", "ORDER_IS_CANCELLED", cancelled, c.RecordCredit(amount=1)),
    case("RecordCredit", "NOTHING_TO_CREDIT", paid, c.RecordCredit(amount=1)),
    case("RecordCredit", "CREDIT_EXCEEDS_VALUE", lost, c.RecordCredit(amount=150_001)),
    case("OpenReturnCase", "ORDER_IS_CANCELLED", cancelled, c.OpenReturnCase()),
    case("OpenReturnCase", "NOT_DELIVERED", taken, c.OpenReturnCase()),
    case("OpenReturnCase", "RETURN_WINDOW_CLOSED", lambda: late(delivered()), c.OpenReturnCase()),
    case("OpenReturnCase", "CASE_OPEN", with_case, c.OpenReturnCase()),
    case("CloseReturnCase", "NO_CASE", delivered, c.CloseReturnCase()),
    case("RecordCodRemittance", "NOT_COD_ORDER", completed, c.RecordCodRemittance(amount=1)),
    case("RecordCodRemittance", "NOT_COMPLETED", cod_shipped, c.RecordCodRemittance(amount=1)),
    case(
        "RecordCodRemittance",
        "ALREADY_REMITTED",
        lambda: of_cod().do(c.RecordCodRemittance(amount=150_000)),
        c.RecordCodRemittance(amount=150_000),
    ),
]

# Those that no order of a seller can meet before the next issues: negotiation, and what is the marketplace's.
ELSEWHERE = {"NEGOTIATION_OPEN", "BUYER_CONSENT_NEEDED", "CANCELLED_BY_CHANNEL"}


@pytest.mark.parametrize(
    ("name", "code", "story", "command", "told"), [*GUARDED, *OWN], ids=lambda value: str(value)[:40]
)
def test_the_command_is_refused_by_its_code(
    name: str, code: str, story: Callable[[], Story], command: Command, told: dict[str, Any]
) -> None:
    assert type(command).__name__ == name
    assert story().refused(command, **told) == code


def test_every_code_of_every_row_has_a_case() -> None:
    shown = {(name, code) for name, code, *_ in (*GUARDED, *OWN)}
    rows = {
        (row.name, code)
        for row in COMMANDS.values()
        if row.name not in {"PlaceOrder", "AdoptChannelState"}
        for code in row.guards
        if code not in ELSEWHERE
    }
    assert rows - shown == set()


PLACING = [
    ("NO_LINES", c.PlaceOrder(), {}),
    ("QUANTITY_INVALID", order_of(line(0)), {}),
    ("PRICE_INVALID", order_of(line(1, -1)), {}),
    ("PRICE_INVALID", order_of(line(1, 1_000, discount=1_001)), {}),
    ("PRICE_INVALID", order_of(shipping_fee=-1), {}),
    ("PRICE_INVALID", order_of(line(1_000_000, 10**12)), {}),
    ("NO_LINKED_PRODUCT", order_of(), {"links": {}}),
    ("CUSTOMER_INCOMPLETE", order_of(recipient=c.Recipient(city="Bandung")), {}),
    ("SHIPPING_INCOMPLETE", order_of(courier=""), {}),
    ("SHIPPING_INCOMPLETE", order_of(shipping_fee=None), {}),
    ("METHOD_UNKNOWN", order_of(method="BARTER"), {}),
    ("METHOD_UNKNOWN", order_of(method="COD"), {"policies": c.Policies(methods=())}),
    ("TOTAL_NOT_POSITIVE", order_of(line(1, 0)), {}),
    ("STOCK_NOT_AVAILABLE", order_of(allow_backorder=False), {}),
]


@pytest.mark.parametrize(("code", "command", "told"), PLACING)
def test_t1_placing_is_refused_by_its_code(code: str, command: c.PlaceOrder, told: dict[str, Any]) -> None:
    answer = decide(None, command, given(**told))
    assert isinstance(answer, Refusal)
    assert answer.code == code


def test_t1_every_code_of_the_row_has_a_case() -> None:
    assert {code for code, *_ in PLACING} == set(COMMANDS["PlaceOrder"].guards)


def test_gr_3_all_faults_of_the_input_are_told_together() -> None:
    bad = order_of(line(0, -5), recipient=c.Recipient(phone="abc"), courier="", shipping_fee=-1)
    answer = decide(None, bad, given())
    assert isinstance(answer, Refusal)
    assert answer.code == "FIELD_INVALID"
    assert {fault.field: fault.code for fault in answer.fields} == {
        "lines[0].quantity": "QUANTITY_INVALID",
        "lines[0].unit_price": "PRICE_INVALID",
        "shipping_fee": "PRICE_INVALID",
        "recipient.name": "CUSTOMER_INCOMPLETE",
        "recipient.address": "CUSTOMER_INCOMPLETE",
        "recipient.phone": "FIELD_INVALID",
        "recipient.city": "SHIPPING_INCOMPLETE",
        "courier": "SHIPPING_INCOMPLETE",
    }


def test_an_order_that_is_not_there_is_not_found() -> None:
    answer = decide(None, c.ConfirmOrder(), given())
    assert isinstance(answer, Refusal)
    assert answer.code == "ORDER_NOT_FOUND"


HOLD = c.Hold(id="h1", lines=(c.HeldLine(key="KAOS", quantity=2, warehouse="W1"),), expires_at=at(60))


def test_cr_15_a_running_hold_that_covers_the_lines_places_the_order_in_its_warehouse() -> None:
    decided = decide(None, order_of(line(2), allow_backorder=False), given(hold=HOLD))
    assert isinstance(decided, Decided)
    placed: Any = decided.events[0]
    assert (placed.hold, placed.backorder, placed.lines[0].warehouse) == ("h1", False, "W1")


@pytest.mark.parametrize(("quantity", "minutes"), [(3, 0), (1, 60)])
def test_cr_15_a_hold_that_is_short_or_over_is_none(quantity: int, minutes: float) -> None:
    answer = decide(None, order_of(line(quantity), allow_backorder=False), given(minutes, hold=HOLD))
    assert isinstance(answer, Refusal)
    assert answer.code == "STOCK_NOT_AVAILABLE"


def test_cr_15_where_the_policy_waives_the_hold_nothing_is_short() -> None:
    waived = c.Policies(hold_on_placement=False)
    decided = decide(None, order_of(allow_backorder=False), given(policies=waived))
    assert isinstance(decided, Decided)
    assert not decided.order.backordered
