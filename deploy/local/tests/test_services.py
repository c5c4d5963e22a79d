"""What the demo's processes are told, and what endpoints.json says."""

import hashlib
import json
import stat
from pathlib import Path
from uuid import UUID

from deploy.local.compose import variables
from deploy.local.layout import LOCAL, Layout, read_json
from deploy.local.services import SERVICES, Demo, environment, table
from deploy.local.up import endpoints_file

SERVERS = {"kafka": "127.0.0.1:20001", "database": "postgresql://jejak:word@127.0.0.1:20002/jejak"}


def test_endpoints_say_where_everything_is(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    told = Demo(layout).endpoints(**SERVERS, processes={"orders": 7})
    channels = f"http://127.0.0.1:{layout.port('channels')}"

    assert set(told) == {
        *("kafka", "database", "api_key", "seller", "orders", "channels", "inventory", "notifications"),
        *("sandbox", "webhooks", "processes"),
    }
    assert set(told["sandbox"]) == {"control", "lazada", "tokopedia", "tiktok"}
    lazada = told["webhooks"]["lazada"]
    assert lazada["url"] == f"{channels}/webhooks/lazada/{lazada['app_key']}"
    token = Demo(layout).tokopedia_path_token
    assert told["webhooks"]["tokopedia"] == {
        "notification": f"{channels}/webhooks/tokopedia/{token}/order_notification",
        "status": f"{channels}/webhooks/tokopedia/{token}/order_status",
        "cancellation": f"{channels}/webhooks/tokopedia/{token}/order_cancellation",
        "cancel-request": f"{channels}/webhooks/tokopedia/{token}/order_request_cancellation",
    }
    assert Demo(Layout(tmp_path)).endpoints(**SERVERS, processes={"orders": 7}) == told


def test_services_know_the_hash_of_the_demo_key_and_never_the_key(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    demo = Demo(layout)
    (key,) = json.loads(demo.api_keys)

    assert key["sha256"] == hashlib.sha256(demo.api_key.encode()).hexdigest()
    assert key["scopes"] == ["*"]
    assert UUID(key["seller"]) == UUID(demo.seller)
    assert all(demo.api_key not in str(environment(layout, name, **SERVERS)) for name in SERVICES)


def test_secrets_of_the_marketplaces_go_to_channels_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for name in SERVICES:
        told = environment(layout, name, **SERVERS)
        assert told[f"{name.upper()}_HTTP_PORT"] == str(layout.port(name))
        assert ("CHANNELS_INBOX_KEY" in told) == (name == "channels")
        assert ("KEY_ENCRYPTION_KEYS" in told) == (name in {"channels", "orders"})


def test_the_sandbox_starts_first_and_every_service_after_it(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    sandbox, _seed = Demo(layout).write_files()
    parts = table(layout, **SERVERS, sandbox=sandbox)

    assert [part.name for part in parts] == ["sandbox", *SERVICES]
    assert [part.command[1:] for part in parts[1:]] == [
        ["-m", f"services.{name}", "serve"] for name in SERVICES
    ]


def test_the_sandbox_is_told_something_else_when_its_file_changes(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    sandbox, _seed = Demo(layout).write_files()
    before = table(layout, **SERVERS, sandbox=sandbox)[0]
    assert table(layout, **SERVERS, sandbox=sandbox)[0] == before

    sandbox.write_text("{}")
    assert table(layout, **SERVERS, sandbox=sandbox)[0] != before


def test_the_sandbox_and_the_seed_name_the_same_shops_and_tokens(tmp_path: Path) -> None:
    sandbox, seed = Demo(Layout(tmp_path)).write_files()
    simulated, seeded = read_json(sandbox), read_json(seed)

    assert {
        (shop["site"], shop["seller_id"], shop["access_token"]) for shop in simulated["lazada"]["shops"]
    } == {
        (row["site"], row["shop"], row["access_token"])
        for row in seeded["connections"]
        if row["marketplace"] == "lazada"
    }
    assert [str(shop["shop_id"]) for shop in simulated["tokopedia"]["shops"]] == [
        row["shop"] for row in seeded["connections"] if row["marketplace"] == "tokopedia"
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (sandbox, seed)} == {0o600}


def test_only_the_main_stack_writes_the_file_that_everybody_reads(tmp_path: Path) -> None:
    assert endpoints_file(Layout(tmp_path)) == tmp_path / "endpoints.json"
    assert endpoints_file(Layout(LOCAL / "stack" / "main")) == LOCAL / "endpoints.json"


def test_values_for_compose_can_stand_between_single_quotes(tmp_path: Path) -> None:
    assert all(value and "'" not in value for value in variables(Layout(tmp_path)).values())
