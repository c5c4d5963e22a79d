"""The door of inventory: `python -m services.inventory [serve|consumer|migrate|redrive]`."""

import argparse
import json
import sys


def main(argv: list[str]) -> int:
    """Run a role until it is stopped, or a command to its end; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.inventory", description=__doc__)
    parser.add_argument("role", choices=["serve", "consumer", "migrate", "redrive"])
    role = parser.parse_args(argv[:1]).role
    if role == "redrive":
        return _redrive(argv[1:])
    parser.parse_args(argv)
    from libs.runtime.kafka import KafkaSettings
    from libs.runtime.settings import load_or_exit
    from services.inventory.settings import InventorySettings

    settings, kafka = load_or_exit(InventorySettings, KafkaSettings)
    if role == "migrate":
        from libs.runtime.logs import configure_logs
        from services.inventory.app import SERVICE, migrate_inventory

        configure_logs(SERVICE, settings.log_level)
        sys.stdout.write(json.dumps({"applied": migrate_inventory(settings.dsn)}) + "\n")
        return 0
    from libs.runtime.serving import run_service
    from services.inventory.app import SERVICE, compose

    return run_service(SERVICE, compose(settings, kafka, role), log_level=settings.log_level)


def _redrive(argv: list[str]) -> int:
    from libs.runtime.logs import configure_logs
    from libs.runtime.redrive import redrive_command
    from libs.runtime.settings import load_or_exit
    from services.inventory.app import SERVICE, open_releaser
    from services.inventory.settings import InventorySettings

    configure_logs(SERVICE)
    return redrive_command(
        argv,
        lambda: open_releaser(load_or_exit(InventorySettings)),
        program="python -m services.inventory redrive",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
