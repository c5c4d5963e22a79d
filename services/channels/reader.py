"""Reads orders from the marketplaces and publishes what they state now.

A request is claimed for a while, read, and removed in the transaction that writes its facts; a reader that
dies leaves its claims to others (P1). What the last reading showed just so is not published again: that
saves work, correctness never rests on it (IN-05).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from uuid import UUID

import msgspec
import structlog
from opentelemetry.trace import SpanKind

from libs.events.topics import CHANNELS_ORDERS
from libs.runtime.clock import monotonic, now, uuid7
from libs.runtime.errors import Permanent, Transient
from libs.runtime.freshness import Freshness
from libs.runtime.kafka import Outgoing
from libs.runtime.postgres import Bell
from libs.runtime.tracing import Traced, batch, current_batch
from services.channels import reads
from services.channels.clients import Limited, MarketClient, MarketFault, OrderUnknown, Reading, Refused
from services.channels.lazada import translate as lazada
from services.channels.marketplace import Element, Malformed, Market, wire_time
from services.channels.metrics import CLOCK_SUSPECTS, FACTS, READ_DELAY_SECONDS, READS, UNKNOWN_STATUSES
from services.channels.publishing import (
    UNKNOWN_STATUS,
    SealBuyer,
    Shop,
    fact_hash,
    facts_of,
    first_seen_key,
    in_time,
    record,
    split_hashes,
)
from services.channels.reads import Claim, Reads, Shown
from services.channels.shops import Shops
from services.channels.store import READ, Connection, Kept, Store, seal_content
from services.channels.tokopedia import translate as tokopedia

log = structlog.get_logger(__name__)

ORDERS_AT_ONCE = 200
GROUPS_PER_SHOP = 3
# A claim lasts 30 s: a reading ends well before, its transaction included.
READING_SECONDS_MAX = 22.0
ATTEMPTS_MAX, UNKNOWN_ATTEMPTS_MAX = 8, 4
UNKNOWN = "ORDER_UNKNOWN"
BACKOFF_SECONDS_FIRST, BACKOFF_SECONDS_MAX = 1.0, 300.0
RETRY_SECONDS = 0.5
# After a claim the next one gathers: a call and a transaction cost much the same for many orders.
GATHER_SECONDS = 0.05
# A reading above this is kept by its facts alone: no order of ours comes near it.
READING_BYTES_MAX = 4 * 1024 * 1024

_LAZADA: Market = lazada
_TOKOPEDIA: Market = tokopedia
TRANSLATORS: Mapping[str, Market] = {"lazada": _LAZADA, "tokopedia": _TOKOPEDIA}


class Stated(msgspec.Struct, frozen=True):
    """One order's reading, translated, before the database is asked what is new of it."""

    claim: Claim
    reading: Reading
    elements: Sequence[Element]
    hashes: Sequence[bytes]  # Of each element.

    def fresh(self) -> Sequence[Element]:
        """The elements that the last reading did not state just so."""
        held = split_hashes(self.claim.known)
        return [each for each, hashed in zip(self.elements, self.hashes, strict=True) if hashed not in held]


class News(msgspec.Struct, frozen=True):
    """What a reading states that the last one did not; `raw_id` is the message that is to hold it."""

    stated: Stated
    raw_id: UUID
    elements: Sequence[Element]

    @property
    def order(self) -> str:
        return self.stated.claim.order


