"""The sandbox put together: both marketplaces and the control door in one process, on loopback only."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from deploy.sandbox.clock import Wall
from deploy.sandbox.control import Control
from deploy.sandbox.faults import Rates, ReadFaults
from deploy.sandbox.lazada_api import LazadaApi
from deploy.sandbox.markets import LazadaMarket, TokopediaMarket
from deploy.sandbox.orders import Numbers
from deploy.sandbox.settings import Settings
from deploy.sandbox.tokopedia_api import TokopediaApi

HOST = "127.0.0.1"


class Server(uvicorn.Server):
    """A server that leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Sandbox:
    """Everything wired; `start` opens the ports, `stop` closes them and ends the runs."""

    def __init__(self, settings: Settings) -> None:
        wall = Wall()
        rates = Rates(api_error=settings.api_error, api_timeout=settings.api_timeout)
        faults = ReadFaults(rates, settings.seed)
        lazada = LazadaMarket(settings.lazada, wall)
        tokopedia = TokopediaMarket(settings.tokopedia)
        self._senders = [lazada.sender, tokopedia.sender]
        self.control = Control([lazada, tokopedia], Numbers(wall.now()), settings.buyer, faults, wall)
        self._apps: dict[str, tuple[int, Any]] = {
            "control": (settings.control_port, self.control.app),
            "lazada": (settings.lazada_port, LazadaApi(lazada, faults, wall, settings.timeout_seconds).app),
            "tokopedia": (
                settings.tokopedia_port,
                TokopediaApi(tokopedia, faults, wall, settings.timeout_seconds).app,
            ),
        }
        self._servers: list[Server] = []
        self._serving: list[asyncio.Task[None]] = []

    async def start(self) -> dict[str, str]:
        """The addresses, once every port answers; OSError when one is taken."""
        sockets = {name: _bound(port) for name, (port, _) in self._apps.items()}
        for sender in self._senders:
            sender.start()
        for name, (_, app) in self._apps.items():
            config = uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
            server = Server(config)
            self._servers.append(server)
            self._serving.append(asyncio.create_task(server.serve([sockets[name]])))
        return {name: f"http://{HOST}:{found.getsockname()[1]}" for name, found in sockets.items()}

    async def stop(self) -> None:
        """Runs end where they are; open calls get a second; nothing is left listening."""
        await self.control.stop()
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._serving, return_exceptions=True)
        for sender in self._senders:
            await sender.stop()


def _bound(port: int) -> socket.socket:
    # With its protocol named, asyncio sends small answers at once instead of 40 ms later.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as fault:
        found.close()
        raise OSError(fault.errno, f"Port {port} of {HOST} cannot be opened: {fault.strerror}") from fault
    found.listen(512)
    return found
