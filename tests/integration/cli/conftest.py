"""The commands as Airflow's own parser runs them, against the sandbox over real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.cli import cli_parser

from airflow_provider_cio_cohort.cli import vendors
from airflow_provider_cio_cohort.hooks import customer_io
from airflow_provider_cio_cohort.state import StateStore
from airflow_provider_cio_cohort.sync.memory import SegmentMemory

#: Planted wherever people are: no command may print it.
PERSON = "planted-person-4711"


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> Any:
        return json.loads(self.out)

    @property
    def row(self) -> dict[str, Any]:
        (row,) = self.rows
        return row


@pytest.fixture(autouse=True)
def no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no request to the App API wait for its turn: its pace has tests of its own."""
    monkeypatch.setattr(customer_io, "APP_REQUESTS_PER_SECOND", 1000)


@pytest.fixture
def airflow(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Call ``airflow cohort-sync …`` in this process."""

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        code = 0
        try:
            args = cli_parser.get_parser().parse_args(["cohort-sync", *map(str, arguments)])
            args.func(args)
        except SystemExit as end:
            code = int(end.code or 0)
        seen = capsys.readouterr()
        return Answer(code, seen.out, seen.err)

    return run


@pytest.fixture
def process() -> Callable[..., Answer]:
    """Call ``airflow cohort-sync …`` as a process of its own."""

    def run(*arguments: str, **more: Any) -> Answer:
        command = [sys.executable, "-m", "airflow", "cohort-sync", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **more)
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a vendor that is away only once."""

    def prepare(hook: Any) -> Any:
        hook.policy = type(hook.policy)(retry_timeout=0.01)
        return hook

    monkeypatch.setattr(vendors, "hurried", prepare)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a YAML file of syncs, each a mapping; return its path."""

    def write(*syncs: dict[str, Any], name: str = "syncs.yaml", **top: Any) -> str:
        usual = {"cohort_id": "a1b2c3d", "poll_interval": 0.05}
        each = []
        for position, sync in enumerate(syncs or ({},)):
            filled = {"name": f"sync{position or ''}", **usual, **sync}
            if not {"segment_name", "segment_id", "targets"} & set(filled):
                filled["segment_name"] = "Power users"
            each.append(filled)
        path = tmp_path / name
        path.write_text(yaml.safe_dump({**top, "syncs": each}), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def cohort(sandbox: Any) -> Callable[..., Any]:
    """Make a cohort of people; those whose names start with ``x`` are nobody in Customer.io."""
    sandbox.configure(app_per_second=0)

    def make(*user_ids: str, id: str = "a1b2c3d", name: str = "Power users", **more: Any) -> Any:
        people(sandbox, *user_ids)
        rows = [
            {"amplitude_id": str(n), "user_id": user_id, "email": f"{user_id}@example.com"}
            for n, user_id in enumerate(user_ids)
        ]
        return sandbox.project.add_cohort(id=id, name=name, rows=rows, **more)

    return make


@pytest.fixture
def segment(sandbox: Any) -> Callable[..., Any]:
    """Make a segment with members."""

    def make(*user_ids: str, name: str = "Power users", **more: Any) -> Any:
        people(sandbox, *user_ids)
        return sandbox.workspace.add_segment(name, members=user_ids, **more)

    return make


def people(sandbox: Any, *user_ids: str) -> None:
    for user_id in user_ids:
        if not user_id.startswith("x"):
            sandbox.workspace.add_person(id=user_id, email=f"{user_id}@example.com")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is Airflow's only DAG bundle."""
    folder = tmp_path / "dags"
    folder.mkdir()
    path = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [{"name": "here", "classpath": path, "kwargs": {"path": str(folder)}}]
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(bundles))
    return folder


def keep_a_good_run(
    store: Any, segment: Any, report: dict[str, Any], computed_at: int | None, mode: str = "mirror"
) -> None:
    """Keep in a store what an earlier, good run of the sync ``sync`` has kept."""
    of = {
        "dag_id": "cohort_sync__sync",
        "cohort_id": "a1b2c3d",
        "user_id_property": "user_id",
        "id_type": "id",
        "mode": mode,
        "amplitude_conn_id": "amplitude_default",
    }
    keys = customer_io.CustomerIOHook().keys_fingerprint
    earlier = SegmentMemory(StateStore(store), "workspace 77", keys, of)
    earlier.attach(segment.id)
    earlier.note_segment()
    earlier.save({"segment_after": 0, **report}, computed_at, None)
