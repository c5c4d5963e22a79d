"""The house rules that a program can check: sizes, names, files that must be there, words that must not."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.events.topics import TOPICS

ROOT = Path(__file__).parents[1]
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500
FORBIDDEN_NAMES = {
    "utils",
    "helpers",
    "common",
    "base",
    "manager",
    "processor",
    "data",
    "info",
    "process",
    "misc",
}
SERVICES = ("orders", "channels", "inventory", "notifications")
PLUMBING = (
    "README.md",
    "__main__.py",
    "app.py",
    "settings.py",
    "api.py",
    "store.py",
    "metrics.py",
    "migrations",
    "tests",
)


def sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return [ROOT / name for name in listed if (ROOT / name).exists()]


SOURCES = sources()
NAMES = [str(path.relative_to(ROOT)) for path in SOURCES]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_every_module_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MODULE_LINES_MAX
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree)
    assert docstring, "A module says in its first lines what it is responsible for."
    for function in functions(tree):
        lines = (function.end_lineno or 0) - function.lineno + 1
        # A router is a list of small functions in one.
        inner = sum((f.end_lineno or 0) - f.lineno + 1 for f in functions(function) if f is not function)
        assert lines - inner <= FUNCTION_LINES_MAX, f"{function.name} has {lines} lines"


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in SOURCES if path.stem in FORBIDDEN_NAMES] == []


@pytest.mark.parametrize("service", SERVICES)
def test_knowing_one_service_is_knowing_all_four(service: str) -> None:
    missing = [name for name in PLUMBING if not (ROOT / "services" / service / name).exists()]
    assert missing == []


def test_every_topic_is_documented() -> None:
    text = (ROOT / "docs" / "topics.md").read_text(encoding="utf-8")
    assert [topic.name for topic in TOPICS if topic.name not in text] == []


def test_no_todo_without_an_issue_and_no_print_left_behind() -> None:
    found = []
    for path in SOURCES:
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


def test_decisions_are_short_and_numbered_without_a_gap() -> None:
    files = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    too_long = [file.name for file in files if len(file.read_text(encoding="utf-8").splitlines()) > 30]
    assert too_long == []
