"""The registry's rules without a database: roles, policies, numbers, tags (orders.md 18, SD-06, SD-07)."""

from datetime import date
from typing import Any

import msgspec
import pytest

from libs.runtime.auth import Principal
from services.orders.order.events import Actor
from services.orders.order.table import COMMANDS, FACTS
from services.orders.registry.model import (
    BankAccount,
    Holiday,
    PaymentMethod,
    TaxMode,
    calendar_faults,
    folded,
    method_faults,
    seller_faults,
    tag_of,
)
from services.orders.registry.npwp import is_nik, masked, npwp_of
from services.orders.registry.policies import LIMITS, Policies, faults_of, read
from services.orders.registry.roles import (
    BUYER_ONLY,
    FACTS_OF_COURIERS,
    FACTS_OF_GATEWAYS,
    NOTE_NEEDED,
    OF_BUYERS,
    OF_SELLERS,
    OWNER_ONLY,
    SCOPES,
    Role,
    permitted,
)

HOLIDAY = Holiday(date(2026, 8, 17), "Hari Kemerdekaan")


def of_role(role: Role, *scopes: str) -> Principal:
    return Principal("someone", "seller", frozenset(scopes) or SCOPES[role], role)


OWNER, AGENT, INTAKE = of_role(Role.OWNER), of_role(Role.AGENT), of_role(Role.INTAKE)
COURIER, GATEWAY = of_role(Role.COURIER), of_role(Role.GATEWAY)
NOBODY = [
    of_role(Role.ANALYST),
    of_role(Role.OPERATOR),
    of_role(Role.BUYER),
    Principal("x", "s", frozenset()),
]
EVERY_NAME = sorted({*COMMANDS, *FACTS, *OF_SELLERS, *OF_BUYERS, "DropTables"})


def test_every_command_and_fact_of_the_machine_is_somebodys() -> None:
    """SR-4: what the table has and this page does not know would be nobody's."""
    everybody = [OWNER, AGENT, INTAKE, COURIER, GATEWAY, of_role(Role.OWNER, "*")]
    # T27e is a decision's own consequence; no door takes it.
    internal = {"PaymentAllocated"}
    alone = {name for name in {*COMMANDS, *FACTS} if not any(permitted(each, name) for each in everybody)}
    assert alone == internal


@pytest.mark.parametrize("name", EVERY_NAME)
def test_analyst_operator_and_callers_without_a_role_give_no_command(name: str) -> None:
    """18.2: no command on an order."""
    assert [permitted(each, name) for each in NOBODY] == [None] * len(NOBODY)


@pytest.mark.parametrize("name", sorted(OWNER_ONLY))
def test_three_commands_are_the_owners_alone(name: str) -> None:
    """GR-11: T37, T33 and EraseBuyer."""
    assert {"AdoptChannelState", "RecordCredit", "EraseBuyer"} == OWNER_ONLY
    assert permitted(OWNER, name) is Actor.OWNER
    assert [permitted(each, name) for each in (AGENT, INTAKE, COURIER, GATEWAY)] == [None] * 4
    assert permitted(AGENT, name, "OWNER") is None


def test_owner_and_agent_give_every_other_command_of_the_table() -> None:
    """GR-11."""
    for name in set(COMMANDS) - OWNER_ONLY:
        assert permitted(AGENT, name) is Actor.AGENT, name
        assert permitted(OWNER, name, "OWNER") is Actor.OWNER, name


def test_a_role_acts_within_its_scopes_only() -> None:
    """SR-4: role and scope, not either."""
    assert permitted(of_role(Role.OWNER, "orders:read"), "ConfirmOrder") is None
    assert permitted(of_role(Role.COURIER, "orders:write"), "ConfirmOrder") is None
    assert permitted(of_role(Role.AGENT, "facts:courier"), "AwbIssued") is None
    assert permitted(of_role(Role.AGENT, "intake"), "RequestCancellation") is None
    assert permitted(of_role(Role.INTAKE, "*"), "ConfirmOrder") is None


