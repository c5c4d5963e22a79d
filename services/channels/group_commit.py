"""Group commit: messages that arrive together are made durable by one statement of one writer.

The writer never waits for more to come: while it writes, the next batch gathers by itself.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from libs.runtime.errors import Transient
from services.channels.metrics import WEBHOOK_BATCH_MESSAGES, WEBHOOK_WAITING
from services.channels.store import Kept

log = structlog.get_logger(__name__)

# Lazada counts 500 ms as a failure (lazada.md 3.1); what is not durable by then is answered 503.
DEADLINE_SECONDS = 0.4
SWEEP_SECONDS = 0.05
QUEUE_MAX = 5_000
BATCH_MAX = 500
# A statement that hangs is cut, so that a server that came back is used again.
WRITE_SECONDS_MAX = 3.0


class _Waiting:
    __slots__ = ("future", "message", "until")

    def __init__(self, message: Kept, future: asyncio.Future[bool], until: float) -> None:
        self.message = message
        self.future = future
        self.until = until


class GroupCommit:
    """`keep` is True exactly when the message is durable; False means that it may or may not be.

    So a False is answered 503, and a message sent again is recognised by its delivery key.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Kept]], Awaitable[None]],
        *,
        on_kept: Callable[[], None],
        deadline_seconds: float = DEADLINE_SECONDS,
        queue_max: int = QUEUE_MAX,
    ) -> None:
        self._write = write
        self._on_kept = on_kept
        self._deadline_seconds = deadline_seconds
        self._queue_max = queue_max
        self._queue: deque[_Waiting] = deque()
        self._writing: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._sweeping: asyncio.TimerHandle | None = None
        self._open = False

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop; then write what is queued and refuse what comes afterwards."""
        self._open = True
        writer = asyncio.create_task(self._write_all(), name="group commit")
        told = asyncio.create_task(stop.wait(), name="group commit stop")
        try:
            await asyncio.wait({writer, told}, return_when=asyncio.FIRST_COMPLETED)
            self._open = False
            self._wake.set()
            await asyncio.wait({writer}, timeout=WRITE_SECONDS_MAX)
        finally:
            self._open = False
            for task in (writer, told):
                task.cancel()
            await asyncio.gather(writer, told, return_exceptions=True)
            self._give_up()

    def _give_up(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for waiting in self._queue:
            if not waiting.future.done():
                waiting.future.set_result(False)
        self._queue.clear()

    async def keep(self, message: Kept) -> bool:
        """Return when the message is durable, or at the deadline, or at once when the queue is full."""
        if not self._open or len(self._queue) >= self._queue_max:
            return False
        loop = asyncio.get_running_loop()
        waiting = _Waiting(message, loop.create_future(), loop.time() + self._deadline_seconds)
        self._queue.append(waiting)
        self._wake.set()
        if self._sweeping is None:
            self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep)
        return await waiting.future

    def _sweep(self) -> None:
        """Give up on what is past its deadline; one timer for all instead of one for each."""
        loop = asyncio.get_running_loop()
        at = loop.time()
        for waiting in (*self._writing, *self._queue):
            if waiting.until <= at and not waiting.future.done():
                waiting.future.set_result(False)
        WEBHOOK_WAITING.set(len(self._queue))
        more = bool(self._queue or self._writing)
        self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep) if more else None

    async def _write_all(self) -> None:
        while True:
            if not self._queue:
                if not self._open:
                    return
                self._wake.clear()
                await self._wake.wait()
            batch: list[_Waiting] = []
            while self._queue and len(batch) < BATCH_MAX:
                waiting = self._queue.popleft()
                # Whoever was answered already is not kept: it will be sent again.
                if not waiting.future.done():
                    batch.append(waiting)
            if batch:
                await self._write_batch(batch)

    async def _write_batch(self, batch: list[_Waiting]) -> None:
        self._writing = batch
        durable = False
        try:
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                await self._write([waiting.message for waiting in batch])
            durable = True
        except (Transient, TimeoutError) as fault:
            log.warning("pushes_not_kept", messages=len(batch), fault=str(fault))
        except Exception:
            log.exception("pushes_not_kept", messages=len(batch))
        finally:
            self._writing = []
            for waiting in batch:
                if not waiting.future.done():
                    waiting.future.set_result(durable)
        if durable:
            WEBHOOK_BATCH_MESSAGES.observe(len(batch))
            self._on_kept()
