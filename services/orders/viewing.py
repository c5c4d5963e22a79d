"""Lihat Pesanan (T11): that somebody looked at an order is logged, and is no event of it."""

from uuid import UUID

import structlog

log = structlog.get_logger(__name__)


def viewed(order_id: UUID, caller: str) -> None:
    """Log who looked at which order; the line's time is when."""
    log.info("order_viewed", order=str(order_id), caller=caller)
