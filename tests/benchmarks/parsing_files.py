"""Writes the same syncs three times: for our loader, as a loop for bare Airflow, and for dag-factory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

#: Names the one DAG that is wanted, where a task runs; set by the Task SDK.
PARSED_DAG = "_AIRFLOW_PARSING_CONTEXT_DAG_ID"
#: As in the README.
OURS = """
from pathlib import Path
from airflow_provider_cio_cohort.dag_generation import build_dags
globals().update(build_dags(Path(__file__).with_name("syncs.yaml")))
"""
#: What somebody would write who needs no YAML: the DAGs in a loop, with the same operator, form and docs.
BARE = """
import json
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import DAG, CronTriggerTimetable, Param

from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

HERE = Path(__file__).parent
DOC = (HERE / "doc.md").read_text(encoding="utf-8")
FORM = json.loads((HERE / "form.json").read_text(encoding="utf-8"))
FLAGS = [*FORM]

for number in range(NUMBER):
    with DAG(
        f"cohort_sync__sync_{number:05}",
        schedule=CronTriggerTimetable(f"{number % 60} {number % 24} * * *", timezone="Europe/Berlin"),
        start_date=pendulum.datetime(2025, 1, 1, tz="Europe/Berlin"),
        catchup=False,
        max_active_runs=1,
        default_args={
            "owner": "growth",
            "retries": 3,
            "retry_delay": timedelta(minutes=5),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": timedelta(hours=1),
        },
        description=f"People of kind {number:05}",
        doc_md=DOC.replace("NUMBER", f"{number:05}"),
        params={name: Param(**field) for name, field in FORM.items()},
        tags=["cohort-sync", "growth"],
    ) as dag:
        AmplitudeCohortToCustomerIOOperator(
            task_id="sync",
            cohort_id=f"c{number:05}",
            segment_name=f"Segment {number:05}",
            user_id_property="customer_id",
            deferrable=True,
            max_active_tis_per_dag=1,
            **{name: f"{{{{ params.{name} }}}}" for name in FLAGS},
        )
    globals()[dag.dag_id] = dag
"""
FACTORY = """
from pathlib import Path
from airflow.sdk import DAG
from dagfactory import load_yaml_dags
load_yaml_dags(
    globals_dict=globals(), config_filepath=str(Path(__file__).with_name("factory.yaml")),
    defaults_config_path=str(Path(__file__).parent),
)
"""
_OPERATOR = (
    "airflow_provider_cio_cohort.transfers.amplitude_to_customer_io.AmplitudeCohortToCustomerIOOperator"
)


def write_ours(folder: Path, size: int) -> Path:
    """
    Write our YAML and the DAG file beside it; return that.

    :param folder: where; made if it is not there.
    :param size: how many syncs.
    """
    syncs = [
        {
            "name": f"sync_{number:05}",
            "cohort_id": f"c{number:05}",
            "segment_name": f"Segment {number:05}",
            "user_id_property": "customer_id",
            "description": f"People of kind {number:05}",
            "cadence": _cron(number),
            "tags": ["growth"],
        }
        for number in range(size)
    ]
    defaults = {"timezone": "Europe/Berlin", "owner": "growth"}
    _write(folder, "syncs.yaml", _as_yaml({"defaults": defaults, "syncs": syncs}))
    return _write(folder, "dags.py", OURS)


def write_bare(folder: Path, size: int) -> Path:
    """
    Write a DAG file that makes the same DAGs in a loop; return it.

    :param folder: where; made if it is not there.
    :param size: how many DAGs.
    """
    doc, form = _doc_and_form(folder, size)
    _write(folder, "doc.md", doc)
    _write(folder, "form.json", json.dumps(form))
    return _write(folder, "dags.py", BARE.replace("NUMBER)", f"{size})", 1))


def write_dag_factory(folder: Path, size: int) -> Path:
    """
    Write dag-factory's YAML for the same DAGs, and the DAG file that reads it; return that.

    :param folder: where; made if it is not there.
    :param size: how many DAGs.
    """
    doc, form = _doc_and_form(folder, size)
    params = {name: {"__type__": "airflow.sdk.Param", **field} for name, field in form.items()}
    flags = {name: f"{{{{ params.{name} }}}}" for name in form}
    dags: dict[str, Any] = {
        "default": {
            "default_args": {
                "owner": "growth",
                "retries": 3,
                "retry_delay": {"__type__": "datetime.timedelta", "minutes": 5},
                "start_date": "2025-01-01",
            },
            "catchup": False,
            "max_active_runs": 1,
            "tags": ["cohort-sync", "growth"],
            "params": params,
        }
    }
    for number in range(size):
        dags[f"cohort_sync__sync_{number:05}"] = {
            "schedule": _cron(number),
            "description": f"People of kind {number:05}",
            "doc_md": doc.replace("NUMBER", f"{number:05}"),
            "tasks": [
                {
                    "task_id": "sync",
                    "operator": _OPERATOR,
                    "cohort_id": f"c{number:05}",
                    "segment_name": f"Segment {number:05}",
                    "user_id_property": "customer_id",
                    "deferrable": True,
                    "max_active_tis_per_dag": 1,
                    **flags,
                }
            ],
        }
    _write(folder, "factory.yaml", _as_yaml(dags))
    return _write(folder, "dags.py", FACTORY)


def _doc_and_form(folder: Path, size: int) -> tuple[str, dict[str, Any]]:
    """Return the docs of our DAGs, with ``NUMBER`` where they differ, and the fields of their form."""
    from airflow_provider_cio_cohort.dag_generation import build_dags

    ours = write_ours(folder.with_name("as_ours"), size).with_name("syncs.yaml")
    dag = build_dags(ours)["cohort_sync__sync_00000"]
    doc = str(dag.doc_md).replace("00000", "NUMBER")
    form = {
        name: {"default": param.value, "description": param.description, **param.schema}
        for name, param in dag.params.items()
    }
    return doc, form


def _cron(number: int) -> str:
    return f"{number % 60} {number % 24} * * *"


def _as_yaml(data: Any) -> str:
    text: str = yaml.dump(data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)
    return text


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
