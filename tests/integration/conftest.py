"""The system that all tests here share, and the seed of their runs."""

import os
from collections.abc import Iterator

import pytest

from tests.integration.collector import Collector, collecting
from tests.integration.system import System, running_system


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the system sends its traces, all of them."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
def whole_system(collector: Collector) -> Iterator[System]:
    """The system, started once and with empty data."""
    with running_system(traces=collector.address) as system:
        yield system


@pytest.fixture
def system(whole_system: System) -> System:
    """The system with everything running, whatever the test before has left behind."""
    whole_system.mend()
    return whole_system


@pytest.fixture(scope="session")
def seed() -> int:
    """What decides which orders there are and when faults come; JEJAK_SEED names another."""
    return int(os.environ.get("JEJAK_SEED", "20260305"))
