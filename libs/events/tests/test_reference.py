"""The event reference has of every event its meaning, every field with a meaning of its own, and an example."""

import json
import re

import pytest

from libs.events.examples import EXAMPLES
from libs.events.generate import ROOT
from libs.events.reference import meaning, rows
from libs.events.upcasts import CURRENT

PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
# `type` of a fact is its name, and an amount or a line says by its own name what it is within what holds it.
_SECTION = re.compile(r"^### (\w+)\n\n(.+?)(?=\n### |\n## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {
    found[1]: (name, text)
    for name, text in _SECTION.findall(PAGE)
    if (found := re.search(r"^Type `(.+?)`\.$", text, re.MULTILINE))
}


def test_there_is_a_section_for_every_event_and_none_beside() -> None:
    assert SECTIONS.keys() == CURRENT.keys()


@pytest.mark.parametrize("ce_type", sorted(CURRENT))
def test_a_section_has_meaning_and_example(ce_type: str) -> None:
    name, text = SECTIONS[ce_type]
    assert name == CURRENT[ce_type].__name__
    assert text.startswith(meaning(CURRENT[ce_type]))
    shown = re.search(r"```json\n(.+?)\n```", text, re.DOTALL)
    assert shown is not None
    assert json.loads(shown[1]) == json.loads(EXAMPLES[ce_type].to_json())


@pytest.mark.parametrize("ce_type", sorted(CURRENT))
def test_every_field_is_shown_and_says_what_it_means(ce_type: str) -> None:
    for field, _, _, told in rows(CURRENT[ce_type]):
        assert field in PAGE
        assert told or field in {"`type`", "`scope.line`", "`scope.package`", "`scope.order`"}, field
