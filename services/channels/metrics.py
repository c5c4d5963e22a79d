"""The metrics of channels, each with its meaning; labels are closed sets, never ids."""

from prometheus_client import Counter, Gauge, Histogram

from libs.runtime.weighted_histogram import WeightedHistogram

WEBHOOK_REQUESTS = Counter(
    "channels_webhook_requests_total",
    "Pushes by how they were answered: accepted, too_large, refused_signature, refused_path, refused_address,"
    " unavailable, broken_off.",
    ["channel", "outcome"],
)
WEBHOOK_BATCH_MESSAGES = Histogram(
    "channels_webhook_batch_messages",
    "Pushes made durable by one statement.",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500),
)
WEBHOOK_WAITING = Gauge("channels_webhook_waiting_messages", "Pushes received and not durable yet.")
MESSAGES = Counter(
    "channels_messages_total",
    "Raw messages by how they ended and why.",
    ["channel", "outcome", "reason"],
)
ACTIONS_LEFT = Counter(
    "channels_actions_left_total",
    "Actions of orders that were passed over, since nothing carries them out yet; the log names each.",
)
UNKNOWN_STATUSES = Counter(
    "channels_unknown_statuses_total", "Statuses that no table knows (IN-07): look at each.", ["channel"]
)
CLOCK_SUSPECTS = Counter(
    "channels_clock_suspects_total",
    "Source times more than 10 minutes ahead of the receipt (IN-10).",
    ["channel"],
)
FACTS = Counter(
    "channels_facts_total", "Facts written to the outbox, by where they were said.", ["channel", "path"]
)
READS = Counter(
    "channels_reads_total",
    "Orders read, by result: published, unchanged, retried, parked, moved, gone.",
    ["channel", "result"],
)
PUSH_DELAY_SECONDS = WeightedHistogram(
    "channels_push_delay_seconds",
    "Time from when a marketplace says that something happened until its push of it was received; its clock.",
    ["channel"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600),
)
READ_DELAY_SECONDS = WeightedHistogram(
    "channels_read_delay_seconds",
    "Time from when an order was asked to be read until what it brought was stored.",
    ["channel"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900),
)
CALLS = Counter(
    "channels_marketplace_calls_total",
    "Calls of a marketplace by result: ok, limited, unauthorised, transient, refused.",
    ["channel", "result"],
)
CALL_SECONDS = Histogram(
    "channels_marketplace_call_seconds",
    "How long a marketplace took to answer.",
    ["channel"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
POLLS = Counter(
    "channels_polls_total", "Passes over a shop's list, by result: complete, failed.", ["channel", "result"]
)
POLL_FOUND = Counter(
    "channels_poll_found_total", "Orders that a list showed changed and that are read for it.", ["channel"]
)
