"""Each row of the docs about faults has its tests, which ``faults.yaml`` names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

from airflow_provider_cio_cohort.sandbox.faults import ACTIONS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / name for name in ("reliability.md", "scale.md")]
FAULTS: dict[str, dict[str, list[str]]] = yaml.safe_load(
    Path(__file__).with_name("faults.yaml").read_text(encoding="utf-8")
)
TESTS = [path for path in (ROOT / "tests").rglob("*.py") if path.name != Path(__file__).name]


def defined() -> set[str]:
    return {
        node.name
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }


def rows_of(section: str) -> list[str]:
    """Return the first cells of the table of a section."""
    (text,) = (
        found[1]
        for page in PAGES
        for found in re.finditer(
            rf"^## {section}\n(.*?)(?=^## |\Z)", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
    )
    return re.findall(r"^\| (.+?) \|", text, re.MULTILINE)[1:]


def test_every_row_has_its_tests() -> None:
    assert {section: rows_of(section) for section in FAULTS} == {
        section: list(rows) for section, rows in FAULTS.items()
    }


def test_every_named_test_exists() -> None:
    named = {test for rows in FAULTS.values() for tests in rows.values() for test in tests}
    assert len(named) > 100
    assert named <= defined()


def test_every_fault_of_the_sandbox_is_injected_into_a_sync() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in TESTS
        if path.parent.name in ("faults", "operator", "system")
    )
    assert [action for action in ACTIONS if f'"{action}"' not in sources] == []
