"""A connection to a receiver that goes away in between is opened again."""

import asyncio
import socket
import struct
from contextlib import suppress

import uvloop

from deploy.sandbox.delivery import Connection, Target

REQUEST = b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


async def _post_to_a_receiver_that_resets() -> list[int]:
    gone = asyncio.Event()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        # What a process that is killed with unread bytes leaves behind: a reset.
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()
        gone.set()

    async with asyncio.timeout(60), await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        connection = Connection(Target("127.0.0.1", server.sockets[0].getsockname()[1], False, "/x"))
        found = []
        for _ in range(3):
            found.append(await connection.post(REQUEST))
            await gone.wait()
            gone.clear()
            assert connection._streams is not None
            with suppress(OSError):
                await connection._streams[1].wait_closed()
        connection.close()
        return found


def test_a_receiver_that_was_killed_in_between_is_reached_again_on_the_loop_of_the_simulators() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_post_to_a_receiver_that_resets()) == [200, 200, 200]
