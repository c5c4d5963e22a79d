"""Works raw messages through: each is judged, its facts are written to the outbox, its order is asked for.

A batch is one transaction: the rows' states, delivery keys, facts and read requests are committed together,
so that a crash at any point loses nothing and repeats nothing (P1, P2).
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from opentelemetry.trace import SpanKind

from libs.events.topics import CHANNELS_ORDERS
from libs.runtime.clock import now, uuid7
from libs.runtime.errors import Permanent, Transient
from libs.runtime.freshness import Freshness
from libs.runtime.kafka import Outgoing
from libs.runtime.postgres import Bell
from libs.runtime.tracing import Traced, current_batch, messaging, traceparent_of
from libs.runtime.tracing import batch as traced_batch
from services.channels import reads
from services.channels.lazada import payloads as lazada_payloads
from services.channels.lazada import translate as lazada
from services.channels.marketplace import Element, Malformed, PushCategory, PushClass, parse
from services.channels.metrics import (
    CLOCK_SUSPECTS,
    FACTS,
    MESSAGES,
    PUSH_DELAY_SECONDS,
    UNKNOWN_STATUSES,
)
from services.channels.publishing import UNKNOWN_STATUS, SealBuyer, Shop, facts_of, in_time, record
from services.channels.shops import Shops
from services.channels.store import (
    HANDLED,
    PARKED,
    SIGNED,
    SKIPPED,
    Connection,
    Outcome,
    RawMessage,
    Store,
    unseal_content,
)
from services.channels.tokopedia import payloads as tokopedia_payloads
from services.channels.tokopedia.statuses import ORDER_TOPICS

log = structlog.get_logger(__name__)

BATCH_MAX = 500
RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX = 0.2, 5.0
PRUNE_EVERY_SECONDS = 3600.0
RAW_DAYS, UNKNOWN_SHOP_DAYS = 90, 7  # IN-13, IN-04.


class Judged(msgspec.Struct, gc=False):
    """One message as it will be concluded; mutable while the batch finds repeats and holders."""

    raw: RawMessage
    state: str
    reason: str | None
    shop: Shop | None = None
    order: str | None = None
    key: bytes | None = None
    key_returns: bool = False
    elements: Sequence[Element] = ()
    read: bool = False
    nameless: bool = False  # An order's notice that names no shop.

    @property
    def channel(self) -> str:
        return self.raw.route.partition(".")[0]

    def skip(self, reason: str) -> None:
        self.state, self.reason, self.elements, self.read = SKIPPED, reason, (), False


def judge(raw: RawMessage, shops: Shops) -> Judged:
    """What a message says and what is to become of it, before repeats are looked for. Raises nothing.

    A signed push's facts that have a source time are published at once; everything else is read first
    (IN-05).
    """
    try:
        return _judge(raw, shops)
    except Malformed as malformed:
        return Judged(raw, PARKED, f"MALFORMED:{malformed.code}"[:100])
    except Exception:
        # One message that a translator stumbles over must not stop the others (IN-14).
        log.exception("translator_failed", raw=str(raw.id), route=raw.route)
        return Judged(raw, PARKED, "TRANSLATOR_FAILED")


def _judge(raw: RawMessage, shops: Shops) -> Judged:
    channel, _, topic = raw.route.partition(".")
    payload = parse(raw.body)
    push = _classify(channel, topic, payload)
    if push.category is PushCategory.PROBE:
        return Judged(raw, SKIPPED, "PROBE")
    if push.category is not PushCategory.ORDER or push.order is None:
        return Judged(raw, SKIPPED, push.category.value)
    shop = shops.find(channel, push.site, push.shop)
    if shop is None and push.shop is not None:
        return Judged(raw, PARKED, "UNKNOWN_SHOP", order=push.order)
    door = raw.app if channel == "lazada" else f"{raw.app}/{topic}"
    judged = Judged(
        raw,
        HANDLED,
        None,
        shop=shop,
        order=push.order,
        key=bytes.fromhex(push.delivery_key(door, raw.body)),
        key_returns=raw.verdict != SIGNED,
        read=True,
        nameless=shop is None,
    )
    if channel == "tokopedia" and ORDER_TOPICS.get(topic) == "cancel-request":
        # A repeat of it is one only while the earlier one waits to be read, whatever its age.
        judged.key = None
    if raw.verdict == SIGNED and shop is not None:
        elements = lazada.translate("push", payload, site=shop.site, shop=shop.shop)
        judged.elements = [each for each in facts_of(elements) if each["occurred_at"] is not None]
    return judged


def _classify(channel: str, topic: str, payload: object) -> PushClass:
    if channel == "lazada":
        return lazada_payloads.classify(payload)
    return tokopedia_payloads.classify(topic, payload)


def records_of(judged: Judged, new_id: Callable[[], UUID], seal_buyer: SealBuyer) -> list[Outgoing]:
    """The records of a message's facts; the message is parked instead when one is too large."""
    if judged.shop is None or not judged.elements:
        return []
    channel, records = judged.channel, []
    received_at, traced = judged.raw.received_at, current_batch()
    try:
        for stated in judged.elements:
            element = in_time(stated, received_at)
            if element is not stated:
                CLOCK_SUSPECTS.labels(channel).inc()
            else:
                delay = received_at - datetime.fromisoformat(element["occurred_at"])
                PUSH_DELAY_SECONDS.labels(channel).observe(max(0.0, delay.total_seconds()))
            records.append(
                record(
                    element,
                    judged.shop,
                    event_id=new_id(),
                    raw=[judged.raw.id],
                    at=received_at,
                    read_at=None,
                    seal_buyer=seal_buyer,
                    traceparent=traced.create(
                        judged.raw.id,
                        CHANNELS_ORDERS.name,
                        {"event.type": element["type"], "order.channel": channel},
                    ),
                )
            )
            if element["type"] == UNKNOWN_STATUS:
                judged.reason = "UNRECOGNISED"
                UNKNOWN_STATUSES.labels(channel).inc()
    except Permanent as fault:
        judged.state, judged.reason, judged.read = PARKED, fault.reason, False
        return []
    FACTS.labels(channel, "push").inc(len(records))
    return records


