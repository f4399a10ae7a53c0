"""What can only be seen from another process: imports, hashes, Airflow's own check of the DAG file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.utils.file import might_contain_dag

from airflow_provider_cio_cohort.dag_generation import build_dags

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "dags" / "cohort_syncs.yaml"
SERIALIZE = """
import json, sys
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import DagSerialization
from airflow_provider_cio_cohort.dag_generation import build_dags
for path in sys.argv[1:]:
    for dag in build_dags(path).values():
        data = DagSerialization.to_dict(dag)
        version = SerializedDagModel.hash(data)  # by which Airflow knows a new version of a DAG
        print(json.dumps({"version": version, "data": data}, sort_keys=True))
"""
#: Whatever makes a DAG more than one task.
ALL_LAYOUTS = """
defaults: {cadence: hourly, use_pools: true, snapshot_path: "file:///srv/cohorts"}
syncs:
- name: pools
  cohort_id: a
  segment_id: 1
- name: asks
  cohort_id: a
  segment_id: 2
  on_guard: approve
- name: targets
  cohort_id: a
  max_age: 26h
  alerts: [{notifier: airflow.providers.smtp.notifications.smtp.SmtpNotifier, on: [failure]}]
  targets: [{name: eu, segment_id: 3, id_type: email, user_id_property: email}, {name: us, segment_id: 4}]
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_example_builds_the_dags_that_it_describes() -> None:
    dags = build_dags(EXAMPLE)
    tasks = {dag_id: dag.get_task("sync") for dag_id, dag in dags.items()}
    assert not any("config-error" in dag.tags for dag in dags.values())
    assert tasks["cohort_sync__at_risk"].identifiers == [
        {"property": "customer_id", "id_type": "id"},
        {"property": "email", "id_type": "email"},
    ]
    assert {dag_id: (task.cohort_id, task.segment_name, task.user_id_property, task.id_type, task.mode)
            for dag_id, task in tasks.items()} == {
        "cohort_sync__power_users": ("pwr7k2m", "Power users [Amplitude]", "user_id", "id", "mirror"),
        "cohort_sync__trial_ending": ("trl4x9q", "Trial ending this week", "email", "email", "mirror"),
        "cohort_sync__at_risk": ("chn8w3z", "At risk of churn", "user_id", "id", "mirror"),
        "cohort_sync__new_this_month": ("new5b1c", "New this month", "user_id", "id", "add_only"),
    }  # fmt: skip


def test_the_same_yaml_gives_the_same_dags_to_the_byte(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "defaults: {tags: [c, b, a], nope: 1}\n"
        "syncs:\n- {name: a, cohort_id: 5, zz: 1, yy: 2}\n- {name: b, cohort_id: x, segment_id: 1}\n"
    )
    layouts = tmp_path / "layouts.yaml"
    layouts.write_text(ALL_LAYOUTS)
    outputs = set()
    for seed in ("1", "2", "3"):
        done = run(
            sys.executable, "-c", SERIALIZE, str(EXAMPLE), str(wrong), str(layouts), PYTHONHASHSEED=seed
        )
        # Without what is logged about the wrong sync, which has a time.
        outputs.add(tuple(line for line in done.stdout.splitlines() if line.startswith('{"data"')))
    assert len(outputs) == 1
    assert len(outputs.pop()) == 6 + 4


def test_a_dag_file_loads_no_http_library() -> None:
    code = (
        "import sys\n"
        "from unittest.mock import Mock\n"
        # With any asset, the Amazon provider loads requests; that it is installed here is not our doing.
        "sys.modules['airflow.providers.amazon.aws.assets.s3'] = Mock()\n"
        "from airflow_provider_cio_cohort.dag_generation import build_dags\n"
        f"assert len(build_dags({str(EXAMPLE)!r})) == 4\n"
        "print([name for name in ('requests', 'aiohttp', 'pandas', 'numpy') if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith('airflow_provider_cio_cohort.hooks')])\n"
    )
    assert run(sys.executable, "-c", code).stdout == "[]\n[]\n"


