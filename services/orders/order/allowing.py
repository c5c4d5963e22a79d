"""The commands that an order takes as it stands, as every door and list tells them (RF-1, LS-3)."""

from functools import lru_cache

from services.orders.order.decide_actions import unsupported
from services.orders.order.model import Order
from services.orders.order.situations import situation_of
from services.orders.order.table import Situation, allowed


def allowed_now(order: Order) -> list[str]:
    """The names of the commands that nothing in the order's situation refuses, in the order of the table.

    Of a marketplace's order those are left out that its channel has no action for, or whose action is on its
    way for all that they could be about.
    """
    return list(_allowed(situation_of(order), unsupported(order)))


# Many orders stand in one of few situations, and asking all guards costs more than all else of an answer.
@lru_cache(maxsize=5_000)
def _allowed(situation: Situation, without: frozenset[str]) -> tuple[str, ...]:
    return tuple(allowed(situation, unsupported=without))
