"""Real servers for the tests that are marked `connected`, and what they are, said in the report.

Kafka and PostgreSQL come from the environment (KAFKA_BOOTSTRAP_SERVERS, DATABASE_URL), else from
testcontainers when a Docker engine answers, else from the native stack.
"""

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
import structlog
from hypothesis import HealthCheck, settings

from libs.runtime.clock import uuid7

ROOT = Path(__file__).parent

# The examples of a property test are the same in every run, in CI and elsewhere, drawn from the test itself:
# whoever runs a test that failed sees the same failure. Nothing is asserted of their speed. Other examples
# are tried by `pytest --hypothesis-profile=explore`; its report says how to repeat the one that failed,
# which becomes an @example or a test of its own.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "explore", settings.get_profile("same"), derandomize=False, print_blob=True, max_examples=1_000
)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Take back what a test, or a command that it ran, set up of logging: its stream ends with the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    if structlog.is_configured():
        logging.captureWarnings(capture=False)
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()


class Servers(NamedTuple):
    """Where the servers of this test run are, and in words what they are."""

    kafka: str
    database: str
    about: str


_about: list[str] = []


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return (
            subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0
        )
    except subprocess.TimeoutExpired:
        return False


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One real Kafka and one real PostgreSQL for the whole run."""
    kafka, database = os.environ.get("KAFKA_BOOTSTRAP_SERVERS"), os.environ.get("DATABASE_URL")
    if kafka and database:
        yield _named(Servers(kafka, database, "named by the environment"))
    elif _docker_answers():
        yield from _containers()
    else:
        from deploy.local.stack import NativeStack

        with NativeStack(ROOT / ".local" / "stack" / "test") as stack:
            yield _named(Servers(stack.kafka, stack.database, "native stack"))


def _containers() -> Iterator[Servers]:
    from testcontainers.kafka import KafkaContainer
    from testcontainers.postgres import PostgresContainer

    with KafkaContainer("apache/kafka:4.3.1") as kafka, PostgresContainer("postgres:18") as postgres:
        yield _named(
            Servers(
                kafka.get_bootstrap_server(), postgres.get_connection_url(driver=None), "Docker containers"
            )
        )


def _named(servers: Servers) -> Servers:
    with psycopg.connect(servers.database) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    _about.append(f"Kafka at {servers.kafka} and PostgreSQL {row[0]} ({servers.about})")
    return servers


@pytest.fixture(scope="session")
def kafka(servers: Servers) -> str:
    """The bootstrap servers of a real Kafka."""
    return servers.kafka


@pytest.fixture
def database(servers: Servers) -> Iterator[str]:
    """The URL of a database of this test's own, empty, dropped afterwards."""
    name = f"test_{uuid7().hex}"
    with psycopg.connect(servers.database, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield servers.database.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(servers.database, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which servers the connected tests ran against."""
    for line in _about:
        terminalreporter.write_line(f"Ran against {line}.")
