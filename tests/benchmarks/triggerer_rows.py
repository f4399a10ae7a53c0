"""Fills Airflow's database with tasks that wait, and watches the triggerer's loop from within."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

DAG_ID, TASK_ID, RUN_ID = "cohort_sync__waiting", "export", "manual__benchmark"
TICK = 0.01
#: Tasks that are deferred in a second.
AT_ONCE = 20
#: Spelt out, for this module is also run as a program.
MONITOR = "tests.benchmarks.triggerer_rows.LoopMonitor"


class LoopMonitor(BaseTrigger):
    """
    Looks every 10 ms how late the triggerer's loop is, and keeps the worst of each second in a file.

    :param path: the file: a line of JSON for each second.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return MONITOR, {"path": self.path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch until the triggerer ends."""
        while True:
            late, work, until = 0.0, 0.0, time.monotonic() + 1
            while (now := time.monotonic()) < until:
                spent = time.thread_time()
                await asyncio.sleep(TICK)
                late = max(late, time.monotonic() - now - TICK)
                # What the loop's thread has worked meanwhile: a busy machine does not make it longer.
                work = max(work, time.thread_time() - spent)
            line = json.dumps({"at": time.time(), "late": late, "work": work}) + "\n"
            await asyncio.to_thread(self._append, line)
        yield TriggerEvent({})

    def _append(self, line: str) -> None:
        with Path(self.path).open("a", encoding="utf-8") as file:
            file.write(line)


def prepare() -> None:
    """Make the DAG and its run, as the DAG processor and the scheduler would."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.sdk import DAG
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session
    from sqlalchemy import insert

    from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
    from tests.unit.overview.rows import run_row

    with DAG(DAG_ID, schedule=None) as dag:
        AmplitudeCohortExportOperator(task_id=TASK_ID, cohort_id="a1b2c3d")
    with create_session() as session:
        session.add(DagBundleModel(name="benchmark"))
        session.commit()
        SerializedDAG.bulk_write_to_db("benchmark", None, [dag], session=session)
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDagModel.write_dag(lazy, bundle_name="benchmark", session=session)
        session.execute(
            insert(DagRun.__table__).values(**run_row(DAG_ID, RUN_ID, datetime.now(UTC), "running"))
        )


def defer(triggers: Iterable[BaseTrigger], first_index: int) -> None:
    """
    Make a deferred task of each trigger.

    :param triggers: what the tasks wait for.
    :param first_index: where the tasks' map indexes begin.
    """
    from airflow.models.dag_version import DagVersion
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from sqlalchemy import insert, select

    from tests.unit.overview.rows import task_row

    with create_session() as session:
        version = session.scalar(select(DagVersion.id).where(DagVersion.dag_id == DAG_ID))
        made = [Trigger.from_object(trigger) for trigger in triggers]
        session.add_all(made)
        session.flush()
        usual: dict[str, Any] = {
            "dag_version_id": version,
            "queue": "default",
            "priority_weight": 1,
            "next_method": "execute_complete",
            "next_kwargs": {},
            "start_date": datetime.now(UTC),
            "executor_config": {},
        }
        rows = [
            task_row(DAG_ID, TASK_ID, RUN_ID, "deferred", map_index=index, trigger_id=trigger.id, **usual)
            for index, trigger in enumerate(made, start=first_index)
        ]
        session.execute(insert(TaskInstance.__table__), rows)


def waiting() -> int:
    """Return how many tasks still wait, the monitor left out."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    with create_session() as session:
        left = select(func.count()).where(TaskInstance.state == "deferred", TaskInstance.map_index > 0)
        return int(session.scalar(left) or 0)


def triggers_of(kind: str, request_ids: list[str], seconds: float) -> list[BaseTrigger]:
    """
    Return what the tasks wait for.

    :param kind: ``ours``; or ``bare``: Airflow's own trigger, which only waits for a moment.
    :param request_ids: the exports.
    :param seconds: how long Airflow's own waits.
    """
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
    from airflow_provider_cio_cohort.state import StateStore
    from airflow_provider_cio_cohort.sync.export import CohortExport, Export, ExportMemory, ExportOf
    from airflow_provider_cio_cohort.transfers.deferral import deferral

    if kind == "bare":
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        return [DateTimeTrigger(moment=moment) for _ in request_ids]
    wanted = ExportOf.of("a1b2c3d", ("user_id",), "amplitude_default")
    needed = CohortExport(
        AmplitudeHook(), wanted, ExportMemory(StateStore(None)), poll_interval=10, timeout=3600, reserve=0
    )
    exports = [Export(request_id, wanted, time.time()) for request_id in request_ids]
    return [deferral(needed, export, longest=3600)[0] for export in exports]


def main() -> None:
    """Do one step in the benchmark's Airflow home: ``prepare``, ``defer`` or ``waiting``."""
    step, *arguments = sys.argv[1:]
    if step == "prepare":
        prepare()
        defer([LoopMonitor(arguments[0])], 0)
    elif step == "defer":
        kind, seconds, file = arguments
        request_ids = json.loads(Path(file).read_text(encoding="utf-8"))
        until = time.time() + float(seconds)
        for first in range(0, len(request_ids), AT_ONCE):
            portion = request_ids[first : first + AT_ONCE]
            defer(triggers_of(kind, portion, until - time.time()), first + 1)
            time.sleep(1)  # as workers hand them over: bit by bit
    began = time.time()
    while step == "waiting" and (left := waiting()):
        if time.time() - began > float(arguments[0]):
            raise SystemExit(f"{left} tasks still wait")
        time.sleep(1)


if __name__ == "__main__":
    main()
