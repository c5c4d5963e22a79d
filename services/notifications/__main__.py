"""The door of notifications: `python -m services.notifications [serve|consumer|migrate|redrive]`."""

import argparse
import json
import sys


def main(argv: list[str]) -> int:
    """Run a role until it is stopped, or a command to its end; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.notifications", description=__doc__)
    parser.add_argument("role", choices=["serve", "consumer", "migrate", "redrive"])
    role = parser.parse_args(argv[:1]).role
    if role == "redrive":
        return _redrive(argv[1:])
    parser.parse_args(argv)
    from libs.runtime.kafka import KafkaSettings
    from libs.runtime.settings import load_or_exit
    from services.notifications.settings import NotificationsSettings

    settings, kafka = load_or_exit(NotificationsSettings, KafkaSettings)
    if role == "migrate":
        from libs.runtime.logs import configure_logs
        from services.notifications.app import SERVICE, migrate_notifications

        configure_logs(SERVICE, settings.log_level)
        sys.stdout.write(json.dumps({"applied": migrate_notifications(settings.dsn)}) + "\n")
        return 0
    from libs.runtime.serving import run_service
    from services.notifications.app import SERVICE, compose

    return run_service(SERVICE, compose(settings, kafka, role), log_level=settings.log_level)


def _redrive(argv: list[str]) -> int:
    from libs.runtime.logs import configure_logs
    from libs.runtime.redrive import redrive_command
    from libs.runtime.settings import load_or_exit
    from services.notifications.app import SERVICE, open_releaser
    from services.notifications.settings import NotificationsSettings

    configure_logs(SERVICE)
    return redrive_command(
        argv,
        lambda: open_releaser(load_or_exit(NotificationsSettings)),
        program="python -m services.notifications redrive",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
