"""A prometheus histogram that a batch is counted in at once: one observation may stand for several records.

The library's own takes about two microseconds and a lock per value, which a batch of thousands would pay.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Series:
    """The counts of one set of label values; to be used by one thread."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        # One more than bounds: what is above the last.
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, weight: int = 1) -> None:
        """Count the value as that of so many records."""
        self.counts[bisect_left(self._bounds, value)] += weight
        self.total += value * weight


class WeightedHistogram(Collector):
    """A histogram by labels; `labels` gives a series to keep and count in."""

    def __init__(
        self,
        name: str,
        documentation: str,
        label_names: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        self.name = name
        self._documentation = documentation
        self.label_names = tuple(label_names)
        self._bounds = tuple(buckets)
        self._series: dict[tuple[str, ...], Series] = {}
        if registry is not None:
            registry.register(self)

    def labels(self, *values: str) -> Series:
        """The series of these label values, made at its first use."""
        found = self._series.get(values)
        if found is None:
            assert len(values) == len(self.label_names), "A series has a value for each label."
            found = self._series[values] = Series(self._bounds)
        return found

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self.name, self._documentation, labels=self.label_names)

    def describe(self) -> Iterable[HistogramMetricFamily]:
        yield self._family()

    def collect(self) -> Iterable[HistogramMetricFamily]:
        family = self._family()
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for values, series in self._series.items():
            buckets = list(zip(names, accumulate(series.counts), strict=True))
            family.add_metric(values, buckets, series.total)
        yield family
