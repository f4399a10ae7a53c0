"""Rows of Airflow's metadata database, as Airflow would write them."""

from __future__ import annotations

import json
import zlib
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from airflow.models.asset import AssetEvent, AssetModel, TaskInletAssetReference, TaskOutletAssetReference
from airflow.models.dag import DagModel, DagTag
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.assets import LATE_URI, segment_asset

BUNDLE = "overview-tests"
TABLES = (
    ParseImportError,
    AssetEvent,
    XComModel,
    RenderedTaskInstanceFields,
    TaskInstance,
    DagRun,
    DagTag,
    SerializedDagModel,
    DagVersion,
    TaskInletAssetReference,
    TaskOutletAssetReference,
    AssetModel,
    DagModel,
    DagBundleModel,
)


def segment_uri(name: str, conn_id: str = "customer_io_default") -> str:
    return f"customerio://{conn_id}/segments/name/{name}"


def cohort_uri(cohort_id: str, conn_id: str = "amplitude_default") -> str:
    return f"amplitude://{conn_id}/cohorts/{cohort_id}"


def dag_row(dag_id: str, schedule: str | None = "0 6 * * *", **fields: Any) -> dict[str, Any]:
    return {
        "dag_id": dag_id,
        "is_paused": False,
        "is_stale": False,
        "bundle_name": BUNDLE,
        "timetable_type": "",
        "timetable_summary": schedule or "None",
        "timetable_description": "",
        "partition_mapper_info": [],
        "max_active_tasks": 16,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": False,
        **fields,
    }


def run_row(dag_id: str, run_id: str, due: datetime, state: str = "success", **fields: Any) -> dict[str, Any]:
    ended = due + timedelta(minutes=5) if state in ("success", "failed") else None
    return {
        "dag_id": dag_id,
        "run_id": run_id,
        "run_type": "scheduled",
        "state": state,
        "run_after": due,
        "logical_date": due,
        "start_date": due,
        "end_date": ended,
        "clear_number": 0,
        "span_status": "not_started",
        **fields,
    }


def task_row(dag_id: str, task_id: str, run_id: str, state: str | None, **fields: Any) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "dag_id": dag_id,
        "task_id": task_id,
        "run_id": run_id,
        "map_index": -1,
        "state": state,
        "pool": "default_pool",
        "pool_slots": 1,
        "try_number": 1,
        "max_tries": 0,
        "span_status": "not_started",
        **fields,
    }


def event_row(
    asset_id: int, dag_id: str, task_id: str, run_id: str | None, at: datetime, extra: Any, index: int = -1
) -> dict[str, Any]:
    return {
        "asset_id": asset_id,
        "source_dag_id": dag_id,
        "source_task_id": task_id,
        "source_run_id": run_id,
        "source_map_index": index,
        "timestamp": at,
        "extra": extra,
    }


def report(size: int = 1000, **fields: Any) -> dict[str, Any]:
    """What the operator puts into an event."""
    return {
        "cohort_id": "a1b2c3d",
        "cohort_name": "Power users of the app",
        "cohort_url": "https://analytics.amplitude.com/cohort/a1b2c3d",
        "segment_id": 17,
        "segment_name": "Power users",
        "segment_url": "https://fly.customer.io/workspaces/7/journeys/segments/17",
        "mode": "mirror",
        "dry_run": False,
        "cohort_rows": size + 100,
        "without_identifier": 0,
        "unreadable": 0,
        "duplicates": 0,
        "identifiers": size + 100,
        "segment_before": size - 5,
        "to_add": 10,
        "to_remove": 5,
        "added": 10,
        "removed": 5,
        "segment_after": size,
        "not_removable": 0,
        "unmatched": 100,
        "rejected": 0,
        "match_rate": size / (size + 100),
        "duration": 12.5,
        **fields,
    }


def failure(**fields: Any) -> dict[str, Any]:
    """What a task keeps of the error that ends it."""
    return {
        "error": "UnknownCohortError",
        "reason": "Amplitude has no cohort 'a1b2c3d' in the project of connection 'amplitude_default'.",
        "segment": "Nothing was written: the segment is as it was.",
        "try_number": 1,
        **fields,
    }


