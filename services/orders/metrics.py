"""The metrics of orders, each with its meaning."""

from prometheus_client import Counter, Gauge

FACTS = Counter(
    "orders_facts_total", "Channel facts by type and disposition (table 11.3).", ["type", "disposition"]
)
APPEND_CONFLICTS = Counter(
    "orders_append_conflicts_total", "Appends refused because a stream or a row had moved."
)
WAITING_ADDED = Counter("orders_waiting_total", "Facts that had to wait for their order's placement.")
PROJECTION_LAG_EVENTS = Gauge("projection_lag_events", "Stored events not yet in the read model.")
COMMANDS = Counter(
    "orders_commands_total",
    "Commands and reported facts by name and outcome: accepted, or the code of the refusal (4.2).",
    ["command", "outcome"],
)
ACTION_ENDS = Counter(
    "orders_action_ends_total",
    "Ends of actions at marketplaces by outcome (MA-4); ACTION_UNKNOWN: of no action that an order knows.",
    ["outcome"],
)
TIMERS = Counter(
    "orders_timers_total",
    "Due timers by kind and outcome: fired, or ended without an event.",
    ["kind", "outcome"],
)
TIMERS_VERIFIED = Counter(
    "orders_timers_verified_total", "Orders whose rows of timers were compared with their events (TI-9)."
)
TIMER_DIFFERENCES = Counter(
    "orders_timer_differences_total",
    "Differences between rows of timers and events, each time they are seen: MISSING or UNEXPECTED rows, and"
    " UNREADABLE events.",
    ["difference"],
)
