"""Every topic as data: creation, access lists, documentation and the verifier are made from this table.

The partition counts are those of one small installation; a bigger one raises them before it has data,
because a changed count moves keys to other partitions.
"""

from dataclasses import dataclass, field
from typing import Final

DAY_MS: Final = 86_400_000
# Below 1 MiB so that one record always fits the producers' 1,000,000-byte requests.
MESSAGE_BYTES_MAX: Final = 1_048_588


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: who owns, writes and reads it, what its key is, and how long it keeps records."""

    name: str
    owner: str
    writers: tuple[str, ...]
    key: str
    about: str
    consumers: tuple[str, ...] = ()
    partitions: int = 6
    retention_ms: int = 7 * DAY_MS
    cleanup: str = "delete"
    configs: dict[str, str] = field(default_factory=dict)

    def all_configs(self) -> dict[str, str]:
        """Every setting that differs from Kafka's default, complete, since a change resets what it omits."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(MESSAGE_BYTES_MAX),
            "message.timestamp.type": "CreateTime",
            **self.configs,
        }


CHANNELS_ORDERS: Final = Topic(
    name="channels.orders.v1",
    owner="channels",
    writers=("channels",),
    key="<connection>:<external order id>",
    about="Facts about marketplace orders, as the channel states them.",
    consumers=("orders",),
)
ORDERS_ORDERS: Final = Topic(
    name="orders.orders.v1",
    owner="orders",
    writers=("orders",),
    key="order id",
    about="The public history of every order: one event per step, numbered within the order.",
    consumers=("inventory", "notifications"),
)
ORDERS_COMMANDS: Final = Topic(
    name="orders.commands.v1",
    owner="orders",
    writers=("inventory", "others"),
    key="order id",
    about="Commands and courier, gateway or stock facts from other systems, each with its token.",
    consumers=("orders",),
)
ORDERS_ANSWERS: Final = Topic(
    name="orders.answers.v1",
    owner="orders",
    writers=("orders",),
    key="order id",
    about="What became of each record of orders.commands.v1, a refusal included.",
)

ORDERS_ACTIONS: Final = Topic(
    name="orders.actions.v1",
    owner="orders",
    writers=("orders",),
    key="order id",
    about="What orders asks a marketplace to do with an order, reading it at once included.",
    consumers=("channels",),
)
CHANNELS_ACTIONS: Final = Topic(
    name="channels.actions.v1",
    owner="channels",
    writers=("channels",),
    key="order id",
    about="What became of each action of orders.actions.v1 but readings, whose answer is facts.",
    consumers=("orders",),
)

INVENTORY_PRODUCTS: Final = Topic(
    name="inventory.products.v1",
    owner="inventory",
    writers=("inventory",),
    key="product id",
    about="Sellers' products as they stand, with the warehouses they are linked to; no value: removed.",
    consumers=("orders",),
    retention_ms=-1,
    cleanup="compact",
)


def dead_letter_mirror(topic: Topic, group: str) -> Topic:
    """The topic that mirrors what a group has parked of another topic; same keys, same partitions."""
    return Topic(
        name=f"{topic.name}.{group}.dlq",
        owner=group,
        writers=(group,),
        key=topic.key,
        about=f"Mirror of the records of {topic.name} that {group} has parked.",
        partitions=topic.partitions,
    )


TOPICS: Final[tuple[Topic, ...]] = (
    CHANNELS_ORDERS,
    ORDERS_ORDERS,
    ORDERS_COMMANDS,
    ORDERS_ANSWERS,
    ORDERS_ACTIONS,
    CHANNELS_ACTIONS,
    INVENTORY_PRODUCTS,
    *(
        dead_letter_mirror(topic, group)
        for topic in (
            CHANNELS_ORDERS,
            ORDERS_ORDERS,
            ORDERS_COMMANDS,
            ORDERS_ACTIONS,
            CHANNELS_ACTIONS,
            INVENTORY_PRODUCTS,
        )
        for group in topic.consumers
    ),
)
