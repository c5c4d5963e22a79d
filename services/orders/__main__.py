"""The door of orders: `python -m services.orders [serve|api|consumer|relay|projector|migrate|redrive]`."""

import sys
from typing import TYPE_CHECKING

from libs.runtime.door import Service, enter

if TYPE_CHECKING:
    from services.orders.settings import OrdersSettings

ROLES = ("serve", "api", "consumer", "relay", "projector")


def main(argv: list[str]) -> int:
    """Run a role until it is stopped, or a command to its end; the exit code."""
    return enter(argv, "orders", __doc__, _service, roles=ROLES, commands={"redrive": _redrive})


def _service() -> "Service[OrdersSettings]":
    from services.orders.app import compose, migrate_orders
    from services.orders.settings import OrdersSettings

    return Service(OrdersSettings, migrate_orders, compose)


def _redrive(argv: list[str]) -> int:
    from services.orders.redriving import redrive_orders

    return redrive_orders(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
