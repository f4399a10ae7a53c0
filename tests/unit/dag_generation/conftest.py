from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.dag_generation import build_dags
from airflow_provider_cio_cohort.dag_generation.loader import LoadedSync, load


@pytest.fixture(autouse=True)
def dags_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the test's files is Airflow's DAG bundle."""
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    return tmp_path


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Writes a YAML file."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "my_syncs.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def dags_of(write: Callable[[str | bytes], Path]) -> Callable[[str], dict[str, Any]]:
    """Builds the DAGs of a YAML text."""
    return lambda content: build_dags(write(content))


@pytest.fixture
def dag_with(dags_of: Callable[[str], dict[str, Any]]) -> Callable[..., Any]:
    """Builds the DAG of one sync that says no more than it must, and the given lines."""

    def dag_with(*lines: str, name: str = "one") -> Any:
        head = f"syncs:\n- name: {name}\n  cohort_id: a1b2c3d\n"
        keys = " ".join(line.split(":")[0] for line in lines)
        segment = "" if "segment_" in keys else "  segment_name: Power users [Amplitude]\n"
        dags = dags_of(head + segment + "".join(f"  {line}\n" for line in lines))
        assert list(dags) == [f"cohort_sync__{name}"]
        return dags[f"cohort_sync__{name}"]

    return dag_with


@pytest.fixture
def problems_of(write: Callable[[str | bytes], Path]) -> Callable[[str], dict[str, list[str]]]:
    """Says what is wrong with each sync of a YAML text; a sound sync has nothing."""

    def problems_of(content: str) -> dict[str, list[str]]:
        loaded: list[LoadedSync] = load(write(content))
        assert all((sync.spec is None) == bool(sync.problems) for sync in loaded)
        return {sync.name: [str(problem) for problem in sync.problems] for sync in loaded}

    return problems_of