class Reader:
    """Works read requests for as long as it runs, many at once and bounded per shop."""

    def __init__(
        self,
        store: Store,
        shops: Shops,
        requests: Reads,
        clients: Mapping[str, MarketClient],
        bell: Bell,
        *,
        seal_buyer: SealBuyer,
        on_published: Callable[[], None],
    ) -> None:
        self._store = store
        self._seal_buyer = seal_buyer
        self._shops = shops
        self._requests = requests
        self._clients = clients
        self._bell = bell
        self._on_published = on_published
        self._me = uuid7()
        self._groups: dict[asyncio.Task[None], tuple[UUID, int]] = {}
        # Whether the last claim had to leave orders that may be due: then the end of a group makes room.
        self._left_some = False
        self._freshness = Freshness("channels", "stored")
        self.last_fault = ""

    async def run(self) -> None:
        """Read for ever; cancel to stop: what is under way is given back at once."""
        try:
            while True:
                try:
                    await self._start_some()
                    self.last_fault = ""
                    await asyncio.sleep(GATHER_SECONDS)
                    await self._bell.wait()
                except Transient as fault:
                    self.last_fault = str(fault)
                    log.warning("reader_retried", fault=str(fault))
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            for task in list(self._groups):
                task.cancel()
            await asyncio.gather(*self._groups, return_exceptions=True)
            with suppress(Transient):
                await self._requests.release_all(self._me)

    async def work_once(self) -> int:
        """Read what is due now and return when it is done; how many orders were taken."""
        taken = await self._start_some()
        await asyncio.gather(*self._groups)
        return taken

    async def _start_some(self) -> int:
        """Claim what there is room for and start reading it; how many orders were taken."""
        room = ORDERS_AT_ONCE - sum(orders for _, orders in self._groups.values())
        if room <= 0:
            self._left_some = True
            return 0
        await self._shops.refresh()
        busy: dict[UUID, int] = {}
        for shop_id, _ in self._groups.values():
            busy[shop_id] = busy.get(shop_id, 0) + 1
        full = [shop_id for shop_id, groups in busy.items() if groups >= GROUPS_PER_SHOP]
        claims = await self._requests.claim(self._me, room, full)
        self._left_some = bool(full) or len(claims) == room
        by_shop: dict[UUID, list[Claim]] = {}
        for claim in claims:
            by_shop.setdefault(claim.connection, []).append(claim)
        for shop_id, each in by_shop.items():
            shop = self._shops.get(shop_id)
            client = None if shop is None else self._clients.get(shop.channel)
            if shop is None or client is None:
                await self._requests.park(each, reason="SHOP_NOT_READ")
                continue
            for begin in range(0, len(each), client.batch_max):
                self._start(shop, client, each[begin : begin + client.batch_max])
        return len(claims)

    def _start(self, shop: Shop, client: MarketClient, claims: Sequence[Claim]) -> None:
        task = asyncio.create_task(self._read_group(shop, client, claims), name="read orders")
        self._groups[task] = (shop.id, len(claims))
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._groups.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("reading_failed", exc_info=task.exception())
        if self._left_some:
            self._bell.ring()

    async def _read_group(self, shop: Shop, client: MarketClient, claims: Sequence[Claim]) -> None:
        """Read these orders of one shop and conclude each; a claim that is left over ends by itself."""
        with _tracing(shop, claims):
            await self._read_and_conclude(shop, client, claims)

    async def _read_and_conclude(self, shop: Shop, client: MarketClient, claims: Sequence[Claim]) -> None:
        until = monotonic() + READING_SECONDS_MAX
        try:
            async with asyncio.timeout(READING_SECONDS_MAX):
                found = await client.read(shop, [claim.order for claim in claims])
        except MarketFault as fault:
            found = {claim.order: fault for claim in claims}
        except TimeoutError:
            found = {}
        at = now()
        stated: list[Stated] = []
        failed: list[tuple[Claim, MarketFault]] = []
        for claim in claims:
            reading = found.get(claim.order, MarketFault("TIMEOUT"))
            if isinstance(reading, MarketFault):
                failed.append((claim, reading))
                continue
            try:
                stated.append(_stated(claim, reading, shop))
            except Malformed as malformed:
                failed.append((claim, Refused(f"MALFORMED:{malformed.code}"[:100])))
            except Exception:
                log.exception("translator_failed", connection=str(claim.connection), order=claim.order)
                failed.append((claim, Refused("TRANSLATOR_FAILED")))
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + max(5.0, until - monotonic())):
                failed += await self._publish_all(shop, stated, at)
                await self._fail(shop, failed)
        except (Transient, TimeoutError) as fault:
            # The claims end by themselves and the orders are read again.
            self.last_fault = str(fault)
            log.warning("reading_not_stored", fault=type(fault).__name__)

    async def _publish_all(
        self, shop: Shop, stated: Sequence[Stated], at: datetime
    ) -> list[tuple[Claim, MarketFault]]:
        """Publish these readings together; if the database refuses that, each by itself (P5)."""
        if not stated:
            return []
        try:
            return await self._publish(shop, stated, at)
        except Transient:
            raise
        except Exception:
            log.exception("readings_refused", connection=str(shop.id), orders=len(stated))
        if len(stated) == 1:
            return [(stated[0].claim, Refused("NOT_STORED"))]
        failed: list[tuple[Claim, MarketFault]] = []
        for each in stated:
            failed += await self._publish_all(shop, [each], at)
        return failed

    async def _publish(
        self, shop: Shop, stated: Sequence[Stated], at: datetime
    ) -> list[tuple[Claim, MarketFault]]:
        """Write what is new of these readings, in one transaction; what could not be written comes back."""
        moved = [each for each in stated if each.reading.shop not in {None, shop.shop}]
        here = [each for each in stated if each.reading.shop in {None, shop.shop}]
        traced = current_batch()
        # What a refused transaction of these orders had begun.
        traced.forget()
        async with self._store.transaction() as unit:
            if moved:
                await self._move(unit, shop, moved)
            news = [News(each, uuid7(), each.fresh()) for each in here]
            records, failed = await self._records(unit, shop, news, at)
            lost = {claim.order for claim, _ in failed}
            news = [each for each in news if each.order not in lost]
            ours = await reads.finish(unit, [each.stated.claim for each in news])
            news = [each for each in news if (shop.id, each.order) in ours]
            fresh = [each for each in news if each.elements]
            facts = [one for each in fresh for one in records[each.order]]
            if news:
                await self._store.keep_readings(
                    unit,
                    [self._kept(shop, each, at) for each in fresh],
                    facts,
                    reads.remembering([_shown(each, at) for each in news]),
                )
        traced.settle()
        self._freshness.reached_from([at] * len(fresh))
        for each in news:
            if each.stated.claim.requested_at is not None:
                waited = now() - each.stated.claim.requested_at
                READ_DELAY_SECONDS.labels(shop.channel).observe(max(0.0, waited.total_seconds()))
        for result, number in (
            ("moved", len(moved)),
            ("published", len(fresh)),
            ("unchanged", len(news) - len(fresh)),
        ):
            READS.labels(shop.channel, result).inc(number)
        FACTS.labels(shop.channel, "read").inc(len(facts))
        if fresh:
            self._on_published()
        return failed

    async def _records(
        self, unit: Connection, shop: Shop, news: Sequence[News], at: datetime
    ) -> tuple[dict[str, list[Outgoing]], list[tuple[Claim, MarketFault]]]:
        """Each order's records; a fact without a source time has that of the first reading of it (IN-10)."""
        untimed = [
            (shop.id, each.order, first_seen_key(element))
            for each in news
            for element in each.elements
            if element["occurred_at"] is None
        ]
        seen = await reads.first_seen(unit, untimed, at)
        records: dict[str, list[Outgoing]] = {}
        failed: list[tuple[Claim, MarketFault]] = []
        traced = current_batch()
        for each in news:
            try:
                records[each.order] = [
                    record(
                        _timed(element, shop.id, seen, at),
                        shop,
                        event_id=uuid7(),
                        raw=[each.raw_id],
                        at=at,
                        read_at=at,
                        seal_buyer=self._seal_buyer,
                        traceparent=traced.create(
                            each.order,
                            CHANNELS_ORDERS.name,
                            {"event.type": element["type"], "order.channel": shop.channel},
                        ),
                    )
                    for element in each.elements
                ]
            except Permanent as fault:
                failed.append((each.stated.claim, Refused(fault.reason)))
        return records, failed

    async def _move(self, unit: Connection, shop: Shop, moved: Sequence[Stated]) -> None:
        """Ask for orders under the shop whose they are: a notice without a shop had been given to any."""
        ours = await reads.finish(unit, [each.claim for each in moved])
        wanted: list[tuple[UUID, str]] = []
        for each in moved:
            if (each.claim.connection, each.claim.order) not in ours:
                continue
            owner = self._shops.find(shop.channel, shop.site, each.reading.shop)
            if owner is None:
                log.warning("order_of_unknown_shop", channel=shop.channel)
            elif owner.id != shop.id:
                wanted.append((owner.id, each.claim.order))
        await reads.request(unit, wanted)

    def _kept(self, shop: Shop, news: News, at: datetime) -> tuple[Kept, UUID, str]:
        reading = news.stated.reading
        body = reading.body if len(reading.body) <= READING_BYTES_MAX else b""
        content = seal_content(self._store.seal, news.raw_id, {}, body)
        return (
            Kept(news.raw_id, at, f"{shop.channel}.{reading.kind}", shop.shop, READ, content),
            shop.id,
            news.order,
        )

    async def _fail(self, shop: Shop, failed: Sequence[tuple[Claim, MarketFault]]) -> None:
        """Give orders that were not read back for later, or park them after their last attempt."""
        later: dict[tuple[str, float, bool], list[Claim]] = {}
        parked: dict[str, list[Claim]] = {}
        for claim, fault in failed:
            if isinstance(fault, Limited):
                later.setdefault((fault.reason, fault.wait_seconds, False), []).append(claim)
                continue
            most = UNKNOWN_ATTEMPTS_MAX if isinstance(fault, OrderUnknown) else ATTEMPTS_MAX
            if isinstance(fault, Refused) or claim.attempts + 1 >= most:
                reason = UNKNOWN if isinstance(fault, OrderUnknown) else fault.reason
                parked.setdefault(reason, []).append(claim)
            else:
                wait = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_FIRST * 2**claim.attempts)
                later.setdefault((fault.reason, wait, True), []).append(claim)
        for (reason, wait, counts), claims in later.items():
            await self._requests.give_back(claims, reason=reason, wait_seconds=wait, counts=counts)
            READS.labels(shop.channel, "retried").inc(len(claims))
        if UNKNOWN in parked:
            parked[UNKNOWN] = await self._without_gone(shop, parked[UNKNOWN])
        for reason, claims in parked.items():
            if not claims:
                continue
            log.warning("reads_parked", connection=str(shop.id), reason=reason, orders=len(claims))
            await self._requests.park(claims, reason=reason)
            READS.labels(shop.channel, "parked").inc(len(claims))

    async def _without_gone(self, shop: Shop, claims: Sequence[Claim]) -> list[Claim]:
        """Those that were never read; an order known before is gone at the marketplace, which is no fault."""
        gone = await self._requests.gone(claims)
        if gone:
            log.warning("orders_gone_at_marketplace", connection=str(shop.id), orders=len(gone))
            READS.labels(shop.channel, "gone").inc(len(gone))
        return [claim for claim in claims if (claim.connection, claim.order) not in gone]


