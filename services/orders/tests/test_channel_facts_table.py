"""Tables 11.3 and 11.4: what newer news does to a part at each value, and what each disposition writes."""

import pytest

from services.orders.order.channel_facts import Disposition, Fact
from services.orders.order.headline import flags
from services.orders.order.model import Fulfilment, Status
from services.orders.tests.facts import Played, fact, placement

# Copied from the rules by hand; the code has its own copy.
COLUMNS = (
    "NOT_STARTED",
    "READY",
    "BOOKED",
    "IN_TRANSIT",
    "PROBLEM",
    "DELIVERED",
    "RETURNING",
    "LOST_OR_DAMAGED",
    "RETURNED",
    "CANCELLED",
    "COMPLETED",
)
ROWS = {
    "PackagePrepared": "A = B X X X X X X X X",
    "ShipmentBooked": "J A = X X X X X X X X",
    "ShipmentCancelled": "A = B X X X X X X X X",
    "PackagePickedUp": "J J A = B X X X X X X",
    "DeliveryProblemSolved": "J J A = B X X X X X X",
    "DeliveryProblemReported": "J J J A = X X X X X X",
    "PackageDelivered": "J J J A A = X X X X =",
    "PackageLostOrDamaged": "J J J A A J A = X X C",
    "ReturnStarted": "J J J A A A = X X X C",
    "ReturnReceived": "J J J J J J A X = X C",
    "OrderCancelled": "A A A X X X X X X = X",
    "OrderCompleted": "J J J J J A X = = X =",
}
REACHED_BY = {
    "READY": "PackagePrepared",
    "BOOKED": "ShipmentBooked",
    "IN_TRANSIT": "PackagePickedUp",
    "PROBLEM": "DeliveryProblemReported",
    "DELIVERED": "PackageDelivered",
    "RETURNING": "ReturnStarted",
    "LOST_OR_DAMAGED": "PackageLostOrDamaged",
    "RETURNED": "ReturnReceived",
    "CANCELLED": "OrderCancelled",
    "COMPLETED": "OrderCompleted",
}
TARGETS = {
    "PackagePrepared": "READY",
    "ShipmentBooked": "BOOKED",
    "ShipmentCancelled": "READY",
    "PackagePickedUp": "IN_TRANSIT",
    "DeliveryProblemSolved": "IN_TRANSIT",
    "DeliveryProblemReported": "PROBLEM",
    "PackageDelivered": "DELIVERED",
    "PackageLostOrDamaged": "LOST_OR_DAMAGED",
    "ReturnStarted": "RETURNING",
    "ReturnReceived": "RETURNED",
    "OrderCancelled": "CANCELLED",
    "OrderCompleted": "COMPLETED",
}
CELLS = [
    (news, column, letter)
    for news, row in ROWS.items()
    for column, letter in zip(COLUMNS, row.split(), strict=True)
]


def standing_at(column: str) -> Played:
    played = Played(placement(), fact("PaymentSucceeded", 1), fact("OrderConfirmed", 2))
    if column in REACHED_BY:
        played.then(fact(REACHED_BY[column], 10))
    assert stands(played) == column
    return played


def stands(played: Played) -> str:
    order = played.state
    if order.status in {Status.CANCELLED, Status.COMPLETED}:
        return order.status.value
    return order.parts[0].value.value


@pytest.mark.parametrize(("news", "column", "letter"), CELLS)
def test_newer_news_does_what_table_11_4_says(news: str, column: str, letter: str) -> None:
    played = standing_at(column)
    mark = played.state.parts[0].mark
    played.then(fact(news, 20, status="again"))
    judged = played.last
    dispositions = {
        "A": Disposition.APPLIED,
        "J": Disposition.APPLIED,
        "B": Disposition.APPLIED,
        "=": Disposition.REAFFIRMED,
        "X": Disposition.CONFLICT,
        "C": Disposition.CASE,
    }
    assert judged.disposition is dispositions[letter]
    if letter in "AJB":
        assert stands(played) == TARGETS[news]
        assert played.names[-1] != "FactRecorded"
    else:
        assert stands(played) == column
    if letter == "J":
        assert judged.events[0].implied
    if letter in "=X":
        assert played.names == ["FactRecorded"]
    moved = played.state.parts[0].mark
    assert (moved != mark) is (letter in "AJB=")
    assert ("CHANNEL_CONFLICT" in flags(played.state)) is (letter == "X")
    assert judged.read_wanted is (letter == "X")
    assert bool(played.state.cases) is (letter == "C")


