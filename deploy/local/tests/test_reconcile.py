"""The outside judge of the demo: what agrees, and what each difference is called."""

from typing import Any

import pytest

from deploy.local.board import LABELS, Flow, Snapshot, line
from deploy.local.doors import Event, samples, total
from deploy.local.reconcile import BEFORE_GOODS, HEADLINES, Evidence, Verdict, due_headlines, judge

SERVICES = ("orders", "channels")
DRAINED = {"lag_records": 0, "unpublished_events": 0, "waiting": 0, "parked": 0}


def truth(*statuses: str, order: str = "712345", marketplace: str = "lazada", total: int = 90_000) -> Any:
    return {
        "marketplace": marketplace,
        "site": "id",
        "shop": "1000999001",
        "order": order,
        "lines": [
            {"line": f"{order}{number}", "status": status, "status_at": "2026-03-05T07:59:26Z"}
            for number, status in enumerate(statuses)
        ],
        "total": total,
        "currency": "IDR",
    }


def part(value: str) -> dict[str, Any]:
    return {
        "quantity": 1,
        "status": "DELIVERED" if value == "ACCEPTED" else value,
        "cancelled": value == "CANCELLED",
        "accepted": value == "ACCEPTED",
    }


def held(
    *values: str,
    headline: str,
    order: str = "712345",
    channel: str = "lazada",
    total: int = 90_000,
    sequence: int = 2,
    **more: Any,
) -> Any:
    return {
        "id": f"id-{order}",
        "number": "JJK-1",
        "channel": channel,
        "shop": "1000999001",
        "marketplace_number": order,
        "headline": headline,
        "flags": [],
        "lines": [
            {"line": f"{order}{number}", "quantity": 1, "parts": [part(value)]}
            for number, value in enumerate(values)
        ],
        "money": {"total": total, "currency": "IDR", "net_paid": total, "refund_due": 0},
        "payment": {"coverage": "PAID"},
        "sequence": sequence,
        **more,
    }


def events(order: str, *numbers: int) -> list[Event]:
    return [Event(f"id-{order}/{number}", f"id-{order}", number, f"says {number}") for number in numbers]


def evidence(
    truths: list[Any],
    listed: list[Any],
    stored: list[Event],
    published: list[Event] | None = None,
    **more: Any,
) -> Evidence:
    given: dict[str, Any] = {
        "truth": truths,
        "listed": listed,
        "orders": {order["id"]: order for order in listed},
        "stored": stored,
        "published": stored if published is None else published,
        "statuses": dict.fromkeys(SERVICES, DRAINED),
    }
    return Evidence(**given | more)


def judged(*arguments: Any, **more: Any) -> Verdict:
    return judge(evidence(*arguments, **more))


def test_equal_worlds_agree() -> None:
    tokopedia = truth("700", order="55", marketplace="tokopedia")
    verdict = judged(
        [truth("confirmed", "confirmed"), tokopedia],
        [
            held("ACCEPTED", "ACCEPTED", headline="COMPLETED"),
            held("ACCEPTED", headline="COMPLETED", order="55", channel="tokopedia"),
        ],
        [*events("712345", 1, 2), *events("55", 1, 2)],
    )

    assert verdict.differences == []
    assert verdict.agrees
    assert verdict.repeats == 0


def test_a_missing_order_is_a_difference() -> None:
    verdict = judged([truth("confirmed")], [], [])

    assert not verdict.agrees
    assert verdict.differences == ["lazada order 712345 of shop 1000999001 is missing."]


def test_an_order_that_tokopedia_never_lists_may_be_unknown_but_not_many() -> None:
    known = truth("confirmed"), held("ACCEPTED", headline="COMPLETED")
    lost = [truth("0", order=str(number), marketplace="tokopedia") for number in (1, 2)]
    paid = truth("10", order="3", marketplace="tokopedia")

    one = judged([known[0], lost[0]], [known[1]], events("712345", 1, 2))
    assert one.agrees
    assert one.unknowable == ["tokopedia order 1 of shop 1000999001"]
    assert not judged([known[0], *lost], [known[1]], events("712345", 1, 2)).agrees
    assert not judged([known[0], paid], [known[1]], events("712345", 1, 2)).agrees


def test_an_order_held_twice_is_a_difference() -> None:
    once = held("DELIVERED", headline="DELIVERED")
    verdict = judged([truth("delivered")], [once, {**once, "id": "id-other"}], events("712345", 1, 2))

    assert any("is held 2 times" in sentence for sentence in verdict.differences)


