"""Lives, words and faults without a server."""

import random
from pathlib import Path

import pytest

from deploy.sandbox import lives
from deploy.sandbox.faults import Rates, fate
from deploy.sandbox.lazada_messages import request_signature
from deploy.sandbox.lives import REQUEST

# The edges of Lazada's item statuses and Tokopedia's codes that a life may walk along.
LAZADA_EDGES = {
    "": {"unpaid", "pending"},
    "unpaid": {"pending", "canceled"},
    "pending": {"packed", "canceled"},
    "packed": {"repacked", "ready_to_ship_pending", "ready_to_ship", "canceled"},
    "repacked": {"packed"},
    "ready_to_ship_pending": {"ready_to_ship", "canceled"},
    "ready_to_ship": {"shipped", "repacked", "canceled"},
    "shipped": {"delivered", "failed_delivery", "lost_by_3pl", "damaged_by_3pl"},
    "failed_delivery": {"shipped_back"},
    "shipped_back": {"shipped_back_success"},
    "delivered": {"confirmed", "returned"},
}
LAZADA_ENDS = {
    "canceled",
    "delivered",
    "confirmed",
    "returned",
    "shipped_back_success",
    "lost_by_3pl",
    "damaged_by_3pl",
}
TOKOPEDIA_EDGES = {
    "": {"100", "220"},
    "100": {"103", "220", "0"},
    "103": {"220", "0"},
    "220": {"221", "400", "0", "3", "5", "10", "15"},
    "221": {"400", "0", "3", "5", "10", "15"},
    "400": {"450", "500", REQUEST, "0", "15"},
    REQUEST: {"10", "15", "450", "500"},
    "450": {"500", "0", "15"},
    "500": {"520", "530", "540", "550", "600"},
    "520": {"500"},
    "530": {"500"},
    "540": {"600"},
    "600": {"690", "601", "700"},
    "690": {"700"},
    "601": {"700"},
}
TOKOPEDIA_ENDS = {"700", "550", "0", "3", "5", "10", "15"}


@pytest.mark.parametrize("kind", lives.LAZADA_WEIGHTS)
def test_every_lazada_line_walks_documented_statuses_to_a_legal_end(kind: str) -> None:
    for seed in range(200):
        life = lives.lazada(kind, random.Random(seed), 1.0)
        for line in range(life.lines):
            before, at = "", -1
            for step in (step for step in life.steps if line in step.lines):
                assert step.status in LAZADA_EDGES[before]
                assert step.at > at
                before, at = step.status, step.at
            assert before in LAZADA_ENDS
        assert life.steps[-1].at <= lives.longest(1.0)
        assert life.steps[0].status == ("pending" if life.cod else "unpaid")


@pytest.mark.parametrize("kind", lives.TOKOPEDIA_WEIGHTS)
def test_every_tokopedia_order_walks_documented_codes_to_a_legal_end(kind: str) -> None:
    for seed in range(200):
        life = lives.tokopedia(kind, random.Random(seed), 1.0)
        before, at = "", -1
        for step in life.steps:
            assert step.status in TOKOPEDIA_EDGES[before]
            assert step.at > at
            assert (step.lines == ()) == (step.status == REQUEST)
            before, at = step.status, step.at
        assert before in TOKOPEDIA_ENDS
        assert life.steps[-1].at <= lives.longest(1.0)


def test_a_request_to_cancel_is_followed_by_a_cancellation_or_by_going_on() -> None:
    ends = {
        lives.tokopedia("cancel_request", random.Random(seed), 1.0).steps[-1].status for seed in range(50)
    }
    assert ends == {"10", "15", "700"}


def test_the_pace_changes_the_times_of_a_life_and_nothing_else() -> None:
    slow, fast = (lives.lazada("split", random.Random(5), unit) for unit in (1000.0, 1.0))
    assert [(step.lines, step.status) for step in slow.steps if step.lines == (0,)] == [
        (step.lines, step.status) for step in fast.steps if step.lines == (0,)
    ]
    assert slow.steps[-1].at > 100 * fast.steps[-1].at


def test_the_official_vector_of_request_signing_recomputes() -> None:
    parameters = {
        "access_token": "test",
        "app_key": "123456",
        "order_id": "1234",
        "sign_method": "sha256",
        "timestamp": "1517820392000",
    }
    # Doc 108069.
    expected = "4190D32361CFB9581350222F345CB77F3B19F0E31D162316848A2C1FFD5FAB4A"
    assert request_signature("helloworld", "/order/get", parameters) == expected


def test_one_fault_rate_leaves_the_draws_of_the_others_alone() -> None:
    some = [fate(random.Random(seed), Rates(reorder=0.3)) for seed in range(100)]
    more = [fate(random.Random(seed), Rates(reorder=0.3, duplicate=1.0, lose=0.5)) for seed in range(100)]
    assert [one.reordered for one in some] == [one.reordered for one in more]
    assert 10 < sum(one.reordered for one in some) < 50


def test_the_sandbox_shares_no_code_with_what_it_tests() -> None:
    for source in Path(__file__).parent.parent.rglob("*.py"):
        lines = source.read_text().splitlines()
        assert not [
            line
            for line in lines
            if line.strip().startswith(("from services", "from libs", "import services"))
        ]
