"""The page about reliability promises nothing that no test holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.sandbox.faults import ACTIONS
from airflow_provider_cio_cohort.sync.guards import Limits

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


def test_every_row_about_a_fault_names_its_test() -> None:
    faults = PAGE[PAGE.index("## Either vendor") : PAGE.index("## Guards")]
    rows = [line for line in faults.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) > 30
    assert [row for row in rows if "`test_" not in row] == []


@pytest.mark.parametrize("action", ACTIONS)
def test_every_fault_of_the_sandbox_is_injected_into_a_sync(action: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in TESTS if path.parent.name in ("faults", "system")]
    assert any(f'"{action}"' in source for source in sources)


def test_every_way_through_a_guard_is_on_the_page() -> None:
    for name in Limits.__dataclass_fields__:
        assert f"`{name}`" in PAGE or name == "approved"
