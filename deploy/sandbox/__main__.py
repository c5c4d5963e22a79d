"""`python -m deploy.sandbox --config FILE`: run the simulators until SIGTERM or SIGINT.

Prints the addresses as one JSON line when they answer. A configuration that cannot be used is exit 2 and
one JSON object on standard error.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

import uvloop

from deploy.sandbox.app import Sandbox
from deploy.sandbox.settings import Settings, SettingsError, read


async def serve(settings: Settings) -> None:
    """Run until a signal asks to stop."""
    sandbox = Sandbox(settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    print(json.dumps(await sandbox.start()), flush=True)
    await stopping.wait()
    await sandbox.stop()


def main() -> int:
    """The exit status: 0 after a signal, 2 for a configuration that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m deploy.sandbox", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the JSON file described in README.md")
    arguments = parser.parse_args()
    try:
        settings = read(arguments.config)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except SettingsError as fault:
        print(
            json.dumps({"code": "BAD_CONFIG", "field": fault.field, "message": fault.problem}),
            file=sys.stderr,
        )
        return 2
    except OSError as fault:
        print(json.dumps({"code": "PORT_TAKEN", "field": "ports", "message": str(fault)}), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
