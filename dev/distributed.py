"""A real distributed Airflow with PostgreSQL, Redis and Celery workers, all on loopback."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname
from typing import Any

import psutil
from cryptography.fernet import Fernet

from dev.airflow_instance import AirflowInstance
from dev.processes import Processes
from dev.servers import Postgres, Redis

ROOT = Path(__file__).resolve().parent.parent
CELERY = "CeleryExecutor"
WORKER = "worker-"
#: The variable with the host name of a worker's processes.
MACHINE = "COHORT_SYNC_MACHINE"
#: The settings that differ from Airflow's defaults for many machines; docs/scale.md explains them.
SETTINGS = {
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__CELERY__TASK_PUBLISH_MAX_RETRIES": "60",
    "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": '{"task_publish_retry_policy": {"max_retries": 100}}',
}
#: A component that ends more often than this is considered broken.
MOST_RESTARTS = 10


def machine() -> str:
    """Return the worker's name; Airflow uses it as the host name, so that each worker is like a machine."""
    return os.environ[MACHINE]


class DistributedAirflow(AirflowInstance):
    """
    The components of :class:`.AirflowInstance` on PostgreSQL, with Redis and Celery workers.

    A component that ends unexpectedly is restarted, as systemd, Compose and Kubernetes do.

    :param home: the directory for all files except PostgreSQL's data.
    :param dags: the directory with the DAG files.
    :param connections: Airflow connections as dicts, by id.
    :param env: further environment variables.
    :param executor: ``CeleryExecutor``, or ``LocalExecutor`` without Redis and workers.
    :param workers: the initial number of Celery workers.
    :param slots: concurrent tasks of each worker; of all together with LocalExecutor.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        connections: Mapping[str, Mapping[str, Any]],
        env: Mapping[str, str] | None = None,
        executor: str = CELERY,
        workers: int = 2,
        slots: int = 2,
    ) -> None:
        self.servers = Processes(home)
        self.postgres = Postgres(self.servers)
        self.redis = Redis(self.servers)
        self.with_celery = executor == CELERY
        self.slots = slots
        self.restarts: Counter[str] = Counter()
        super().__init__(home, dags, connections, {**self._shared(executor), **(env or {})})
        if self.with_celery:
            self.components = [*self.components, *(f"{WORKER}{n}" for n in range(1, workers + 1))]

    def _shared(self, executor: str) -> dict[str, str]:
        settings = {
            **SETTINGS,
            "AIRFLOW__CORE__EXECUTOR": executor,
            "AIRFLOW__CORE__PARALLELISM": "32" if self.with_celery else str(self.slots),
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{self.postgres.address}",
        }
        if self.with_celery:
            settings |= {
                "AIRFLOW__CELERY__BROKER_URL": self.redis.url,
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{self.postgres.address}",
                "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(self.slots),
            }
        return settings

    def start(self) -> None:
        """Start PostgreSQL, Redis and all of Airflow, and wait until all are healthy."""
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            self.postgres.start()
            if self.with_celery:
                self.redis.start()
            super().start()
            workers = [each for each in self.components if each.startswith(WORKER)]
            self.wait_until(lambda: all(map(self._takes_tasks, workers)), "every worker to take tasks")
        except BaseException:
            self.stop()
            raise

    def _takes_tasks(self, worker: str) -> bool:
        """Say whether a worker is connected to the queue: before that, others take all tasks."""
        return f"{worker}@{gethostname()} ready." in self.processes.tail(worker)

    def stop(self) -> None:
        """Stop everything, the servers last, and delete the database."""
        super().stop()
        self.postgres.remove()
        self.servers.stop_all()

    def command_of(self, component: str) -> Sequence[str]:
        """Return the arguments of ``airflow`` that start a component."""
        if not component.startswith(WORKER):
            return super().command_of(component)
        # All components share one log folder here, so no worker has to serve its logs.
        quiet = ("--skip-serve-logs", "--without-mingle", "--without-gossip")
        return ("celery", "worker", "--celery-hostname", f"{component}@%h", *quiet)

    def env_of(self, component: str) -> Mapping[str, str]:
        """Return a component's environment: each worker has its own host name."""
        if not component.startswith(WORKER):
            return super().env_of(component)
        path = os.pathsep.join(filter(None, (str(ROOT), self.env.get("PYTHONPATH"))))
        own = {
            MACHINE: component,
            "PYTHONPATH": path,
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{__name__}.{machine.__name__}",
        }
        return {**self.env, **own}

    def look_after(self, waiting_for: str) -> None:
        """
        Restart components that have ended unexpectedly.

        :param waiting_for: what the caller waits for, for the message.
        :raises RuntimeError: if a component ends too often.
        """
        for component in self.processes.ended():
            if self.restarts[component] >= MOST_RESTARTS:
                super().look_after(waiting_for)
            self.restarts[component] += 1
            self.stop_component(component)  # its children may still be running
            self.start_component(component)

    def kill_machine(self, worker: str) -> None:
        """Kill a worker and its tasks at the same time, like a crash of their machine."""
        process = psutil.Process(self.processes.running[worker].pid)
        process.suspend()  # otherwise it would replace the first children to die
        for each in (*process.children(recursive=True), process):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.stop_component(worker, kill=True)

    @contextmanager
    def without(self, server: Postgres | Redis, seconds: float) -> Iterator[None]:
        """
        Stop a server for a while, and wait until Airflow is healthy again.

        :param server: the server.
        :param seconds: the minimum duration; longer if the body of the ``with`` takes longer.
        """
        server.stop()
        deadline = time.monotonic() + seconds
        yield
        while time.monotonic() < deadline:
            self.look_after(f"{server.NAME} to come back")
            time.sleep(0.5)
        server.start()
        self.wait_until(self.is_healthy, "every component to be healthy again", 120)
