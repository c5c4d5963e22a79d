"""`up` changes nothing that is as it should be, `down` leaves nothing running, and `up` finds the data again.

The simulators forget their orders when they stop, so these tests stand last.
"""

import os
import signal
from pathlib import Path

import pytest

from deploy.local import processes
from deploy.local.layout import port_answers, read_json
from tests.integration.judge import ORDERS_TOPIC, assert_whole, read_topics
from tests.integration.system import System

pytestmark = pytest.mark.connected

PARTS = {"kafka", "postgres", "sandbox", "orders", "channels", "inventory", "notifications"}


def started_by(system: System) -> list[int]:
    """The processes of this machine that the stack has started, whatever its records say."""
    mark = f"{processes.MARK}={system.layout.directory}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_up_starts_only_what_does_not_run(system: System) -> None:
    first = system.up()
    assert set(first["processes"]) == PARTS
    assert system.up() == first
    os.kill(first["processes"]["inventory"], signal.SIGKILL)
    third = system.up()
    assert third["processes"].pop("inventory") != first["processes"].pop("inventory")
    assert third == first


def test_after_down_nothing_runs_or_listens_and_up_finds_all_that_was(system: System, seed: int) -> None:
    run = system.start_run(seed=seed + 40, orders=20, per_second=10)
    assert_whole(system, run)
    orders = system.listed("orders", "/v1/orders")
    stock = system.listed("inventory", "/v1/stock")
    deliveries = system.listed("notifications", "/v1/deliveries")
    events = len(system.read_store())
    records = read_topics(system.endpoints["kafka"], [ORDERS_TOPIC])
    ports = read_json(system.layout.directory / "ports.json")
    assert started_by(system)

    system.down()
    assert started_by(system) == []
    assert [name for name, port in ports.items() if port_answers(port)] == []

    system.up()
    assert system.listed("orders", "/v1/orders") == orders
    assert system.listed("inventory", "/v1/stock") == stock
    assert system.listed("notifications", "/v1/deliveries") == deliveries
    assert len(system.read_store()) == events
    assert set(records) <= set(read_topics(system.endpoints["kafka"], [ORDERS_TOPIC]))
