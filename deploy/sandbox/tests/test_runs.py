"""Runs through the control door: pushes, faults, retries, truth."""

import time
from collections import Counter, defaultdict
from typing import Any

from deploy.sandbox.tests.receiver import Received, is_signed
from deploy.sandbox.tests.running import APP_KEY, APP_SECRET, Running, running


async def test_every_lazada_push_is_signed_over_its_raw_bytes_and_shaped_as_documented(
    sandbox: Running,
) -> None:
    counts = await sandbox.play(marketplaces=["lazada"])
    assert counts["pushes_sent"] == counts["pushes_answered"] == len(sandbox.receiver.received) > 100
    for got in sandbox.receiver.received:
        assert is_signed(got, APP_KEY, APP_SECRET)
        message = got.message
        assert message["message_type"] == 0
        assert message["site"].lower().replace("-", "_") in {"lazada_id", "lazada_sg"}
        assert {"order_status", "trade_order_id", "trade_order_line_id", "status_update_time"} <= set(
            message["data"]
        )
        assert message["data"]["status_update_time"] <= time.time()
    typed = {type(got.message["data"]["trade_order_id"]) for got in sandbox.receiver.received}
    assert typed == {str, int}


async def test_there_is_one_push_per_line_and_status_when_nothing_goes_wrong(sandbox: Running) -> None:
    await sandbox.play(marketplaces=["lazada"])
    told = Counter(
        (str(data["trade_order_line_id"]), data["order_status"], data["status_update_time"])
        for data in (got.message["data"] for got in sandbox.receiver.received)
    )
    assert set(told.values()) == {1}
    times = defaultdict(list)
    for line, _, at in told:
        times[line].append(at)
    assert all(len(set(found)) == len(found) for found in times.values())


async def test_tokopedia_topics_go_to_their_own_addresses(sandbox: Running) -> None:
    await sandbox.play(marketplaces=["tokopedia"], orders=60)
    paths = {got.path for got in sandbox.receiver.received}
    assert paths == {
        f"/tokopedia/{topic}" for topic in ("notification", "status", "cancellation", "cancel-request")
    }
    for got in sandbox.receiver.received:
        if got.path.endswith("cancel-request"):
            assert set(got.message) == {"order_id"}
        if got.path.endswith("status"):
            assert set(got.message) == {"order_status", "fs_id", "shop_id", "order_id", "product_details"}


async def test_the_same_seed_gives_the_same_lives_money_and_faults_under_new_numbers(
    sandbox: Running,
) -> None:
    faults = {"duplicate": 0.2, "lose": 0.2, "reorder": 0.2, "delay": 0.2}
    first, second = await sandbox.play(faults=faults), await sandbox.play(faults=faults)
    told = ("pushes_sent", "pushes_lost", "pushes_duplicated", "pushes_reordered", "pushes_delayed")
    assert [first[name] for name in told] == [second[name] for name in told]
    one, other = await sandbox.truth(first["run"]), await sandbox.truth(second["run"])

    def shown(order: dict[str, Any]) -> tuple[Any, ...]:
        return order["shop"], order["total"], [line["status"] for line in order["lines"]]

    assert [shown(order) for order in one] == [shown(order) for order in other]
    assert not {order["order"] for order in one} & {order["order"] for order in other}
    different = await sandbox.play(seed=8)
    assert [shown(order) for order in await sandbox.truth(different["run"])] != [
        shown(order) for order in one
    ]


async def test_a_duplicate_is_byte_identical_and_a_lost_push_never_arrives(sandbox: Running) -> None:
    counts = await sandbox.play(marketplaces=["lazada"], faults={"duplicate": 1.0})
    bodies = Counter(got.body for got in sandbox.receiver.received)
    assert set(bodies.values()) == {2}
    assert counts["pushes_duplicated"] == len(bodies)
    sandbox.receiver.received.clear()
    counts = await sandbox.play(marketplaces=["lazada"], faults={"lose": 1.0})
    assert counts["pushes_sent"] == 0 < counts["pushes_lost"]
    assert sandbox.receiver.received == []


async def test_only_what_no_list_shows_is_never_lost(sandbox: Running) -> None:
    played = await sandbox.play(marketplaces=["tokopedia"], orders=60, faults={"lose": 1.0})
    told = {str(got.message["order_id"]) for got in sandbox.receiver.received}
    truth = await sandbox.truth(played["run"])
    cancelled = {order["order"] for order in truth if order["lines"][0]["status"] in {"0", "10", "15"}}
    assert told
    assert told <= cancelled


async def test_reordered_and_delayed_pushes_come_late_with_their_old_content(sandbox: Running) -> None:
    await sandbox.play(marketplaces=["lazada"], orders=60, faults={"reorder": 0.3, "delay": 0.3})
    newest: dict[str, int] = {}
    stale = 0
    for got in sandbox.receiver.received:
        data = got.message["data"]
        line = str(data["trade_order_line_id"])
        stale += data["status_update_time"] < newest.get(line, 0)
        newest[line] = max(newest.get(line, 0), data["status_update_time"])
    assert stale > 10


