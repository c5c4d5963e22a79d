"""The door: `python -m services.channels [serve|webhooks|inbox|reader|poller|consumer|relay]`, or a command.

Commands: `migrate`, `seed --file F`, `redrive ...`, `redrive-actions ...`, and `translate ...`, which needs
no running system.
"""

import sys
from typing import TYPE_CHECKING

from libs.runtime.door import Service, enter

if TYPE_CHECKING:
    from services.channels.settings import ChannelsSettings

ROLES = ("serve", "webhooks", "inbox", "reader", "poller", "consumer", "relay")


def main(argv: list[str]) -> int:
    """Run a role until it is stopped, or a command to its end; the exit code."""
    commands = {
        "seed": _seed,
        "redrive": _redrive,
        "redrive-actions": _redrive_actions,
        "translate": _translate,
    }
    return enter(argv, "channels", __doc__, _service, roles=ROLES, commands=commands)


def _service() -> "Service[ChannelsSettings]":
    from services.channels.app import compose, migrate_channels
    from services.channels.settings import ChannelsSettings

    return Service(ChannelsSettings, migrate_channels, compose)


def _seed(argv: list[str]) -> int:
    from libs.runtime.sealing import Sealer
    from services.channels.seeding import main as seed

    settings = _settings()
    return seed(settings.dsn, Sealer(settings.inbox_keys()), argv)


def _redrive(argv: list[str]) -> int:
    from libs.runtime.sealing import Sealer
    from services.channels.redriving import main as redrive

    settings = _settings()
    return redrive(settings.dsn, Sealer(settings.inbox_keys()), argv)


def _redrive_actions(argv: list[str]) -> int:
    from services.channels.redriving import redrive_actions

    return redrive_actions(lambda: _settings().dsn, argv)


def _translate(argv: list[str]) -> int:
    from services.channels.translate_command import main as translate

    return translate(argv)


def _settings() -> "ChannelsSettings":
    from libs.runtime.kafka import KafkaSettings
    from libs.runtime.settings import load_or_exit
    from services.channels.settings import ChannelsSettings

    # Kafka's are asked for too, so that an environment is whole for every role and command or for none.
    settings, _ = load_or_exit(ChannelsSettings, KafkaSettings)
    return settings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
