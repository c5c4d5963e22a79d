"""Orders made by hand, and the process itself."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from deploy.sandbox.tests.running import FS_ID, Running, config


async def test_an_order_made_by_hand_moves_on_when_told_and_sends_its_pushes(sandbox: Running) -> None:
    asked = {"marketplace": "lazada", "shop": "1000999002", "life": "paid", "lines": 2, "steps": 2}
    made = (await sandbox.ask("/control/orders", asked)).json()
    assert [line["status"] for line in made["lines"]] == ["pending", "pending"]
    assert made["answers"] == [200] * 4
    while made["statuses_ahead"]:
        ahead = made["statuses_ahead"][0]
        made = (await sandbox.ask(f"/control/orders/{made['order']}/advance", {})).json()
        assert {line["status"] for line in made["lines"]} == {ahead}
    assert made["lines"][0]["status"] in {"delivered", "confirmed"}
    times = [got.message["data"]["status_update_time"] for got in sandbox.receiver.received[::2]]
    assert len(set(times)) == len(times)
    assert (await sandbox.ask(f"/control/orders/{made['order']}/advance", {})).json()["answers"] == []
    items = (await sandbox.lazada("/order/items/get", "token-sg", order_id=made["order"]))["data"]
    assert [item["status"] for item in items] == [line["status"] for line in made["lines"]]
    assert [row["order"] for row in await sandbox.truth("manual")] == [made["order"]]


async def test_planted_buyer_values_stand_in_clear_wherever_the_marketplace_shows_them(
    sandbox: Running,
) -> None:
    buyer = {"name": "MARK-NAME", "phone": "6281299988877", "address": "MARK-STREET 7"}
    lazada = (await sandbox.ask("/control/orders", {"marketplace": "lazada", "buyer": buyer})).json()
    shown = json.dumps(await sandbox.lazada("/order/get", order_id=lazada["order"]))
    assert all(value in shown for value in buyer.values())
    asked = {"marketplace": "tokopedia", "buyer": buyer, "steps": 3}
    tokopedia = (await sandbox.ask("/control/orders", asked)).json()
    shown = (await sandbox.tokopedia(f"/v2/fs/{FS_ID}/order", order_id=tokopedia["order"])).text
    assert all(value in shown for value in buyer.values())


async def test_what_cannot_be_made_is_refused(sandbox: Running) -> None:
    for body, field in (
        ({"marketplace": "tiktok"}, "marketplace"),
        ({"marketplace": "lazada", "life": "eternal"}, "life"),
        ({"marketplace": "lazada", "shop": "1"}, "shop"),
        ({"marketplace": "lazada", "buyer": {"name": ""}}, "buyer.name"),
    ):
        answer = await sandbox.ask("/control/orders", body)
        assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_signal_stops_the_process_cleanly(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.json"
    file.write_text(json.dumps(config("http://127.0.0.1:9")))
    command = [sys.executable, "-m", "deploy.sandbox", "--config", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        assert set(addresses) == {"control", "lazada", "tokopedia"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_a_configuration_that_cannot_be_used_names_its_field(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.json"
    broken = config("http://127.0.0.1:9")
    del broken["lazada"]["app_secret"]
    file.write_text(json.dumps(broken))
    command = [sys.executable, "-m", "deploy.sandbox", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert json.loads(done.stderr)["field"] == "lazada.app_secret"
