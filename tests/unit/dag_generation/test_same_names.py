"""Several YAML files of one DAG file: syncs of one name are an error, however the DAGs reach Airflow."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

SYNC = "- {{name: {}, cohort_id: a, segment_id: {}}}\n"
HEAD = """
from collections import ChainMap
from pathlib import Path
from airflow_provider_cio_cohort.dag_generation import build_dags
A, B = (Path(__file__).parent / name / "syncs.yaml" for name in "ab")
"""
HELPER = "from airflow_provider_cio_cohort.dag_generation import build_dags\n"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a DAG file that reads two files with a sync ``same`` each, and returns its DAGs."""
    for number, (folder, names) in enumerate({"a": ("same", "a"), "b": ("same", "b")}.items()):
        (tmp_path / folder).mkdir()
        syncs = (SYNC.format(name, 2 * number + position) for position, name in enumerate(names, start=1))
        (tmp_path / folder / "syncs.yaml").write_text(f"syncs:\n{''.join(syncs)}")
    monkeypatch.syspath_prepend(tmp_path)

    def read(code: str, **modules: str) -> dict[str, Any]:
        for name, content in modules.items():
            (tmp_path / f"{name}.py").write_text(content)
            monkeypatch.delitem("sys.modules", name, raising=False)
        loader = tmp_path / "loader.py"
        loader.write_text(HEAD + code)
        return {key: value for key, value in runpy.run_path(str(loader)).items() if isinstance(value, DAG)}

    return read


def check(dags: dict[str, Any]) -> None:
    assert set(dags) == {"cohort_sync__same", "cohort_sync__a", "cohort_sync__b"}
    wrong = {dag_id for dag_id, dag in dags.items() if "config-error" in dag.tags}
    assert wrong == {"cohort_sync__same"}
    dag = dags["cohort_sync__same"]
    assert "a/syncs.yaml and b/syncs.yaml: both have a sync same" in dag.doc_md
    assert "a/syncs.yaml and b/syncs.yaml: both have a sync same" in dag.get_task("sync").reason
    stored = DagSerialization.to_dict(dag)
    DagSerialization.validate_schema(stored)
    assert [task["__var"]["task_type"] for task in stored["dag"]["tasks"]] == ["RefusingOperator"]


@pytest.mark.parametrize(
    "code",
    [
        "globals().update(build_dags(A)); globals().update(build_dags(B))",
        "for path in (A, B): globals().update(build_dags(path))",
        "dags = {**build_dags(A), **build_dags(B)}; globals().update(dags)",
        "dags = build_dags(A) | build_dags(B); globals().update(dags)",
        "globals().update({dag_id: dag for path in (A, B) for dag_id, dag in build_dags(path).items()})",
        "a = build_dags(A); b = build_dags(B); globals().update({**b, **a})",
        "globals().update(ChainMap(build_dags(A), build_dags(B)))",
        "def every():\n  for path in (A, B): yield from build_dags(path).items()\nglobals().update(every())",
    ],
)
def test_syncs_of_one_name_are_refused(read: Any, code: str) -> None:
    check(read(code))


def test_a_function_of_another_module(read: Any) -> None:
    helper = f"{HELPER}def every(*paths):\n  return [build_dags(path) for path in paths]\n"
    code = "from helper import every\na, b = every(A, B)\nglobals().update({**b, **a})"
    check(read(code, helper=helper))
    # The module remains; the DAG file is read anew, with other files.
    assert "config-error" not in read(code.replace("A, B", "A, A"))["cohort_sync__same"].tags
    assert "config-error" not in read(code.replace("A, B", "B, B"))["cohort_sync__same"].tags


def test_modules_that_read_a_file_each(read: Any) -> None:
    folder = "Path(__file__).parent / NAME"
    part = f"{HELPER}from pathlib import Path\ndags = build_dags({folder} / 'syncs.yaml')\n"
    names = {"part_a": part.replace("NAME", "'a'"), "part_b": part.replace("NAME", "'b'")}
    check(read("import part_a, part_b\nglobals().update({**part_b.dags, **part_a.dags})", **names))


def test_one_file_may_be_read_twice(read: Any) -> None:
    dags = read("globals().update({**build_dags(A), **build_dags(A.parent / '..' / 'a' / 'syncs.yaml')})")
    assert not any("config-error" in dag.tags for dag in dags.values())


def test_what_one_dag_file_has_read_does_not_concern_another(read: Any) -> None:
    for name in "AB":
        assert "config-error" not in read(f"globals().update(build_dags({name}))")["cohort_sync__same"].tags
