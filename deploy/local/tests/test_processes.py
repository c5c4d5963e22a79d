"""Processes are recognised by pid and start, restarted when told otherwise, and only our own are killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import processes, up
from deploy.local.layout import Layout, StackError, port_is_free, read_json, write_json
from deploy.local.services import Process

SLEEPER = [sys.executable, "-c", "import time; print('hello', flush=True); time.sleep(60)"]
HEALTHY = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(os.environ.get("ANSWER", "200")))
        self.end_headers()
    def log_message(self, *arguments):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = Layout(tmp_path)
    yield layout
    for record in layout.run.glob("*.json"):
        processes.stop(layout, record.stem, kill=True)


def service(layout: Layout, **told: str) -> Process:
    port = layout.port("orders")
    return Process("orders", [sys.executable, "-c", HEALTHY], {"PORT": str(port), **told}, port)


def test_a_process_is_recognised_until_it_ends(layout: Layout) -> None:
    pid = processes.spawn(layout, "orders", SLEEPER)

    assert processes.running(layout, "orders") == pid
    assert os.getsid(pid) == pid, "it leads a session of its own, so that it outlives the terminal"
    assert processes.stop(layout, "orders")
    assert processes.running(layout, "orders") is None
    assert not processes.stop(layout, "orders")


def test_a_killed_process_is_seen_as_gone(layout: Layout) -> None:
    pid = processes.spawn(layout, "orders", SLEEPER)
    os.kill(pid, signal.SIGKILL)
    processes.stop(layout, "orders")

    assert processes.running(layout, "orders") is None


def test_a_pid_that_was_given_to_another_process_is_neither_taken_for_ours_nor_killed(layout: Layout) -> None:
    with subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL) as stranger:
        processes.adopt(layout, "orders", stranger.pid)
        record = layout.run / "orders.json"
        write_json(record, {**read_json(record), "started": "1"})

        assert processes.running(layout, "orders") is None
        assert not processes.stop(layout, "orders", kill=True)
        assert stranger.poll() is None
        stranger.kill()


def test_a_record_of_an_earlier_run_of_the_machine_counts_for_nothing(layout: Layout) -> None:
    processes.spawn(layout, "orders", SLEEPER)
    record = layout.run / "orders.json"
    kept = read_json(record)
    write_json(record, {**kept, "boot": "another"})

    assert processes.running(layout, "orders") is None
    write_json(record, kept)


def test_one_that_ignores_the_request_is_killed_in_the_end(layout: Layout) -> None:
    deaf = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    processes.spawn(layout, "orders", [sys.executable, "-c", deaf])
    while "\ndeaf" not in processes.tail(layout, "orders"):
        os.sched_yield()

    assert processes.stop(layout, "orders", patience=0.05)


def test_what_no_record_names_is_swept_up_by_its_mark(layout: Layout) -> None:
    pid = processes.spawn(layout, "orders", SLEEPER)
    (layout.run / "orders.json").unlink()
    if Path("/proc/self").exists():
        while pid not in processes.sweep(layout):
            os.sched_yield()

    processes.adopt(layout, "orders", pid)
    processes.stop(layout, "orders")
    assert processes.start_time(pid) is None


def test_a_service_is_started_once_and_anew_after_a_kill(layout: Layout) -> None:
    part = service(layout)
    up.launch(layout, part)
    up.wait_until_ready(layout, part)
    first = processes.running(layout, "orders")
    up.launch(layout, part)
    assert processes.running(layout, "orders") == first

    assert first is not None
    os.kill(first, signal.SIGKILL)
    while processes.running(layout, "orders"):
        os.sched_yield()
    up.launch(layout, part)
    up.wait_until_ready(layout, part)
    assert processes.running(layout, "orders") != first

    processes.stop_all(layout, ["orders"], patience=5)
    assert port_is_free(part.port)


def test_a_service_that_is_told_something_else_is_started_anew(layout: Layout) -> None:
    up.launch(layout, service(layout))
    first = processes.running(layout, "orders")
    changed = service(layout, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:20001")
    up.launch(layout, changed)
    up.wait_until_ready(layout, changed)

    assert processes.running(layout, "orders") not in {None, first}


def test_a_service_that_ends_while_it_starts_is_reported_with_the_end_of_its_log(layout: Layout) -> None:
    part = Process(
        "orders", [sys.executable, "-c", "raise SystemExit('no database')"], {}, layout.port("orders")
    )
    up.launch(layout, part)

    with pytest.raises(StackError, match=r"(?s)ended while it was starting.*orders\.log.*no database"):
        up.wait_until_ready(layout, part)