def _tracing(shop: Shop, claims: Sequence[Claim]) -> AbstractContextManager[Traced]:
    """The spans of readings: parts of the traces that asked for them; those that nobody's asked begin one."""
    return batch(
        "read order",
        SpanKind.INTERNAL,
        {"order.channel": shop.channel, "order.shop.id": str(shop.id)},
        claims,
        traceparent=lambda claim: claim.traceparent,
        describe=lambda claim: (claim.order, {}),
        begins_traces=True,
        # So that the calls of a reading stand in the order's own trace, wherever one is read alone.
        alone_in_its_trace=True,
    )


def _stated(claim: Claim, reading: Reading, shop: Shop) -> Stated:
    elements = facts_of(
        TRANSLATORS[shop.channel].translate(reading.kind, reading.payload, site=shop.site, shop=shop.shop)
    )
    for element in elements:
        if element["order"] != claim.order:
            raise Malformed("OTHER_ORDER", "order", "The answer is about another order than was asked for.")
    return Stated(claim, reading, elements, [fact_hash(element) for element in elements])


def _timed(
    stated: Element, shop: UUID, seen: Mapping[tuple[UUID, str, str], datetime], at: datetime
) -> Element:
    if stated["type"] == UNKNOWN_STATUS:
        UNKNOWN_STATUSES.labels(stated["channel"]).inc()
    if stated["occurred_at"] is None:
        first = seen[shop, stated["order"], first_seen_key(stated)]
        return stated | {"occurred_at": wire_time(first), "approximate": True}
    element = in_time(stated, at)
    if element is not stated:
        CLOCK_SUSPECTS.labels(stated["channel"]).inc()
    return element


def _shown(news: News, at: datetime) -> Shown:
    reading = news.stated.reading
    hashes = b"".join(news.stated.hashes)
    return Shown(news.stated.claim, hashes, reading.mark, reading.final, news.raw_id, at)
