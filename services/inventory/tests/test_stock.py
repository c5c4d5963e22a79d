"""Given an order's history, when an event comes, then these movements and no others."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.inventory.stock import (
    NO_LINES,
    Cancelled,
    Event,
    Kind,
    Level,
    Lines,
    Movement,
    Part,
    PickedUp,
    Placed,
    SkusTold,
    effect,
    movement_id,
    sums,
    take,
)

AT = datetime(2026, 3, 5, 8, 0, tzinfo=UTC)
ORDER = "0f5b4d0e-0000-5000-8000-000000000001"
SELLER = "seller-1"


def placed(*parts: tuple[str, str, int], sequence: int = 1) -> Placed:
    return Placed(
        event_id=f"{ORDER}/{sequence}",
        order_id=ORDER,
        sequence=sequence,
        at=AT,
        seller=SELLER,
        parts=tuple(Part(*part) for part in parts),
    )


def cancelled(sequence: int, *parts: tuple[str, str, int]) -> Cancelled:
    return Cancelled(
        event_id=f"{ORDER}/{sequence}",
        order_id=ORDER,
        sequence=sequence,
        at=AT,
        parts=tuple(Part(*part) for part in parts),
    )


def picked_up(sequence: int, *parts: tuple[str, str, int]) -> PickedUp:
    return PickedUp(
        event_id=f"{ORDER}/{sequence}",
        order_id=ORDER,
        sequence=sequence,
        at=AT,
        parts=tuple(Part(*part) for part in parts),
    )


def skus_told(sequence: int, *skus: tuple[str, str]) -> SkusTold:
    return SkusTold(event_id=f"{ORDER}/{sequence}", order_id=ORDER, sequence=sequence, at=AT, skus=skus)


def fold(events: Sequence[Event]) -> tuple[Lines, list[Movement]]:
    lines: Lines = NO_LINES
    movements: list[Movement] = []
    for event in events:
        taken = take(lines, event)
        lines = taken.lines
        movements += taken.movements
    return lines, movements


def moved(history: Sequence[Event], event: Event) -> list[tuple[str, str, int]]:
    lines, _ = fold(history)
    return [(each.sku, each.kind.value, each.units) for each in take(lines, event).movements]


def test_a_placed_order_reserves_each_line() -> None:
    event = placed(("l1", "RED", 2), ("l2", "BLUE", 3))
    assert moved([], event) == [("RED", "RESERVED", 2), ("BLUE", "RESERVED", 3)]


def test_an_order_placed_twice_reserves_once() -> None:
    assert moved([placed(("l1", "RED", 2))], placed(("l1", "RED", 2))) == []


def test_a_line_without_a_sku_claims_nothing_until_its_sku_is_told() -> None:
    history = [placed(("l1", "", 2))]
    assert moved([], history[0]) == []
    assert moved(history, skus_told(2, ("l1", "RED"))) == [("RED", "RESERVED", 2)]


def test_a_sku_told_late_claims_only_what_is_still_open() -> None:
    history: list[Event] = [placed(("l1", "", 5)), cancelled(2, ("l1", "", 2))]
    assert moved(history, skus_told(3, ("l1", "RED"))) == [("RED", "RESERVED", 3)]


def test_a_sku_that_is_known_is_never_replaced() -> None:
    assert moved([placed(("l1", "RED", 2))], skus_told(2, ("l1", "BLUE"), ("l9", "GREEN"))) == []


def test_a_cancellation_before_pick_up_releases_the_line() -> None:
    assert moved([placed(("l1", "RED", 2))], cancelled(2, ("l1", "RED", 2))) == [("RED", "RELEASED", 2)]


def test_a_part_of_a_line_is_released_alone() -> None:
    history: list[Event] = [placed(("l1", "RED", 5)), cancelled(2, ("l1", "RED", 2))]
    assert moved(history, picked_up(3, ("l1", "RED", 3))) == [("RED", "SHIPPED", 3)]


def test_a_cancellation_after_pick_up_releases_nothing() -> None:
    history: list[Event] = [placed(("l1", "RED", 2)), picked_up(2, ("l1", "RED", 2))]
    assert moved(history, cancelled(3, ("l1", "RED", 2))) == []


def test_a_repeated_pick_up_ships_nothing() -> None:
    history: list[Event] = [placed(("l1", "RED", 2)), picked_up(2, ("l1", "RED", 2))]
    assert moved(history, picked_up(2, ("l1", "RED", 2))) == []
    assert moved(history, picked_up(3, ("l1", "RED", 2))) == []


def test_more_than_is_open_is_never_shipped() -> None:
    assert moved([placed(("l1", "RED", 2))], picked_up(2, ("l1", "RED", 9))) == [("RED", "SHIPPED", 2)]


def test_parts_of_one_line_are_one_movement() -> None:
    event = picked_up(2, ("l1", "RED", 1), ("l1", "RED", 2))
    assert moved([placed(("l1", "RED", 3))], event) == [("RED", "SHIPPED", 3)]


def test_a_movement_names_the_sku_that_was_claimed_whatever_the_event_says() -> None:
    assert moved([placed(("l1", "RED", 2))], cancelled(2, ("l1", "BLUE", 2))) == [("RED", "RELEASED", 2)]


def test_a_line_that_was_never_placed_moves_nothing() -> None:
    assert moved([], cancelled(1, ("l1", "RED", 2))) == []
    assert moved([placed(("l1", "RED", 2))], picked_up(2, ("l2", "RED", 2))) == []


def test_the_same_cause_has_the_same_id_and_another_has_another() -> None:
    same = movement_id("e", "l", "s", Kind.RESERVED)
    assert same == movement_id("e", "l", "s", Kind.RESERVED)
    others = {
        movement_id("e", "l", "s", Kind.RELEASED),
        movement_id("el", "", "s", Kind.RESERVED),
        movement_id("e", "ls", "", Kind.RESERVED),
    }
    assert same not in others
    assert len(others) == 3


def test_the_example_of_the_ledger_ix_01() -> None:
    _, movements = fold(
        [placed(("a", "X", 2), ("b", "X", 3)), picked_up(2, ("a", "X", 2)), cancelled(3, ("b", "X", 3))]
    )
    level = sums(movements)[SELLER, "X"]
    assert (level.reserved_units, level.shipped_units) == (0, 2)


PARTS = st.lists(
    st.tuples(st.sampled_from(["l1", "l2", "l3"]), st.sampled_from(["", "RED", "BLUE"]), st.integers(1, 4)),
    min_size=1,
    max_size=4,
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    events: list[Event] = [placed(*draw(PARTS))]
    for sequence in range(2, draw(st.integers(2, 8))):
        kind = draw(st.sampled_from(["cancelled", "picked_up", "told"]))
        parts = draw(PARTS)
        match kind:
            case "cancelled":
                events.append(cancelled(sequence, *parts))
            case "picked_up":
                events.append(picked_up(sequence, *parts))
            case _:
                events.append(skus_told(sequence, *((line, sku) for line, sku, _ in parts)))
    return events


@given(histories())
def test_no_quantity_ever_falls_below_zero(events: list[Event]) -> None:
    for length in range(len(events) + 1):
        lines, movements = fold(events[:length])
        assert all(0 <= line.open_units <= line.units for line in lines.values())
        assert all(level.reserved_units >= 0 for level in sums(movements).values())


@given(histories())
def test_what_is_reserved_is_the_sum_of_the_open_lines(events: list[Event]) -> None:
    lines, movements = fold(events)
    for (_, sku), level in sums(movements).items():
        assert level.reserved_units == sum(each.open_units for each in lines.values() if each.sku == sku)


@given(histories())
def test_every_event_taken_twice_moves_nothing_more(events: list[Event]) -> None:
    twice = [event for each in events for event in (each, each)]
    assert fold(twice) == fold(events)


@given(histories())
def test_no_two_movements_have_one_id(events: list[Event]) -> None:
    _, movements = fold(events)
    assert len({each.id for each in movements}) == len(movements)


@given(histories())
def test_every_movement_changes_the_figures(events: list[Event]) -> None:
    _, movements = fold(events)
    assert all(each.units > 0 and effect(each) != Level() for each in movements)
