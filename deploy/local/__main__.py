"""The door of the native stack: `python -m deploy.local {up,down,status,demo}`."""

import argparse
import sys

from deploy.local import compose, up
from deploy.local.layout import Layout, StackError


def main() -> int:
    """Carry out one command; 0 when it did what it says, 1 with a sentence on standard error when not."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start what is not running; write endpoints.json")
    starting.add_argument("--servers-only", action="store_true", help="Kafka and PostgreSQL, no services")
    commands.add_parser("down", help="stop everything, keep the data")
    commands.add_parser("status", help="say what runs; exit code 1 unless everything does")
    watching = commands.add_parser("demo", help="run the whole system and watch orders go through it")
    watching.add_argument("--orders", type=int, default=300, help="how many orders are made")
    watching.add_argument("--seed", type=int, default=2, help="decides what they are and what goes wrong")
    watching.add_argument("--per-second", type=float, default=12.0, help="how many of them begin in a second")
    commands.add_parser("compose-env", help="write the secrets that docker-compose.yml asks for")
    arguments = parser.parse_args()
    try:
        return _carry_out(arguments)
    except StackError as failure:
        print(failure, file=sys.stderr)
        return 1


def _carry_out(arguments: argparse.Namespace) -> int:
    layout = Layout()
    if arguments.command == "up" and arguments.servers_only:
        up.up_servers(layout)
    elif arguments.command == "up":
        up.up(layout)
    elif arguments.command == "down":
        up.down(layout)
    elif arguments.command == "status":
        return 0 if up.status(layout) else 1
    elif arguments.command == "compose-env":
        compose.write_environment(layout)
    else:
        from deploy.local import demo

        return int(demo.main(arguments.orders, arguments.seed, arguments.per_second))
    return 0


if __name__ == "__main__":
    sys.exit(main())