@pytest.mark.parametrize(("news", "column", "letter"), CELLS)
def test_news_without_a_time_only_moves_forward(news: str, column: str, letter: str) -> None:
    """MK-10: A and J apply, what is true already is nothing, anything else is late and a read is asked for."""
    played = standing_at(column)
    mark = played.state.parts[0].mark
    played.then(fact(news, None, status="again"))
    if letter in "AJ":
        assert played.last.disposition is Disposition.APPLIED
        assert stands(played) == TARGETS[news]
    elif letter == "=":
        assert played.last.disposition is Disposition.DUPLICATE
        assert not played.told
    else:
        assert played.last.disposition is Disposition.LATE
        assert played.names == ["FactRecorded"]
        assert played.last.read_wanted
        assert stands(played) == column
    assert played.state.parts[0].mark == mark


@pytest.mark.parametrize(
    ("news", "column"), [(news, column) for news, column, _ in CELLS if column != "NOT_STARTED"]
)
def test_older_news_is_late_at_every_value(news: str, column: str) -> None:
    """MK-5; a completion older than a return raises the conflict as well (MK-13)."""
    played = standing_at(column)
    played.then(fact(news, 5, status="older"))
    overtaken = news == "OrderCompleted" and column in {"RETURNING", "RETURNED"}
    assert played.last.disposition is (Disposition.CONFLICT if overtaken else Disposition.LATE)
    assert played.names == ["FactRecorded"]
    assert stands(played) == column
    assert ("CHANNEL_CONFLICT" in flags(played.state)) is overtaken


@pytest.mark.parametrize(
    ("history", "news", "disposition", "written", "flag", "read"),
    [
        ([], fact("PackagePrepared", 3), "APPLIED", ["PackagePrepared"], None, False),
        ([fact("PackagePrepared", 3)], fact("PackagePrepared", 3), "DUPLICATE", [], None, False),
        ([fact("PackagePrepared", 3)], fact("PackagePrepared", None), "DUPLICATE", [], None, False),
        (
            [fact("PackagePrepared", 3)],
            fact("PackagePrepared", 4),
            "REAFFIRMED",
            ["FactRecorded"],
            None,
            False,
        ),
        ([fact("PackagePickedUp", 5)], fact("PackagePrepared", 4), "LATE", ["FactRecorded"], None, False),
        ([fact("OrderCompleted", 5)], fact("ReturnStarted", 6), "CASE", ["ReturnCaseOpened"], None, False),
        (
            [fact("OrderCompleted", 5), fact("ReturnStarted", 6)],
            fact("ReturnReceived", 7),
            "CASE",
            ["ReturnCaseAdvanced"],
            None,
            False,
        ),
        (
            [fact("PackagePickedUp", 5)],
            fact("OrderCancelled", 6),
            "CONFLICT",
            ["FactRecorded"],
            "CHANNEL_CONFLICT",
            True,
        ),
        ([], fact("UnknownStatusReported", 3), "UNRECOGNISED", ["FactRecorded"], "UNRECOGNISED", True),
        ([], fact("ChannelNote", 3), "NOTE", ["FactRecorded"], None, False),
        ([], fact("ChannelNote", 3, on_hold=True), "NOTE", ["FactRecorded"], "ON_HOLD", False),
    ],
)
def test_each_disposition_writes_what_table_11_3_says(
    history: list[Fact], news: Fact, disposition: str, written: list[str], flag: str | None, read: bool
) -> None:
    played = Played(placement(), fact("PaymentSucceeded", 1), fact("OrderConfirmed", 2), *history)
    before = set(flags(played.state))
    played.then(news)
    assert played.last.disposition == disposition
    assert played.names == written
    assert played.last.read_wanted is read
    assert set(flags(played.state)) - before == ({flag} if flag else set())


def test_every_value_has_its_column() -> None:
    assert set(COLUMNS[:9]) == {value.value for value in Fulfilment}
