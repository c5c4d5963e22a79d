"""Composition root of inventory: what is its own of a follower. Tests call the same."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter

from libs.events.topics import ORDERS_ORDERS
from libs.runtime.follower import Follower
from libs.runtime.postgres import AsyncPool
from services.inventory.answer_shapes import ANSWERS
from services.inventory.api import routes
from services.inventory.consumer import SCHEMA, handler
from services.inventory.settings import InventorySettings
from services.inventory.store import StockViews


def _routes(pool: AsyncPool) -> APIRouter:
    return routes(StockViews(pool))


FOLLOWER: Final = Follower(
    service=SCHEMA,
    topic=ORDERS_ORDERS.name,
    migrations=Path(__file__).parent / "migrations",
    settings=InventorySettings,
    make_handler=handler,
    make_routes=_routes,
    answers=ANSWERS,
)
