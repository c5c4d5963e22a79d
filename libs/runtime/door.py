"""The door of a service: `python -m services.<service> <role or command>`.

It imports nothing that a wrong argument would not need; what it opens to is loaded by a function of the
service. A wrong argument or environment is exit 2 with sentences on standard error.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from libs.runtime.follower import Follower
    from libs.runtime.kafka import KafkaSettings
    from libs.runtime.serving import Process
    from libs.runtime.settings import FollowerSettings, ServiceSettings

Settings = TypeVar("Settings", bound="ServiceSettings")

# Parses its own arguments, reads its own settings, and gives the exit code.
Command = Callable[[list[str]], int]


@dataclass(frozen=True, slots=True)
class Service(Generic[Settings]):
    """What a door opens to: the settings to read, the migrations, and what a process of a role is made of."""

    settings: type[Settings]
    migrate: Callable[[str], list[str]]
    compose: Callable[[Settings, "KafkaSettings", str], Callable[["Process"], None]]


def enter(
    argv: list[str],
    name: str,
    about: str | None,
    load: Callable[[], Service[Settings]],
    *,
    roles: Sequence[str],
    commands: Mapping[str, Command],
) -> int:
    """Run a role until it is stopped, or a command to its end; the exit code.

    `migrate` is a command of every service: it prints the names of what it applied, as JSON.
    """
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}", description=about)
    parser.add_argument("role", choices=[*roles, "migrate", *commands])
    role = parser.parse_args(argv[:1]).role
    if role in commands:
        return commands[role](argv[1:])
    parser.parse_args(argv)
    from libs.runtime.kafka import KafkaSettings
    from libs.runtime.settings import load_or_exit
    from libs.runtime.tracing import TracingSettings

    service = load()
    settings, kafka, tracing = load_or_exit(service.settings, KafkaSettings, TracingSettings)
    if role == "migrate":
        from libs.runtime.logs import configure_logs

        configure_logs(name, settings.log_level)
        sys.stdout.write(json.dumps({"applied": service.migrate(settings.dsn)}) + "\n")
        return 0
    from libs.runtime.serving import run_service

    composed = service.compose(settings, kafka, role)
    return run_service(name, composed, log_level=settings.log_level, tracing=tracing)


def enter_follower(argv: list[str], name: str, about: str | None, load: Callable[[], "Follower"]) -> int:
    """The same for a service that follows one topic."""

    def service() -> "Service[FollowerSettings]":
        follower = load()
        return Service(follower.settings, follower.migrate, follower.compose)

    return enter(
        argv,
        name,
        about,
        service,
        roles=("serve", "consumer"),
        commands={"redrive": lambda rest: load().redrive(rest)},
    )
