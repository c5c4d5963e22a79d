"""The AsyncAPI 3 document: every topic, who sends and who receives there, and every message with an example.

It is made from the event models and the table of topics, and stands for itself: payloads are written in the
draft-07 words that AsyncAPI's own schema object knows, with `#/components/schemas` in place of `$defs`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from libs.events.actions import ACTIONS, ENDS
from libs.events.channels import FACTS
from libs.events.command_messages import COMMAND_MESSAGES
from libs.events.envelope import CONTENT_TYPE, SCHEMA_BASE, SPEC_VERSION
from libs.events.json_schema import Schema, schema_of
from libs.events.orders import EVENTS
from libs.events.products import PRODUCTS
from libs.events.topics import (
    CHANNELS_ACTIONS,
    CHANNELS_ORDERS,
    INVENTORY_PRODUCTS,
    ORDERS_ACTIONS,
    ORDERS_ORDERS,
    Topic,
)
from libs.events.wire import PublicEvent

Document = dict[str, Any]

VERSION: Final = "3.0.0"
# The version of AsyncAPI's Kafka bindings that is used.
BINDING_VERSION: Final = "0.5.0"
SERVICES: Final = frozenset({"orders", "channels", "inventory", "notifications"})
DEAD_LETTERS: Final = ".dlq"

# The events that travel on a topic. Commands and their answers are no events: COMMAND_MESSAGES has them.
MESSAGES: Final[Mapping[str, Sequence[type[PublicEvent]]]] = {
    CHANNELS_ORDERS.name: tuple(FACTS.values()),
    ORDERS_ORDERS.name: tuple(EVENTS.values()),
    ORDERS_ACTIONS.name: tuple(ACTIONS.values()),
    CHANNELS_ACTIONS.name: tuple(ENDS.values()),
    INVENTORY_PRODUCTS.name: tuple(PRODUCTS.values()),
}

_ID: Final = "01890b5e-8c1f-5a10-9d6b-3f2a1c4e5b60"
_HEADERS: Final[Mapping[str, Schema]] = {
    "ce_specversion": {"type": "string", "const": SPEC_VERSION},
    "ce_id": {"type": "string", "minLength": 1, "description": "The event's id; with the source unique."},
    "ce_type": {"type": "string", "minLength": 1, "description": "The type of the event."},
    "ce_source": {"type": "string", "minLength": 1, "description": "The service that publishes it."},
    "ce_subject": {"type": "string", "minLength": 1, "description": "What it is about; the record's key."},
    "ce_time": {
        "type": "string",
        "format": "date-time",
        "description": "When it happened, else when it was recorded; UTC.",
    },
    "ce_dataschema": {"type": "string", "description": "The urn of the JSON Schema of the payload."},
    "ce_sequence": {
        "type": "string",
        "pattern": "^[1-9][0-9]*$",
        "description": "Counts 1, 2, 3 ... within the subject without gaps.",
    },
    "ce_partitionkey": {"type": "string", "description": "The record's key."},
    "ce_correlationid": {"type": "string", "description": "What a chain of events has in common."},
    "ce_causationid": {"type": "string", "description": "The id of what brought the event about."},
    "traceparent": {"type": "string", "description": "W3C Trace Context."},
    "content-type": {"type": "string", "const": CONTENT_TYPE},
}
_OPTIONAL: Final = frozenset({"ce_sequence", "ce_correlationid", "ce_causationid", "traceparent"})


def document(
    topics: Sequence[Topic],
    examples: Mapping[str, PublicEvent],
    carried: Mapping[str, Sequence[type[PublicEvent]]] = MESSAGES,
) -> Document:
    """The whole document of these topics and what they carry, as JSON can hold it."""
    schemas: dict[str, Schema] = {"CloudEventHeaders": _header_schema()}
    messages: dict[str, Any] = {}
    for name, events in carried.items():
        topic = next(each for each in topics if each.name == name)
        for event in events:
            _add_schemas(schemas, event)
            messages[event.ce_type()] = _message(event, topic, examples[event.ce_type()])
    messages |= {message["name"]: message for message in COMMAND_MESSAGES.values()}
    return {
        "asyncapi": VERSION,
        "id": "urn:jejak",
        "info": {
            "title": "Jejak",
            "version": "1.0.0",
            "description": (
                "Orders of sellers on several marketplaces, as CloudEvents 1.0 in Kafka's binary mode."
                " Delivery is at least once and in order per key. Readers ignore fields, types and values"
                " that they do not know."
            ),
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "Of the installation.",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": {topic.name: _channel(topic, topics, carried) for topic in topics},
        "operations": _operations(topics, topics_of(topics, carried)),
        "components": {"schemas": schemas, "messages": messages},
    }


def topics_of(
    topics: Sequence[Topic], carried: Mapping[str, Sequence[type[PublicEvent]]]
) -> dict[str, list[str]]:
    """The messages that each topic carries; a dead-letter mirror carries those of the topic it mirrors."""
    own = {name: [event.ce_type() for event in events] for name, events in carried.items()}
    own |= {name: [message["name"]] for name, message in COMMAND_MESSAGES.items()}
    return {topic.name: own.get(_mirrored(topic.name, own), []) for topic in topics}


def _mirrored(topic: str, known: Collection[str]) -> str:
    """The topic itself, or the one that it is the dead-letter mirror of."""
    if topic in known or not topic.endswith(DEAD_LETTERS):
        return topic
    return next((name for name in known if topic.startswith(f"{name}.")), topic)


def _header_schema() -> Schema:
    return {
        "type": "object",
        "description": "The CloudEvents attributes, each as a Kafka header of UTF-8 text.",
        "required": [name for name in _HEADERS if name not in _OPTIONAL],
        "properties": dict(_HEADERS),
    }


def _add_schemas(schemas: dict[str, Schema], event: type[PublicEvent]) -> None:
    """Put the event's schema and its definitions among the components, each under a name of its own."""
    schema = schema_of(event)
    definitions: Mapping[str, Schema] = schema.get("$defs", {})
    names: dict[str, str] = {}
    for name, definition in definitions.items():
        shared = f"{event.publisher}.{name}"
        # Two models of one publisher that share a name and differ are told apart by the event.
        taken = shared in schemas and schemas[shared] != _moved(definition, _shared(event, definitions))
        names[name] = f"{event.publisher}.{event.__name__}.{name}" if taken else shared
    for name, definition in definitions.items():
        schemas[names[name]] = _moved(definition, names)
    body = {name: value for name, value in schema.items() if name not in {"$schema", "$id", "$defs"}}
    schemas[event.ce_type()] = _moved(body, names)


