"""A sandbox under test and a caller that signs by its own reading of Lazada's rules."""

import contextlib
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx

from deploy.sandbox.app import Sandbox
from deploy.sandbox.settings import parse
from deploy.sandbox.tests.receiver import Receiver

APP_KEY, APP_SECRET = "123456", "helloworld"
FS_ID = 15999
FAST = {"per_second": 2000, "time_scale": 10_000, "step_seconds": 0.002}


def config(receiver: str, **changes: Any) -> dict[str, Any]:
    topics = ("notification", "status", "cancellation", "cancel-request")
    lazada = {
        "app_key": APP_KEY,
        "app_secret": APP_SECRET,
        "webhook_url": f"{receiver}/lazada/{APP_KEY}",
        "calls_per_second": 10_000,
        # Long enough that no pause of a busy machine counts as no answer.
        "answer_seconds": 60,
        "shops": [
            {
                "site": "id",
                "seller_id": "1000999001",
                "access_token": "token-id",
                "refresh_token": "refresh-id",
            },
            {
                "site": "sg",
                "seller_id": "1000999002",
                "access_token": "token-sg",
                "refresh_token": "refresh-sg",
            },
        ],
    }
    tokopedia = {
        "fs_id": FS_ID,
        "client_id": "client",
        "client_secret": "secret",
        "calls_per_second": 10_000,
        "webhooks": {topic: f"{receiver}/tokopedia/{topic}" for topic in topics},
        "shops": [{"shop_id": 9301177}],
    }
    return {
        "ports": {"control": 0, "lazada": 0, "tokopedia": 0},
        "lazada": lazada | changes.pop("lazada", {}),
        "tokopedia": tokopedia | changes.pop("tokopedia", {}),
        **changes,
    }


class Running:
    """The doors of a running sandbox."""

    def __init__(self, addresses: dict[str, str], receiver: Receiver, client: httpx.AsyncClient) -> None:
        self.addresses = addresses
        self.receiver = receiver
        self.client = client
        self._bearer = ""

    async def ask(self, path: str, body: Any = None) -> httpx.Response:
        url = self.addresses["control"] + path
        return await (self.client.get(url) if body is None else self.client.post(url, json=body))

    async def play(self, **spec: Any) -> dict[str, Any]:
        """Start a run and wait for its end, however long that takes; its last counts."""
        answer = await self.ask("/control/runs", FAST | {"seed": 7, "orders": 40} | spec)
        assert answer.status_code == 200, answer.text
        path = f"/control/runs/{answer.json()['run']}?wait=20"
        found: dict[str, Any] = (await self.ask(path)).json()
        while found["state"] == "running":
            found = (await self.ask(path)).json()
        assert found["state"] == "done", found
        return found

    async def truth(self, run: str, limit: int = 500) -> list[dict[str, Any]]:
        items, cursor = [], ""
        while cursor is not None:
            page = (await self.ask(f"/control/runs/{run}/orders?limit={limit}&cursor={cursor}")).json()
            items += page["items"]
            cursor = page["next"]
        return items

    async def lazada(self, path: str, token: str | None = "token-id", **parameters: str) -> dict[str, Any]:
        """A signed call."""
        asked = {
            "app_key": APP_KEY,
            "sign_method": "sha256",
            "timestamp": str(int(time.time() * 1000)),
            **({"access_token": token} if token else {}),
        } | parameters
        text = path + "".join(name + asked[name] for name in sorted(asked))
        sign = hmac.new(APP_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest().upper()
        url = f"{self.addresses['lazada']}/rest{path}"
        answer = await self.client.get(url, params={"sign": sign} | asked)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    async def tokopedia(self, path: str, **parameters: str | int) -> httpx.Response:
        if not self._bearer:
            url = self.addresses["tokopedia"] + "/token?grant_type=client_credentials"
            self._bearer = (await self.client.post(url, auth=("client", "secret"))).json()["access_token"]
        headers = {"Authorization": f"Bearer {self._bearer}"}
        return await self.client.get(self.addresses["tokopedia"] + path, params=parameters, headers=headers)


@contextlib.asynccontextmanager
async def running(**changes: Any) -> AsyncIterator[Running]:
    async with Receiver() as receiver:
        sandbox = Sandbox(parse(config(receiver.address, **changes)))
        addresses = await sandbox.start()
        try:
            # Without certificates to load a client is made in no time; nothing here is encrypted.
            async with httpx.AsyncClient(timeout=60, verify=False) as client:
                yield Running(addresses, receiver, client)
        finally:
            await sandbox.stop()
