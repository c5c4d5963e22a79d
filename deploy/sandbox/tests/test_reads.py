"""The reads of both marketplaces, compared with the truth of the control door."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.sandbox.tests.running import FS_ID, Running, running

EARLY = "2020-01-01T00:00:00+00:00"


def instant(text: str) -> str:
    """Lazada's `2026-03-05 10:59:26 +0800` as the truth writes it."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wib(text: str) -> str:
    """A wall clock of Jakarta labelled Z as the truth writes it."""
    found = datetime.fromisoformat(text) - timedelta(hours=7)
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_lazada_reads_say_what_is_true(sandbox: Running) -> None:
    run = (await sandbox.play(marketplaces=["lazada"], faults={"lose": 0.5}))["run"]
    for truth in await sandbox.truth(run):
        token = f"token-{truth['site']}"
        order = (await sandbox.lazada("/order/get", token, order_id=truth["order"]))["data"]
        items = (await sandbox.lazada("/order/items/get", token, order_id=truth["order"]))["data"]
        assert truth["lines"] == [
            {
                "line": str(item["order_item_id"]),
                "status": item["status"],
                "status_at": instant(item["updated_at"]),
            }
            for item in items
        ]
        assert set(order["statuses"]) == {item["status"] for item in items}
        minor = 1 if truth["currency"] == "IDR" else 100
        paid = float(order["price"]) - order["voucher"] + order["shipping_fee"]
        assert round(paid * minor) == truth["total"]
        assert round(sum(item["item_price"] for item in items), 2) == float(order["price"])
        assert instant(order["updated_at"]) >= max(line["status_at"] for line in truth["lines"])


async def test_lazada_amounts_have_their_live_types(sandbox: Running) -> None:
    made = (await sandbox.ask("/control/orders", {"marketplace": "lazada", "lines": 1})).json()
    order = (await sandbox.lazada("/order/get", order_id=made["order"]))["data"]
    assert isinstance(order["price"], str)
    assert isinstance(order["voucher"], float)
    assert isinstance(order["order_id"], int)
    assert order["gift_option"] is False


async def test_lazada_lists_page_to_the_end_in_order_of_update(sandbox: Running) -> None:
    run = (await sandbox.play(marketplaces=["lazada"], orders=80))["run"]
    mine = {truth["order"] for truth in await sandbox.truth(run) if truth["site"] == "id"}
    found: list[dict[str, Any]] = []
    while True:
        answer = await sandbox.lazada(
            "/orders/get", update_after=EARLY, sort_by="updated_at", limit="7", offset=str(len(found))
        )
        page = answer["data"].get("orders", [])
        found += page
        if len(page) < 7:
            break
    assert {str(order["order_id"]) for order in found} == mine
    assert len(found) == len(mine)
    times = [instant(order["updated_at"]) for order in found]
    assert times == sorted(times)
    many = await sandbox.lazada("/orders/items/get", order_ids=f"[{','.join(sorted(mine)[:3])}]")
    assert [str(row["order_id"]) for row in many["data"]] == sorted(mine)[:3]


async def test_an_order_is_listed_by_the_real_time_of_its_last_change(sandbox: Running) -> None:
    """A poll from the start of the run finds what was lost, although the run's own clock began earlier."""
    since = datetime.fromtimestamp(int(time.time()), UTC).isoformat()
    run = (await sandbox.play(marketplaces=["lazada"], faults={"lose": 1.0}))["run"]
    mine = {truth["order"] for truth in await sandbox.truth(run) if truth["site"] == "id"}
    answer = await sandbox.lazada("/orders/get", update_after=since, sort_by="updated_at")
    assert {str(order["order_id"]) for order in answer["data"]["orders"]} == mine


