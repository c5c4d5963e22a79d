"""Kafka in: sellers' products from `inventory.products.v1`, kept for MN-3. No rule lives here.

Products, consumed positions and parked records are one append, so that a record that comes again changes
nothing. A record that cannot be read is parked, and later ones of its product wait behind it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
import structlog
from faststream.kafka import KafkaBroker

from libs.events.envelope import EnvelopeInvalid, from_headers
from libs.events.products import ProductChanged
from libs.events.topics import INVENTORY_PRODUCTS
from libs.events.upcasts import read
from libs.runtime.consumption import BatchConsumer, Outcomes
from libs.runtime.errors import Fenced, Malformed, Transient
from libs.runtime.kafka import KafkaSettings
from libs.runtime.lag import TopicLag
from libs.runtime.metrics import PARKED
from libs.runtime.parking import open_faults
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.records import Record
from services.orders.batch import row_to_park
from services.orders.commands_batch import positions_of
from services.orders.consumer import keys_parked, stored_positions
from services.orders.recorder import Appended, AppendRequest

log = structlog.get_logger(__name__)

SCHEMA: Final = "orders"
TOPIC: Final = INVENTORY_PRODUCTS.name
# A product names at most 1,000 warehouses, each by an id of at most 128 characters.
BODY_BYTES_MAX: Final = 1_000_000
# How often a batch is prepared anew because its keys' parked records moved, before it counts as a fault.
PREPARATIONS_MAX: Final = 8
_APPEND = (
    "SELECT outcome, first_position, concerned"
    " FROM orders.append_products(%s::json, %b, %b, %b, %b, %b, %s::json, %s::json)"
)


class ProductRow(msgspec.Struct, frozen=True):
    """A product as one record states it, named as the append's JSON; without a seller it is removed."""

    product: str
    partition: int
    position: int
    seller: str | None = None
    sku: str | None = None
    warehouses: tuple[str, ...] = ()


def product_of(record: Record) -> ProductRow | None:
    """What a record says of its product; None for an event of another type.

    A record without a value removes the product, whatever its headers are. Raises Malformed (HEADER_INVALID,
    TOO_LARGE, MALFORMED) without the record's content.
    """
    if record.value is None:
        return ProductRow(record.key, record.partition, record.offset)
    try:
        envelope = from_headers(record.headers)
    except EnvelopeInvalid as fault:
        raise Malformed(str(fault), field=fault.field, reason="HEADER_INVALID") from None
    except ValueError:
        # A number of more than 4,300 digits is refused by Python itself.
        raise Malformed("A header is too long a number.", reason="HEADER_INVALID") from None
    if envelope.type != ProductChanged.ce_type():
        return None
    if len(record.value) > BODY_BYTES_MAX:
        raise Malformed(
            f"The record has {len(record.value)} bytes; a product is at most {BODY_BYTES_MAX}.",
            reason="TOO_LARGE",
        )
    try:
        stated = read(envelope.type, record.value)
    except (ValueError, RecursionError) as fault:
        # The fault's own text may quote the body.
        raise Malformed(f"The body is not what its type says: {type(fault).__name__}.") from None
    assert isinstance(stated, ProductChanged), "The type was asked above."
    # The database's text holds no NUL; the product's id is the key, which has none.
    if stated.product != record.key:
        raise Malformed("The product is not the one that the record's key names.", field="product")
    for field, values in (
        ("seller", (stated.seller,)),
        ("sku", (stated.sku,)),
        ("warehouses", stated.warehouses),
    ):
        if any("\x00" in value for value in values):
            raise Malformed(f"The field {field} holds U+0000.", field=field)
    return ProductRow(
        stated.product, record.partition, record.offset, stated.seller, stated.sku, stated.warehouses
    )


