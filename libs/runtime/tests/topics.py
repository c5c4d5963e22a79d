"""Topics that a test makes on the real Kafka and takes away again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic


@asynccontextmanager
async def made(kafka: str, *names: str, partitions: int = 1, **configs: str) -> AsyncIterator[None]:
    """The topics exist, empty, for the block's duration, and no longer, however it ends."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        answer = await admin.create_topics(
            [NewTopic(name, partitions, 1, topic_configs=configs) for name in names]
        )
        assert {error[1] for error in answer.topic_errors} == {0}, answer
        try:
            yield
        finally:
            await admin.delete_topics(list(names))
    finally:
        await admin.close()
