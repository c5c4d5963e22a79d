"""The door of notifications: `python -m services.notifications [serve|consumer|migrate|redrive]`."""

import sys
from typing import TYPE_CHECKING

from libs.runtime.door import enter_follower

if TYPE_CHECKING:
    from libs.runtime.follower import Follower


def main(argv: list[str]) -> int:
    """Run a role until it is stopped, or a command to its end; the exit code."""
    return enter_follower(argv, "notifications", __doc__, _follower)


def _follower() -> "Follower":
    from services.notifications.app import FOLLOWER

    return FOLLOWER


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
