"""Where the time of many syncs goes: how long tasks are in each state, and which processes use the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from subprocess import Popen
from typing import Any

import psutil
import psycopg2

#: Keeps each change of a task's state; Airflow itself keeps the last times only.
_RECORD = """
CREATE TABLE benchmark_states (
    ti uuid, task_id text, state text, at timestamptz DEFAULT clock_timestamp()
);
CREATE FUNCTION benchmark_state() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' OR NEW.state IS DISTINCT FROM OLD.state THEN
        INSERT INTO benchmark_states VALUES (NEW.id, NEW.task_id, NEW.state);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER benchmark_state AFTER INSERT OR UPDATE ON task_instance
    FOR EACH ROW EXECUTE FUNCTION benchmark_state();
"""
#: The mean seconds of each state; a task that continues after its wait is told apart.
_MEANS = """
SELECT task_id || CASE WHEN resumed THEN ' after the wait' ELSE '' END, state, avg(seconds) FROM (
    SELECT task_id, state, bool_or(state = 'deferred') OVER (PARTITION BY ti ORDER BY at)
           AND state <> 'deferred' AS resumed,
           extract(epoch FROM lead(at) OVER (PARTITION BY ti ORDER BY at) - at) AS seconds
    FROM benchmark_states
) AS states WHERE seconds IS NOT NULL AND state IN ('scheduled', 'queued', 'running', 'deferred')
GROUP BY 1, 2 ORDER BY 1, min(seconds)
"""


class States:
    """
    The states of all tasks, kept by PostgreSQL itself.

    :param address: user, password, host, port and database.
    """

    def __init__(self, address: str) -> None:
        self._url = f"postgresql://{address}"

    def record(self) -> None:
        """Keep each change from now on."""
        self._run(_RECORD)

    def means(self) -> dict[str, dict[str, float]]:
        """Return the mean seconds that a task was in each state."""
        found: dict[str, dict[str, float]] = {}
        for task, state, seconds in self._run(_MEANS):
            found.setdefault(task, {})[state] = round(float(seconds), 1)
        return found

    def _run(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self._url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []


def cpu_by_process(running: Mapping[str, Popen[bytes]]) -> Counter[str]:
    """
    Return the CPU seconds of each component so far, with those of its children that have ended.

    The processes of tasks are children of children of the scheduler (LocalExecutor) or of a Celery worker.

    :param running: the components.
    """
    found: Counter[str] = Counter()
    for name, process in running.items():
        with suppress(psutil.Error):
            root = psutil.Process(process.pid)
            runs_tasks = name == "scheduler" or name.startswith("worker-")
            for depth, times in _tree(root):
                kind = ("tasks" if depth > 1 else "supervisors" if depth else name) if runs_tasks else name
                found["workers" if kind.startswith("worker-") else kind] += times.user + times.system
                ended = "tasks" if runs_tasks and depth else kind
                found[ended] += times.children_user + times.children_system
    return found


def _tree(process: psutil.Process, depth: int = 0) -> Iterator[tuple[int, Any]]:
    with suppress(psutil.Error):
        yield depth, process.cpu_times()
        for child in process.children():
            yield from _tree(child, depth + 1)
