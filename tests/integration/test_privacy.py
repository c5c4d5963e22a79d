"""What a buyer is called, where he lives and how he is reached is sealed, wherever the system keeps anything."""

import base64
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretBytes

from deploy.local.services import SERVICES, Demo
from libs.events.topics import CHANNELS_ORDERS, TOPICS
from libs.runtime.jwe import Envelopes
from libs.runtime.keys import KeyEncryptionKeys, NamedKey
from libs.runtime.sealing import Sealer
from services.channels.store import unseal_content
from tests.integration.collector import Collector
from tests.integration.judge import read_topics
from tests.integration.system import System

pytestmark = pytest.mark.connected

BUYER = {
    "name": "Qzwanda Xqhartono",
    "phone": "6281399077431",
    "address": "Jalan Zvermilyon 77",
    "email": "qxsurel@marker.example",
}
# A part of each, as short as it is unmistakable, so that a cut or reformatted copy is found as well.
MARKERS = ("Qzwanda", "Xqhartono", "81399077431", "Zvermilyon", "qxsurel")
PLANTED = "Planted0Mark"


def forms(marker: str) -> list[bytes]:
    """The marker in clear, in hexadecimal and, wherever it begins, in base64."""
    raw = marker.encode()
    found = [raw, raw.lower(), raw.upper(), raw.hex().encode()]
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw)
        # The characters at both ends depend on what stands beside the marker.
        found.append(coded[(0, 2, 3)[before] : len(coded.rstrip(b"=")) - 1])
    return found


def found_in(places: Iterable[tuple[str, bytes]], markers: Sequence[str] = MARKERS) -> list[str]:
    """Where one of the markers stands, with the marker."""
    wanted = [(marker, form) for marker in markers for form in forms(marker)]
    return [f"{marker} in {name}" for name, held in places for marker, form in wanted if form in held]


def rows_of_all_tables(system: System) -> Iterator[tuple[str, bytes]]:
    """Every row of every table as text, in which bytes are hexadecimal."""
    tables = system.query(
        "SELECT schemaname, tablename FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
    )
    assert {schema for schema, _ in tables} >= set(SERVICES)
    with psycopg.connect(system.endpoints["database"], autocommit=True) as connection:
        for schema, table in tables:
            query = sql.SQL("SELECT t::text FROM {}.{} AS t").format(
                sql.Identifier(schema), sql.Identifier(table)
            )
            for (row,) in connection.execute(query):
                yield f"table {schema}.{table}", row.encode()


def records_of_all_topics(system: System) -> Iterator[tuple[str, bytes]]:
    for record in read_topics(system.endpoints["kafka"], [topic.name for topic in TOPICS]):
        name = f"{record.topic} {record.partition}@{record.offset}"
        yield f"key of {name}", record.key or b""
        yield f"value of {name}", record.value or b""
        for header, value in record.headers:
            yield f"header {header} of {name}", header.encode() + b" " + (value or b"")


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        yield f"the name of {path}", path.name.encode()
        if path.is_file() and not path.is_symlink():
            yield str(path), path.read_bytes()


def live_out_the_lives_of_marked_buyers(system: System) -> list[str]:
    """Orders of both marketplaces by buyers who can be recognised, from their first step to their last."""
    orders = []
    for marketplace, lives in (
        ("lazada", ("paid", "part_cancelled", "returned")),
        ("tokopedia", ("paid", "cancel_request", "problem")),
    ):
        for life in lives:
            asked = {"marketplace": marketplace, "life": life, "buyer": BUYER, "seed": 7, "steps": 20}
            made = system.sandbox("/orders", asked)
            assert made["statuses_ahead"] == []
            orders.append(str(made["order"]))
    return orders


def test_the_search_finds_what_stands_in_clear(system: System) -> None:
    system.query("CREATE TABLE orders.planted AS SELECT %s::text AS said, %s::bytea AS raw", PLANTED, PLANTED)
    try:
        found = found_in(rows_of_all_tables(system), [PLANTED])
        assert found == [f"{PLANTED} in table orders.planted"] * 2
    finally:
        system.query("DROP TABLE orders.planted")
    for before in (b"", b"a", b"ab", b"abc"):
        assert found_in([("here", base64.b64encode(before + PLANTED.encode() + b"z"))], [PLANTED])


def test_no_data_of_a_buyer_stands_anywhere_in_clear(system: System, collector: Collector) -> None:
    traced_before = len(collector.spans())
    orders = live_out_the_lives_of_marked_buyers(system)
    system.settle()
    held = [
        each for order in orders for each in system.listed("orders", "/v1/orders", marketplace_number=order)
    ]
    assert len(held) == len(orders)
    assert marked_buyers_arrived(system), "The buyers' data came in, sealed, and so could have got out."
    assert marked_buyers_travelled(system, orders), "Each placement carries its buyer, sealed."
    ids = [str(each["id"]) for each in held]
    use_drafts_of_marked_buyers(system)
    read_and_search_marked_buyers(system, ids)
    system.settle()

    answers = [
        (f"{service}{path}", system.get(service, path).content)
        for service, path in (
            *((service, "/metrics") for service in SERVICES),
            *(
                ("orders", f"/v1/orders/{each}{more}")
                for each in ids
                for more in ("/events", "/timeline", "/explain")
            ),
            ("orders", "/v1/events"),
            ("orders", "/v1/parked"),
            ("orders", "/openapi.json"),
            ("channels", "/v1/raw-messages"),
            ("notifications", "/v1/deliveries"),
        )
    ]
    assert found_in(answers) == []
    assert found_in(records_of_all_topics(system)) == []
    assert len(collector.spans()) > traced_before, "All of it was traced."
    assert found_in((f"spans {number}", body) for number, body in enumerate(collector.bodies())) == []
    assert found_in(rows_of_all_tables(system)) == []
    assert found_in(files(system.layout.logs)) == []
    assert found_in(files(system.layout.run)) == []
    # Whatever else the servers have written: what a table no longer shows may still lie in its files.
    data = Path(str(system.query("SHOW data_directory")[0][0]))
    assert found_in(files(data)) == []
    assert found_in(files(system.layout.data)) == []


