"""The two marketplaces as a run sees them: who their shops are, how they live, what they push and how often.

`Market` is what a run needs; `LazadaMarket` and `TokopediaMarket` differ in their pushes and retries.
"""

import random
from collections.abc import Sequence
from typing import Protocol

from deploy.sandbox import lazada_messages, lives, tokopedia_messages
from deploy.sandbox.clock import Wall
from deploy.sandbox.delivery import Owner, Push, Sender, Target
from deploy.sandbox.lives import Life, Step
from deploy.sandbox.orders import Order, Shelf
from deploy.sandbox.settings import Lazada, LazadaShop, Tokopedia, TokopediaShop

# It tries again after 30 minutes, 12 times, then drops the push (doc 120168).
LAZADA_RETRIES, LAZADA_RETRY_SECONDS = 12, 1800
# Nothing is documented for Tokopedia: a patient wait, and no second try.
TOKOPEDIA_TIMEOUT_SECONDS = 5.0
TOKENS_MAX = 16

Shop = LazadaShop | TokopediaShop


class Market(Protocol):
    """One marketplace."""

    name: str
    shops: Sequence[Shop]
    retries: int
    retry_seconds: int
    sender: Sender
    shelves: dict[Shop, Shelf]

    def kinds(self) -> Sequence[str]: ...

    def life(self, kind: str | None, rng: random.Random, unit: float, lines: int | None) -> Life:
        """A life of the kind, or of one drawn by weight."""
        ...

    def pushes(self, owner: Owner, order: Order, step: Step, sent_at: int) -> list[Push]:
        """What a step makes the marketplace send; [] when the shop's authorisation has lapsed."""
        ...

    def renew(self, push: Push, sent_at: int) -> None:
        """Make a retry say what is true now."""
        ...


class LazadaMarket:
    """Lazada: a push per line, signed, retried with the line's current status."""

    name = "lazada"
    retries = LAZADA_RETRIES
    retry_seconds = LAZADA_RETRY_SECONDS

    def __init__(self, settings: Lazada, wall: Wall) -> None:
        self.settings = settings
        self.wall = wall
        self.shops: Sequence[Shop] = settings.shops
        self.shelves: dict[Shop, Shelf] = {shop: Shelf() for shop in settings.shops}
        self.sender = Sender(settings.answer_seconds)
        self._target = Target.of(settings.webhook_url)
        end = wall.now() + settings.access_token_seconds
        self._tokens = {shop.access_token: (shop, end) for shop in settings.shops}
        self._refresh = {shop.refresh_token: shop for shop in settings.shops}
        self._used_codes: set[str] = set()
        self._issued = 0

    def kinds(self) -> Sequence[str]:
        return tuple(lives.LAZADA_WEIGHTS)

    def life(self, kind: str | None, rng: random.Random, unit: float, lines: int | None) -> Life:
        return lives.lazada(kind or lives.chosen(rng, lives.LAZADA_WEIGHTS), rng, unit, lines)

    def pushes(self, owner: Owner, order: Order, step: Step, sent_at: int) -> list[Push]:
        if not self._authorised(order.shop):
            return []
        made = []
        for line in step.lines:
            body = lazada_messages.push_body(order, line, step.status, step.at, sent_at)
            made.append(Push(owner, order, line, self._target, self._signed(body)))
        return made

    def renew(self, push: Push, sent_at: int) -> None:
        order, line = push.order, push.line
        body = lazada_messages.push_body(order, line, order.statuses[line], order.times[line], sent_at)
        push.request = self._signed(body)

    def probe(self, owner: Owner, order: Order) -> Push:
        """The console's Verify button."""
        return Push(owner, order, 0, self._target, self._signed(lazada_messages.probe_body(order.shop_id)))

    def _signed(self, body: bytes) -> bytes:
        signature = lazada_messages.push_signature(self.settings.app_key, self.settings.app_secret, body)
        return self._target.request(body, signature)

    def _authorised(self, shop: Shop) -> bool:
        now = self.wall.now()
        return any(owner == shop and end > now for owner, end in self._tokens.values())

    def shop_of(self, access_token: str) -> LazadaShop | None:
        """The shop of a live access token, or None when it is unknown or has expired."""
        shop, end = self._tokens.get(access_token, (None, 0.0))
        return shop if end > self.wall.now() else None

    def exchange(self, code: str) -> LazadaShop | None:
        """The shop of an unused code `0_<app key>_<site>_<seller>[_anything]`, or None."""
        parts = code.split("_")
        if len(parts) < 4 or parts[1] != self.settings.app_key or code in self._used_codes:
            return None
        found = next((s for s in self.settings.shops if [s.site, s.seller_id] == parts[2:4]), None)
        if found is not None and len(self._used_codes) < 10_000:
            self._used_codes.add(code)
        return found

    def refresh(self, refresh_token: str) -> LazadaShop | None:
        return self._refresh.get(refresh_token)

    def issue(self, shop: LazadaShop) -> str:
        """A new access token; the earlier ones live on to their own ends, the oldest beyond 16 go."""
        self._issued += 1
        token = f"{shop.access_token}-{int(self.wall.now())}-{self._issued}"
        self._tokens[token] = (shop, self.wall.now() + self.settings.access_token_seconds)
        own = [known for known, (owner, _) in self._tokens.items() if owner == shop]
        for old in own[:-TOKENS_MAX]:
            del self._tokens[old]
        return token


class TokopediaMarket:
    """Tokopedia: a push per status and order, unsigned, sent once."""

    name = "tokopedia"
    retries = 0
    retry_seconds = 0

    def __init__(self, settings: Tokopedia) -> None:
        self.settings = settings
        self.shops: Sequence[Shop] = settings.shops
        self.shelves: dict[Shop, Shelf] = {shop: Shelf() for shop in settings.shops}
        self.sender = Sender(TOKOPEDIA_TIMEOUT_SECONDS)
        self._targets = {topic: Target.of(url) for topic, url in settings.webhooks.items()}

    def kinds(self) -> Sequence[str]:
        return tuple(lives.TOKOPEDIA_WEIGHTS)

    def life(self, kind: str | None, rng: random.Random, unit: float, lines: int | None) -> Life:
        return lives.tokopedia(kind or lives.chosen(rng, lives.TOKOPEDIA_WEIGHTS), rng, unit, lines)

    def pushes(self, owner: Owner, order: Order, step: Step, sent_at: int) -> list[Push]:
        del sent_at  # No webhook of Tokopedia's says when it was sent.
        target = self._targets[tokopedia_messages.topic(step)]
        body = tokopedia_messages.push_body(order, step, self.settings.fs_id)
        return [Push(owner, order, 0, target, target.request(body, None))]

    def renew(self, push: Push, sent_at: int) -> None:
        """Nothing: no second try is made."""


def record(market: Market, order: Order, at: int, real: int) -> Step:
    """Let an order's next step happen and show it to readers from now on."""
    step = order.apply(at, real)
    if step.status == "220":
        order.listed = real
    market.shelves[order.shop].touch(order)
    return step