class Airflow:
    """
    Fills the metadata database of an Airflow as its scheduler and its tasks would.

    :param session: of that database.
    :param now: the moment that everything is relative to.
    """

    def __init__(self, session: Session, now: datetime) -> None:
        self.session = session
        self.now = now
        session.execute(insert(DagBundleModel.__table__).values(name=BUNDLE, active=True))

    def put(self, model: Any, **row: Any) -> None:
        self.session.execute(insert(model.__table__).values(**row))

    def ago(self, **time: float) -> datetime:
        return self.now - timedelta(**time)

    def asset(self, uri: str) -> int:
        known = self.session.scalar(select(AssetModel.id).where(AssetModel.uri == uri))
        if known is None:
            self.put(AssetModel, name=uri, uri=uri, group="asset", extra={})
            return self.asset(uri)
        return known

    def dag(self, dag_id: str, *tags: str, **fields: Any) -> str:
        fields.setdefault("next_dagrun_create_after", self.now + timedelta(hours=12))
        self.put(DagModel, **dag_row(dag_id, **fields))
        for tag in tags:
            self.put(DagTag, dag_id=dag_id, name=tag)
        return dag_id

    def broken_file(self, yaml: str = "growth.yaml", **fields: Any) -> str:
        """Make the DAG of a YAML file that cannot be read; Airflow has just parsed it."""
        fields = {"last_parsed_time": self.now, "description": f"{yaml} cannot be read: …", **fields}
        return self.dag(f"cohort_file__{yaml}", "cohort-file", "config-error", **fields)

    def import_error(self, file: str, stacktrace: str = "SyntaxError", bundle: str = BUNDLE) -> None:
        """Make the error of a DAG file that cannot be imported."""
        self.put(
            ParseImportError, bundle_name=bundle, filename=file, stacktrace=stacktrace, timestamp=self.now
        )

    def sync(
        self, name: str = "power_users", task_id: str = "sync", segment: str = "", **fields: Any
    ) -> tuple[str, str, int]:
        """Make a sync of a YAML file; return its DAG, its task and its asset."""
        dag_id = fields.pop("dag_id", f"cohort_sync__{name}")
        conn_id = fields.pop("amplitude_conn_id", "amplitude_default")
        if self.session.get(DagModel, dag_id) is None:
            self.dag(dag_id, "cohort-sync", **fields)
        asset_id = self.writes(dag_id, task_id, segment_uri(segment or name))
        self.reads(dag_id, task_id, cohort_uri("a1b2c3d", conn_id))
        return dag_id, task_id, asset_id

    def writes(self, dag_id: str, task_id: str, uri: str) -> int:
        asset_id = self.asset(uri)
        self.put(TaskOutletAssetReference, asset_id=asset_id, dag_id=dag_id, task_id=task_id)
        return asset_id

    def reads(self, dag_id: str, task_id: str, uri: str) -> None:
        self.put(TaskInletAssetReference, asset_id=self.asset(uri), dag_id=dag_id, task_id=task_id)

    def run(
        self,
        dag_id: str,
        due: datetime,
        state: str = "success",
        tasks: dict[str, Any] | None = None,
        **fields: Any,
    ) -> str:
        """Make a run with its tasks' states; the task ``sync`` by default has that of the run."""
        run_id = fields.pop("run_id", f"scheduled__{due.isoformat()}")
        self.put(DagRun, **run_row(dag_id, run_id, due, state, **fields))
        for task_id, task_state in ({"sync": state} if tasks is None else tasks).items():
            times = {"start_date": fields.get("start_date", due), "end_date": fields.get("end_date")}
            self.put(TaskInstance, **task_row(dag_id, task_id, run_id, task_state, **times))
        return run_id

    def failed(
        self,
        dag_id: str,
        due: datetime,
        kept: Any,
        task_id: str = "sync",
        others: dict[str, Any] | None = None,
        **fields: Any,
    ) -> str:
        """Make a run in which a task failed after five minutes, and what it has kept of its error."""
        run_id = self.run(dag_id, due, "failed", others or {})
        self.also_failed(dag_id, run_id, due, kept, task_id, **fields)
        return run_id

    def xcom(
        self, dag_id: str, run_id: str, key: str, value: Any, task_id: str = "sync", **fields: Any
    ) -> None:
        """Make an XCom of a task."""
        dag_run_id = self.session.scalar(select(DagRun.id).filter_by(dag_id=dag_id, run_id=run_id))
        where = {"dag_run_id": dag_run_id, "dag_id": dag_id, "run_id": run_id, "task_id": task_id}
        usual = {"map_index": -1, "timestamp": self.now}
        self.put(XComModel, **where, key=key, value=value, **{**usual, **fields})

    def serialized(self, dag_id: str, *, compressed: bool = False, number: int = 1, **dag: Any) -> None:
        """Make a version of a DAG as Airflow serializes it."""
        at, version, data = (
            self.ago(days=10 - number),
            uuid4(),
            {"__version": 3, "dag": {"dag_id": dag_id, **dag}},
        )
        times = {"created_at": at, "last_updated": at}
        self.put(DagVersion, id=version, dag_id=dag_id, version_number=number, bundle_name=BUNDLE, **times)
        packed = zlib.compress(json.dumps(data).encode()) if compressed else None
        self.put(
            SerializedDagModel,
            **{"id": uuid4(), "dag_id": dag_id, "dag_hash": str(number), "dag_version_id": version, **times},
            data=None if compressed else data,
            data_compressed=packed,
        )

    def late(self, dag_id: str = "mine", task_id: str = "fill", **fields: Any) -> tuple[str, str]:
        """Make a DAG with a task whose segment only its runs know; return both."""
        if self.session.get(DagModel, dag_id) is None:
            self.dag(dag_id, **fields)
        self.reads(dag_id, task_id, LATE_URI)
        return dag_id, task_id

    def part(
        self, task: tuple[str, str], run_id: str, state: str | None, index: int = -1, **fields: Any
    ) -> None:
        """Make a part of a run of such a task; with rendered fields if it has started and so has any."""
        segment, rendered = fields.pop("segment", None), fields.pop("rendered", None)
        self.put(TaskInstance, **task_row(*task, run_id, state, map_index=index, **fields))
        if segment or rendered:
            self.renders(task, run_id, index, segment, **(rendered or {}))

    def renders(
        self, task: tuple[str, str], run_id: str, index: int, segment: str | None = None, **fields: Any
    ) -> None:
        """Make what Airflow keeps of a task instance's templates."""
        rendered = {
            "cohort_id": "a1b2c3d",
            "amplitude_conn_id": "amplitude_default",
            "customer_io_conn_id": "customer_io_default",
            "segment_name": segment,
            "segment_id": None,
            "dry_run": False,
            **fields,
        }
        where = {"dag_id": task[0], "task_id": task[1], "run_id": run_id, "map_index": index}
        self.put(RenderedTaskInstanceFields, **where, rendered_fields=rendered)

    def event(
        self, sync: tuple[str, str, int], at: datetime, extra: Any = None, run_id: str | None = None
    ) -> None:
        dag_id, task_id, asset_id = sync
        said = report() if extra is None else extra
        self.put(AssetEvent, **event_row(asset_id, dag_id, task_id, run_id, at, said))

    def also_failed(
        self, dag_id: str, run_id: str, due: datetime, kept: Any, task_id: str, **fields: Any
    ) -> None:
        """Let another task of a failed run have failed, too."""
        ended = due + timedelta(minutes=5)
        self.put(TaskInstance, **task_row(dag_id, task_id, run_id, "failed", end_date=ended, **fields))
        dag_run_id = self.session.scalar(select(DagRun.id).filter_by(dag_id=dag_id, run_id=run_id))
        where = {"dag_run_id": dag_run_id, "dag_id": dag_id, "run_id": run_id, "task_id": task_id}
        index = fields.get("map_index", -1)
        self.put(XComModel, **where, map_index=index, key="failure", value=kept, timestamp=ended)

    def late_event(self, task: tuple[str, str], run_id: str, segment: str, index: int, **said: Any) -> None:
        """Make the event of a part that went well, and the asset with the first one."""
        asset = segment_asset(segment)
        asset_id = self.session.scalar(select(AssetModel.id).where(AssetModel.name == asset.name))
        if asset_id is None:
            self.put(AssetModel, name=asset.name, uri=asset.uri, group="asset", extra={})
            asset_id = self.session.scalar(select(AssetModel.id).where(AssetModel.name == asset.name))
        at = self.session.scalar(
            select(DagRun.run_after).where(DagRun.run_id == run_id, DagRun.dag_id == task[0])
        )
        extra = report(segment_name=segment, **said)
        self.put(AssetEvent, **event_row(asset_id, *task, run_id, at + timedelta(minutes=5), extra, index))

    def good(self, sync: tuple[str, str, int], due: datetime, **said: Any) -> str:
        """Make a run that went well."""
        run_id = self.run(sync[0], due, tasks={sync[1]: "success"})
        self.event(sync, due + timedelta(minutes=5), report(**said), run_id)
        return run_id


def empty(session: Session) -> None:
    """Remove everything that :class:`Airflow` makes."""
    for table in TABLES:
        session.execute(delete(table))
