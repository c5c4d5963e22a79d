"""Kafka in: public events of orders become deliveries that are due. No rule lives here."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
import psycopg
from msgspec import Meta, Struct

from libs.events.envelope import event_name, type_name
from libs.runtime.postgres import AsyncPool
from libs.runtime.transactional import Decode, Received, TransactionalHandler
from services.notifications.metrics import DELIVERIES
from services.notifications.policy import TOLD, Order, message_of
from services.notifications.store import Due, add_due, keep_orders, load_orders

SCHEMA: Final = "notifications"

Text = Annotated[str, Meta(max_length=256)]


# The fields that notifications reads of the public events (libs.events.orders): what is not read here
# cannot get into a message.
class _Step(Struct, frozen=True):
    implied: bool = False


class _OrderPlaced(_Step, frozen=True, kw_only=True):
    seller: Annotated[str, Meta(min_length=1, max_length=128)]
    number: Text
    channel: Text


TYPES: Final[Mapping[str, Decode]] = {
    type_name("orders", name): msgspec.json.Decoder(_OrderPlaced if name == "OrderPlaced" else _Step).decode
    for name in TOLD
}


def handler(pool: AsyncPool, *, parked_max: int) -> TransactionalHandler:
    """The handler of the public events of orders."""
    return TransactionalHandler(pool, schema=SCHEMA, types=TYPES, apply=apply, parked_max=parked_max)


async def apply(connection: psycopg.AsyncConnection, events: Sequence[Received]) -> None:
    """Write what the events make due, in order, within the caller's transaction."""
    orders = await load_orders(connection, {event.order_id for event in events})
    placed: dict[str, Order] = {}
    due: list[Due] = []
    for event in events:
        if isinstance(event.body, _OrderPlaced) and event.order_id not in orders:
            order = Order(seller=event.body.seller, number=event.body.number, channel=event.body.channel)
            orders[event.order_id] = placed[event.order_id] = order
        name = event_name(event.envelope.type)
        message = message_of(name, orders.get(event.order_id), implied=event.body.implied)
        if message is not None:
            due.append(
                Due(
                    event_id=event.envelope.id,
                    event=name,
                    order_id=event.order_id,
                    message=message,
                    happened_at=event.at,
                )
            )
    await keep_orders(connection, placed)
    await add_due(connection, due)
    for each in due:
        DELIVERIES.labels(each.message.kind.value).inc()
