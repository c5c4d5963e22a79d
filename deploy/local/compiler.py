"""Java sources on a machine that has Python only: the runtime of the native stack compiles nothing by itself.

The compiler is Eclipse's, one jar that runs on any Java, resolved as Kafka's jars are.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.local.kafka import class_path, java
from deploy.local.layout import CACHE, Say, StackError, locked, silent

COMPILER_JAR = "org.eclipse.jdt:ecj:3.42.0"


def compiled(source: Path, say: Say = silent) -> str:
    """Give the class path of the source, compiled against Kafka's jars, and of those; compiles once each.

    Raises StackError with the compiler's words when the source does not compile.
    """
    libraries = class_path(say)
    digest = hashlib.sha256(source.read_bytes() + COMPILER_JAR.encode()).hexdigest()[:16]
    classes = CACHE / "java" / f"{source.stem}-{digest}"
    with locked(CACHE / "java.lock"):
        if not classes.exists():
            _compile(source, _compiler(say), libraries, classes)
    return os.pathsep.join([str(classes), libraries])


def _compile(source: Path, compiler: Path, libraries: str, classes: Path) -> None:
    unfinished = classes.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    # This compiler does not read `folder/*` as the runtime does.
    jars = [str(jar) for folder in libraries.split(os.pathsep) for jar in Path(folder).parent.glob("*.jar")]
    command = [java(), "-jar", compiler, "-17", "-encoding", "UTF-8", "-proc:none"]
    command += ["-cp", os.pathsep.join(sorted(jars)), "-d", unfinished, source]
    result = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise StackError(f"{source.name} does not compile:\n{result.stdout[-2000:]}")
    unfinished.rename(classes)


def _compiler(say: Say) -> Path:
    home = CACHE / "ecj"
    name = "{1}-{2}.jar".format(*COMPILER_JAR.split(":"))
    if not (home / "complete").exists():
        say("first time: downloading a compiler for Java (3 MB) ...")
        shutil.rmtree(home, ignore_errors=True)
        command = [sys.executable, "-m", "jgo", "--resolver", "python", "--repo-cache", CACHE / "maven"]
        command += ["--cache-dir", home, "--links", "copy", "info", "jars", COMPILER_JAR]
        result = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode or not list(home.rglob(name)):
            raise StackError(f"Downloading {name} failed; try again with a network:\n{result.stdout[-2000:]}")
        (home / "complete").touch()
    return next(home.rglob(name))
