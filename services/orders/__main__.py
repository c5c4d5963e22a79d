"""The door of orders: `python -m services.orders <role or command>`; commands beside roles."""

import sys
from typing import TYPE_CHECKING

from libs.runtime.door import Service, enter

if TYPE_CHECKING:
    from services.orders.settings import OrdersSettings

ROLES = ("serve", "api", "consumer", "relay", "projector", "timers")


def main(argv: list[str]) -> int:
    """Run a role until it is stopped, or a command to its end; the exit code."""
    commands = {
        "redrive": _redrive,
        "rebuild": _rebuild,
        "machine": _machine,
        "register-seller": _register,
        "rewrap-keys": _rewrap,
        "verify-timers": _verify_timers,
    }
    return enter(argv, "orders", __doc__, _service, roles=ROLES, commands=commands)


def _service() -> "Service[OrdersSettings]":
    from services.orders.app import compose, migrate_orders
    from services.orders.settings import OrdersSettings

    return Service(OrdersSettings, migrate_orders, compose)


def _redrive(argv: list[str]) -> int:
    from services.orders.redriving import redrive_orders

    return redrive_orders(argv)


def _rebuild(argv: list[str]) -> int:
    from services.orders.rebuild import rebuild_orders

    return rebuild_orders(argv)


def _rewrap(argv: list[str]) -> int:
    from services.orders.rewrapping import main as rewrap

    return rewrap(argv)


def _verify_timers(argv: list[str]) -> int:
    from services.orders.timer_verifying import main as verify_timers

    return verify_timers(argv)


def _machine(argv: list[str]) -> int:
    from services.orders.machine_command import main as machine

    return machine(argv)


def _register(argv: list[str]) -> int:
    from libs.runtime.settings import load_or_exit
    from services.orders.registry.registering import main as register
    from services.orders.registry.signing import sealer_of
    from services.orders.settings import OrdersSettings

    settings = load_or_exit(OrdersSettings)
    return register(settings.dsn, sealer_of(settings.key_encryption_keys), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
