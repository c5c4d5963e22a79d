"""Composition root of notifications: what is its own of a follower. Tests call the same."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter

from libs.events.topics import ORDERS_ORDERS
from libs.runtime.follower import Follower
from libs.runtime.postgres import AsyncPool
from services.notifications.answer_shapes import ANSWERS
from services.notifications.api import routes
from services.notifications.consumer import SCHEMA, handler
from services.notifications.settings import NotificationsSettings
from services.notifications.store import Ledger


def _routes(pool: AsyncPool) -> APIRouter:
    return routes(Ledger(pool))


# Status does not count due deliveries as waiting: no sender exists yet, so nothing would ever be drained.
FOLLOWER: Final = Follower(
    service=SCHEMA,
    topic=ORDERS_ORDERS.name,
    migrations=Path(__file__).parent / "migrations",
    settings=NotificationsSettings,
    make_handler=handler,
    make_routes=_routes,
    answers=ANSWERS,
)
