"""Processes and servers die while orders live: nothing is lost, nothing is done twice, no order breaks.

In every run pushes are lost, doubled, late and out of order as well. The faults come when a share of the
orders has begun, so that they hit work under way on any machine.
"""

import json
import random
import time
from collections.abc import Callable
from functools import partial

import pytest

from tests.integration.judge import assert_whole
from tests.integration.system import System, wait_until

pytestmark = pytest.mark.connected


# What Lazada's console pushes to try a receiver; it is about no order.
PROBE = json.dumps(
    {
        "seller_id": "1000999001",
        "message_type": 0,
        "data": {
            "order_status": "This is a test message",
            "trade_order_id": "123456",
            "trade_order_line_id": "12345",
            "status_update_time": 1,
        },
        "timestamp": 1,
        "site": "lazada_id",
    }
).encode()


def test_killing_channels_loses_no_order_news(system: System, seed: int) -> None:
    run = system.start_run(seed=seed)
    for share in (0.2, 0.5, 0.8):
        run.wait_for(share)
        system.kill("channels")
        system.start("channels")

    assert_whole(system, run)
    assert run.pushes("failed") > 0, "Pushes came while channels was down."


def test_killing_orders_in_mid_batch_loses_and_doubles_nothing(system: System, seed: int) -> None:
    moment = random.Random(seed)
    run = system.start_run(seed=seed + 1)
    for share in (0.2, 0.5, 0.8):
        with system.frozen("orders"):
            # Meanwhile facts pile up, so that it is in the middle of them when it dies.
            run.wait_for(share)
        time.sleep(moment.uniform(0.005, 0.15))
        system.kill("orders")
        system.start("orders")

    assert_whole(system, run)


def test_killing_the_consumer_and_the_relay_as_processes_of_their_own_does_no_harm(
    system: System, seed: int
) -> None:
    system.end("orders")
    roles = [system.start_more("orders", role) for role in ("api", "projector", "consumer", "relay")]
    run = system.start_run(seed=seed + 2)
    for share, role in ((0.2, "consumer"), (0.4, "relay"), (0.7, "consumer"), (0.9, "relay")):
        run.wait_for(share)
        system.kill(f"orders-{role}")
        system.start_more("orders", role, wait=False)
    run.wait()
    for name in roles:
        system.end(name)
    system.start("orders")

    assert_whole(system, run)


@pytest.mark.parametrize("server", ["kafka", "postgres"])
def test_a_server_that_is_stopped_and_one_that_is_killed_come_back_to_all_that_was(
    system: System, seed: int, server: str
) -> None:
    stop: Callable[..., None] = getattr(system.servers, f"stop_{server}")
    start: Callable[[], None] = getattr(system.servers, f"start_{server}")
    run = system.start_run(seed=seed + 3)
    for share, kill in ((0.2, False), (0.6, True)):
        run.wait_for(share)
        stop(kill=kill)
        if server == "postgres":
            assert system.push_lazada(PROBE) == 503, "What could not be made durable is not taken."
        else:
            # On a busy machine some are not durable in time and are refused.
            wait_until(lambda: system.push_lazada(PROBE) == 200, 120, "pushes are taken without Kafka")
        run.wait_for(share + 0.2)
        start()

    assert_whole(system, run)
    if server == "postgres":
        assert run.pushes("failed") > 0, "Pushes came while the database was down."


def test_an_outage_of_the_marketplaces_reads_loses_nothing(system: System, seed: int) -> None:
    run = system.start_run(seed=seed + 4)
    outages = [("lazada", "timeout"), ("tokopedia", "error"), ("lazada", "error"), ("tokopedia", "timeout")]
    try:
        for share, (marketplace, mode) in zip((0.1, 0.3, 0.6, 0.8), outages, strict=True):
            run.wait_for(share)
            system.sandbox("/outage", {"marketplace": marketplace, "mode": mode})
        run.wait()
    finally:
        for marketplace in ("lazada", "tokopedia"):
            system.sandbox("/outage", {"marketplace": marketplace, "mode": "none"})

    assert_whole(system, run)


def test_a_consumer_that_wakes_up_late_changes_nothing(system: System, seed: int) -> None:
    second = system.start_more("orders", "consumer")

    def owned(name: str) -> float:
        return system.metric(name, "consumer_partitions_assigned", topic="channels.orders.v1")

    wait_until(lambda: owned(second) > 0 and owned("orders") > 0, 120, "both consumers have partitions")
    run = system.start_run(seed=seed + 5)
    run.wait_for(0.2)
    with system.frozen("orders"):
        before = system.metric(second, "messages_total", topic="channels.orders.v1", outcome="handled")
        wait_until(lambda: owned(second) == 6, 120, "the second consumer has taken over")
        wait_until(
            lambda: (
                system.metric(second, "messages_total", topic="channels.orders.v1", outcome="handled")
                > before
            ),
            120,
            "the second consumer works",
        )
    wait_until(lambda: owned("orders") > 0, 120, "the first consumer is back")
    with system.frozen(second):
        wait_until(lambda: owned("orders") == 6, 120, "the first consumer has taken over")
    wait_until(lambda: owned(second) > 0, 120, "the second consumer is back")
    run.wait()
    system.end(second)

    assert_whole(system, run)


def test_a_relay_that_does_not_know_it_was_replaced_breaks_no_order(system: System, seed: int) -> None:
    relay = system.start_more("orders", "relay", wait=False)
    consumer = system.start_more("orders", "consumer")
    wait_until(lambda: system.answers(relay), 120, "the second relay has started")

    def published(name: str) -> float:
        return system.metric(name, "outbox_published_total", topic="orders.orders.v1")

    def publishes(name: str, since: float) -> bool:
        return published(name) > since

    run = system.start_run(seed=seed + 6)
    for share, leader, heir in ((0.2, "orders", relay), (0.5, relay, "orders"), (0.8, "orders", relay)):
        run.wait_for(share)
        before = published(heir)
        with system.frozen(leader):
            # The database takes the frozen leader for dead, as when its machine is cut off from it.
            ended = system.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_locks USING (pid)"
                " WHERE locktype = 'advisory' AND granted AND application_name = 'lead orders relay events'"
            )
            assert ended == [(True,)], "One relay leads."
            wait_until(partial(publishes, heir, before), 120, f"{heir} publishes")
    run.wait()
    for name in (relay, consumer):
        system.end(name)

    assert_whole(system, run)
