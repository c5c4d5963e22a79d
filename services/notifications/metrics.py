"""The metrics of notifications, each with its meaning."""

from prometheus_client import Counter

DELIVERIES = Counter(
    "notifications_deliveries_total",
    "Deliveries written to the ledger, by kind; a batch that is tried again counts again.",
    ["kind"],
)
