"""The reduced machine against the rules: every figure of 16.2, both matrices of section 5, the invariants."""

from collections import Counter

import pytest
from msgspec.structs import astuple

from services.orders.order.events import Method
from services.orders.order.model import Billing, Coverage, Fulfilment, Status, Transaction
from services.orders.order.reduced import (
    ALWAYS_LEGAL,
    BUTTONS,
    MOVING_COMMANDS,
    MOVING_FACTS,
    Reduced,
    enumerate_states,
    situation_of,
)
from services.orders.order.statuses import STATUSES

MACHINE = enumerate_states()
WITHOUT_GATEWAY_AND_INVOICE = enumerate_states([Method.COD, Method.TRANSFER])
SUCCESSORS = {
    state: {to for found in moves.values() if not isinstance(found, str) for to in found}
    for state, moves in MACHINE.items()
}
ALL = [pytest.param(state, id="-".join(map(str, astuple(state)))) for state in MACHINE]

# 5.1 and 5.2, to the letter.
BUTTONS_BY_HEADLINE = """
                    ConfirmOrder UnconfirmOrder ConfirmPayment ReversePayment EditOrder CancelOrder ReopenOrder ShipOrder CancelShipment
Baru                Y . c . Y Y . . .
Dikonfirmasi        . Y c . Y Y . c .
Dibayar             c . . Y Y Y . c .
Dibayar Sebagian    c . c Y c c . . .
Siap Dikirim        . . c c c Y . Y .
Meminta Pembatalan  . . . . . c Y . c
Dibatalkan          . . . . . . Y . .
Menunggu Pengiriman . . c . . . . . c
Dalam Pengiriman    . . c . . . . . .
Terkirim            . . c . . . . . .
Kiriman Bermasalah  . . c . . . . . .
Paket Hilang/Rusak  . . . . . . . . .
Dalam Pengembalian  . . . . . . . . .
Dikembalikan        . . . . . . . . .
Menunggu Pembayaran c c Y . Y Y . . .
Pembayaran Diproses c . . . . . . . .
Pembayaran Selesai  c . Y . Y Y . . .
Tagihan Tertunda    . . Y c Y Y . . .
Tagihan Diterbitkan . . Y c . Y . Y .
Tagihan Dibayar     . . . Y . Y . Y .
Selesai             . . . . . . . . .
"""
FURTHER_BY_HEADLINE = """
                    MarkReady UnmarkReady CancelLines RequestCancellation CompleteOrder CreateBill IssueBill VoidBill RecordExtraReceipt RecordRefund RecordCredit
Baru                . . Y Y . . . . . . .
Dikonfirmasi        c . Y Y . c . . . . .
Dibayar             c . Y Y . . . . Y Y .
Dibayar Sebagian    . . c Y . c . . . . .
Siap Dikirim        . Y c Y . . . c c c .
Meminta Pembatalan  . . . . . . . . c c .
Dibatalkan          . . . . . . . . c c .
Menunggu Pengiriman . . . Y . . . . c c .
Dalam Pengiriman    . . . . . . . . c c .
Terkirim            . . . . c . . . c c .
Kiriman Bermasalah  . . . . . . . . c c .
Paket Hilang/Rusak  . . . . . . . . c c c
Dalam Pengembalian  . . . . . . . . c c .
Dikembalikan        . . . . . . . . c c c
Menunggu Pembayaran . . Y Y . . . . . . .
Pembayaran Diproses . . . Y . . . . . . .
Pembayaran Selesai  . . Y Y . . . . . . .
Tagihan Tertunda    . . Y Y . . Y Y . . .
Tagihan Diterbitkan Y . . Y . . . c . . .
Tagihan Dibayar     Y . . Y . . . . Y Y .
Selesai             . . . . . . . . c Y Y
"""


def legal(names: tuple[str, ...]) -> int:
    return sum(not isinstance(moves[name], str) for moves in MACHINE.values() for name in names)


def test_16_2_the_states_are_those_that_the_rules_count() -> None:
    assert len(MACHINE) == 177
    assert Counter(state.method.value for state in MACHINE) == {
        "COD": 18, "TRANSFER": 28, "GATEWAY": 52, "INVOICE": 79,
    }  # fmt: skip


def test_16_2_the_moves_are_those_that_the_rules_count() -> None:
    triples = [
        (state, name, to)
        for state, moves in MACHINE.items()
        for name, found in moves.items()
        if not isinstance(found, str)
        for to in found
    ]
    assert len(triples) == len(set(triples)) == 1_729
    assert sum(state != to for state, _, to in triples) == 730


def test_16_2_the_headlines_are_those_that_the_rules_count() -> None:
    assert {state.headline for state in MACHINE} == {status.code for status in STATUSES}
    assert len(STATUSES) == 21
    few = {state.headline for state in WITHOUT_GATEWAY_AND_INVOICE}
    # WF-1: all but 15 to 20.
    assert few == {status.code for status in STATUSES if not 15 <= status.number <= 20}
    assert len(few) == 15
    assert len(WITHOUT_GATEWAY_AND_INVOICE) == 46


