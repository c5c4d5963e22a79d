"""The metrics of inventory, each with its meaning."""

from prometheus_client import Counter

MOVEMENTS = Counter(
    "inventory_movements_total",
    "Movements written to the ledger, by kind; a batch that is tried again counts again.",
    ["kind"],
)
LINES_WITHOUT_SKU = Counter(
    "inventory_lines_without_sku_total", "Lines placed whose SKU nobody has told; they claim nothing (SF-05)."
)
