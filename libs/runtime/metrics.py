"""The metrics that every service shares, each with its meaning; labels are closed sets, never ids."""

from prometheus_client import Counter, Gauge, Histogram

from libs.runtime.weighted_histogram import WeightedHistogram

MESSAGES = Counter(
    "messages_total",
    "Records by how they ended: handled, skipped, refused, parked, retried, waiting, duplicate.",
    ["consumer", "topic", "outcome"],
)
BATCH_SECONDS = Histogram(
    "consumer_batch_seconds",
    "Time from the decision's begin to the durable effect of one batch.",
    ["group", "topic"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
)
BATCH_RECORDS = Histogram(
    "consumer_batch_records",
    "Records in one batch.",
    ["group", "topic"],
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000),
)
CONSUMER_LAG_RECORDS = Gauge(
    "consumer_lag_records",
    "Records after the last one with a durable effect.",
    ["group", "topic", "partition"],
)
CONSUMER_LAG_SECONDS = Gauge(
    "consumer_lag_seconds",
    "Age of the last consumed record while others wait; 0 when none waits.",
    ["group", "topic", "partition"],
)
CONSUMER_PARTITIONS = Gauge(
    "consumer_partitions_assigned", "Partitions this process owns.", ["group", "topic"]
)
REBALANCES = Counter("consumer_rebalances_total", "Times partitions were taken back.", ["group", "topic"])
PARKED = Counter("parked_total", "Records parked, by reason.", ["consumer", "reason"])
REDRIVEN = Counter("redriven_total", "Parked records released, by result.", ["consumer", "result"])
OUTBOX_PUBLISHED = Counter("outbox_published_total", "Events acknowledged by Kafka.", ["service", "topic"])
OUTBOX_ERRORS = Counter(
    "outbox_publish_errors_total", "Publishes that Kafka did not acknowledge.", ["service", "relay"]
)
OUTBOX_OLDEST_SECONDS = Gauge(
    "outbox_oldest_unpublished_seconds",
    "Age of the oldest event that Kafka has not acknowledged; 0 when all are.",
    ["service", "relay"],
)
ORDER_EVENT_E2E_SECONDS = WeightedHistogram(
    "order_event_e2e_seconds",
    "Time from the receipt of what a marketplace said to a stage: stored, published or handled by a service.",
    ("service", "stage"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900),
)
HTTP_REQUESTS = Counter("http_requests_total", "Requests by route and status class.", ["service", "status"])
EVENT_LOOP_LAG_SECONDS = Gauge("event_loop_lag_seconds", "How late the event loop wakes.", ["service"])