@pytest.mark.parametrize("name", sorted(OF_BUYERS))
def test_an_intake_caller_acts_as_the_buyer(name: str) -> None:
    """SR-5, SR-6, NG-7."""
    assert permitted(INTAKE, name) is Actor.BUYER
    assert permitted(INTAKE, name, "OWNER") is None
    if name in BUYER_ONLY:
        assert permitted(AGENT, name) is None
        assert permitted(of_role(Role.OWNER, "orders:write"), name) is None


def test_who_vouches_for_buyers_speaks_for_them_and_who_does_not_needs_a_note() -> None:
    """GR-11: RequestCancellation is the buyer's, or the owner's or agent's with a note."""
    assert {"RequestCancellation", "RecordBuyerConsent"} == NOTE_NEEDED
    assert permitted(OWNER, "RequestCancellation") is Actor.BUYER
    assert permitted(OWNER, "RequestCancellation", "OWNER") is Actor.OWNER
    assert permitted(AGENT, "RequestCancellation") is Actor.AGENT
    assert permitted(AGENT, "RequestCancellation", "BUYER") is None
    assert permitted(OWNER, "CompleteOrder") is Actor.OWNER


def test_an_order_is_placed_by_intake_for_a_buyer_and_by_hand_by_owner_or_agent() -> None:
    """OM-1."""
    assert permitted(INTAKE, "PlaceOrder") is Actor.BUYER
    assert permitted(AGENT, "PlaceOrder") is Actor.AGENT
    assert permitted(OWNER, "PlaceOrder", "BUYER") is Actor.BUYER
    assert permitted(COURIER, "PlaceOrder") is None


def test_facts_come_from_whom_they_are_about() -> None:
    """GR-13, GR-8: couriers and gateways report their own; goods also by hand, cash and money not."""
    for name in FACTS_OF_COURIERS:
        assert permitted(COURIER, name) is Actor.COURIER
        assert permitted(GATEWAY, name) is None
        assert permitted(AGENT, name) is (None if name == "CodCollected" else Actor.AGENT)
    for name in FACTS_OF_GATEWAYS:
        assert permitted(GATEWAY, name) is Actor.GATEWAY
        assert [permitted(each, name) for each in (COURIER, AGENT, INTAKE)] == [None] * 3
    assert permitted(OWNER, "AwbIssued", "OWNER") is Actor.OWNER
    assert permitted(OWNER, "StockShort") is None
    assert permitted(of_role(Role.OWNER, "*"), "StockShort") is Actor.SYSTEM


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_a_policy_out_of_its_limits_is_named(name: str) -> None:
    """SR-9, 18.3."""
    least, most = LIMITS[name]
    for good in (least, most):
        assert faults_of(msgspec.structs.replace(Policies(), **{name: good})) == []
    for bad in (least - 1, most + 1):
        [fault] = faults_of(msgspec.structs.replace(Policies(), **{name: bad}))
        assert (fault.field, fault.code) == (name, "FIELD_INVALID")


def test_the_policies_have_the_defaults_of_the_table() -> None:
    """18.3, CV-6."""
    assert faults_of(Policies()) == []
    assert msgspec.to_builtins(Policies()) == {
        "return_window_days": 7,
        "automatic_completion_days": 7,
        "after_sale_window_days": 15,
        "unpaid_lapses_days": None,
        "payment_allocation": "AT_ONCE",
        "hold_needed": dict.fromkeys(
            ["landing_page", "storefront", "private_order", "manual", "raised_quantity", "reopening"], True
        ),
        "bill_term_days": 14,
        "buyer_link_days": 30,
        "negotiation_rounds": 6,
        "negotiation_answer_business_days": 3,
        "negotiation_minimum": 0,
        "negotiation_applying": "AT_ONCE",
    }
    assert {
        name: LIMITS[name]
        for name in ("return_window_days", "automatic_completion_days", "after_sale_window_days")
    } == {
        "return_window_days": (0, 60),
        "automatic_completion_days": (1, 60),
        "after_sale_window_days": (0, 365),
    }
    assert read({}) == Policies()