def test_16_2_the_pairs_are_those_that_the_rules_count() -> None:
    assert len(BUTTONS) == 13
    assert len(MACHINE) * len(BUTTONS) == 2_301
    assert legal(BUTTONS) == 1_001
    assert len(MACHINE) * len(MOVING_COMMANDS) == 4_248
    assert legal(MOVING_COMMANDS) == 1_299
    assert len(MACHINE) * len(MOVING_FACTS) == 2_655
    assert legal(MOVING_FACTS) == 235


def matrix(text: str) -> dict[tuple[str, str], str]:
    head, *rows = text.strip("\n").splitlines()
    commands = head.split()
    cells: dict[tuple[str, str], str] = {}
    for row in rows:
        title, marks = row[:20].strip(), row[20:].split()
        assert len(marks) == len(commands)
        cells |= {(title, command): mark for command, mark in zip(commands, marks, strict=True)}
    return cells


CELLS = matrix(BUTTONS_BY_HEADLINE) | matrix(FURTHER_BY_HEADLINE)


def test_5_the_matrices_hold_every_command_that_is_not_always_legal() -> None:
    assert {command for _, command in CELLS} == set(MOVING_COMMANDS) - set(ALWAYS_LEGAL)
    assert {title for title, _ in CELLS} == {status.indonesian for status in STATUSES}
    assert len(CELLS) == 21 * 20


@pytest.mark.parametrize(("title", "command"), CELLS, ids=lambda value: value.replace(" ", "_"))
def test_5_each_cell_is_that_of_the_rules(title: str, command: str) -> None:
    code = next(status.code for status in STATUSES if status.indonesian == title)
    answers = {isinstance(moves[command], str) for state, moves in MACHINE.items() if state.headline == code}
    found = "c" if len(answers) == 2 else "." if answers == {True} else "Y"
    assert found == CELLS[title, command]


def test_5_what_is_always_legal_is_legal_in_every_state() -> None:
    for moves in MACHINE.values():
        for name in ALWAYS_LEGAL:
            assert not isinstance(moves[name], str)


_SHIPPED = frozenset(Fulfilment) - {Fulfilment.NOT_STARTED, Fulfilment.READY}
_PICKED_UP = _SHIPPED - {Fulfilment.BOOKED}
_ENDED = frozenset({Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNED})
_LIVE = frozenset({Status.NEW, Status.CONFIRMED})


@pytest.mark.parametrize("state", ALL)
def test_the_invariants_hold_in_every_reachable_state(state: Reduced) -> None:
    if state.method is Method.COD and state.order is not Status.COMPLETED:
        assert state.coverage is Coverage.UNPAID, "INV-1"
    if state.fulfilment is not Fulfilment.NOT_STARTED:
        assert state.order in {Status.CONFIRMED, Status.COMPLETED}, "INV-2"
        if state.fulfilment not in _ENDED:
            assert situation_of(state).payment_condition, "INV-3"
    if state.order is Status.CANCELLED:
        assert state.bill is Billing.NONE, "INV-4"
        assert state.transaction is Transaction.NONE, "INV-4"
        assert not state.request, "INV-4"
        assert not state.awb, "INV-4"
    if state.order is Status.COMPLETED:
        assert state.fulfilment is Fulfilment.DELIVERED, "INV-5"
        assert state.coverage is Coverage.PAID, "INV-5"
        assert not state.request, "INV-5"
    if state.request:
        assert state.order in _LIVE, "INV-6"
        assert state.fulfilment not in _PICKED_UP, "INV-6"
    if state.transaction is not Transaction.NONE:
        assert state.method is Method.GATEWAY, "INV-7"
        assert state.order in _LIVE, "INV-7"
        assert state.coverage is not Coverage.PAID, "INV-7"
    if state.bill is not Billing.NONE:
        assert state.method is Method.INVOICE, "INV-8"
        assert state.order in {Status.CONFIRMED, Status.COMPLETED}, "INV-8"
        assert (state.bill is Billing.PAID) == (state.coverage is Coverage.PAID), "INV-8"
    if state.awb:
        assert state.fulfilment in _SHIPPED, "INV-9"
    if state.fulfilment in _PICKED_UP:
        assert state.awb, "INV-9"


def test_inv_14_from_every_state_a_final_one_can_be_reached() -> None:
    reaching = {state for state in MACHINE if state.final}
    while True:
        more = {state for state, to in SUCCESSORS.items() if state not in reaching and to & reaching}
        if not more:
            break
        reaching |= more
    assert reaching == set(MACHINE)


def test_pm_3_every_state_that_a_move_leads_to_is_in_the_machine() -> None:
    assert set().union(*SUCCESSORS.values()) <= set(MACHINE)
