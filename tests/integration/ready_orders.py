"""Orders that stand where the examples of the OpenAPI document are accepted, each for one command."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx

from services.orders.command_examples import COMMAND_EXAMPLES
from services.orders.commands_api import kebab


class Step(NamedTuple):
    """What is asked of an order: the path below it, and the body."""

    path: str
    body: Mapping[str, Any]


def command(name: str, body: Mapping[str, Any] | None = None) -> Step:
    """A command, with the document's example unless it is told otherwise."""
    return Step(f"commands/{kebab(name)}", COMMAND_EXAMPLES[name] if body is None else body)


def fact(name: str, **data: Any) -> Step:
    """What a courier saw of the whole order."""
    return Step("facts", {"type": name, "data": data, "actor": "COURIER"})


CONFIRMED: Final = (command("ConfirmOrder"),)
PAID: Final = (*CONFIRMED, command("ConfirmPayment"))
SHIPPED: Final = (command("ShipOrder", {}), fact("AwbIssued", awb="JNE0000000001"))
ARRIVED: Final = (fact("PackagePickedUp"), fact("PackageDelivered"))
COMPLETED: Final = (*PAID, *SHIPPED, *ARRIVED, command("CompleteOrder"))
BILLED: Final = (*CONFIRMED, command("CreateBill"))

# What happens to an order before its command is accepted; with nothing here it is one just placed.
BEFORE: Final[Mapping[str, tuple[Step, ...]]] = {
    "UnconfirmOrder": CONFIRMED,
    "ConfirmPayment": CONFIRMED,
    "ReversePayment": PAID,
    "ReopenOrder": (command("CancelOrder"),),
    "ShipOrder": PAID,
    "CancelShipment": (*PAID, *SHIPPED),
    "MarkReady": PAID,
    "CompleteOrder": (*PAID, *SHIPPED, *ARRIVED),
    "CreateBill": CONFIRMED,
    "IssueBill": BILLED,
    "VoidBill": BILLED,
    "UnmarkReady": (*PAID, command("MarkReady")),
    "RecordExtraReceipt": PAID,
    "RecordRefund": (*COMPLETED, command("RecordCredit")),
    "RecordCredit": COMPLETED,
    "OpenReturnCase": (*PAID, *SHIPPED, *ARRIVED),
    "CloseReturnCase": (*PAID, *SHIPPED, *ARRIVED, command("OpenReturnCase")),
    "ReleaseOrder": (command("HoldOrder"),),
    "RecordCodRemittance": (*CONFIRMED, *SHIPPED, *ARRIVED, command("CompleteOrder")),
    "ReportFact": (*PAID, *SHIPPED),
}
METHODS: Final = {
    "CreateBill": "INVOICE",
    "IssueBill": "INVOICE",
    "VoidBill": "INVOICE",
    "RecordCodRemittance": "COD",
}
# The owner takes over what a marketplace says only of an order of its own, which no command places.
NOT_PLACED: Final = frozenset({"PlaceOrder", "AdoptChannelState"})


class Desk:
    """Asks orders over HTTP as a seller does, each time under a key of its own."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._asked = 0

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What is answered; nothing may be refused."""
        self._asked += 1
        answer = self._client.post(path, json=body, headers={"idempotency-key": f"desk-{self._asked}"})
        assert answer.is_success, f"{path} {body}: {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    def place(self, *before: Step, method: str = "TRANSFER") -> str:
        """An order as the document's example places it, after these steps; its id."""
        placing = {**COMMAND_EXAMPLES["PlaceOrder"], "payment_method": method}
        order = str(self.post("/v1/orders", placing)["order"])
        for step in before:
            self.post(f"/v1/orders/{order}/{step.path}", step.body)
        return order

    def orders_ready(self) -> dict[str, str]:
        """For the path of every command below an order, an order that takes the command's example."""
        ready = {
            command(name).path: self.place(*BEFORE.get(name, ()), method=METHODS.get(name, "TRANSFER"))
            for name in COMMAND_EXAMPLES
            if name not in NOT_PLACED
        }
        ready["commands/preview-edit"] = self.place()
        ready["facts"] = self.place(*BEFORE["ReportFact"])
        return ready