async def test_lazada_refuses_as_documented(sandbox: Running) -> None:
    made = (await sandbox.ask("/control/orders", {"marketplace": "lazada", "shop": "1000999002"})).json()
    for path, parameters, code in (
        ("/orders/get", {}, "17"),
        ("/orders/get", {"update_after": "2026-03-05"}, "17"),
        ("/orders/get", {"update_after": "2026-03-05T00:00:00"}, "17"),
        ("/orders/get", {"update_after": EARLY, "limit": "101"}, "19"),
        ("/orders/get", {"update_after": EARLY, "offset": "5001"}, "14"),
        ("/orders/get", {"update_after": EARLY, "status": "paid"}, "6"),
        ("/orders/get", {"update_after": EARLY, "sort_by": "price"}, "74"),
        ("/orders/get", {"update_after": EARLY, "sort_direction": "UP"}, "75"),
        ("/order/get", {"order_id": made["order"]}, "16"),
        ("/orders/items/get", {"order_ids": str(list(range(51)))}, "38"),
        ("/order/get", {"order_id": "1", "sign": "00"}, "IncompleteSignature"),
        ("/order/get", {"order_id": "1", "timestamp": "1517820392000"}, "IllegalTimestamp"),
        ("/order/get", {"order_id": "1", "app_key": ""}, "MissingParameter"),
    ):
        assert (await sandbox.lazada(path, **parameters))["code"] == code
    assert (await sandbox.lazada("/order/get", "nobody's", order_id="1"))["code"] == "IllegalAccessToken"


async def test_lazada_tokens_expire_and_are_renewed() -> None:
    async with running(lazada={"access_token_seconds": 0}) as sandbox:
        assert (await sandbox.lazada("/order/get", order_id="1"))["code"] == "IllegalAccessToken"
    async with running() as sandbox:
        renewed = await sandbox.lazada("/auth/token/refresh", None, refresh_token="refresh-id")
        assert renewed["country_user_info_list"][0]["seller_id"] == "1000999001"
        assert (await sandbox.lazada("/order/get", renewed["access_token"], order_id="1"))["code"] == "16"
        code = "0_123456_sg_1000999002"
        assert (await sandbox.lazada("/auth/token/create", None, code=code))["code"] == "0"
        assert (await sandbox.lazada("/auth/token/create", None, code=code))["code"] == "InvalidCode"
        assert (await sandbox.lazada("/auth/token/refresh", None, refresh_token="x"))[
            "code"
        ] == "IllegalRefreshToken"


