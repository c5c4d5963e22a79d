"""One literal instance of every public event, for golden files, the event reference and tests."""

from typing import Final

from libs.events.example_facts import FACT_EXAMPLES
from libs.events.orders import OrderAdvanced
from libs.events.wire import PublicEvent

EXAMPLES: Final[dict[str, PublicEvent]] = {
    example.ce_type(): example for example in (*FACT_EXAMPLES, OrderAdvanced())
}
"""By `ce_type`."""
