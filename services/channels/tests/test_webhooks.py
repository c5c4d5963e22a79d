"""The webhook doors: who is let in, what is kept, what is answered (IN-01 to IN-03)."""

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from libs.runtime.sealing import Sealer
from services.channels.group_commit import GroupCommit
from services.channels.store import Kept, unseal_content
from services.channels.webhooks import BODY_BYTES_MAX, Doors, Webhooks

APP, SECRET, OLD_SECRET, TOKEN = "123456", "new secret", "old secret", "a" * 40
BODY = b'{"seller_id":"1000999001",  "message_type":0}'
SEAL = Sealer([b"k" * 32])


class FakeCommit(GroupCommit):
    """Keeps in memory; `durable` is what it answers."""

    def __init__(self) -> None:
        super().__init__(self._nowhere, on_kept=lambda: None)
        self.kept: list[Kept] = []
        self.durable = True

    async def _nowhere(self, messages: object) -> None:
        raise AssertionError(messages)

    async def keep(self, message: Kept) -> bool:
        self.kept.append(message)
        return self.durable


async def shell(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"the shell"})


class Door:
    def __init__(
        self,
        peer: str = "10.1.2.3",
        *,
        app: str = APP,
        secrets: tuple[str, ...] = (SECRET, OLD_SECRET),
        token: str = TOKEN,
    ) -> None:
        self.commit = FakeCommit()
        self.app = Webhooks(
            shell,
            doors=Doors(
                lazada_app=app,
                lazada_secrets=secrets,
                tokopedia_app="15999",
                tokopedia_token=token,
                tokopedia_addresses=[ipaddress.ip_network("10.1.0.0/16")],
            ),
            seal=SEAL,
            commit=self.commit,
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app, client=(peer, 5000)), base_url="http://channels"
        )

    async def lazada(self, body: bytes = BODY, *, secret: str = SECRET, app: str = APP) -> int:
        signature = hmac.new(secret.encode(), APP.encode() + body, hashlib.sha256).hexdigest()
        headers = {"authorization": signature}
        answer = await self.client.post(f"/webhooks/lazada/{app}", content=body, headers=headers)
        return answer.status_code

    async def tokopedia(self, topic: str = "order_status", *, token: str = TOKEN, body: bytes = BODY) -> int:
        return (await self.client.post(f"/webhooks/tokopedia/{token}/{topic}", content=body)).status_code

    def opened(self) -> tuple[dict[str, str], bytes]:
        (kept,) = self.commit.kept
        return unseal_content(SEAL, kept.id, kept.content)


@pytest.fixture
def door() -> Door:
    return Door()


async def test_a_signed_push_is_kept_as_it_came_and_answered_200(door: Door) -> None:
    assert await door.lazada() == 200
    (kept,) = door.commit.kept
    assert (kept.route, kept.app, kept.verdict) == ("lazada.push", APP, "SIGNED")
    assert door.opened()[1] == BODY, "Byte for byte: a signature is over raw bytes."


async def test_in_01_the_body_is_sealed_and_opens_for_its_own_row_only(door: Door) -> None:
    await door.lazada()
    await door.lazada()
    first, second = door.commit.kept
    assert b"seller_id" not in first.content
    with pytest.raises(Exception, match="sealed for another place"):
        unseal_content(SEAL, first.id, second.content)


async def test_in_02_both_live_secrets_are_accepted(door: Door) -> None:
    assert await door.lazada(secret=OLD_SECRET) == 200


@pytest.mark.parametrize(("secret", "app"), [("another", APP), (SECRET, "654321")])
async def test_in_02_a_wrong_signature_or_app_is_401_and_nothing_is_kept(
    door: Door, secret: str, app: str
) -> None:
    assert await door.lazada(secret=secret, app=app) == 401
    assert door.commit.kept == []


async def test_in_02_a_push_without_a_signature_is_401(door: Door) -> None:
    assert (await door.client.post(f"/webhooks/lazada/{APP}", content=BODY)).status_code == 401


