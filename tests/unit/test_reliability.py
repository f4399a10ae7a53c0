"""The page about reliability promises nothing that no test holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from airflow_provider_cio_cohort.engine.guards import Limits
from airflow_provider_cio_cohort.sandbox.faults import ACTIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
TESTS = [path for path in (ROOT / "tests").rglob("*.py") if path.name != Path(__file__).name]


def defined() -> set[str]:
    return {
        node.name
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 30
    assert named <= defined()


def test_every_fault_of_the_sandbox_is_injected_into_a_sync() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in TESTS
        if path.parent.name in ("faults", "operator", "system")
    )
    assert [action for action in ACTIONS if f'"{action}"' not in sources] == []


def test_every_way_through_a_guard_is_on_the_page() -> None:
    for name in Limits.__dataclass_fields__:
        assert f"`{name}`" in PAGE or name == "approved"
