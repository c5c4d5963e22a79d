"""Bills of INVOICE orders: made, issued, withdrawn (T28)."""

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.deciding import Deciding, Handler, consequences, issue_bill


def _create(d: Deciding, _command: c.CreateBill) -> None:
    d.emit(e.BillCreated(**d.said, amount=money.outstanding(d.order)))


def _issue(d: Deciding, _command: c.IssueBill) -> None:
    issue_bill(d, d.said, d.order.bill_amount)


def _void(d: Deciding, _command: c.VoidBill) -> None:
    d.emit(e.BillVoided(**d.said, number=d.order.bill_number))
    consequences(d)


HANDLERS = {
    "CreateBill": Handler(_create),
    "IssueBill": Handler(_issue),
    "VoidBill": Handler(_void),
}
