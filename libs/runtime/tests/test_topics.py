"""The topics job: what it asks for, what it says of topics that differ, and that it works on a real Kafka."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from libs.events.topics import CHANNELS_ORDERS, TOPICS, Topic
from libs.runtime.clock import uuid7
from libs.runtime.kafka import KafkaSettings
from libs.runtime.topics import (
    TopicsFault,
    create_missing,
    differences,
    ensure,
    main,
    replication_factor,
    wanted_configs,
)


class FakeAdmin:
    """Answers create_topics with fixed codes, as a broker does: in the answer, never as an exception."""

    def __init__(self, *codes: tuple[str, int, str | None]) -> None:
        self.codes = codes

    async def create_topics(self, new_topics: list[Any], timeout_ms: int) -> Any:
        return SimpleNamespace(topic_errors=self.codes)


async def asked(*codes: tuple[str, int, str | None]) -> tuple[list[str], list[str]]:
    return await create_missing(cast("AIOKafkaAdminClient", FakeAdmin(*codes)), TOPICS, 1)


async def test_a_topic_that_exists_already_is_fine() -> None:
    assert await asked(("a", 0, None), ("b", 36, "Topic 'b' already exists.")) == (["a"], [])


async def test_a_refusal_that_time_cannot_heal_is_said_with_kafkas_reason() -> None:
    with pytest.raises(TopicsFault, match="refused to create a: Authorization failed"):
        await asked(("a", 29, "Authorization failed."))


async def test_a_broker_that_is_still_starting_is_asked_again() -> None:
    assert await asked(("a", 38, "Only 0 brokers")) == ([], ["a (Only 0 brokers)"])


def test_a_topic_as_the_table_says_shows_no_difference() -> None:
    configs = wanted_configs(CHANNELS_ORDERS, 1)
    assert differences(CHANNELS_ORDERS, replication=1, partitions=6, copies=3, configs=configs) == []


def test_every_difference_is_a_sentence() -> None:
    configs = wanted_configs(CHANNELS_ORDERS, 1) | {"retention.ms": "1000"}
    assert differences(CHANNELS_ORDERS, replication=3, partitions=7, copies=1, configs=configs) == [
        "channels.orders.v1 has 7 partitions where 6 are wanted.",
        "channels.orders.v1 keeps 1 copies where 3 are wanted.",
        "channels.orders.v1 has retention.ms = 1000 where 604800000 is wanted.",
        "channels.orders.v1 has min.insync.replicas = 1 where 2 is wanted.",
    ]


def test_with_three_copies_a_write_reaches_two() -> None:
    assert wanted_configs(CHANNELS_ORDERS, 3)["min.insync.replicas"] == "2"


@pytest.mark.parametrize("given", ["", "0", "two", "-1"])
def test_an_unusable_replication_factor_is_refused(given: str) -> None:
    with pytest.raises(TopicsFault, match="KAFKA_REPLICATION_FACTOR"):
        replication_factor({"KAFKA_REPLICATION_FACTOR": given})


def test_without_an_address_the_job_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    assert main(["check"]) == 1
    assert "KAFKA_BOOTSTRAP_SERVERS" in capsys.readouterr().err


async def test_a_kafka_that_does_not_answer_is_said_within_the_deadline() -> None:
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(TopicsFault, match=r"does not answer: .*The client says: Unable connect"):
        await ensure(settings, create=False, replication=1, deadline_seconds=1)


@pytest.mark.connected
async def test_topics_are_made_once_and_differences_are_said(kafka: str) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka)
    topic = Topic(
        name=f"try.{uuid7().hex}.v1", owner="try", writers=(), key="id", about="Tried.", partitions=2
    )
    other = Topic(name=topic.name, owner="try", writers=(), key="id", about="Tried.", partitions=3)
    with pytest.raises(TopicsFault, match="does not exist"):
        await ensure(settings, create=False, replication=1, topics=[topic])
    assert await ensure(settings, create=True, replication=1, topics=[topic]) == [topic.name]
    assert await ensure(settings, create=True, replication=1, topics=[topic]) == []
    with pytest.raises(TopicsFault, match="has 2 partitions where 3 are wanted"):
        await ensure(settings, create=True, replication=1, topics=[other])
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    await admin.delete_topics([topic.name])
    await admin.close()
