"""Runs one process from its start to its drain: HTTP, servers it needs, background tasks, Kafka.

HTTP is up before PostgreSQL and Kafka answer, so that health tells the truth from the beginning. The first
SIGTERM drains, the second ends the process at once.
"""

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass

import structlog
import uvicorn
import uvloop
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from starlette.types import ASGIApp

from libs.runtime.errors import Transient
from libs.runtime.health import GroupMember, Health, database_check, kafka_check, watch_consumer
from libs.runtime.logs import configure_logs
from libs.runtime.postgres import CONNECTION_FAULTS, AsyncPool
from libs.runtime.tracing import TracingSettings, close_tracing, configure_tracing

log = structlog.get_logger(__name__)

# From the first signal on, in seconds: intake ends (HTTP answers what it has begun, the batch in flight
# is committed), then tasks, then pools. Together they stay below the 30 s after which all is cut off.
INTAKE_UNTIL = 22.0
TASKS_UNTIL = 26.0
CLOSED_UNTIL = 28.0
CUT_OFF_AFTER = 29.5
BACKLOG = 2_048
KEEP_ALIVE_SECONDS = 15
RETRY_SECONDS_FIRST = 0.2
RETRY_SECONDS_MAX = 5.0
# One attempt to join Kafka; longer than the client's own time-out for a request.
BROKER_START_SECONDS_MAX = 60.0
# A batch makes tens of thousands of objects that reference counts free; walking them as often as Python
# does by default cost 11 to 14 % of the consumer's and the relay's processor time in the pipeline benchmark,
# and walking them at 500,000 still a tenth of its rate: the records fetched ahead alone are as many.
GC_OBJECTS_MADE = 1_500_000
MAY_PASS = (Transient, KafkaError, TimeoutError, *CONNECTION_FAULTS)

Work = Callable[[], Awaitable[None]]
Worker = Callable[[asyncio.Event], Awaitable[None]]


class CannotListen(Exception):
    """The address is taken or is not ours; trying again needs a person."""


@dataclass(frozen=True, slots=True)
class _Resource:
    name: str
    open: Callable[[], AbstractAsyncContextManager[object]]


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    work: Worker
    told_to_stop: bool