def use_drafts_of_marked_buyers(system: System) -> None:
    """Make orders by hand of a marked buyer: one draft stays, one is placed, one is refused and deleted."""

    def ask(method: str, path: str, body: object = None) -> dict[str, Any]:
        headers = {
            "authorization": f"Bearer {system.endpoints['api_key']}",
            "idempotency-key": str(uuid.uuid4()),
        }
        url = f"{system.url('orders')}/v1/drafts{path}"
        answer = system.http.request(method, url, json=body, headers=headers)
        assert answer.status_code in {200, 201, 422}, answer.text
        if method != "GET":
            assert found_in([("an answer that is kept", answer.content)]) == []
        told: dict[str, Any] = answer.json()
        return told

    recipient = {**BUYER, "city": "Bandung", "note": BUYER["name"]}
    said = {
        "recipient": recipient,
        "lines": [{"sku": "MARKED", "name": "Kopi", "quantity": 1, "unit_price": 1_000}],
        "courier": "JNE",
        "service": "REG",
        "shipping_fee": 0,
        "insured": False,
        "payment_method": "TRANSFER",
    }
    stays, placed, dropped = [ask("POST", "", said)["id"] for _ in range(3)]
    ask("PATCH", f"/{stays}", {"recipient": {"district": BUYER["address"]}})
    ask("PATCH", f"/{stays}", {"recipient": {"phone": BUYER["name"]}})
    ask("POST", "", {"recipient": {"name": [BUYER["name"]]}})
    shown = json.dumps(ask("GET", f"/{stays}")).encode()
    assert found_in([("the draft", shown)]), "Who may read it reads it in clear."
    assert ask("POST", f"/{placed}/place", {"allow_backorder": True})["order"] == placed
    ask("PATCH", f"/{dropped}", {"payment_method": BUYER["email"]})
    ask("PATCH", f"/{dropped}", {"payment_method": None})
    assert ask("POST", f"/{dropped}/place", {"allow_backorder": True})["code"] == "METHOD_UNKNOWN"
    ask("DELETE", f"/{dropped}")


def marked_buyers_arrived(system: System) -> bool:
    """Whether some raw message, opened under the stack's key, holds a marker."""
    sealer = Sealer.from_base64([Demo(system.layout).inbox_key])
    rows = system.query("SELECT id, content FROM channels.raw_messages ORDER BY id DESC LIMIT 500")
    opened = (json.dumps(unseal_content(sealer, key, content)[1].decode()).encode() for key, content in rows)
    return any(found_in([("a message", each)]) for each in opened)


def marked_buyers_travelled(system: System, orders: Sequence[str]) -> bool:
    """Whether the placement of every order, opened under the stack's key, holds a marker."""
    name, _, key = Demo(system.layout).key_encryption_keys.partition(":")
    keys = [NamedKey(id=name, key=SecretBytes(base64.b64decode(key)))]
    envelopes = Envelopes(KeyEncryptionKeys(keys))
    carried = set()
    wanted = {order.encode() for order in orders}
    for record in read_topics(system.endpoints["kafka"], [CHANNELS_ORDERS.name]):
        # Other tests have put what is no fact at all on the topic.
        if (record.key or b"").rpartition(b":")[2] not in wanted:
            continue
        fact = json.loads(record.value or b"{}")
        sealed = fact.get("data", {}).get("buyer")
        if fact.get("type") == "OrderPlaced" and sealed and record.key:
            plain = envelopes.open(sealed, record.key.decode())
            if found_in([("a fact", plain)]):
                carried.add(fact["order"])
    return carried >= set(orders)


def read_and_search_marked_buyers(system: System, ids: Sequence[str]) -> None:
    """Use every door that opens or takes data of buyers, so that whatever writes down what it is asked has it."""
    for order in ids:
        answer = system.get("orders", f"/v1/orders/{order}/contact", purpose="privacy test")
        assert answer.status_code == 200
        assert found_in([("the contact", answer.content)]), "Who may read it reads it in clear."
        detail = system.get("orders", f"/v1/orders/{order}")
        assert found_in([("the detail", detail.content)]), "PD-2: opened at the moment of reading."
    readings = system.query(
        "SELECT order_id::text, caller, purpose FROM orders.contact_readings WHERE order_id = ANY(%s::uuid[])",
        list(ids),
    )
    assert sorted(readings) == sorted((order, "demo", "privacy test") for order in ids)
    published = system.get("orders", "/.well-known/jwks.json", key=None).json()["keys"]
    assert [each["crv"] for each in published if each.get("use") == "enc"] == ["P-256"]
    assert all("d" not in each for each in published), "Only the public halves."
    for text in (BUYER["name"], BUYER["address"]):
        found = {str(each["id"]) for each in system.listed("orders", "/v1/orders", search=text)}
        assert found & set(ids), f"PD-5: a search finds its orders by {text!r}."
    assert system.get("orders", f"/v1/orders/{BUYER['name']}/contact", purpose=BUYER["email"]).is_client_error
    assert system.get("orders", "/v1/orders", search=BUYER["phone"], limit="Qzwanda").is_client_error
