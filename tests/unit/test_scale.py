"""The page about many machines names tests that there are, and all that the tested stack sets."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from dev.distributed import SETTINGS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
TESTS = ROOT / "tests" / "system" / "distributed" / "test_distributed.py"


def test_every_test_of_many_machines_is_on_the_page_and_the_other_way_round() -> None:
    tree = ast.parse(TESTS.read_text(encoding="utf-8"))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    there = {name for name in there if name.startswith("test_")}
    assert len(there) > 3
    assert set(re.findall(r"`(test_\w+)`", PAGE)) == there


def test_every_setting_of_the_tested_stack_is_on_the_page() -> None:
    for name, value in SETTINGS.items():
        _, section, option = name.split("__")
        row = next(
            line for line in PAGE.splitlines() if line.startswith(f"| `[{section}] {option}` | ".lower())
        )
        assert row.split(" | ")[2].strip("`") == value