class Process:
    """What one process is made of. Everything is added before `run`; nothing runs until then."""

    def __init__(self, service: str, *, health: Health | None = None) -> None:
        self.service = service
        self.health = health or Health(service)
        self.exit_code = 0
        self.port: int | None = None
        self.listening = asyncio.Event()
        self.started = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks_stop = asyncio.Event()
        self._resources: list[_Resource] = []
        self._tasks: list[_Task] = []
        self._running: set[asyncio.Task[None]] = set()
        self._opened = asyncio.Event()
        self._close = asyncio.Event()
        self._http: tuple[ASGIApp, str, int] | None = None
        self._server: _Server | None = None
        self._server_task: asyncio.Task[None] | None = None
        self._broker: KafkaBroker | None = None
        self._consumers: Sequence[GroupMember] = ()
        self._may_be_spare = False

    def http(self, app: ASGIApp, host: str, port: int) -> None:
        """Answer HTTP there, from before everything else is up until the drain begins."""
        self._http = (app, host, port)

    def resource(self, name: str, open_resource: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        """Open in the order of addition, close in the reverse.

        An opening that meets a server which does not answer is tried again with a new context manager
        until it succeeds; readiness says so meanwhile. Any other error ends the process with 1.
        """
        self._resources.append(_Resource(name, open_resource))

    def pool(self, pool: AsyncPool, *, name: str = "database") -> None:
        """Open the pool once its database answers; readiness asks the database from then on."""
        self.resource(name, lambda: self._open_pool(pool, name))

    def step(self, name: str, work: Work) -> None:
        """Do this once, in order with the resources, and again while a server does not answer."""

        @asynccontextmanager
        async def done() -> AsyncIterator[None]:
            await work()
            yield

        self.resource(name, done)

    def task(self, name: str, work: Work) -> None:
        """Run this once the resources are open; it is cancelled in the drain, after intake has ended.

        It is to run for ever: when it ends or raises before the drain, the process drains and exits with 1.
        """
        self._tasks.append(_Task(name, lambda _: work(), told_to_stop=False))

    def worker(self, name: str, work: Worker) -> None:
        """As `task`, but told by an event to finish what it has in hand; cancelled only when that is late."""
        self._tasks.append(_Task(name, work, told_to_stop=True))

    def broker(
        self, broker: KafkaBroker, consumers: Sequence[GroupMember] = (), *, may_be_spare: bool = False
    ) -> None:
        """Start the broker once the resources are open, again and again while Kafka does not answer.

        Its consumers are watched from then on; `may_be_spare` when a member may own no partition.
        """
        self._broker = broker
        self._consumers = consumers
        self._may_be_spare = may_be_spare

    def stop(self) -> None:
        """Begin the drain."""
        self._stopping.set()

    async def run(self) -> int:
        """Start, serve until stopped, drain; the exit code is 0 unless something died."""
        lag = asyncio.create_task(self.health.watch_event_loop(), name="event loop lag")
        self.health.say("start", "The process is starting.")
        keeper: asyncio.Task[None] | None = None
        starting: asyncio.Task[None] | None = None
        try:
            await self._listen()
            keeper = asyncio.create_task(self._keep_resources(), name="resources")
            self._watch(keeper, may_end=False)
            starting = asyncio.create_task(self._start(), name="start")
            self._watch(starting, may_end=True)
            await self._stopping.wait()
        except CannotListen as fault:
            log.error("cannot_listen", problem=str(fault))  # noqa: TRY400  # The sentence says it all.
            self.exit_code = 1
        finally:
            await self._drain(starting, keeper)
            lag.cancel()
        log.info("stopped", exit_code=self.exit_code)
        return self.exit_code

    async def _listen(self) -> None:
        if self._http is None:
            return
        app, host, port = self._http
        listener = _listener(host, port)
        self.port = listener.getsockname()[1]
        self._server = _Server(app)
        self._server_task = asyncio.create_task(self._server.serve([listener]), name="http")
        self._watch(self._server_task, may_end=False)
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait([up, self._server_task], return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        self.listening.set()
        log.info("listening", host=host, port=self.port)

    async def _keep_resources(self) -> None:
        # One task opens and closes: a context manager may hold what belongs to its task.
        async with AsyncExitStack() as stack:
            for resource in self._resources:

                async def enter(resource: _Resource = resource) -> None:
                    await stack.enter_async_context(resource.open())

                await self._until_it_answers(resource.name, enter)
            self._opened.set()
            await self._close.wait()

    async def _start(self) -> None:
        await self._opened.wait()
        for task in self._tasks:
            running = asyncio.create_task(_run(task, self._tasks_stop), name=task.name)
            self._running.add(running)
            self._watch(running, may_end=False)
        if self._broker is not None:
            broker = self._broker
            await self._until_it_answers("Kafka", lambda: _start_broker(broker))
            self.health.ready("Kafka", kafka_check(broker))
            for consumer in self._consumers:
                watch_consumer(self.health, consumer, may_be_spare=self._may_be_spare)
        self.health.say("start", None)
        self.started.set()
        log.info("started")

    async def _until_it_answers(self, name: str, attempt: Work) -> None:
        wait_seconds = RETRY_SECONDS_FIRST
        self.health.say(name, f"{name}: not there yet.")
        while True:
            try:
                await attempt()
            except MAY_PASS as fault:
                self.health.say(name, f"{name}: not there yet ({type(fault).__name__}).")
                log.warning("start_retried", of=name, fault=type(fault).__name__)
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(RETRY_SECONDS_MAX, wait_seconds * 2)
            else:
                self.health.say(name, None)
                return

    @asynccontextmanager
    async def _open_pool(self, pool: AsyncPool, name: str) -> AsyncIterator[None]:
        # A pool that has been closed cannot be opened again, so that waiting happens inside.
        await pool.open(wait=False)
        try:

            async def ask() -> None:
                async with pool.connection(2) as connection:
                    await connection.execute("SELECT 1")

            await self._until_it_answers(name, ask)
            self.health.ready(name, database_check(pool))
            yield
        finally:
            await pool.close(3)

    def _watch(self, task: asyncio.Task[None], *, may_end: bool) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                return
            fault = task.exception()
            if fault is None and (may_end or self._stopping.is_set()):
                return
            self.exit_code = 1
            log.error("task_died", task=task.get_name(), exc_info=fault)
            self.stop()

        task.add_done_callback(ended)

    async def _drain(self, starting: asyncio.Task[None] | None, keeper: asyncio.Task[None] | None) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._stopping.set()
        self.health.draining = True
        log.info("draining")
        if starting is not None:
            starting.cancel()
            await _ended("start", [starting], 5)
        intake = [
            asyncio.create_task(self._stop_http(), name="http"),
            asyncio.create_task(self._stop_broker(), name="broker"),
        ]
        await _ended("intake", intake, began + INTAKE_UNTIL - loop.time())
        self._tasks_stop.set()
        told = {task.name for task in self._tasks if task.told_to_stop}
        for task in self._running:
            if task.get_name() not in told:
                task.cancel()
        await _ended("tasks", list(self._running), began + TASKS_UNTIL - loop.time())
        if keeper is not None:
            self._close.set()
            if not self._opened.is_set():
                keeper.cancel()
            await _ended("resources", [keeper], began + CLOSED_UNTIL - loop.time())

    async def _stop_http(self) -> None:
        if self._server is not None and self._server_task is not None:
            self._server.should_exit = True
            await asyncio.wait([self._server_task])

    async def _stop_broker(self) -> None:
        if self._broker is None:
            return
        try:
            for consumer in self._consumers:
                await consumer.wind_down()
            await self._broker.stop()
        except Exception:
            # What was not committed comes again; the rest of the drain must not be kept from its turn.
            log.exception("broker_not_stopped")


async def _run(task: _Task, stop: asyncio.Event) -> None:
    await task.work(stop)


async def _start_broker(broker: KafkaBroker) -> None:
    try:
        await asyncio.wait_for(broker.start(), BROKER_START_SECONDS_MAX)
    except BaseException:
        # What was connected before the failure is closed; the same broker can be started again.
        with suppress(Exception):
            await asyncio.wait_for(broker.stop(), 5)
        raise


async def _ended(what: str, tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    """Wait for the tasks to end and cancel those that are late; raises nothing of what they raise."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=max(0.1, seconds))
    for task in late:
        log.warning("drain_cut_short", of=what, task=task.get_name())
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=1)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as fault:
        listener.close()
        raise CannotListen(f"HTTP cannot be answered on {host}:{port}: {fault.strerror}.") from fault
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own, and with a sign that it listens."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                backlog=BACKLOG,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(INTAKE_UNTIL) - 2,
            )
        )
        self.up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def run_service(
    service: str,
    compose: Callable[[Process], Awaitable[None] | None],
    *,
    log_level: str = "info",
    tracing: TracingSettings | None = None,
) -> int:
    """Compose the process, run it until a signal or a death ends it, and give the exit code.

    After SIGTERM or SIGINT the process ends within 30 s, whatever does not; a second signal ends it at once.
    """
    configure_logs(service, log_level)
    if tracing is not None:
        configure_tracing(service, tracing)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_supervised(service, compose))
    finally:
        close_tracing()


async def _supervised(service: str, compose: Callable[[Process], Awaitable[None] | None]) -> int:
    process = Process(service)
    signalled = False

    def on_signal(number: int) -> None:
        nonlocal signalled
        if signalled:
            os._exit(128 + number)
        signalled = True
        log.info("signal", name=signal.Signals(number).name)
        # A thread, so that a loop which is blocked is cut off too.
        cut_off = threading.Timer(CUT_OFF_AFTER, os._exit, [1])
        cut_off.daemon = True
        cut_off.start()
        process.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    composed = compose(process)
    if composed is not None:
        await composed
    # What has been made so far lives as long as the process.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS_MADE)
    return await process.run()