async def test_rates_are_limited_at_both() -> None:
    async with running(lazada={"calls_per_second": 2}, tokopedia={"calls_per_second": 2}) as sandbox:
        # Together, so that they are more than the limit however slow each is.
        told = await asyncio.gather(*(sandbox.lazada("/order/get", order_id="1") for _ in range(20)))
        assert {answer["code"] for answer in told} == {"ApiCallLimit", "16"}
        path = f"/v2/fs/{FS_ID}/order"
        answers = await asyncio.gather(*(sandbox.tokopedia(path, order_id=1) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {400, 429}
        over = next(answer for answer in answers if answer.status_code == 429)
        assert over.headers["X-Ratelimit-Limit"] == "2 req/s (burst 2)"
        assert float(over.headers["X-Ratelimit-Reset-After"]) > 0


async def test_an_outage_makes_reads_fail_or_hang_until_it_ends() -> None:
    async with running(timeout_seconds=0.01) as sandbox:
        for mode in ("error", "timeout"):
            await sandbox.ask("/control/outage", {"marketplace": "lazada", "mode": mode})
            await sandbox.ask("/control/outage", {"marketplace": "tokopedia", "mode": mode})
            assert (await sandbox.lazada("/order/get", order_id="1"))["code"] == "ServiceTimeout"
            assert (await sandbox.tokopedia(f"/v2/fs/{FS_ID}/order", order_id=1)).status_code == 500
        await sandbox.ask("/control/outage", {"marketplace": "lazada", "mode": "none"})
        assert (await sandbox.lazada("/order/get", order_id="1"))["code"] == "16"


async def test_failures_of_reads_come_at_the_configured_rate() -> None:
    async with running(faults={"api_error": 0.5}) as sandbox:
        codes = [(await sandbox.lazada("/order/get", order_id="1"))["code"] for _ in range(40)]
        assert 8 < codes.count("ServiceTimeout") < 32


async def test_tokopedia_reads_say_what_is_true(sandbox: Running) -> None:
    run = (await sandbox.play(marketplaces=["tokopedia"], faults={"lose": 0.5}))["run"]
    truths = {truth["order"]: truth for truth in await sandbox.truth(run)}
    for number, truth in truths.items():
        found = (await sandbox.tokopedia(f"/v2/fs/{FS_ID}/order", order_id=number)).json()["data"]
        newest = found["order_info"]["order_history"][0]
        status = {"status": str(newest["hist_status_code"]), "status_at": wib(newest["timestamp"])}
        assert truth["lines"] == [
            {"line": str(row["order_detail_id"]), **status} for row in found["order_info"]["order_detail"]
        ]
        assert found["order_status"] == newest["hist_status_code"]
        assert found["open_amt"] == truth["total"]
        by_invoice = await sandbox.tokopedia(f"/v2/fs/{FS_ID}/order", invoice_num=found["invoice_number"])
        assert by_invoice.json()["data"]["order_id"] == int(number)
        codes = [row["hist_status_code"] for row in found["order_info"]["order_history"]]
        truth["listed"] = 220 in codes
    begin = int(time.time()) - 86400
    listed: list[dict[str, Any]] = []
    for page in range(1, 10):
        query = {
            "fs_id": FS_ID,
            "from_date": begin,
            "to_date": begin + 2 * 86400,
            "per_page": 9,
            "page": page,
        }
        rows = (await sandbox.tokopedia("/v2/order/list", shop_id=9301177, **query)).json()["data"] or []
        listed += rows
        if len(rows) < 9:
            break
    assert {str(row["order_id"]) for row in listed} == {n for n, truth in truths.items() if truth["listed"]}
    assert all(
        str(row["order_status"]) == truths[str(row["order_id"])]["lines"][0]["status"] for row in listed
    )
    assert {row["fs_id"] for row in listed} == {str(FS_ID)}


async def test_tokopedia_refuses_as_documented(sandbox: Running) -> None:
    window = {"fs_id": FS_ID, "from_date": 1_700_000_000, "page": 1, "per_page": 100}
    for path, parameters, status, code in (
        ("/v2/order/list", window | {"to_date": 1_700_000_000 + 3 * 86400}, 400, "ORD_DLV_013"),
        ("/v2/order/list", window | {"to_date": 1_700_000_001, "per_page": 101}, 400, "ORD_DLV_010"),
        ("/v2/order/list", window | {"to_date": 1_700_000_001, "shop_id": 5}, 403, "RBAC_MDLW_001"),
        ("/v2/fs/1/order", {"order_id": 1}, 403, "RBAC_MDLW_001"),
        (f"/v2/fs/{FS_ID}/order", {}, 400, "ORD_DLV_003"),
        (f"/v2/fs/{FS_ID}/order", {"order_id": 1, "invoice_num": "x"}, 400, "ORD_DLV_004"),
        (f"/v2/fs/{FS_ID}/order", {"order_id": 1}, 400, "ORD_API_008"),
    ):
        answer = await sandbox.tokopedia(path, **parameters)
        assert (answer.status_code, answer.json()["header"]["error_code"]) == (status, code)
    last = await sandbox.tokopedia("/v2/order/list", **window, to_date=1_700_000_000 + 3 * 86400 - 1)
    assert last.json()["data"] == []
    url = sandbox.addresses["tokopedia"] + "/v2/order/list"
    assert (await sandbox.client.get(url, headers={"Authorization": "Bearer x"})).status_code == 401


async def test_a_tokopedia_token_asked_for_again_is_the_same_with_what_is_left(sandbox: Running) -> None:
    url = sandbox.addresses["tokopedia"] + "/token?grant_type=client_credentials"
    first, second = [(await sandbox.client.post(url, auth=("client", "secret"))).json() for _ in range(2)]
    assert first["access_token"] == second["access_token"]
    assert second["expires_in"] <= first["expires_in"] <= 30 * 86400
    assert (await sandbox.client.post(url, auth=("client", "wrong"))).status_code == 401
