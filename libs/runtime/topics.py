"""Creates and checks every topic of the table: `python -m libs.runtime.topics create|check`.

Nothing else creates topics. What exists already is never altered: aiokafka's `alter_configs` resets every
setting it is not given, and a changed partition count moves keys. What differs is said instead.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code
from pydantic import ValidationError

from libs.events.topics import TOPICS, Topic
from libs.runtime.clock import monotonic
from libs.runtime.kafka import KafkaSettings

DEADLINE_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 0.5
ATTEMPT_SECONDS: Final = 20.0
# Kafka's protocol: error codes 0 (none), 3 (unknown topic), 36 (topic already exists).
NO_ERROR: Final = 0
TOPIC_UNKNOWN: Final = 3
TOPIC_EXISTS: Final = 36
# A broker that has just started counts no other broker yet, or is not the controller yet: these pass.
PASSING: Final = frozenset({7, 14, 15, 38, 41})

_UNAVAILABLE = (KafkaError, OSError, TimeoutError)


class TopicsFault(Exception):
    """The topics are not as the table says, or Kafka cannot be asked; the message is for the operator."""


class _LastWords(logging.Handler):
    """Keeps aiokafka's latest warning: the cause of a refused connection stands nowhere else."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def wanted_configs(topic: Topic, replication: int) -> dict[str, str]:
    """The settings a topic is created with; with three copies a write must reach two to be acknowledged."""
    return {**topic.all_configs(), "min.insync.replicas": "2" if replication >= 3 else "1"}


def differences(
    topic: Topic, *, replication: int, partitions: int, copies: int, configs: Mapping[str, str | None]
) -> list[str]:
    """What of an existing topic is not as the table says, one sentence each; more copies are fine."""
    found: list[str] = []
    if partitions != topic.partitions:
        found.append(f"{topic.name} has {partitions} partitions where {topic.partitions} are wanted.")
    if copies < replication:
        found.append(f"{topic.name} keeps {copies} copies where {replication} are wanted.")
    found.extend(
        f"{topic.name} has {name} = {configs.get(name)} where {value} is wanted."
        for name, value in wanted_configs(topic, replication).items()
        if configs.get(name) != value and not (name == "min.insync.replicas" and copies > replication)
    )
    return found


async def create_missing(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication: int
) -> tuple[list[str], list[str]]:
    """Ask for every topic with all its settings; returns what was created and what to try again, and why.

    Topics that exist are left as they are. Raises TopicsFault for a refusal that trying again cannot help:
    `create_topics` itself never raises, the codes of its answer say what happened.
    """
    answer = await admin.create_topics(
        [
            NewTopic(
                topic.name, topic.partitions, replication, topic_configs=wanted_configs(topic, replication)
            )
            for topic in topics
        ],
        timeout_ms=int(ATTEMPT_SECONDS * 1000),
    )
    created: list[str] = []
    again: list[str] = []
    for name, code, *message in answer.topic_errors:
        reason = (message[0] if message else None) or for_code(code).__name__
        if code == NO_ERROR:
            created.append(name)
        elif code in PASSING:
            again.append(f"{name} ({reason})")
        elif code != TOPIC_EXISTS:
            raise TopicsFault(f"Kafka refused to create {name}: {reason}")
    return created, again


async def compare(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication: int
) -> tuple[list[str], list[str]]:
    """The names of topics that Kafka does not show yet; one sentence per difference of the others."""
    described: dict[str, dict[str, Any]] = {
        entry["topic"]: entry for entry in await admin.describe_topics([topic.name for topic in topics])
    }
    missing: list[str] = []
    present: list[Topic] = []
    for topic in topics:
        entry = described.get(topic.name, {"error_code": TOPIC_UNKNOWN})
        led = all(partition["leader"] >= 0 for partition in entry.get("partitions", ()))
        if entry["error_code"] == NO_ERROR and led:
            present.append(topic)
        else:
            missing.append(topic.name)
    configs = await _configs(admin, present)
    different: list[str] = []
    for topic in present:
        partitions = described[topic.name]["partitions"]
        different += differences(
            topic,
            replication=replication,
            partitions=len(partitions),
            copies=min(len(partition["replicas"]) for partition in partitions),
            configs=configs.get(topic.name, {}),
        )
    return missing, different