class _Batch:
    """What one append would write; nothing here has had an effect."""

    def __init__(self, held_back: set[str]) -> None:
        self.held_back = held_back
        self.request = AppendRequest()
        # The newest of each product: what was said before it in the batch is no longer so.
        self.products: dict[str, ProductRow] = {}
        self.outcomes = Outcomes()

    def take(self, record: Record) -> None:
        if record.key in self.held_back:
            self.park(record, None)
            return
        try:
            product = product_of(record)
        except Malformed as fault:
            self.park(record, fault)
            return
        if product is None:
            self.outcomes.count("skipped")
            return
        self.products[product.product] = product
        self.request.handled.add(record.key)
        self.outcomes.count("handled")

    def park(self, record: Record, fault: Exception | None) -> None:
        """Park the record for its own fault, or behind another of its key when it has none."""
        self.request.parked.append(row_to_park(record, fault))
        self.held_back.add(record.key)
        self.outcomes.count("parked")

    def parameters(self) -> list[Any]:
        every = self.request.parameters()
        products = msgspec.json.encode(list(self.products.values())).decode()
        return [products, *every[:5], *every[-2:]]


class ProductsHandler:
    """Keeps products as they are stated: a BatchHandler, and what a redrive releases with."""

    def __init__(self, pool: AsyncPool, *, parked_max: int = 1_000) -> None:
        self._pool = pool
        self._parked_max = parked_max

    async def load_positions(self, source: str) -> dict[int, int]:
        return await stored_positions(self._pool, source)

    async def parked_too_much(self, source: str) -> bool:
        return await open_faults(self._pool, SCHEMA, source) >= self._parked_max

    async def handle(self, records: Sequence[Record], stored: Mapping[int, int]) -> Outcomes:
        for _ in range(PREPARATIONS_MAX):
            batch = _Batch(await keys_parked(self._pool, records))
            for record in records:
                batch.take(record)
            batch.request.positions = positions_of(records, stored)
            if await self._append(batch):
                return batch.outcomes
        raise Transient("What is parked of these products moved each time the batch was prepared.")

    async def park(self, record: Record, stored: Mapping[int, int], fault: Exception) -> None:
        for _ in range(PREPARATIONS_MAX):
            held_back = await keys_parked(self._pool, [record])
            batch = _Batch(held_back)
            batch.park(record, None if record.key in held_back else fault)
            batch.request.positions = positions_of([record], stored)
            if await self._append(batch):
                return
        raise Transient("What is parked of this product moved each time the record was to be parked.")

    async def release(self, record: Record, row_id: int) -> str:
        """Keep what a parked record states and remove its row in the same append; how it ended.

        Gives handled, skipped, or `gone` when the row was gone and nothing was written. Raises Malformed
        when it still cannot be read.
        """
        batch = _Batch(set())
        product = product_of(record)
        if product is not None:
            batch.products[product.product] = product
        batch.request.remove_parked.append(row_id)
        if not await self._append(batch):
            return "gone"
        return "skipped" if product is None else "handled"

    async def _append(self, batch: _Batch) -> bool:
        """Append the batch; False when what is parked has moved. Raises Fenced and Transient."""
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(_APPEND, batch.parameters())
            row = await cursor.fetchone()
        assert row is not None, "A function that returns a composite answers one row."
        appended = Appended(row[0], row[1], tuple(row[2] or ()))
        if appended.outcome == "POSITION_MOVED":
            raise Fenced(f"Another consumer owns {', '.join(appended.concerned)}.")
        if appended.outcome != "OK":
            return False
        for parked in batch.request.parked:
            PARKED.labels(SCHEMA, parked.reason).inc()
            if parked.reason != "BEHIND":
                log.warning(
                    "product_parked",
                    source=parked.source,
                    partition=parked.partition,
                    offset=parked.position,
                    reason=parked.reason,
                    detail=parked.detail,
                )
        return True


def products_lag(pool: AsyncPool, kafka: KafkaSettings) -> TopicLag:
    """How far the topic of products is read."""
    return TopicLag(kafka, topic=TOPIC, source=f"{SCHEMA}:{TOPIC}", positions=partial(stored_positions, pool))


def products_consumer(
    broker: KafkaBroker, kafka: KafkaSettings, pool: AsyncPool, *, parked_max: int
) -> BatchConsumer:
    """The consumer of products, in a group of its own: facts and commands never wait for its rebalances."""
    return BatchConsumer(
        broker,
        kafka,
        topic=TOPIC,
        group=SCHEMA,
        group_id=f"{SCHEMA}.products",
        handler=ProductsHandler(pool, parked_max=parked_max),
    )