def test_several_policies_are_reported_together() -> None:
    wrong = Policies(return_window_days=61, payment_allocation="LATER", negotiation_rounds=0)
    assert [each.field for each in faults_of(wrong)] == [
        "return_window_days",
        "negotiation_rounds",
        "payment_allocation",
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("01.234.567.8-901.000", "0012345678901000"),
        ("9999995708900001", "9999995708900001"),
        ("0012345678901000", "0012345678901000"),
        ("1234567890123456", None),
        ("01.234.567", None),
        ("01.234.567.8/901.000", None),
        ("", None),
        ("٠١٢٣٤٥٦٧٨٩٠١٢٣٤", None),
    ],
)
def test_an_npwp_is_one_or_not(text: str, number: str | None) -> None:
    """SD-07 and its vectors."""
    assert npwp_of(text) == number


@pytest.mark.parametrize(
    ("digits", "good"),
    [
        ("9999995708900001", True),
        ("9999993208900001", False),
        ("9999991713900001", False),
        ("9999991708900000", False),
        ("999999170890001", False),
    ],
)
def test_a_citizens_number_has_a_possible_birthday(digits: str, *, good: bool) -> None:
    """SD-06 and its vectors."""
    assert is_nik(digits) is good


def test_of_a_number_four_digits_are_shown() -> None:
    """SD-08."""
    assert masked("0012345678901000") == "************1000"


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("  Prioritas ", "Prioritas"),
        ("x" * 40, "x" * 40),
        ("x" * 41, None),
        ("   ", None),
        ("a\nb", None),
        ("a\u200bb", None),
    ],
)
def test_a_tag_has_1_to_40_visible_characters(text: str, tag: str | None) -> None:
    """AT-3."""
    assert tag_of(text) == tag


def test_tags_are_compared_without_case() -> None:
    """AT-3."""
    assert folded("STRASSE") == folded("straße")
    assert folded("Cafe\u0301") == folded("CAFÉ")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"code": "A"}, "code"),
        ({"code": "ABCDEFGHI"}, "code"),
        ({"code": "abc"}, "code"),
        ({"zone": "Asia/Nowhere"}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"rate": -1}, "tax_rate_basis_points"),
        ({"rate": 10_001}, "tax_rate_basis_points"),
        ({"rate": 0}, "tax_rate_basis_points"),
        ({"tax_mode": TaxMode.NONE}, "tax_rate_basis_points"),
    ],
)
def test_a_seller_field_that_is_wrong_is_named(changed: dict[str, Any], field: str) -> None:
    """SR-1, MO-4, CV-1."""
    good: dict[str, Any] = {
        "code": "TOKO1",
        "zone": "Asia/Jakarta",
        "tax_mode": TaxMode.EXCLUSIVE,
        "rate": 1_100,
    }
    assert seller_faults(**good) == []
    assert [each.field for each in seller_faults(**good | changed)] == [field]


def test_transfer_is_offered_with_an_account_only() -> None:
    """SR-11."""
    account = BankAccount(bank="Bank Contoh", number="123456", holder="Toko")
    assert method_faults([PaymentMethod.COD], []) == []
    assert method_faults([PaymentMethod.TRANSFER], [account]) == []
    assert [each.field for each in method_faults([PaymentMethod.TRANSFER], [])] == ["bank_accounts"]
    assert [each.field for each in method_faults([PaymentMethod.COD] * 2, [])] == ["methods"]


def test_a_holiday_stands_once() -> None:
    """SR-10."""
    again = Holiday(HOLIDAY.day, "Under another name")
    assert calendar_faults([HOLIDAY]) == []
    assert [each.field for each in calendar_faults([HOLIDAY, again])] == ["days"]
