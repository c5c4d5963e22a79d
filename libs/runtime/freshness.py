"""How long after its receipt what a marketplace said has reached a stage.

The receipt is in the correlation id: it is the raw message's id, a UUID of version 7, whose first 48 bits are
the millisecond. So no table and no record needs a time of its own for it, in whatever service it is asked.
"""

from collections.abc import Sequence
from datetime import datetime

from libs.runtime.clock import now
from libs.runtime.metrics import ORDER_EVENT_E2E_SECONDS
from libs.runtime.records import RawHeaders

# Of a larger batch every n-th record is looked at and counts for n: what a batch pays has a limit.
LOOKED_AT_MAX = 64
_UUID_LENGTH = 36
_SEVEN = ord("7")


class Freshness:
    """Counts one stage of one service; ids that are no UUID of version 7 have no receipt and do not count."""

    def __init__(self, service: str, stage: str) -> None:
        self._series = ORDER_EVENT_E2E_SECONDS.labels(service, stage)

    def reached(self, headers_of_batch: Sequence[RawHeaders]) -> None:
        """The records of these headers have reached the stage now."""
        at = now().timestamp()
        every = -(-len(headers_of_batch) // LOOKED_AT_MAX) or 1
        for number in range(0, len(headers_of_batch), every):
            received = received_at(headers_of_batch[number])
            if received is not None:
                weight = min(every, len(headers_of_batch) - number)
                self._series.observe(max(0.0, at - received), weight)

    def reached_from(self, received: Sequence[datetime]) -> None:
        """What was received at these times has reached the stage now."""
        at = now()
        for instant in received:
            self._series.observe(max(0.0, (at - instant).total_seconds()))


def received_at(headers: RawHeaders) -> float | None:
    """The Unix time, to the millisecond, in the record's correlation id; None when it carries none."""
    for name, value in headers:
        if name == "ce_correlationid":
            if value is None or len(value) != _UUID_LENGTH or value[14] != _SEVEN:
                return None
            try:
                return int(value[:8] + value[9:13], 16) / 1000
            except ValueError:
                return None
    return None
