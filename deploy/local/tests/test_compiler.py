"""Java sources compile without a JDK, once each, and one that does not compile is told in its own words."""

from pathlib import Path

import pytest

from deploy.local.compiler import compiled
from deploy.local.kafka import class_path
from deploy.local.layout import ROOT, StackError

pytestmark = pytest.mark.connected

SAMPLE = ROOT / "examples" / "java" / "FollowOrders.java"


def test_a_source_is_compiled_against_kafkas_jars_once() -> None:
    path = compiled(SAMPLE)
    classes, _, libraries = path.partition(":")
    assert libraries == class_path()
    made = Path(classes) / "FollowOrders.class"
    at = made.stat().st_mtime_ns
    assert compiled(SAMPLE) == path
    assert made.stat().st_mtime_ns == at


def test_a_source_that_does_not_compile_is_refused_with_the_compilers_words(tmp_path: Path) -> None:
    wrong = tmp_path / "Wrong.java"
    wrong.write_text("class Wrong { int one() { return missing; } }\n")
    with pytest.raises(StackError, match="missing cannot be resolved"):
        compiled(wrong)
