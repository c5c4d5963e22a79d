"""Return cases (T34): steps of their own, while no value of the order changes (CR-13)."""

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order.commands import Given
from services.orders.order.deciding import Deciding, Handler, wrong
from services.orders.order.input import FieldFault
from services.orders.order.model import Order, ReturnCase

OUTCOMES = frozenset({"CLOSED", "REJECTED"})


def _lines(order: Order, command: c.OpenReturnCase, _given: Given) -> list[FieldFault]:
    known = {line.line for line in order.lines}
    return [
        wrong(f"lines[{position}]", "The order has no such line.")
        for position, line in enumerate(command.lines)
        if line not in known
    ]


def _open(d: Deciding, command: c.OpenReturnCase) -> None:
    d.emit(e.ReturnCaseOpened(**d.said, case=d.named("c"), lines=command.lines, text=d.given.text))


def open_case(order: Order, name: str) -> ReturnCase | None:
    """The open case of this name, or the latest open one where none is named."""
    for case in reversed(order.cases):
        if case.step is not e.CaseStep.CLOSED and (not name or case.id == name):
            return case
    return None


def _counted(_order: Order, command: c.CloseReturnCase, _given: Given) -> list[FieldFault]:
    found = []
    if command.outcome not in OUTCOMES:
        found.append(wrong("outcome", "A case ends as CLOSED or REJECTED."))
    found += [
        wrong(field, "Units are counted from 0 on.")
        for field in ("good", "damaged")
        if (getattr(command, field) or 0) < 0
    ]
    return found


def _close(d: Deciding, command: c.CloseReturnCase) -> None:
    case = open_case(d.order, command.case)
    assert case is not None, "NO_CASE refused it otherwise."
    d.emit(
        e.ReturnCaseClosed(
            **d.said,
            case=case.id,
            lines=case.lines,
            outcome=command.outcome,
            good=command.good,
            damaged=command.damaged,
        )
    )


HANDLERS = {
    "OpenReturnCase": Handler(_open, faults=_lines),
    "CloseReturnCase": Handler(_close, faults=_counted),
}
