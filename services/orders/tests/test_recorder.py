"""The recorder: the library's published test cases, and what our append promises beyond them."""

from collections.abc import Iterator
from unittest import TestCase

import pytest
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    ProcessRecorderTestCase,
    TrackingRecorderTestCase,
)
from psycopg_pool import ConnectionPool

from libs.runtime.postgres import RUNTIME_MIGRATIONS, migrate
from services.orders.app import MIGRATIONS
from services.orders.recorder import PostgresRecorder

pytestmark = pytest.mark.connected


@pytest.fixture
def recorder(database: str) -> Iterator[PostgresRecorder]:
    migrate(database, "orders", RUNTIME_MIGRATIONS, MIGRATIONS)
    with ConnectionPool(database, min_size=1, max_size=12, kwargs={"autocommit": True}, open=True) as pool:
        yield PostgresRecorder(pool, database)


@pytest.fixture
def _given(request: pytest.FixtureRequest, recorder: PostgresRecorder) -> None:
    request.instance.given = recorder


class _Ours(TestCase):
    given: PostgresRecorder

    def create_recorder(self) -> PostgresRecorder:
        return self.given


@pytest.mark.usefixtures("_given")
class TestApplicationRecorder(_Ours, ApplicationRecorderTestCase[PostgresRecorder]):
    pass


@pytest.mark.usefixtures("_given")
class TestTrackingRecorder(_Ours, TrackingRecorderTestCase):
    pass


@pytest.mark.usefixtures("_given")
class TestProcessRecorder(_Ours, ProcessRecorderTestCase):
    pass


@pytest.mark.usefixtures("_given")
class TestNonInterleaving(_Ours, NonInterleavingNotificationIDsBaseCase):
    pass
