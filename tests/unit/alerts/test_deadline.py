"""What is told when the deadline of a run has passed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk import BaseNotifier

from airflow_provider_cio_cohort.alerts import sending
from airflow_provider_cio_cohort.alerts.deadline import run_is_late
from airflow_provider_cio_cohort.alerts.rules import Alert


class Waiting(BaseNotifier):
    """Has both ways to send."""

    template_fields = ("text",)
    sent: list[str] = []  # noqa: RUF012

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    async def async_notify(self, context: Any) -> None:
        """Keep it."""
        self.sent.append(f"async {self.text}")


class Blocking(Waiting):
    """Has only the way that blocks."""

    async_notify = BaseNotifier.async_notify

    def notify(self, context: Any) -> None:
        """Keep it."""
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()  # not on the triggerer's loop
        self.sent.append(f"sync {self.text}")


@pytest.mark.parametrize(("kind", "way"), [(Waiting, "async"), (Blocking, "sync")])
@pytest.mark.parametrize("state", ["queued", "running", "failed", "success"])
def test_only_a_run_that_is_under_way_is_late(
    monkeypatch: pytest.MonkeyPatch, kind: type[Waiting], way: str, state: str
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(Waiting, "sent", sent)
    monkeypatch.setattr(sending, "find_notifier", lambda path: kind)
    run = {"dag_id": "cohort_sync__a", "dag_run_id": "scheduled__1", "state": state}
    alerts = [Alert("x.Y", ("stale",)).to_dict(), Alert("x.Y", ("failure",)).to_dict()]
    asyncio.run(run_is_late(sync="a", max_age="26h", alerts=alerts, context={"dag_run": run}))
    if state in ("failed", "success"):
        assert sent == []
        return
    [text] = sent
    assert text.startswith(f"{way} Cohort sync a is stuck: its run has not ended within 26h.")
    assert text.endswith("/dags/cohort_sync__a/runs/scheduled__1")