class Inbox:
    """Takes pending raw messages, oldest first, for as long as it runs."""

    def __init__(
        self,
        store: Store,
        shops: Shops,
        bell: Bell,
        *,
        seal_buyer: SealBuyer,
        on_batch: Callable[[], None],
    ) -> None:
        self._store = store
        self._seal_buyer = seal_buyer
        self._shops = shops
        self._bell = bell
        self._on_batch = on_batch
        self._pruned_at: datetime | None = None
        self._taken: Sequence[UUID] = ()
        self._freshness = Freshness("channels", "stored")
        self.last_fault = ""

    async def run(self) -> None:
        """Work for ever; cancel to stop. What was not committed is taken again by the next run."""
        backoff = RETRY_SECONDS_FIRST
        while True:
            try:
                taken = await self.work_batch()
                self.last_fault = ""
                backoff = RETRY_SECONDS_FIRST
                if taken < BATCH_MAX:
                    await self._prune_sometimes()
                    await self._bell.wait()
            except Transient as fault:
                self.last_fault = str(fault)
                log.warning("inbox_retried", fault=str(fault))
                await asyncio.sleep(backoff)
                backoff = min(RETRY_SECONDS_MAX, backoff * 2)

    async def work_batch(self, limit: int = BATCH_MAX) -> int:
        """Work one batch through in one transaction; how many messages it had.

        A batch that the database refuses is worked one by one, and what it refuses alone is parked: one
        message stops only itself (P5).
        """
        try:
            return await self._work(limit)
        except Transient:
            raise
        except Exception:
            log.exception("batch_refused", messages=len(self._taken))
        taken = self._taken
        for message in taken:
            try:
                await self._work(1, only=message)
            except Transient:
                raise
            except Exception:
                log.exception("message_refused", raw=str(message))
                async with self._store.transaction() as unit:
                    await self._store.conclude(unit, [Outcome(message, PARKED, "NOT_STORED")])
                MESSAGES.labels("any", PARKED, "NOT_STORED").inc()
        return len(taken)

    async def _work(self, limit: int, only: UUID | None = None) -> int:
        await self._shops.refresh()
        with ExitStack() as spans:
            async with self._store.transaction() as unit:
                rows = await self._store.take(unit, limit, only)
                self._taken = [row[0] for row in rows]
                if not rows:
                    return 0
                traced = spans.enter_context(_tracing(rows))
                batch = await self._judge_all(rows)
                await self._name_holders(unit, batch)
                await self._skip_repeats(unit, batch)
                records = [each for judged in batch for each in records_of(judged, uuid7, self._seal_buyer)]
                asking = reads.asking(
                    _to_read(batch, confirming=False),
                    confirming=_to_read(batch, confirming=True),
                    traceparents=_traceparents(batch, traced),
                )
                await self._store.conclude(unit, [_outcome(judged) for judged in batch], records, asking)
            traced.settle()
        self._freshness.reached_from([judged.raw.received_at for judged in batch if judged.elements])
        for judged in batch:
            MESSAGES.labels(judged.channel, judged.state, (judged.reason or "").partition(":")[0]).inc()
        self._on_batch()
        return len(rows)

    async def _judge_all(self, rows: Sequence[tuple[Any, ...]]) -> list[Judged]:
        batch = [self._opened(row) for row in rows]
        if any(judged.reason == "UNKNOWN_SHOP" for judged in batch):
            # The shop may have been connected a moment ago.
            await self._shops.refresh(missed=True)
            batch = [
                judge(judged.raw, self._shops) if judged.reason == "UNKNOWN_SHOP" else judged
                for judged in batch
            ]
        return batch

    def _opened(self, row: tuple[Any, ...]) -> Judged:
        message_id, received_at, route, app, verdict, content, _ = row
        try:
            headers, body = unseal_content(self._store.seal, message_id, content)
        except Exception:
            # A key that is gone, or bytes that were changed: neither may stop the messages behind it.
            log.exception("raw_message_not_opened", raw=str(message_id))
            return Judged(
                RawMessage(message_id, received_at, route, app, verdict, {}, b""), PARKED, "NOT_OPENED"
            )
        return judge(RawMessage(message_id, received_at, route, app, verdict, headers, body), self._shops)

    async def _name_holders(self, unit: Connection, batch: Sequence[Judged]) -> None:
        """Give notices that name no shop the shop whose order it was; else any, and the reading will tell."""
        nameless = [judged for judged in batch if judged.nameless]
        if not nameless:
            return
        by_channel: dict[str, list[Judged]] = {}
        for judged in nameless:
            by_channel.setdefault(judged.channel, []).append(judged)
        for channel, each in by_channel.items():
            held = await reads.holders(unit, channel, [judged.order or "" for judged in each])
            candidates = self._shops.of_channel(channel)
            for judged in each:
                shop = self._shops.get(held[judged.order]) if judged.order in held else None
                judged.shop = shop or (candidates[0] if candidates else None)
                if judged.shop is None:
                    judged.state, judged.reason, judged.read = PARKED, "UNKNOWN_SHOP", False

    async def _skip_repeats(self, unit: Connection, batch: Sequence[Judged]) -> None:
        keyed: dict[bytes, Judged] = {}
        unkeyed: list[Judged] = []
        for judged in batch:
            if judged.state != HANDLED:
                continue
            if judged.key is None:
                unkeyed.append(judged)
            elif judged.key in keyed:
                judged.skip("DUPLICATE")
            else:
                keyed[judged.key] = judged
        new = await self._store.new_keys(
            unit,
            [(key, each.raw.id, each.raw.received_at, each.key_returns) for key, each in keyed.items()],
        )
        for key, judged in keyed.items():
            if key not in new:
                judged.skip("DUPLICATE")
        if unkeyed:
            await self._skip_asked(unit, unkeyed)

    @staticmethod
    async def _skip_asked(unit: Connection, batch: Sequence[Judged]) -> None:
        """Skip requests to cancel whose order waits to be read anyway: the reading will show this one too."""
        asked = await reads.waiting(
            unit, [(judged.shop.id, judged.order or "") for judged in batch if judged.shop is not None]
        )
        for judged in batch:
            place = (judged.shop.id, judged.order or "") if judged.shop is not None else None
            if place in asked:
                judged.skip("DUPLICATE")
            elif place is not None:
                asked.add(place)

    async def _prune_sometimes(self) -> None:
        at = now()
        if self._pruned_at is not None and (at - self._pruned_at).total_seconds() < PRUNE_EVERY_SECONDS:
            return
        self._pruned_at = at
        removed = await self._store.prune(raw_days=RAW_DAYS, unknown_days=UNKNOWN_SHOP_DAYS)
        if removed:
            log.info("raw_messages_pruned", rows=removed)


