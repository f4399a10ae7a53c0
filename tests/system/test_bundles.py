"""Syncs that come from DAG bundles: a folder, and a git repository, in one Airflow."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.helpers import fill, members, run
from tests.system.soon import SOON

pytestmark = pytest.mark.system

DAG_FILE = """from pathlib import Path
from airflow_provider_cio_cohort.dag_generation import build_dags

globals().update(build_dags(Path(__file__).with_name("cohort_syncs.yaml")))
"""
SYNC = """syncs:
  - name: {name}
    cohort_id: {cohort_id}
    segment_name: {segment}
    cadence: manual
    poll_interval: 1
    deferrable: false
"""


class Repository:
    """
    A bare git repository and somebody who pushes to it.

    :param home: an empty directory.
    """

    def __init__(self, home: Path) -> None:
        self.bare = home / "syncs.git"
        self.work = home / "clone"
        git("init", "--quiet", "--bare", "--initial-branch=main", self.bare)
        git("clone", "--quiet", self.bare, self.work)
        (self.work / "dags").mkdir()
        (self.work / "dags" / "cohort_syncs.py").write_text(DAG_FILE, encoding="utf-8")

    def push(self, segment: str) -> str:
        """Let the repository's sync fill a segment; return the commit."""
        text = SYNC.format(name="from_git", cohort_id="bundgit1", segment=segment)
        (self.work / "dags" / "cohort_syncs.yaml").write_text(text, encoding="utf-8")
        git("-C", self.work, "add", ".")
        who = ("-c", "user.name=A reviewer", "-c", "user.email=reviewer@example.com")
        git("-C", self.work, *who, "commit", "--quiet", "--message", f"Fill {segment}")
        git("-C", self.work, "push", "--quiet", "origin", "HEAD:main")
        return git("-C", self.work, "rev-parse", "HEAD").strip()


def git(*arguments: str | Path) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("git"))


@pytest.fixture(scope="module")
def first_commit(repository: Repository) -> str:
    return repository.push("From git, first")


@pytest.fixture(scope="module")
def airflow(
    vendors: Sandbox, repository: Repository, first_commit: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowInstance]:
    home = tmp_path_factory.mktemp("bundles")
    folder = home / "folder"
    folder.mkdir()
    (folder / "cohort_syncs.py").write_text(DAG_FILE, encoding="utf-8")
    text = SYNC.format(name="from_folder", cohort_id="bundloc1", segment="From a folder")
    (folder / "cohort_syncs.yaml").write_text(text, encoding="utf-8")
    bundles = [
        {
            "name": "team_syncs",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder), "refresh_interval": 2},
        },
        {
            "name": "cohort_syncs",
            "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
            "kwargs": {
                "git_conn_id": "git_syncs",
                "tracking_ref": "main",
                "subdir": "dags",
                "refresh_interval": 2,
            },
        },
    ]
    settings = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "storage"),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        # Airflow runs no task whose asset it has put aside: the newest version of the DAG has another.
        "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "3600",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "2",
        **SOON,
    }
    connections = {**vendors.connections(), "git_syncs": {"conn_type": "git", "host": str(repository.bare)}}
    with AirflowInstance(home, home / "unused", connections, env=settings) as instance:
        wanted = {"cohort_sync__from_folder", "cohort_sync__from_git"}
        instance.wait_until(lambda: wanted <= instance.dag_ids(), "the DAGs of both bundles")
        yield instance


def version_of(airflow: AirflowInstance, run_id: str) -> str | None:
    """Return the bundle's version that a run of the repository's sync has kept."""
    found: str | None = airflow.api("GET", f"dags/cohort_sync__from_git/dagRuns/{run_id}")["bundle_version"]
    return found


def assets(airflow: AirflowInstance) -> list[str]:
    return [each["uri"] for each in airflow.api("GET", "assets", only_active=True)["assets"]]


def test_a_folder(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "bundloc1", "a", "b")
    dag = airflow.api("GET", "dags/cohort_sync__from_folder")
    assert dag["bundle_name"] == "team_syncs"
    _, state = run(airflow, "cohort_sync__from_folder")
    assert state == "success"
    assert members(vendors, "From a folder") == {"a", "b"}


def test_a_repository_and_a_commit_to_it(
    airflow: AirflowInstance, vendors: Sandbox, repository: Repository, first_commit: str
) -> None:
    fill(vendors, "bundgit1", "c", "d")
    dag = airflow.api("GET", "dags/cohort_sync__from_git")
    assert (dag["bundle_name"], dag["bundle_version"]) == ("cohort_syncs", first_commit)
    # Where docs/kubernetes.md says that the command finds the file.
    assert (airflow.home / "storage/cohort_syncs/tracking_repo/dags/cohort_syncs.yaml").is_file()
    first, state = run(airflow, "cohort_sync__from_git")
    assert state == "success"
    assert members(vendors, "From git, first") == {"c", "d"}
    assert version_of(airflow, first) == first_commit

    second_commit = repository.push("From git, second")
    airflow.wait_until(
        lambda: airflow.api("GET", "dags/cohort_sync__from_git")["bundle_version"] == second_commit,
        "the commit to be seen",
    )
    airflow.wait_until(
        lambda: "From%20git%2C%20second" in str(assets(airflow)), "the asset of the new segment"
    )
    second, state = run(airflow, "cohort_sync__from_git")
    assert state == "success"
    assert members(vendors, "From git, second") == {"c", "d"}
    assert version_of(airflow, second) == second_commit

    # What is cleared is run from its own commit, not from today's.
    vendors.workspace.add_person(id="e", email="e@example.com")
    fill(vendors, "bundgit1", "c", "d", "e", known=False)  # all three are there
    body = {"dag_run_id": first, "dry_run": False, "only_failed": False}
    airflow.api("POST", "dags/cohort_sync__from_git/clearTaskInstances", body)
    state = airflow.wait_for_run("cohort_sync__from_git", first)
    assert state == "success", airflow.log("cohort_sync__from_git", first, try_number=2)
    assert members(vendors, "From git, first") == {"c", "d", "e"}
    assert members(vendors, "From git, second") == {"c", "d"}
