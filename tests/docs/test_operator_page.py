"""``docs/operator.md`` says of each parameter what the models say."""

from __future__ import annotations

import re

from dev import operator_reference

TEXT = operator_reference.PAGE.read_text(encoding="utf-8")


def test_the_tables_are_what_the_models_make_of_them() -> None:
    assert operator_reference.render(TEXT) == TEXT, "run: make docs"


def test_every_operator_has_its_table() -> None:
    assert re.findall(r"<!-- parameters: (\w+) -->", TEXT) == list(operator_reference.MODELS)
