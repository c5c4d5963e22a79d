"""Compiles and runs FollowOrders.java with what the native stack brings: `python -m examples.java.run`.

With a JDK of your own it is `javac` and `java` with kafka-clients and jackson-databind on the class path.
"""

import os
import sys
from pathlib import Path

from deploy.local.compiler import compiled
from deploy.local.kafka import java

SOURCE = Path(__file__).parent / "FollowOrders.java"


def main() -> None:
    """Become the Java process; only a source that does not compile comes back, as an error."""
    path = compiled(SOURCE, _say)
    program = str(java())
    # Kafka's compression is native code, which a new Java wants to be told of.
    options = ["-Xmx256m", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED"]
    os.execv(program, [program, *options, "-cp", path, SOURCE.stem])  # noqa: S606 - no shell.


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
