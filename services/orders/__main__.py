"""The door of orders: `python -m services.orders [serve|api|consumer|relay|projector|migrate|redrive]`."""

import argparse
import json
import sys


def main(argv: list[str]) -> int:
    """Run a role until it is stopped, or a command to its end; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.orders", description=__doc__)
    parser.add_argument(
        "role", choices=["serve", "api", "consumer", "relay", "projector", "migrate", "redrive"]
    )
    role = parser.parse_args(argv[:1]).role
    if role == "redrive":
        from services.orders.redriving import redrive_orders

        return redrive_orders(argv[1:])
    parser.parse_args(argv)
    from libs.runtime.kafka import KafkaSettings
    from libs.runtime.settings import load_or_exit
    from services.orders.settings import OrdersSettings

    settings, kafka = load_or_exit(OrdersSettings, KafkaSettings)
    if role == "migrate":
        from libs.runtime.logs import configure_logs
        from services.orders.app import SERVICE, migrate_orders

        configure_logs(SERVICE, settings.log_level)

        sys.stdout.write(json.dumps({"applied": migrate_orders(settings.dsn)}) + "\n")
        return 0
    from libs.runtime.serving import run_service
    from services.orders.app import SERVICE, compose

    return run_service(SERVICE, compose(settings, kafka, role), log_level=settings.log_level)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
