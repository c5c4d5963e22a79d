"""The sample consumers see every event once and in order, though they begin in the middle of the traffic.

What they print is judged against the store, which neither of them decides.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from deploy.local.compiler import compiled
from deploy.local.layout import ROOT
from tests.integration.system import STRANGER_KEY, STRANGER_SELLER, System, wait_until

pytestmark = pytest.mark.connected

Json = dict[str, Any]

SAMPLES = {
    "python": [sys.executable, "examples/python/follow_orders.py"],
    "java": [sys.executable, "-m", "examples.java.run"],
}
END_SECONDS = 120


def printed(path: Path) -> list[Json]:
    """What a consumer has printed; a line that is still being written is left out."""
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


@contextmanager
def running(system: System, command: list[str], folder: Path, *, stranger: bool = False) -> Iterator[Path]:
    """A consumer as a process of its own; the file it prints to. It must end in order when it is told to."""
    told = {
        **os.environ,
        "JEJAK_URL": system.url("orders"),
        "JEJAK_KEY": STRANGER_KEY if stranger else system.endpoints["api_key"],
        "JEJAK_SELLER": STRANGER_SELLER if stranger else system.endpoints["seller"],
        "KAFKA_BOOTSTRAP_SERVERS": system.endpoints["kafka"],
    }
    folder.mkdir()
    out, errors = folder / "out.jsonl", folder / "errors.txt"
    with out.open("wb") as stdout, errors.open("wb") as stderr:
        process = _start(command, told, stdout, stderr)
        try:
            if not stranger:
                # What happens from now on comes to it by the topic.
                history = len(system.read_store())
                wait_until(
                    lambda: process.poll() is not None or len(printed(out)) >= history, 120, "its history"
                )
            yield out
            assert process.poll() is None, errors.read_text()[-2000:]
            process.send_signal(signal.SIGTERM)
            code = process.wait(END_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    # A Java that SIGTERM ends in order says so with 143.
    assert code in {0, 128 + signal.SIGTERM}, errors.read_text()[-2000:]


def _start(
    command: list[str], told: dict[str, str], stdout: IO[bytes], stderr: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=ROOT, env=told, stdout=stdout, stderr=stderr)


def assert_each_event_once(got: list[Json], store: list[Json]) -> None:
    """Nothing is missing, nothing is there twice, every order counts 1, 2, 3 ..., and the data is the store's."""
    counts: dict[str, int] = {}
    for line in got:
        order, sequence = line["order"], line["sequence"]
        assert sequence == counts.get(order, 0) + 1, f"{order}: {sequence} after {counts.get(order, 0)}"
        counts[order] = sequence
    assert {line["id"]: (line["type"], line["data"]) for line in got} == {
        event["id"]: (event["type"], event["data"]) for event in store
    }
    assert len(got) == len(store)


def events_of(system: System, key: str) -> list[Json]:
    """Every public event of the key's seller, oldest first; often none."""
    found: list[Json] = []
    after: str | None = None
    while True:
        page = system.get("orders", "/v1/events", key=key, after=after or "", limit=500).json()
        found += page["items"]
        if page["next"] == after:
            return found
        after = page["next"]


@pytest.mark.parametrize("language", SAMPLES)
def test_a_sample_consumer_joins_the_topic_without_a_gap_or_a_double(
    language: str, system: System, seed: int, tmp_path: Path
) -> None:
    if language == "java":
        # Its compiler is downloaded the first time: not while the traffic goes by.
        compiled(ROOT / "examples" / "java" / "FollowOrders.java")
    before = system.start_run(seed=seed + 50, orders=30)
    before.wait_for(0.3)
    with (
        running(system, SAMPLES[language], tmp_path / "strangers", stranger=True) as theirs,
        running(system, SAMPLES[language], tmp_path / "ours") as out,
    ):
        after = system.start_run(seed=seed + 51, orders=40)
        before.wait()
        after.wait()
        system.settle()
        wait_until(lambda: len(printed(out)) >= len(system.read_store()), 120, "every event of the store")
    got, store = printed(out), system.read_store()
    assert_each_event_once(got, store)
    # The topic holds the orders of all sellers; each consumer takes its own seller's and no others.
    assert_each_event_once(printed(theirs), events_of(system, STRANGER_KEY))
    via = {line["via"] for line in got}
    assert via == {"store", "topic"}, "It began with a history and went on with the topic."


def test_the_judge_sees_a_gap_a_double_and_a_change() -> None:
    store = [{"id": f"a/{n}", "type": "t", "data": {"n": n}} for n in (1, 2, 3)]
    good = [{"order": "a", "sequence": n, **event} for n, event in enumerate(store, 1)]
    assert_each_event_once(good, store)
    for wrong in (good[:2], [good[0], good[2]], [*good, good[2]], [*good[:2], {**good[2], "data": {}}]):
        with pytest.raises(AssertionError):
            assert_each_event_once(wrong, store)