async def test_a_refused_push_is_tried_12_times_more_with_the_status_of_then(sandbox: Running) -> None:
    sandbox.receiver.status = lambda _: 500
    counts = await sandbox.play(marketplaces=["lazada"], orders=3, time_scale=100_000)
    due = counts["pushes_given_up"]
    assert counts["pushes_answered"] == 0 < due
    assert counts["pushes_sent"] == 13 * due
    final = {
        line["line"]: line["status"]
        for order in await sandbox.truth(counts["run"])
        for line in order["lines"]
    }
    last = {str(got.message["data"]["trade_order_line_id"]): got for got in sandbox.receiver.received}
    assert {line: got.message["data"]["order_status"] for line, got in last.items()} == final


async def test_no_answer_in_time_is_a_refusal() -> None:
    async with running(lazada={"answer_seconds": 0.01}) as sandbox:
        sandbox.receiver.status = lambda _: None
        counts = await sandbox.play(marketplaces=["lazada"], orders=1, time_scale=100_000)
    assert counts["pushes_answered"] == 0 < counts["pushes_given_up"]
    assert counts["pushes_failed"] == counts["pushes_sent"] == 13 * counts["pushes_given_up"]


async def test_a_push_that_is_accepted_later_is_not_sent_again(sandbox: Running) -> None:
    seen: Counter[tuple[str, str]] = Counter()

    def first_time_only(got: Received) -> int:
        data = got.message["data"]
        seen[str(data["trade_order_line_id"]), data["order_status"]] += 1
        return 500 if sum(seen.values()) <= 5 else 200

    sandbox.receiver.status = first_time_only
    counts = await sandbox.play(marketplaces=["lazada"], orders=5, time_scale=100_000)
    assert counts["pushes_failed"] == counts["pushes_retried"] == 5
    assert counts["pushes_given_up"] == 0


async def test_tokopedia_sends_once_whatever_the_answer(sandbox: Running) -> None:
    sandbox.receiver.status = lambda _: 503
    counts = await sandbox.play(marketplaces=["tokopedia"], orders=10)
    assert counts["pushes_sent"] == counts["pushes_given_up"] == len(sandbox.receiver.received)


async def test_the_end_of_an_order_that_no_list_shows_is_pushed_again_byte_for_byte(sandbox: Running) -> None:
    seen: Counter[bytes] = Counter()

    def second_time_only(got: Received) -> int:
        seen[got.body] += 1
        return 200 if seen[got.body] > 1 else 503

    sandbox.receiver.status = second_time_only
    counts = await sandbox.play(marketplaces=["tokopedia"], orders=200)
    assert 0 < counts["pushes_retried"] <= sum(times == 2 for times in seen.values())
    assert counts["pushes_retried"] <= counts["pushes_answered"]


async def test_no_push_leaves_for_a_shop_whose_authorisation_has_lapsed() -> None:
    async with running(lazada={"access_token_seconds": 0}) as sandbox:
        counts = await sandbox.play(marketplaces=["lazada"], orders=5)
    assert counts["pushes_sent"] == 0 < counts["pushes_lost"]


async def test_truth_is_paged_dated_in_the_past_and_complete(sandbox: Running) -> None:
    run = (await sandbox.play(orders=25))["run"]
    items = await sandbox.truth(run, limit=10)
    assert len({item["order"] for item in items}) == 25
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for item in items:
        assert set(item) == {"marketplace", "site", "shop", "order", "lines", "total", "currency"}
        assert all(line["status_at"] <= now for line in item["lines"])


async def test_bad_requests_are_refused_with_field_problem_and_remedy(sandbox: Running) -> None:
    for body, field in (
        ({"marketplaces": ["tiktok"]}, "marketplaces"),
        ({"orders": 0}, "orders"),
        ({"orders": 1_000_000}, "orders"),
        ({"per_second": 5000}, "per_second"),
        ({"faults": {"duplicate": 1.5}}, "faults.duplicate"),
        ({"faults": {"duplicates": 0.5}}, "faults.duplicates"),
        ({"time_scale": 0}, "time_scale"),
        ({"sed": 1}, "sed"),
    ):
        answer = await sandbox.ask("/control/runs", body)
        assert answer.status_code == 422
        assert answer.json()["field"] == field
        assert set(answer.json()) == {"field", "problem", "what_to_do"}
    tiktok = (await sandbox.ask("/control/runs", {"marketplaces": ["tiktok"]})).json()
    assert "not simulated yet" in tiktok["problem"]
    assert (await sandbox.ask("/control/runs/run-9")).status_code == 404


async def test_health_answers_and_a_probe_is_signed(sandbox: Running) -> None:
    assert (await sandbox.ask("/health")).json()["status"] == "ok"
    assert (await sandbox.ask("/control/probe", {})).json() == {"answered": 200}
    got = sandbox.receiver.received[-1]
    assert is_signed(got, APP_KEY, APP_SECRET)
    assert got.message["data"]["trade_order_id"] == "123456"
