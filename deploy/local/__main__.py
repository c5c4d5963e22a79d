"""The door of the native stack: `python -m deploy.local {up,down,status,demo}`."""

import argparse
import sys

from deploy.local import up
from deploy.local.layout import Layout, StackError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start what is not running")
    starting.add_argument("--servers-only", action="store_true", help="Kafka and PostgreSQL, no services")
    commands.add_parser("down", help="stop everything, keep the data")
    arguments = parser.parse_args()
    try:
        if arguments.command == "up":
            up.up_servers(Layout())
        else:
            up.down(Layout())
    except StackError as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
