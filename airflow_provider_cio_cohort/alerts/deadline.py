"""Sends the alerts about a run that takes too long; the triggerer calls it when the deadline has passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_cio_cohort.alerts.message import Message, link_to, shorten
from airflow_provider_cio_cohort.alerts.rules import Alert
from airflow_provider_cio_cohort.alerts.sending import send_async

_UNFINISHED = ("queued", "running")


async def run_is_late(
    sync: str, max_age: str, alerts: Sequence[Mapping[str, Any]], context: Mapping[str, Any]
) -> str:
    """
    Send the alerts about a run that has not ended in time.

    A failed run has sent alerts about its failure already, and the freshness DAG checks whether the segment
    is fresh.

    :param max_age: how long a run may take, in words.
    :param alerts: the alerts as :meth:`.Alert.to_dict` returns them.
    :param context: the run and the deadline, from Airflow.
    :return: the result, which Airflow stores.
    """
    run = context["dag_run"]
    if run.get("state") not in _UNFINISHED:
        return f"The run has ended ({run.get('state')})."
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    message = Message(
        kind="stuck",
        events=frozenset({"stale"}),
        sync=sync,
        headline=shorten(f"Cohort sync {sync} is stuck: its run has not ended within {max_age}."),
        reason=f"Its run has not ended within {max_age}.",
        explanation="The segment may be unchanged, or only partly updated. Check what the run waits for: a "
        "pool without a free slot, a worker or triggerer that is down, an approval, or a paused DAG. When it "
        "continues, it completes the segment.",
        link=link_to(dag_id, run_id),
        dag_id=dag_id,
        run_id=run_id,
    )
    await send_async([Alert.from_dict(alert) for alert in alerts], message, context)
    return "Alert sent: the run is late."