async def test_in_04_a_broken_body_with_a_good_signature_is_kept(door: Door) -> None:
    assert await door.lazada(b"{not json") == 200


async def test_in_03_what_is_not_durable_is_503(door: Door) -> None:
    door.commit.durable = False
    assert await door.lazada() == 503
    assert await door.tokopedia() == 503


async def test_in_01_256_kib_are_taken_and_one_byte_more_is_413(door: Door) -> None:
    assert await door.lazada(b"x" * BODY_BYTES_MAX) == 200
    assert await door.lazada(b"x" * (BODY_BYTES_MAX + 1)) == 413
    assert len(door.commit.kept) == 1


async def test_a_body_that_does_not_declare_its_length_is_bounded_too(door: Door) -> None:
    async def parts() -> Any:
        for _ in range(5):
            yield b"x" * 65_536

    answer = await door.client.post(f"/webhooks/lazada/{APP}", content=parts())
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "topic", ["order_notification", "order_status", "order_cancellation", "order_request_cancellation"]
)
async def test_tokopedias_notices_are_kept_unsigned_by_topic(door: Door, topic: str) -> None:
    assert await door.tokopedia(topic) == 200
    (kept,) = door.commit.kept
    assert (kept.route, kept.app, kept.verdict) == (f"tokopedia.{topic}", "15999", "UNSIGNED")


async def test_other_topics_are_kept_raw(door: Door) -> None:
    assert await door.tokopedia("chat_notification") == 200
    assert len(door.commit.kept) == 1


@pytest.mark.parametrize("token", ["b" * 40, "a" * 39, "%C3%A9"])
async def test_in_02_a_wrong_path_is_401_and_nothing_is_kept(door: Door, token: str) -> None:
    assert await door.tokopedia(token=token) == 401
    assert door.commit.kept == []


@pytest.mark.parametrize("peer", ["10.2.0.1", "not an address", "::1"])
async def test_in_02_an_address_that_is_not_listed_is_401(peer: str) -> None:
    door = Door(peer)
    assert await door.tokopedia() == 401
    assert door.commit.kept == []


async def test_a_marketplace_that_is_off_lets_nobody_in() -> None:
    off = Door(app="", secrets=(), token="")
    for path in ("/webhooks/lazada/", "/webhooks/tokopedia//order_status"):
        answer = await off.client.post(path, content=BODY, headers={"authorization": ""})
        assert answer.status_code == 401
    assert off.commit.kept == []


@pytest.mark.parametrize("topic", ["", "x" * 65, "../order_status", "order.status"])
async def test_a_topic_that_no_url_of_ours_has_is_404(door: Door, topic: str) -> None:
    assert (await door.client.post(f"/webhooks/tokopedia/{TOKEN}/{topic}")).status_code in {401, 404}
    assert door.commit.kept == []


async def test_the_listed_headers_are_kept_and_no_other(door: Door) -> None:
    await door.client.post(
        f"/webhooks/tokopedia/{TOKEN}/order_status",
        content=BODY,
        headers={"authorization-hmac": "abc", "cookie": "secret", "user-agent": "tokopedia"},
    )
    assert door.opened()[0] == {"authorization-hmac": "abc", "user-agent": "tokopedia"}


async def test_anything_else_goes_to_the_shell(door: Door) -> None:
    assert (await door.client.get("/v1/status")).status_code == 299
    assert (await door.client.get(f"/webhooks/lazada/{APP}")).status_code == 405
    assert (await door.client.post("/webhooks/nobody/1")).status_code == 404


async def test_a_sender_that_goes_away_leaves_nothing(door: Door) -> None:
    sent: list[Any] = []
    parts = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        await asyncio.sleep(0)
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": f"/webhooks/lazada/{APP}", "method": "POST", "headers": []}
    run: Callable[..., Awaitable[None]] = door.app
    await run(scope, receive, send)
    assert sent[0]["status"] == 400
    assert door.commit.kept == []
