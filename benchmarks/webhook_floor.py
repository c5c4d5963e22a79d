"""The floor of the webhook row as a process: the same HTTP server, one single-row insert per request.

It verifies the same signature, seals with the same key and stores the same columns; only the group commit
is missing. `python -m benchmarks.webhook_floor DATABASE PORT APP SECRET KEY`.
"""

import asyncio
import base64
import sys

import uvicorn
import uvloop
from psycopg_pool import AsyncConnectionPool
from starlette.types import Receive, Scope, Send

from libs.runtime.clock import now, uuid7
from libs.runtime.sealing import Sealer
from services.channels.lazada.signing import push_is_genuine

INSERT = (
    "INSERT INTO floor_raw_messages (id, received_at, route, app, verdict, content, state)"
    " VALUES (%b, %b, %b, %b, %b, %b, 'PENDING')"
)
TABLE = """
CREATE TABLE IF NOT EXISTS floor_raw_messages (
    id uuid PRIMARY KEY, received_at timestamptz NOT NULL, route text NOT NULL, app text NOT NULL,
    verdict text NOT NULL, content bytea NOT NULL, state text NOT NULL, reason text, connection_id uuid,
    order_id text, worked_at timestamptz);
CREATE INDEX IF NOT EXISTS floor_pending ON floor_raw_messages (id) WHERE state = 'PENDING';
"""


class Floor:
    """Answers 200 once the row is committed, 401 when the signature is false."""

    def __init__(self, pool: AsyncConnectionPool, app_key: str, secret: str, key: str) -> None:
        self._pool = pool
        self._app_key = app_key
        self._secret = secret
        self._sealer = Sealer.from_base64([key])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = []
        more = True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(parts)
        headers = dict(scope["headers"])
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        status = 401
        if push_is_genuine(self._app_key, body, authorization, [self._secret]):
            identity = uuid7()
            sealed = self._sealer.seal(body, identity.bytes)
            async with self._pool.connection() as connection:
                await connection.execute(
                    INSERT, [identity, now(), "lazada.push", self._app_key, "SIGNED", sealed], prepare=True
                )
            status = 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def main(database: str, port: int, app_key: str, secret: str, key: str) -> None:
    """Serve until terminated."""
    async with AsyncConnectionPool(database, kwargs={"autocommit": True}, min_size=10, max_size=10) as pool:
        async with pool.connection() as connection:
            await connection.execute(TABLE.encode())
        app = Floor(pool, app_key, secret, key)
        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, http="httptools", lifespan="off", access_log=False,
            log_level="warning", backlog=2_048,
        )  # fmt: skip
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    database, port, app_key, secret, key = sys.argv[1:]
    base64.b64decode(key)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(database, int(port), app_key, secret, key))
