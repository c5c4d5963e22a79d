"""The pages that are made from the contract: the event reference and the table of topics."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from libs.events.json_schema import Schema, inlined, schema_of
from libs.events.topics import DAY_MS, Topic
from libs.events.wire import PublicEvent

_MADE: Final = "<!-- Made by `python -m libs.events.generate`; change the code it is made from instead. -->"


def events_page(
    facts: Sequence[type[PublicEvent]],
    events: Sequence[type[PublicEvent]],
    actions: Sequence[type[PublicEvent]],
    ends: Sequence[type[PublicEvent]],
    products: Sequence[type[PublicEvent]],
    *,
    examples: Mapping[str, PublicEvent],
) -> str:
    """The event reference: of every event its type, meaning, fields and an example."""
    lines = [
        "# Events",
        "",
        _MADE,
        "",
        "Every record is a CloudEvent in Kafka's binary mode: the attributes are headers (`ce_id`,",
        "`ce_type`, `ce_source`, `ce_subject`, `ce_time`, `ce_dataschema`, ...), the value is the JSON shown",
        "here. The JSON Schema of a type is `libs/events/schemas/<type>.json`. Readers ignore fields they do",
        "not know. Amounts are in minor units, instants are RFC 3339 in UTC.",
        "",
        "## `channels.orders.v1`: facts about marketplace orders",
        "",
        "Key and `ce_subject` are `<connection>:<order>`. Every fact has these fields, and `type`, its name.",
        "What its `data` may hold depends on the type and stands below.",
        "",
        *_table(row for row in rows(facts[0]) if not row[0].startswith(("`data", "`type"))),
    ]
    for fact in facts:
        own = (row for row in rows(fact) if row[0].startswith("`data."))
        lines += _section(fact, own, examples[fact.ce_type()])
    lines += [
        "",
        "## `orders.orders.v1`: the public history of orders",
        "",
        "Key and `ce_subject` are the order's id, `ce_id` is `<order id>/<sequence>` and `ce_sequence`",
        "counts 1, 2, 3 ... within the order without gaps: a reader that drops what it has seen sees every",
        "order in order.",
    ]
    for event in events:
        lines += _section(event, rows(event), examples[event.ce_type()])
    lines += [
        "",
        "## `orders.actions.v1`: what a marketplace is to do",
        "",
        "Key and `ce_subject` are the order's id. What becomes of a reading comes as facts. Of any other",
        "action `ce_id` is its `id`: a record that is sent again has the same.",
    ]
    for action in actions:
        lines += _section(action, rows(action), examples[action.ce_type()])
    lines += [
        "",
        "## `channels.actions.v1`: what became of an action",
        "",
        "Key and `ce_subject` are the order's id.",
    ]
    for end in ends:
        lines += _section(end, rows(end), examples[end.ce_type()])
    lines += [
        "",
        "## `inventory.products.v1`: sellers' products",
        "",
        "Key and `ce_subject` are the product's id. The topic is compacted: the newest record of a key is",
        "the product as it stands, and one without a value removes it.",
    ]
    for product in products:
        lines += _section(product, rows(product), examples[product.ce_type()])
    return "\n".join(lines) + "\n"


def _section(event: type[PublicEvent], fields: Iterator[Sequence[str]], example: PublicEvent) -> list[str]:
    body = json.dumps(json.loads(example.to_json()), indent=2, ensure_ascii=False)
    return [
        "",
        f"### {event.__name__}",
        "",
        meaning(event),
        "",
        f"Type `{event.ce_type()}`.",
        "",
        *_table(fields),
        "",
        "```json",
        body,
        "```",
    ]


def meaning(event: type[PublicEvent]) -> str:
    """The event's one sentence."""
    return " ".join((event.__doc__ or "").split())


def _table(fields: Iterator[Sequence[str]]) -> list[str]:
    cells = [" | ".join(row) for row in fields]
    if not cells:
        return ["Its data is empty."]
    return ["| field | type | always | meaning |", "|---|---|---|---|", *(f"| {row} |" for row in cells)]


def rows(event: type[PublicEvent]) -> Iterator[tuple[str, str, str, str]]:
    """One row per field, nested ones by their path: name, type, whether it is always there, meaning."""
    yield from _rows(inlined(schema_of(event)), "")


def _rows(schema: Schema, path: str) -> Iterator[tuple[str, str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        here = path + name
        always = "yes" if name in required else "where stated"
        yield f"`{here}`", _type(field), always, field.get("description", "").replace("|", "\\|")
        for choice in (field, *field.get("anyOf", ())):
            if "properties" in choice and "anyOf" not in field:
                yield from _rows(choice, f"{here}.")
            for inner in (choice.get("items"), choice.get("additionalProperties")):
                if isinstance(inner, dict):
                    yield from _rows(inner, f"{here}[].")


def _type(field: Mapping[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object" and len(field.get("required", ())) == 1:
        return f"{{`{field['required'][0]}`}}"
    return str(field.get("format") or field.get("type") or "any")


def topics_page(topics: Sequence[Topic]) -> str:
    """The table of topics."""
    lines = [
        "# Topics",
        "",
        _MADE,
        "",
        "`python -m libs.runtime.topics create` makes them and says what of an existing one differs. No",
        "client and no broker creates topics by itself. Delivery is at least once; order holds per key.",
        "",
        "| topic | owner | writers | key | partitions | retention | cleanup | consumers | what |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{topic.name}` | {topic.owner} | {', '.join(topic.writers) or '-'} | `{topic.key}` |"
        f" {topic.partitions} | {retention(topic)} | {topic.cleanup} |"
        f" {', '.join(topic.consumers) or '-'} | {topic.about} |"
        for topic in topics
    ]
    return "\n".join(lines) + "\n"


def retention(topic: Topic) -> str:
    """How long a topic keeps records, in words."""
    if topic.retention_ms < 0:
        return "for ever"
    days, rest = divmod(topic.retention_ms, DAY_MS)
    return f"{topic.retention_ms} ms" if rest else f"{days} days"