def test_the_same_number_in_another_shop_is_another_order() -> None:
    elsewhere = held("DELIVERED", headline="DELIVERED", shop="1000999002")
    verdict = judged([truth("delivered")], [elsewhere], events("712345", 1, 2))

    assert "lazada order 712345 of shop 1000999001 is missing." in verdict.differences


def test_a_wrong_final_state_names_the_line_and_both_words() -> None:
    verdict = judged(
        [truth("shipped_back_success")],
        [held("RETURNING", headline="RETURNING")],
        events("712345", 1, 2),
    )

    assert verdict.differences == [
        (
            "lazada order 712345 of shop 1000999001, line 7123450: the marketplace says shipped_back_success,"
            " so RETURNED is due; held: RETURNING."
        ),
        "lazada order 712345 of shop 1000999001 shows RETURNING; due is RETURNED.",
    ]


def test_a_status_that_the_judge_does_not_know_is_a_difference() -> None:
    verdict = judged([truth("teleported")], [held("DELIVERED", headline="DELIVERED")], events("712345", 1, 2))

    assert not verdict.agrees


def test_a_line_in_two_states_differs_when_the_marketplace_has_one() -> None:
    order = held("DELIVERED", headline="DELIVERED")
    order["lines"][0]["parts"].append(part("IN_TRANSIT"))
    order["lines"][0]["quantity"] = 2
    verdict = judged([truth("delivered")], [order], events("712345", 1, 2))

    assert any("held: DELIVERED and IN_TRANSIT" in sentence for sentence in verdict.differences)


@pytest.mark.parametrize(
    ("values", "due"),
    [
        (("CANCELLED", "CANCELLED"), {"CANCELLED"}),
        (("CANCELLED", "ACCEPTED"), {"COMPLETED"}),
        (("ACCEPTED", "RETURNED"), {"COMPLETED"}),
        (("ACCEPTED", "DELIVERED"), {"DELIVERED"}),
        (("RETURNED", "LOST_OR_DAMAGED"), {"LOST_OR_DAMAGED"}),
        (("RETURNING", "DELIVERED"), {"RETURNING"}),
        (("IN_TRANSIT", "PROBLEM"), {"DELIVERY_PROBLEM"}),
        (("BOOKED", "NOT_STARTED"), BEFORE_GOODS),
        ((None,), set()),
    ],
)
def test_the_headline_follows_from_the_lines(values: tuple[str | None, ...], due: set[str]) -> None:
    assert due_headlines(values) == due


def test_a_partly_cancelled_order_may_cost_less_and_no_other() -> None:
    partly = (
        [truth("confirmed", "canceled")],
        [held("ACCEPTED", "CANCELLED", headline="COMPLETED", total=40_000)],
    )
    whole = [truth("confirmed")], [held("ACCEPTED", headline="COMPLETED", total=40_000)]

    assert judged(*partly, events("712345", 1, 2)).agrees
    assert judged(*whole, events("712345", 1, 2)).differences == [
        "lazada order 712345 of shop 1000999001 costs IDR 90000 at the marketplace; held: IDR 40000."
    ]


def test_a_finished_order_is_paid_and_a_cancelled_ones_money_goes_back() -> None:
    finished = held("ACCEPTED", headline="COMPLETED", payment={"coverage": "UNPAID"})
    cancelled = held("CANCELLED", headline="CANCELLED")

    assert judged([truth("confirmed")], [finished], events("712345", 1, 2)).differences == [
        "lazada order 712345 of shop 1000999001 is finished and UNPAID; due is PAID."
    ]
    assert judged([truth("canceled")], [cancelled], events("712345", 1, 2)).differences == [
        "lazada order 712345 of shop 1000999001 is cancelled with 90000 paid; held as to go back: 0."
    ]


def test_parts_that_do_not_add_up_are_a_difference() -> None:
    order = held("DELIVERED", headline="DELIVERED")
    order["lines"][0]["quantity"] = 3
    verdict = judged([truth("delivered")], [order], events("712345", 1, 2))

    assert verdict.differences == [
        "lazada order 712345 of shop 1000999001, line 7123450: 3 ordered, 1 in parts."
    ]


def test_a_doubt_is_a_difference() -> None:
    order = held("DELIVERED", headline="DELIVERED", flags=["CHANNEL_CONFLICT", "HAS_RETURN"])
    verdict = judged([truth("delivered")], [order], events("712345", 1, 2))

    assert verdict.differences == ["lazada order 712345 of shop 1000999001 is flagged CHANNEL_CONFLICT."]


