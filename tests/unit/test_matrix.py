"""The table of docs/versions.md is the one that make test-matrix writes, of the locks that are there."""

from __future__ import annotations

import tomllib

from dev import matrix


def test_the_page_has_the_table_and_nothing_in_it_has_failed() -> None:
    text = matrix.PAGE.read_text(encoding="utf-8")
    _, begin, rest = text.partition(matrix.BEGIN)
    table, end, _ = rest.partition(matrix.END)
    assert begin
    assert end
    said = matrix.read(table)
    assert matrix.render(said) == table
    assert matrix.FAILED not in said.values()


def test_the_package_says_the_same_of_itself() -> None:
    project = tomllib.loads((matrix.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"apache-airflow>={min(matrix.LOCKS)}.0" in project["dependencies"]
    named = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each]
    assert tuple(named) == matrix.PYTHONS
