"""How old what arrives is: read from the ids, counted as prometheus counts, whole batches at a fixed price."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from libs.runtime.clock import now, uuid7
from libs.runtime.freshness import LOOKED_AT_MAX, Freshness, received_at
from libs.runtime.metrics import ORDER_EVENT_E2E_SECONDS
from libs.runtime.weighted_histogram import WeightedHistogram

BUCKETS = (0.005, 0.1, 1, 60)


def test_the_receipt_is_in_the_correlation_id() -> None:
    before = now()
    headers = [("ce_id", b"x"), ("ce_correlationid", str(uuid7()).encode())]
    received = received_at(headers)
    assert received is not None
    assert before.timestamp() - 0.001 <= received <= now().timestamp()


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"order-4711",
        b"9e107d9d-372b-4b68-81d8-000000000000",
        b"zzzzzzzz-zzzz-7zzz-zzzz-zzzzzzzzzzzz",
    ],
)
def test_an_id_of_another_form_has_no_receipt(value: bytes | None) -> None:
    assert received_at([("ce_correlationid", value)]) is None
    assert received_at([]) is None


@given(st.lists(st.tuples(st.floats(0, 1000), st.integers(1, 5)), max_size=30))
def test_a_weighted_histogram_says_what_prometheus_own_says(observed: list[tuple[float, int]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    weighted = WeightedHistogram("age_seconds", "Age.", ["stage"], buckets=BUCKETS, registry=ours)
    plain = Histogram("age_seconds", "Age.", ["stage"], buckets=BUCKETS, registry=theirs)
    for value, weight in observed:
        weighted.labels("a").observe(value, weight)
        for _ in range(weight):
            plain.labels("a").observe(value)

    def lines(registry: CollectorRegistry) -> list[tuple[str, float]]:
        text = generate_latest(registry).decode()
        named = [line.rpartition(" ") for line in text.splitlines() if "_created" not in line]
        return [(name, 0.0 if name.startswith("#") else float(value)) for name, _, value in named]

    assert [name for name, _ in lines(ours)] == [name for name, _ in lines(theirs)]
    assert [value for _, value in lines(ours)] == pytest.approx([value for _, value in lines(theirs)])


@pytest.mark.parametrize("size", [0, 1, LOOKED_AT_MAX, LOOKED_AT_MAX + 1, 500, 6000])
def test_a_batch_counts_with_all_its_records(size: int) -> None:
    stage = f"of_{size}"
    freshness = Freshness("test", stage)
    freshness.reached([[("ce_correlationid", str(uuid7()).encode())] for _ in range(size)])
    series = ORDER_EVENT_E2E_SECONDS.labels("test", stage)
    assert sum(series.counts) == size


def test_what_was_received_at_a_time_is_as_old_as_that() -> None:
    Freshness("test", "stored").reached_from([now() - timedelta(seconds=90)])
    series = ORDER_EVENT_E2E_SECONDS.labels("test", "stored")
    assert 90 <= series.total < 120
    assert sum(series.counts) == 1
