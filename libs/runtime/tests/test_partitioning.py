"""A key lands on the partition where every other Kafka client puts it."""

import uuid

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.partitioning import partitions_of


@given(st.lists(st.binary(max_size=80), max_size=30), st.integers(1, 64))
def test_any_key_lands_where_the_client_puts_it(keys: list[bytes], partitions: int) -> None:
    assert partitions_of(keys, partitions) == [(murmur2(key) & 0x7FFFFFFF) % partitions for key in keys]


@given(st.lists(st.uuids(), min_size=1, max_size=200))
def test_order_ids_land_where_the_client_puts_them(orders: list[uuid.UUID]) -> None:
    keys = [str(order).encode() for order in orders]
    assert partitions_of(keys, 6) == [(murmur2(key) & 0x7FFFFFFF) % 6 for key in keys]
