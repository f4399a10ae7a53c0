"""A client of Airflow's REST API for the demo and the tests; Airflow may run anywhere."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests

FINAL_STATES = ("success", "failed")
Result = TypeVar("Result")
_BUSY = re.compile(r"Database|^Internal Server Error$")


class AirflowApi:
    """
    The REST API of a running Airflow.

    :param url: the URL of the API server.
    :param user: name and password; ``None`` if every user is an administrator.
    """

    def __init__(self, url: str, user: tuple[str, str] | None = None) -> None:
        self.url = url
        self._user = user
        self._token = ""

    def look_after(self, waiting_for: str) -> None:
        """
        Raise an error if there is no point in waiting any longer.

        :param waiting_for: what the caller waits for, for the message.
        """

    def _log_in(self) -> str:
        if self._user is None:
            answer = requests.get(f"{self.url}/auth/token", timeout=30)
        else:
            body = dict(zip(("username", "password"), self._user, strict=True))
            answer = requests.post(f"{self.url}/auth/token", json=body, timeout=30)
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    def is_healthy(self) -> bool:
        """Return whether all four components are healthy."""
        try:
            health = requests.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (requests.RequestException, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)

    def api(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """
        Call the REST API and return the JSON of the response.

        :param method: the HTTP method.
        :param path: the path below ``/api/v2/``.
        :param body: the JSON body.
        :param params: the query.
        """
        answer = self._patiently(method, f"/api/v2/{path}", body, params)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:2000]}")
        return answer.json() if answer.content else None

    def _patiently(self, method: str, path: str, body: Any, params: Mapping[str, Any]) -> requests.Response:
        """Send a request, and retry it if nothing can have been changed."""
        for _ in range(20):
            try:
                answer = self.request(method, path, body, **params)
            except (requests.ConnectionError, requests.Timeout):
                if method != "GET":
                    raise
            else:
                # SQLite allows one writer: a second one gets an error, and nothing is changed.
                # (Airflow 3.2 only reports an internal error.)
                busy = answer.status_code in (500, 503) and _BUSY.search(answer.text)
                if not busy and (method != "GET" or answer.status_code < 500):
                    return answer
            time.sleep(0.5)
        return self.request(method, path, body, **params)

    def request(self, method: str, path: str, body: Any = None, **params: Any) -> requests.Response:
        """Call any path of the API server and return the response."""
        if not self._token:
            self._token = self._log_in()
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        return requests.request(
            method, f"{self.url}{path}", json=body, params=params, headers=headers, timeout=30
        )

    def wait_until(self, condition: Callable[[], Result], what: str, seconds: float = 180) -> Result:
        """
        Wait until ``condition`` returns a true value, and return the value.

        :param condition: called twice a second.
        :param what: what to wait for, for the message.
        :param seconds: the timeout.
        """
        deadline = time.monotonic() + seconds
        while not (result := condition()):
            self.look_after(what)
            if time.monotonic() > deadline:
                raise TimeoutError(f"timed out after {seconds:g} s waiting for {what}")
            time.sleep(0.5)
        return result

    def dag_ids(self) -> set[str]:
        """Return the ids of the DAGs that Airflow has found."""
        return {dag["dag_id"] for dag in self.api("GET", "dags", limit=500)["dags"]}

    def unpause(self, dag_id: str) -> None:
        """Unpause a DAG as soon as the DAG processor has found it."""
        self.wait_until(lambda: dag_id in self.dag_ids(), f"the DAG {dag_id} to be found")
        self.api("PATCH", f"dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Trigger a run, as the trigger form does, and return its id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        run_id: str = self.api("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"]
        # The API server responds before it commits, which may be delayed by another writer of SQLite.
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        self.wait_until(lambda: self.request("GET", path).status_code == 200, f"run {run_id} to be stored")
        return run_id

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, oldest first."""
        answer = self.api("GET", f"dags/{dag_id}/dagRuns", order_by="run_after", limit=100)
        runs: list[dict[str, Any]] = answer["dag_runs"]
        return runs

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float = 180) -> str:
        """Wait until a run has ended and return its state."""

        def state() -> str | None:
            found: str = self.api("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"]
            return found if found in FINAL_STATES else None

        return self.wait_until(state, f"run {run_id} of {dag_id} to end", seconds) or ""

    def task(self, dag_id: str, run_id: str, task_id: str = "sync") -> dict[str, Any]:
        """Return a task instance."""
        found: dict[str, Any] = self.api("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
        return found

    def report(self, dag_id: str, run_id: str, task_id: str = "sync") -> dict[str, Any]:
        """Return the report of a sync from its XCom."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        value = self.api("GET", path, deserialize=True)["value"]
        report: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
        return report

    def log(self, dag_id: str, run_id: str, task_id: str = "sync", try_number: int = 1) -> str:
        """Return the log of a try, one event per line."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        events = self.api("GET", path, full_content=True)["content"]
        return "\n".join(json.dumps(event) if isinstance(event, dict) else str(event) for event in events)