#: Like Airflow's DAG processor, a process that parses each file in a fork of itself.
PARSE = """
import json, os, sys
from pathlib import Path
import structlog
from airflow import settings
from airflow.dag_processing.processor import DagFileParseRequest, _parse_file

def parse(file, bundle):
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = settings.DAGS_FOLDER = str(bundle)
    request = DagFileParseRequest(file=str(file), bundle_path=bundle, bundle_name="test")
    result = _parse_file(request, structlog.get_logger())
    found = {dag.dag_id: dag.data["dag"] for dag in result.serialized_dags}
    dags = {dag_id: [dag["fileloc"], dag["tags"]] for dag_id, dag in found.items()}
    docs = {dag_id: dag.get("doc_md") for dag_id, dag in found.items()}
    return {"dags": dags, "docs": docs, "errors": result.import_errors, "warnings": result.warnings}

assert "airflow_provider_cio_cohort.dag_generation" not in sys.modules
for line in sys.stdin:
    if not (child := os.fork()):
        print("\\n" + json.dumps(parse(*map(Path, json.loads(line)))), flush=True)
        os._exit(0)
    print("end", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
Parse = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def parse() -> Iterator[Parse]:
    """What Airflow's DAG processor makes of a DAG file; values that change at each parse are an error."""
    settings = {"AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL": "error"}
    with subprocess.Popen(
        [sys.executable, "-c", PARSE],
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        into, out = process.stdin, process.stdout

        def ask(file: Path, bundle: Path | None = None) -> dict[str, Any]:
            print(json.dumps([str(file), str(bundle or file.parent)]), file=into, flush=True)
            said = ""
            while not (line := out.readline()).startswith("end "):
                assert line, said
                said = line
            assert line == "end 0\n"
            result: dict[str, Any] = json.loads(said)
            return result

        yield ask
        into.close()


def test_airflows_dag_processor_takes_the_example(parse: Parse) -> None:
    result = parse(EXAMPLE.with_suffix(".py"))
    assert (result["errors"], result["warnings"]) == ({}, [])
    assert {place for place, _ in result["dags"].values()} == {str(EXAMPLE.with_suffix(".py"))}
    assert set(result["dags"]) == set(build_dags(EXAMPLE))


def test_a_users_own_yaml_beside_ours(parse: Parse, tmp_path: Path) -> None:
    (tmp_path / "my_syncs.yaml").write_text(
        "syncs:\n- {name: mine, cohort_id: a, segment_id: 1}\n- {name: wrong, cadence: never}\n"
    )
    loader = tmp_path / "my_syncs.py"
    loader.write_text(EXAMPLE.with_suffix(".py").read_text().replace("cohort_syncs", "my_syncs"))
    result = parse(loader)
    assert result["errors"] == {}
    assert result["dags"] == {
        "cohort_sync__mine": [str(loader), ["cohort-sync"]],
        "cohort_sync__wrong": [str(loader), ["cohort-sync", "config-error"]],
    }


def test_a_file_that_is_no_yaml_is_a_dag_that_says_so(parse: Parse, tmp_path: Path) -> None:
    loader = tmp_path / "cohort_syncs.py"
    loader.write_bytes(EXAMPLE.with_suffix(".py").read_bytes())
    (tmp_path / "cohort_syncs.yaml").write_text("syncs:\n- name: [\n")
    result = parse(loader)
    assert result["errors"] == {}
    assert result["dags"] == {"cohort_file__cohort_syncs": [str(loader), ["cohort-file", "config-error"]]}


def test_files_in_other_folders_of_a_bundle_have_ids_of_their_own(parse: Parse, tmp_path: Path) -> None:
    folders = [tmp_path / "growth", tmp_path / "sales" / "eu"]
    for position, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "syncs.py").write_text(
            EXAMPLE.with_suffix(".py").read_text().replace("cohort_syncs.yaml", "syncs.yaml")
        )
        (folder / "syncs.yaml").write_text(
            f"syncs:\n- {{name: s{position}, cohort_id: a, segment_id: {position + 1}, max_age: 1d}}\n"
        )
    found = [set(parse(folder / "syncs.py", tmp_path)["dags"]) for folder in folders]
    assert found == [
        {"cohort_sync__s0", "cohort_freshness__growth__syncs"},
        {"cohort_sync__s1", "cohort_freshness__sales__eu__syncs"},
    ]


def test_several_yaml_files_of_one_dag_file(parse: Parse, tmp_path: Path) -> None:
    sync = "{{name: {}, cohort_id: a, segment_id: {}}}"
    for folder, syncs in {
        "a": [("same", 1), ("a", 2)],
        "b": [("same", 3), ("b", 4)],
    }.items():
        (tmp_path / folder).mkdir()
        lines = "".join(f"- {sync.format(*each)}\n" for each in syncs)
        (tmp_path / folder / "syncs.yaml").write_text(f"syncs:\n{lines}")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "syncs.yaml").write_text("syncs:\n\t- name: c\n")
    loader = tmp_path / "all.py"
    loader.write_text(
        '"""Reads all of them; an Airflow DAG file."""\n'
        "from pathlib import Path\n"
        "from airflow_provider_cio_cohort.dag_generation import build_dags\n"
        "for path in sorted(Path(__file__).parent.glob('*/syncs.yaml')):\n"
        "    globals().update(build_dags(path))\n"
    )
    result = parse(loader)
    assert result["errors"] == {}
    assert {dag_id: tags for dag_id, (_, tags) in result["dags"].items()} == {
        "cohort_sync__same": ["cohort-sync", "config-error"],
        "cohort_sync__a": ["cohort-sync"],
        "cohort_sync__b": ["cohort-sync"],
        "cohort_file__c__syncs": ["cohort-file", "config-error"],
    }
    assert "a/syncs.yaml and b/syncs.yaml: both have a sync same" in result["docs"]["cohort_sync__same"]


def test_safe_mode_finds_the_dag_file() -> None:
    assert might_contain_dag(str(EXAMPLE.with_suffix(".py")), safe_mode=True)
