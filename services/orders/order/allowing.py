"""The commands that an order takes as it stands, as every door and list tells them (RF-1, LS-3)."""

from functools import lru_cache
from typing import Final

from services.orders.order.model import Order
from services.orders.order.situations import situation_of
from services.orders.order.table import COMMANDS, OnChannel, Situation, allowed

# MA-1: no action is carried out at a marketplace yet, so a command that becomes one is not supported.
_ACTIONS: Final = frozenset(name for name, row in COMMANDS.items() if row.on_channel is OnChannel.ACTION)


def allowed_now(order: Order) -> list[str]:
    """The names of the commands that nothing in the order's situation refuses, in the order of the table."""
    return list(_allowed(situation_of(order), channel_owned=order.source == "CHANNEL"))


# Many orders stand in one of few situations, and asking all guards costs more than all else of an answer.
@lru_cache(maxsize=5_000)
def _allowed(situation: Situation, *, channel_owned: bool) -> tuple[str, ...]:
    return tuple(allowed(situation, unsupported=_ACTIONS if channel_owned else ()))
