"""The ids of the DAGs of a file: unique, and the same in every process that reads the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.dag_generation.file_ids import file_dag_id

LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
GIT = "airflow.providers.git.bundles.git.GitDagBundle"


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Configures Airflow's DAG bundles: Git bundles, or local ones by their paths."""

    def configure(*git: str, **local: Path | str) -> None:
        found: list[dict[str, Any]] = [{"name": name, "classpath": GIT, "kwargs": {}} for name in git]
        for name, path in local.items():
            kwargs = {"path": str(path)} if path else {}
            found.append({"name": name.replace("_", "-"), "classpath": LOCAL, "kwargs": kwargs})
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(found))
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "storage"))

    return configure


def id_of(path: Path) -> str:
    return file_dag_id("x__", path)


def test_the_id_is_the_path_in_airflows_dag_folder(tmp_path: Path) -> None:
    assert id_of(tmp_path / "growth.yaml") == "x__growth"
    assert id_of(tmp_path / "eu" / "growth.yaml") == "x__eu__growth"
    assert id_of(tmp_path / "us" / ".." / "eu" / "growth_syncs.yaml") == "x__eu__growth_syncs"


def test_no_two_files_of_a_bundle_have_one_id(tmp_path: Path) -> None:
    names = [
        *("a b.yaml", "a_b.yaml", "a.b.yaml", "a_b.yml", "a_b", "ä_b.yaml", "ö_b.yaml", "A_b.yaml"),
        *("a/b.yaml", "a__b.yaml", "a_/b.yaml", "a/_b.yaml", "a./b.yaml", ".yaml", "_.yaml"),
        *("x" * 240 + ".yaml", "x" * 241 + ".yaml"),
    ]
    ids = {id_of(tmp_path / name) for name in names}
    assert len(ids) == len(names)
    assert max(map(len, ids)) < 230


def test_bundles_with_the_same_paths_have_ids_of_their_own(
    tmp_path: Path, bundles: Callable[..., None]
) -> None:
    bundles(dags_folder="", team=tmp_path / "elsewhere", my_team=tmp_path / "third")
    in_folder, in_team = (root / "eu" / "syncs.yaml" for root in (tmp_path, tmp_path / "elsewhere"))
    assert (id_of(in_folder), id_of(in_team)) == ("x__eu__syncs", "x__team.eu__syncs")
    assert id_of(tmp_path / "third" / "syncs.yaml") == "x__my-team.syncs"
    assert id_of(tmp_path / "team" / "eu" / "syncs.yaml") == "x__team__eu__syncs"


def test_all_versions_of_a_git_bundle_have_one_id(
    tmp_path: Path, bundles: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles("sales", "growth")
    storage = tmp_path / "storage"
    found = []
    for root in ("sales/tracking_repo/dags", "sales/versions/1a/dags", "growth/tracking_repo/dags"):
        folder = storage / root
        # Airflow appends the bundle; the DAG file, its own folder.
        monkeypatch.setattr("sys.path", ["/", "", "relative", str(folder), str(folder / "eu")])
        found.append(id_of(folder / "eu" / "syncs.yaml"))
    assert found == ["x__sales.eu__syncs", "x__sales.eu__syncs", "x__growth.eu__syncs"]


def test_a_bundle_that_the_configuration_does_not_show(
    tmp_path: Path, bundles: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles()
    found = set()
    for version in ("1a", "2b"):
        root = tmp_path / version
        monkeypatch.setattr("sys.path", ["/", "", "relative", str(root)])
        found.add(id_of(root / "eu" / "syncs.yaml"))
        monkeypatch.setattr("sys.path", ["/", "", "relative", str(root), str(root / "eu")])
        found.add(id_of(root / "eu" / "syncs.yaml"))
    (dag_id,) = found
    assert dag_id.startswith("x__syncs_")


def test_files_outside_of_all_bundles_have_ids_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    monkeypatch.setattr("sys.path", [str(tmp_path / "dags")])
    ids = {id_of(tmp_path / folder / "syncs.yaml") for folder in ("dags", "one", "two")}
    assert len(ids) == 3
    assert all(dag_id.startswith("x__syncs") for dag_id in ids)


def test_a_file_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "version" / "eu").mkdir(parents=True)
    (tmp_path / "current").symlink_to(tmp_path / "version")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "current"))
    for folder in ("current", "version"):
        assert id_of(tmp_path / folder / "eu" / "growth.yaml") == "x__eu__growth"


def test_a_bundle_within_another(tmp_path: Path, bundles: Callable[..., None]) -> None:
    bundles(dags_folder="", team=tmp_path / "team")
    assert id_of(tmp_path / "team" / "syncs.yaml") == "x__team.syncs"
