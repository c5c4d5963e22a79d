"""What a buyer is called, where he lives and how he is reached is sealed, wherever the system keeps anything."""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from deploy.local.services import SERVICES, Demo
from libs.events.topics import TOPICS
from libs.runtime.sealing import Sealer
from services.channels.store import unseal_content
from tests.integration.judge import read_topics
from tests.integration.system import System

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]

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


def test_no_data_of_a_buyer_stands_anywhere_in_clear(system: System) -> None:
    orders = live_out_the_lives_of_marked_buyers(system)
    system.settle()
    held = [
        each for order in orders for each in system.listed("orders", "/v1/orders", marketplace_number=order)
    ]
    assert len(held) == len(orders)
    assert marked_buyers_arrived(system), "The buyers' data came in, sealed, and so could have got out."

    answers = [
        (f"{service}{path}", system.get(service, path).content)
        for service, path in (
            *((service, "/metrics") for service in SERVICES),
            *(("orders", f"/v1/orders/{each['id']}{more}") for each in held for more in ("", "/events")),
            ("channels", "/v1/raw-messages"),
            ("notifications", "/v1/deliveries"),
        )
    ]
    assert found_in(answers) == []
    assert found_in(records_of_all_topics(system)) == []
    assert found_in(rows_of_all_tables(system)) == []
    assert found_in(files(system.layout.logs)) == []
    assert found_in(files(system.layout.run)) == []
    # Whatever else the servers have written: what a table no longer shows may still lie in its files.
    data = Path(str(system.query("SHOW data_directory")[0][0]))
    assert found_in(files(data)) == []
    assert found_in(files(system.layout.data)) == []


def marked_buyers_arrived(system: System) -> bool:
    """Whether some raw message, opened under the stack's key, holds a marker."""
    sealer = Sealer.from_base64([Demo(system.layout).inbox_key])
    rows = system.query("SELECT id, content FROM channels.raw_messages ORDER BY id DESC LIMIT 500")
    opened = (json.dumps(unseal_content(sealer, key, content)[1].decode()).encode() for key, content in rows)
    return any(found_in([("a message", each)]) for each in opened)