async def _configs(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, dict[str, str | None]]:
    if not topics:
        return {}
    answers = await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    )
    found: dict[str, dict[str, str | None]] = {}
    for answer in answers:
        for code, message, _kind, name, entries in answer.resources:
            if code != NO_ERROR:
                raise TopicsFault(
                    f"Kafka does not tell the settings of {name}: {message or for_code(code).__name__}"
                )
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


async def ensure(
    settings: KafkaSettings,
    *,
    create: bool,
    replication: int,
    topics: Sequence[Topic] = TOPICS,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> list[str]:
    """Return once every topic exists, has leaders and is as the table says; gives the names created now.

    Without `create` nothing is changed. Waits for a broker that is still starting, up to the deadline.
    Raises TopicsFault with one sentence per difference otherwise.
    """
    until = monotonic() + deadline_seconds
    words = _LastWords()
    logger = logging.getLogger("aiokafka")
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(words)
    created: list[str] = []
    try:
        while True:
            fault = await _attempt(
                settings, create=create, replication=replication, topics=topics, created=created, until=until
            )
            if fault is None:
                return created
            if monotonic() + RETRY_SECONDS >= until:
                heard = f" The client says: {words.text}" if words.text else ""
                raise TopicsFault(f"{fault}{heard}")
            await asyncio.sleep(RETRY_SECONDS)
    finally:
        logger.removeHandler(words)
        logger.propagate = propagated


async def _attempt(
    settings: KafkaSettings,
    *,
    create: bool,
    replication: int,
    topics: Sequence[Topic],
    created: list[str],
    until: float,
) -> str | None:
    """One connection: None when all is as it should be, else the sentence to say if time runs out."""
    admin = AIOKafkaAdminClient(**settings.client_options(), client_id="jejak-topics")
    try:
        async with asyncio.timeout(max(0.1, min(ATTEMPT_SECONDS, until - monotonic()))):
            await admin.start()
            again: list[str] = []
            if create:
                new, again = await create_missing(admin, topics, replication)
                created.extend(new)
            missing, different = await compare(admin, topics, replication)
    except _UNAVAILABLE as fault:
        reason = str(fault) or type(fault).__name__
        return f"Kafka at {settings.bootstrap_servers} does not answer: {reason}."
    finally:
        with suppress(Exception):
            await asyncio.wait_for(admin.close(), 3)
    if missing and not create:
        different = [*(f"{name} does not exist." for name in missing), *different]
    if different:
        raise TopicsFault("\n".join(different))
    if missing or again:
        return f"Kafka has not made these topics available in time: {', '.join(again or missing)}."
    return None


def replication_factor(environment: Mapping[str, str]) -> int:
    """How many copies every topic has: `KAFKA_REPLICATION_FACTOR`, 1 where it is not set."""
    given = environment.get("KAFKA_REPLICATION_FACTOR", "1")
    if not given.isdecimal() or not 1 <= int(given) <= 32:
        raise TopicsFault("KAFKA_REPLICATION_FACTOR is a number of brokers, 1 or more.")
    return int(given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when every topic is as the table says, 1 with a sentence on standard error otherwise."""
    parser = argparse.ArgumentParser(prog="python -m libs.runtime.topics", description=__doc__)
    parser.add_argument("command", choices=("create", "check"))
    command = parser.parse_args(arguments).command
    try:
        replication = replication_factor(os.environ)
        created = asyncio.run(
            ensure(KafkaSettings.model_validate({}), create=command == "create", replication=replication)
        )
    except ValidationError as fault:
        names = ", ".join(f"KAFKA_{'_'.join(map(str, error['loc']))}".upper() for error in fault.errors())
        sys.stderr.write(f"{names} is missing or unusable; KAFKA_BOOTSTRAP_SERVERS is host:port.\n")
        return 1
    except TopicsFault as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    for name in created:
        sys.stdout.write(f"created {name}\n")
    sys.stdout.write(f"all {len(TOPICS)} topics are as the table says\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