def test_a_gap_in_the_numbers_is_found_in_the_store_and_on_kafka() -> None:
    order = held("DELIVERED", headline="DELIVERED", sequence=3)
    verdict = judged([truth("delivered")], [order], events("712345", 1, 3))

    assert "Order id-712345 in the store: number 2 is missing." in verdict.differences
    assert "Order id-712345 on Kafka: number 2 is missing." in verdict.differences
    assert "Order id-712345 counts 3 events, the store gives 2." in verdict.differences


def test_one_number_for_two_events_is_a_difference() -> None:
    stored = [*events("712345", 1, 2), Event("another id", "id-712345", 2, "says 2")]
    verdict = judged([truth("delivered")], [held("DELIVERED", headline="DELIVERED")], stored)

    assert "Order id-712345 on Kafka: number 2 belongs to several events." in verdict.differences


def test_an_event_that_kafka_repeats_is_counted_and_no_difference() -> None:
    stored = events("712345", 1, 2)
    verdict = judged(
        [truth("delivered")], [held("DELIVERED", headline="DELIVERED")], stored, stored + stored[1:]
    )

    assert verdict.agrees
    assert verdict.repeats == 1


def test_a_repeat_that_says_something_else_is_a_difference() -> None:
    stored = events("712345", 1, 2)
    changed = [*stored[:1], stored[1]._replace(digest="says 3"), stored[1]]
    verdict = judged([truth("delivered")], [held("DELIVERED", headline="DELIVERED")], stored, changed)

    assert "Event id-712345/2 was published twice with different content." in verdict.differences


def test_store_and_kafka_must_have_the_same_events() -> None:
    order = held("DELIVERED", headline="DELIVERED")
    missing = judged([truth("delivered")], [order], events("712345", 1, 2), events("712345", 1))
    too_many = judged([truth("delivered")], [order], events("712345", 1, 2), events("712345", 1, 2, 3))

    assert "Event id-712345/2 is in the store and not on Kafka." in missing.differences
    assert "Event id-712345/3 is on Kafka and not in the store." in too_many.differences


def test_orders_of_earlier_runs_are_not_judged() -> None:
    earlier = held("BOOKED", headline="AWAITING_PICKUP", order="1")
    given = evidence(
        [truth("delivered")],
        [held("DELIVERED", headline="DELIVERED"), earlier],
        events("712345", 1, 2),
        [*events("712345", 1, 2), *events("1", 7)],
        orders={"id-712345": held("DELIVERED", headline="DELIVERED")},
    )

    assert judge(given).agrees


def test_the_list_and_the_orders_own_door_must_say_the_same() -> None:
    own = held("DELIVERED", headline="DELIVERED")
    given = evidence(
        [truth("delivered")], [{**own, "sequence": 1}], events("712345", 1, 2), orders={own["id"]: own}
    )

    assert [sentence for sentence in judge(given).differences if "in the list" in sentence]


def test_what_is_not_drained_is_a_difference() -> None:
    verdict = judged(
        [truth("delivered")],
        [held("DELIVERED", headline="DELIVERED")],
        events("712345", 1, 2),
        statuses={"orders": DRAINED | {"parked": 2}},
    )

    assert verdict.differences == ["orders is not drained: parked is 2."]


def test_every_headline_has_a_label() -> None:
    assert len(LABELS) == 21
    assert {*HEADLINES.values(), *BEFORE_GOODS, "CANCELLED", "COMPLETED"} <= set(LABELS)


def test_metrics_are_read_as_printed() -> None:
    page = (
        "# HELP orders_facts_total Channel facts\n# TYPE orders_facts_total counter\n"
        'orders_facts_total{disposition="LATE",type="OrderPlaced"} 2.0\n'
        'orders_facts_total{disposition="APPLIED",type="OrderPlaced"} 3.0\n'
        "orders_waiting_total 1.0\n"
    )

    assert total(samples(page), "orders_facts_total") == 5
    assert total(samples(page), "orders_facts_total", disposition="LATE") == 2
    assert total(samples(page), "orders_waiting_total") == 1
    assert total(samples(page), "unheard_of") == 0


def test_a_snapshot_is_one_plain_line() -> None:
    snapshot = Snapshot(
        elapsed=12.3,
        phase="orders live",
        run={"orders": 20, "orders_ended": 3, "pushes_sent": 70},
        flows={"pushes": Flow(70, 6.2), "events": Flow(150, 14)},
        statuses={"orders": DRAINED | {"waiting": 2}, "channels": None, "inventory": DRAINED},
    )

    assert line(snapshot) == (
        "  12 s  orders live: orders 20 begun, 3 ended; 70 pushes (6/s), 150 events (14/s);"
        " orders: 2 waiting; channels does not answer"
    )