def _to_read(batch: Sequence[Judged], *, confirming: bool) -> list[tuple[UUID, str]]:
    """The orders to read: to confirm what is published already, or to learn what a notice only hints at."""
    return [
        (judged.shop.id, judged.order)
        for judged in batch
        if judged.read
        and judged.shop is not None
        and judged.order is not None
        and bool(judged.elements) is confirming
    ]


def _tracing(rows: Sequence[tuple[Any, ...]]) -> AbstractContextManager[Traced]:
    """The spans of these rows of `Store.take`, by the messages' ids."""
    table = "channels.raw_messages"
    return traced_batch(
        f"process {table}",
        SpanKind.CONSUMER,
        messaging("process", table, system="postgresql"),
        rows,
        traceparent=lambda row: row[6],
        describe=lambda row: (row[0], {"messaging.message.id": str(row[0])}),
    )


def _traceparents(batch: Sequence[Judged], traced: Traced) -> dict[tuple[UUID, str], str]:
    """The traces that the readings of these orders are to be part of."""
    found: dict[tuple[UUID, str], str] = {}
    if traced.is_empty:
        return found
    for judged in batch:
        span = traced.span(judged.raw.id)
        if span is not None and judged.shop is not None and judged.order is not None:
            found[judged.shop.id, judged.order] = traceparent_of(span)
    return found


def _outcome(judged: Judged) -> Outcome:
    return Outcome(
        judged.raw.id,
        judged.state,
        judged.reason,
        None if judged.shop is None else judged.shop.id,
        judged.order,
    )
