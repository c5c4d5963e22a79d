"""The access tokens of Lazada shops: kept in memory, renewed once when refused, saved before use."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from libs.runtime.clock import now
from services.channels.clients import Refused
from services.channels.publishing import Shop
from services.channels.shops import Shops, Tokens
from services.channels.store import Store

log = structlog.get_logger(__name__)

Refresh = Callable[[str], Awaitable[Mapping[str, Any]]]


class Grants:
    """One renewal at a time per shop, also across processes: the grant's row is locked meanwhile."""

    def __init__(self, store: Store, shops: Shops) -> None:
        self._store = store
        self._shops = shops
        self._tokens: dict[UUID, str] = {}
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._refresh: Refresh | None = None

    def renew_by(self, refresh: Refresh) -> None:
        """Say what asks the marketplace for new tokens."""
        self._refresh = refresh

    async def token(self, shop: Shop) -> str:
        """The access token in force; Refused when the shop has no grant."""
        held = self._tokens.get(shop.id)
        if held is None:
            grant = await self._shops.grant(shop.id)
            if grant is None:
                raise Refused("NO_GRANT")
            held = self._tokens[shop.id] = grant.tokens.access_token
        return held

    async def renewed(self, shop: Shop, refused: str) -> str:
        """A token other than the one that was refused: another's renewal when there was one, else our own.

        A crash between the answer and the commit loses only the new access token: the refresh token stays
        good (lazada.md 1.3) and is used again. Raises MarketFault when the marketplace gives none.
        """
        async with self._locks.setdefault(shop.id, asyncio.Lock()):
            held = self._tokens.get(shop.id)
            if held is not None and held != refused:
                return held
            async with self._store.transaction() as unit:
                grant = await self._shops.grant(shop.id, within=unit)
                if grant is None:
                    raise Refused("NO_GRANT")
                tokens = grant.tokens
                if tokens.access_token == refused:
                    tokens = await self._renew(shop, tokens, unit)
            self._tokens[shop.id] = tokens.access_token
            return tokens.access_token

    async def _renew(self, shop: Shop, old: Tokens, unit: Any) -> Tokens:
        if not old.refresh_token or self._refresh is None:
            raise Refused("NO_REFRESH_TOKEN")
        answer = await self._refresh(old.refresh_token)
        access = answer.get("access_token")
        if not isinstance(access, str) or not access:
            raise Refused("NO_TOKEN_IN_ANSWER")
        refresh = answer.get("refresh_token")
        tokens = Tokens(access, refresh if isinstance(refresh, str) and refresh else old.refresh_token)
        seconds = answer.get("expires_in")
        # Lifetimes differ by app and by page (lazada.md 1.3): what comes back is stored.
        known = isinstance(seconds, int) and 0 < seconds < 10**9
        expires_at = now() + timedelta(seconds=seconds) if isinstance(seconds, int) and known else None
        await self._shops.renew(unit, shop.id, tokens, expires_at)
        log.info("grant_renewed", connection=str(shop.id))
        return tokens
