"""A key lands on the partition where every other Kafka client puts it."""

import uuid

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.partitioning import partition_of


@given(st.binary(max_size=80), st.integers(1, 64))
def test_any_key_lands_where_the_client_puts_it(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions


@given(st.uuids())
def test_an_order_id_lands_where_the_client_puts_it(order: uuid.UUID) -> None:
    key = str(order).encode()
    assert partition_of(key, 6) == (murmur2(key) & 0x7FFFFFFF) % 6
