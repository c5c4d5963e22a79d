"""The errors that the machinery sorts by what must happen next.

RuntimeFault
+-- Transient        try again, with backoff, within a bound
+-- Permanent        trying again changes nothing: park the record
|   +-- Malformed    the bytes are not what the contract says: park the record
+-- Fenced           another process owns the partition now: drop the work, change nothing
"""


class RuntimeFault(Exception):
    """Every fault that libs.runtime raises on purpose."""


class Transient(RuntimeFault):
    """A fault that may pass by itself: the same work is tried again, with backoff."""


class Permanent(RuntimeFault):
    """A fault that the same input will always meet; `reason` is a stable code for counting."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Malformed(Permanent):
    """Bytes that break their contract; `field` names the part that does, in the sender's words."""

    def __init__(self, message: str, *, field: str = "", reason: str = "MALFORMED") -> None:
        super().__init__(reason, message)
        self.field = field


class Fenced(RuntimeFault):
    """The stored position of a partition has moved: another consumer owns it, and its effects stand."""
