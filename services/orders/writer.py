"""Group commit: appends that arrive together are written together, in one call and one transaction.

One writer task; while one call is under way the next group gathers, so nobody waits when it is idle.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

import structlog

from libs.runtime.errors import Transient
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.tracing import store
from services.orders.recorder import Appended, AppendRequest, append

log = structlog.get_logger(__name__)

GROUP_REQUESTS_MAX = 400
QUEUE_MAX = 10_000
# A call that is answered later than this has been given up by its client anyway.
ANSWER_SECONDS_MAX = 10.0


@dataclass(slots=True, eq=False)
class _Waiting:
    request: AppendRequest
    answer: asyncio.Future[Appended]


class GroupWriter:
    """The one writer of a process; `append` is called by many tasks at once."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self.groups = 0

    async def append(self, request: AppendRequest) -> Appended:
        """Append the request as part of a group; its answer is its own, whatever the others' is.

        Raises Transient when the queue is full, the database does not answer or the time is up: then it
        is not known whether the request was written, and its command key tells.
        """
        if len(self._queue) >= QUEUE_MAX:
            raise Transient("Too many commands are waiting to be written.")
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._arrived.set()
        try:
            # The wait for its group included, since a command's caller waits for that too.
            with store("EXECUTE", "orders.append"):
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    return await waiting.answer
        except TimeoutError:
            raise Transient("The command was not written in time.") from None

    async def run(self) -> None:
        """Write groups for ever; cancel to stop, when nobody waits for an answer any more."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                await self._write(self._take())

    def _take(self) -> list[_Waiting]:
        """The next group: in order of arrival, never two requests that touch one stream or one key."""
        group: list[_Waiting] = []
        deferred: list[_Waiting] = []
        touched: set[object] = set()
        while self._queue and len(group) < GROUP_REQUESTS_MAX:
            waiting = self._queue.popleft()
            if waiting.answer.done():
                continue
            touches = _touches(waiting.request)
            if touched & touches:
                deferred.append(waiting)
            else:
                group.append(waiting)
            touched |= touches
        self._queue.extendleft(reversed(deferred))
        return group

    async def _write(self, group: list[_Waiting]) -> None:
        while group:
            try:
                async with transient_faults(), self._pool.connection() as connection:
                    appended = await append(connection, _merged(group))
            except Transient as fault:
                _fail(group, fault)
                return
            except Exception as fault:  # noqa: BLE001  # Whose it is comes out one by one; that caller gets it.
                if len(group) == 1:
                    _fail(group, fault)
                    return
                # Nothing is written: the call is one transaction, and the server has refused it.
                log.warning("group_refused", requests=len(group), fault=type(fault).__name__)
                for waiting in group:
                    await self._write([waiting])
                return
            self.groups += 1
            if appended.outcome == "OK":
                _answer_all(group, appended)
                return
            concerned = set(appended.concerned)
            rejected = [waiting for waiting in group if concerned & _names(waiting.request)]
            if not rejected:
                _fail(group, RuntimeError(f"Nobody of the group is concerned by {appended.outcome}."))
                return
            for waiting in rejected:
                own = tuple(concerned & _names(waiting.request))
                _resolve(waiting, Appended(appended.outcome, None, own))
            group = [waiting for waiting in group if waiting not in rejected]


def _touches(request: AppendRequest) -> set[object]:
    return {*request.streams, *((key.caller, key.key) for key in request.keys), *request.remove_parked}


def _names(request: AppendRequest) -> set[str]:
    """What the append would name if this request stood against it."""
    return {
        *(str(stream_id) for stream_id in request.streams),
        *(f"{key.caller}/{key.key}" for key in request.keys),
        *(f"{position.source}/{position.partition}" for position in request.positions),
        *(f"parked/{row}" for row in request.remove_parked),
        *(f"waiting/{row}" for row in request.remove_waiting),
        *(f"behind/{row.key}" for row in request.parked if row.reason == "BEHIND"),
        *(f"draft/{draft.id}" for draft in request.remove_drafts),
    }


def _merged(group: list[_Waiting]) -> AppendRequest:
    merged = AppendRequest()
    # Only a consumer's batch names handled keys, and its positions with them; no command does.
    for waiting in group:
        request = waiting.request
        merged.streams.update(request.streams)
        for name in (
            "positions", "events", "keys", "waiting", "parked", "timers", "read_requests", "outbox",
            "search_hashes",
            "remove_waiting", "remove_parked", "remove_timers", "remove_read_requests",
            "remove_drafts",
        ):  # fmt: skip
            rows = getattr(request, name)
            if rows:
                getattr(merged, name).extend(rows)
    return merged


def _answer_all(group: list[_Waiting], appended: Appended) -> None:
    position = appended.first_position
    assert position is not None, "OK carries the first position."
    for waiting in group:
        _resolve(waiting, Appended("OK", position))
        position += len(waiting.request.events)


def _resolve(waiting: _Waiting, answer: Appended) -> None:
    if not waiting.answer.done():
        waiting.answer.set_result(answer)


def _fail(group: list[_Waiting], fault: Exception) -> None:
    for waiting in group:
        if not waiting.answer.done():
            waiting.answer.set_exception(fault)
