"""Bring the whole system up on this machine, take it down, and say how it stands."""

import http.client
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from deploy.local import processes
from deploy.local.layout import LOCAL, ROOT, Layout, write_json
from deploy.local.services import SERVICES, Demo, Process, environment, table
from deploy.local.stack import NativeStack

# One that ends is seen at once; a busy machine may take minutes to start them all together.
_READY_SECONDS = 180
# A migration may wait for locks, and a busy machine for its turn; more says that something is wrong.
_STEP_SECONDS = 240
# Services drain on SIGTERM: they finish what is in flight.
_DRAIN_SECONDS = 30


def say(text: str) -> None:
    """Print a line of progress at once, also into a pipe."""
    print(text, flush=True)


def endpoints_file(layout: Layout) -> Path:
    """Give the file that tells where everything is: `.local/endpoints.json` for the main stack."""
    main = LOCAL / "stack" / "main"
    return (LOCAL if layout.directory == main else layout.directory) / "endpoints.json"


def stack(layout: Layout) -> NativeStack:
    """Give the servers to use: those the environment names, else our own."""
    return NativeStack(
        layout.directory,
        kafka=os.environ.get("KAFKA_BOOTSTRAP_SERVERS"),
        database=os.environ.get("DATABASE_URL"),
        say=say,
    )


def up_servers(layout: Layout) -> NativeStack:
    """Start Kafka and PostgreSQL, and return when both answer."""
    began = time.monotonic()
    servers = stack(layout)
    say("starting Kafka and PostgreSQL ...")
    servers.start()
    say(f"  kafka {servers.kafka}, postgres {servers.database.rpartition('@')[2]}: {_since(began)}")
    return servers


def up(layout: Layout) -> dict[str, Any]:
    """Start what is not running, wait until all of it is ready, write and give the endpoints."""
    began = time.monotonic()
    servers = up_servers(layout)
    demo = Demo(layout)
    kafka, database = servers.kafka, servers.database
    _choose_ports(layout)
    sandbox, seed = demo.write_files()
    say("preparing schemas, topics and the demo seller ...")
    told = {name: environment(layout, name, kafka=kafka, database=database) for name in SERVICES}
    for name in SERVICES:
        _step(layout, f"migrate-{name}", [f"services.{name}", "migrate"], told[name])
    _step(layout, "topics", ["libs.runtime.topics", "create"], told["orders"])
    registration = str(demo.write_registration())
    _step(layout, "register", ["services.orders", "register-seller", "--file", registration], told["orders"])
    _step(layout, "seed", ["services.channels", "seed", "--file", str(seed)], told["channels"])
    say("starting the services ...")
    parts = table(layout, kafka=kafka, database=database, sandbox=sandbox)
    with layout.lock():
        for part in parts:
            launch(layout, part)
    for part in parts:
        wait_until_ready(layout, part)
    pids = {part.name: processes.running(layout, part.name) for part in parts}
    alive = {name: pid for name, pid in pids.items() if pid is not None}
    endpoints = demo.endpoints(kafka=kafka, database=database, processes={**servers.processes, **alive})
    path = endpoints_file(layout)
    write_json(path, endpoints, mode=0o600)
    say(f"everything is up: {_since(began)}. Where it answers, and the demo key: {path}")
    return endpoints


def down(layout: Layout) -> None:
    """Stop every process of the stack; the data stays."""
    with layout.lock():
        names = [*SERVICES, "sandbox"]
        processes.stop_all(layout, names, patience=_DRAIN_SECONDS)
    stack(layout).stop()
    processes.sweep(layout)
    say(f"everything is stopped; the data stays in {layout.directory}")


def status(layout: Layout) -> bool:
    """Print one line per process; True when all of them run."""
    servers = {"KAFKA_BOOTSTRAP_SERVERS": "kafka", "DATABASE_URL": "postgres"}
    names = [name for variable, name in servers.items() if not os.environ.get(variable)]
    found = {name: processes.running(layout, name) for name in [*names, "sandbox", *SERVICES]}
    for name, pid in found.items():
        port = layout.port("sandbox_control" if name == "sandbox" else name)
        say(f"{name:14} {f'pid {pid}, port {port}' if pid else 'not running'}")
    return all(found.values())


def _choose_ports(layout: Layout) -> None:
    """Keep each part's ports, unless it is not running and somebody else took one meanwhile."""
    for name in SERVICES:
        if processes.running(layout, name) is None:
            layout.free_port(name)
    if processes.running(layout, "sandbox") is None:
        for door in ("control", "lazada", "tokopedia"):
            layout.free_port(f"sandbox_{door}")


def _step(layout: Layout, name: str, module: list[str], told: dict[str, str]) -> None:
    """Run a command to its end; raise with what it said when it fails."""
    with layout.log(name).open("w", encoding="utf-8") as output:
        try:
            code = subprocess.run(
                [sys.executable, "-m", *module],
                cwd=ROOT,
                env={**os.environ, **told},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_STEP_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise processes.failed(layout, name, f"did not end within {_STEP_SECONDS} s") from None
    if code:
        raise processes.failed(layout, name, f"failed with exit code {code}")


def launch(layout: Layout, part: Process) -> None:
    """Start a process that is not running, and anew one that was told something else."""
    running = processes.running(layout, part.name)
    told = processes.fingerprint(part.command, part.environment)
    if running is not None and processes.told(layout, part.name) == told:
        return
    if running is not None:
        say(f"  {part.name}: its settings have changed, starting it anew")
        processes.stop(layout, part.name, patience=_DRAIN_SECONDS)
    processes.spawn(
        layout,
        part.name,
        part.command,
        environment={**os.environ, **part.environment},
        directory=ROOT,
        told=told,
    )


def wait_until_ready(layout: Layout, part: Process) -> None:
    """Return when the process says that it is ready; raise, with the end of its log, otherwise."""
    began = time.monotonic()
    last = "nothing"
    while time.monotonic() < began + _READY_SECONDS:
        if processes.running(layout, part.name) is None:
            raise processes.failed(layout, part.name, "ended while it was starting")
        last = _health(part.port, part.ready)
        if last == "200":
            say(f"  {part.name} ready, port {part.port}")
            return
        time.sleep(0.1)
    raise processes.failed(
        layout, part.name, f"was not ready within {_READY_SECONDS} s: {part.ready} gave {last}"
    )


def _health(port: int, path: str) -> str:
    """Give the status that the path answers, and the body of one that is not 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(500).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as failure:
        return str(failure)
    finally:
        connection.close()
    return "200" if answer.status == 200 else f"{answer.status} {body}"


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
