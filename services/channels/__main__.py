"""The door: `python -m services.channels [serve|webhooks|inbox|reader|poller|relay]`, or a command.

Commands: `migrate`, `seed --file F`, `redrive ...`, and `translate ...`, which needs no running system.
"""

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.channels.settings import ChannelsSettings

ROLES = ("serve", "webhooks", "inbox", "reader", "poller", "relay")
COMMANDS = ("migrate", "seed", "redrive", "translate")


def main(argv: list[str]) -> int:
    """Run a role until it is stopped, or a command to its end; the exit code."""
    if argv[:1] == ["translate"]:
        from services.channels.translate_command import main as translate

        return translate(argv[1:])
    parser = argparse.ArgumentParser(prog="python -m services.channels", description=__doc__)
    parser.add_argument("role", choices=[*ROLES, *COMMANDS])
    role = parser.parse_args(argv[:1]).role
    rest = argv[1:]
    if role not in {"seed", "redrive"}:
        parser.parse_args(argv)
    from libs.runtime.kafka import KafkaSettings
    from libs.runtime.settings import load_or_exit
    from services.channels.settings import ChannelsSettings

    settings, kafka = load_or_exit(ChannelsSettings, KafkaSettings)
    if role in COMMANDS:
        return _command(role, settings, rest)
    from libs.runtime.serving import run_service
    from services.channels.app import SERVICE, compose

    return run_service(SERVICE, compose(settings, kafka, role), log_level=settings.log_level)


def _command(role: str, settings: "ChannelsSettings", rest: list[str]) -> int:
    from libs.runtime.sealing import Sealer

    if role == "migrate":
        from services.channels.app import migrate_channels

        sys.stdout.write(json.dumps({"applied": migrate_channels(settings.dsn)}) + "\n")
        return 0
    seal = Sealer(settings.inbox_keys())
    if role == "seed":
        from services.channels.seeding import main as seed

        return seed(settings.dsn, seal, rest)
    from services.channels.redriving import main as redrive

    return redrive(settings.dsn, seal, rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
