"""A running sandbox for each test, on ports of the system's choice, with a receiver behind its webhooks."""

from collections.abc import AsyncIterator

import pytest

from deploy.sandbox.tests.running import Running, running


@pytest.fixture
async def sandbox() -> AsyncIterator[Running]:
    async with running() as found:
        yield found