def _shared(event: type[PublicEvent], definitions: Mapping[str, Schema]) -> dict[str, str]:
    return {name: f"{event.publisher}.{name}" for name in definitions}


def _moved(node: Any, names: Mapping[str, str]) -> Any:
    """The same schema with its references led to where the definitions stand now."""
    if isinstance(node, list):
        return [_moved(each, names) for each in node]
    if not isinstance(node, dict):
        return node
    moved = {name: _moved(each, names) for name, each in node.items() if name != "$ref"}
    if "$ref" in node:
        target = f"#/components/schemas/{names[node['$ref'].removeprefix('#/$defs/')]}"
        # Beside a `$ref` draft-07 hears nothing else.
        return {"allOf": [{"$ref": target}], **moved} if moved else {"$ref": target}
    return moved


def _message(event: type[PublicEvent], topic: Topic, example: PublicEvent) -> Document:
    ce_type = event.ce_type()
    return {
        "name": ce_type,
        "title": event.__name__,
        "summary": " ".join((event.__doc__ or "").split()),
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "allOf": [
                {"$ref": "#/components/schemas/CloudEventHeaders"},
                {"properties": {"ce_type": {"const": ce_type}}},
            ],
        },
        "payload": {"$ref": f"#/components/schemas/{ce_type}"},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": topic.key},
                "bindingVersion": BINDING_VERSION,
            }
        },
        "examples": [
            {
                "name": event.__name__,
                "headers": _example_headers(event, topic),
                "payload": json.loads(example.to_json()),
            }
        ],
    }


def _example_headers(event: type[PublicEvent], topic: Topic) -> dict[str, str]:
    numbered = topic is ORDERS_ORDERS
    subject = "lazada-sg-1000999001:712345678901001" if topic is CHANNELS_ORDERS else _ID
    return {
        "ce_specversion": SPEC_VERSION,
        "ce_id": f"{_ID}/1" if numbered else _ID,
        "ce_type": event.ce_type(),
        "ce_source": f"/jejak/{event.publisher}",
        "ce_subject": subject,
        "ce_time": "2026-03-05T07:59:26Z",
        "ce_dataschema": SCHEMA_BASE + event.ce_type(),
        **({"ce_sequence": "1"} if numbered else {}),
        "ce_partitionkey": subject,
        "content-type": CONTENT_TYPE,
    }


def _channel(
    topic: Topic, topics: Sequence[Topic], carried: Mapping[str, Sequence[type[PublicEvent]]]
) -> Document:
    types = topics_of(topics, carried)[topic.name]
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"{topic.about} Its key is: {topic.key}.",
        "messages": {ce_type: {"$ref": f"#/components/messages/{ce_type}"} for ce_type in types},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": topic.cleanup.split(","),
                    "retention.ms": topic.retention_ms,
                },
                "bindingVersion": BINDING_VERSION,
            }
        },
    }


def _operations(topics: Sequence[Topic], types: Mapping[str, Sequence[str]]) -> Document:
    """What Jejak's services do on each topic: `send` where they write, `receive` where they read."""
    made: Document = {}
    for topic in topics:
        for action, parties in (("send", topic.writers), ("receive", topic.consumers)):
            for party in parties:
                if party not in SERVICES:
                    # The document is Jejak's own; what others do there is the counterpart of an operation.
                    continue
                made[f"{party}.{action}.{topic.name}"] = {
                    "action": action,
                    "title": f"{party} {action}s on {topic.name}",
                    "channel": {"$ref": f"#/channels/{topic.name}"},
                    "messages": [
                        {"$ref": f"#/channels/{topic.name}/messages/{ce_type}"}
                        for ce_type in types[topic.name]
                    ],
                }
    return made
