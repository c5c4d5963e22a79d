"""Topics that a test makes on the real Kafka and takes away again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic


@asynccontextmanager
async def made(kafka: str, *names: str, partitions: int = 1) -> AsyncIterator[None]:
    """The topics exist, empty, for the block's duration."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
    yield
    await admin.delete_topics(list(names))
    await admin.close()
