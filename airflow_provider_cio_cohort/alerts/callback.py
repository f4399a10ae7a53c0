"""Sends the alerts about a sync's failures, tripped guards, low match rates and recoveries, once each."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_cio_cohort.alerts import message
from airflow_provider_cio_cohort.alerts.memory import ALERTS, FRESHNESS, Memory, fingerprints, key_of
from airflow_provider_cio_cohort.alerts.message import Kind, Message
from airflow_provider_cio_cohort.alerts.rules import Alert, Event
from airflow_provider_cio_cohort.alerts.sending import send
from airflow_provider_cio_cohort.assets import AMPLITUDE_SCHEME, is_segment
from airflow_provider_cio_cohort.exceptions import GuardTrippedError, MappingError

log = logging.getLogger(__name__)

_LOW_MATCH_GUARD = "low_match"
_RECOVERY = frozenset({"recovery"})
_FAILED = ("failed", "upstream_failed")
#: The tasks before that of a sync, by the first part of their ids.
_BEFORE_THE_SYNC = ("plan", "approve")
#: The XCom key that a task sets when it has sent the alert about its failure.
TOLD_KEY = "failure_told"


class SyncAlerts:
    """The callbacks for Airflow when a task of a sync has ended or asks for an approval."""

    def __init__(self, sync: str, alerts: Sequence[Alert]) -> None:
        self.sync = sync
        self.alerts = tuple(alerts)

    def failed(self, context: Mapping[str, Any]) -> None:
        """Send the alerts about a task that has failed after its last try."""
        error = context.get("exception")
        if error is None:
            return  # called by the DAG processor for a killed task, which run_failed always handles
        events: set[Event] = {"failure"}
        if isinstance(error, MappingError):
            events.add("low_match")  # no identifier matched
        if isinstance(error, GuardTrippedError):
            events.add("guard")
            if _LOW_MATCH_GUARD in error.trips:
                events.add("low_match")
        reason, explanation = message.reason_of(error)
        kind: Kind = "guard" if "guard" in events else "failure"
        content = {"line": f"failed: {reason}", "reason": reason, "explanation": explanation}
        send(self.alerts, self._message(context, kind, frozenset(events), **content), context)
        if _segment(context) is not None:  # the recovery after a failed export is seen by its downstream
            memory = _memory(context, ALERTS)
            memory.save({**(memory.load() or {}), "failed": True})
        context["ti"].xcom_push(TOLD_KEY, True)

    def run_failed(self, context: Mapping[str, Any]) -> None:
        """
        Send the alerts about tasks that exited without reporting an error: killed, or marked as failed.

        :param context: the run's context from the DAG processor.
        """
        dag_id, run_id = context["dag"].dag_id, context["run_id"]
        states = RuntimeTaskInstance.get_task_states(dag_id, run_ids=[run_id]).get(run_id, {})
        reason, explanation = message.reason_of(None)
        content = {"line": f"failed: {reason}", "reason": reason, "explanation": explanation}
        for task_id in sorted(task_id for task_id, state in states.items() if state == "failed"):
            where = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
            if XCom.get_one(key=TOLD_KEY, **where) is None:
                events = frozenset({"failure"})
                told = message.of_task(where, self._name(task_id), "failure", events, **content)
                send(self.alerts, told, context)

    def asked(self, context: Mapping[str, Any]) -> None:
        """Send the alerts about a change that must be approved because a guard has tripped."""
        task = context["task"]
        change = task.change
        told = self._message(
            context,
            "approval",
            frozenset({"guard"}),
            "waits for an approval: a guard has tripped, and nothing has been written.",
            reason="A guard has tripped, and nothing has been written.",
            facts={
                "Segment": task.segment,
                "Added, at most": f"{change['to_add']:,}",
                "Removed": f"{change['to_remove']:,}",
            },
            causes=tuple(change["reasons"]),
            explanation="Approving it in Airflow allows exactly this change, to these people, and no other. "
            "Rejecting it leaves the segment as it is.",
        )
        send(self.alerts, replace(told, link=f"{told.link}/required_actions"), context)

    def succeeded(self, context: Mapping[str, Any]) -> None:
        """Send the alerts about a recovery, or about a match rate that has become low."""
        report = _report(context["ti"])
        if report is None:
            return
        memory, failures = _memory(context, ALERTS), _failures(context)
        before = self._before(context, memory.load(), failures)
        freshness = _memory(context, FRESHNESS)
        stale = freshness.load() or {}
        unsent = fingerprints(before.get("unsent"))
        if before.get("failed") or failures > before["failures"] or stale.get("stale_since"):
            unsent = [alert.fingerprint for alert in self.alerts if alert.concerns(_RECOVERY)]
        if stale.get("stale_since"):
            freshness.save({**stale, "stale_since": None, "told": []})
        to_tell = [alert for alert in self.alerts if alert.fingerprint in unsent]
        recovered = self._message(
            context,
            "recovery",
            _RECOVERY,
            f"has recovered: {_in_words(report)}.",
            reason="The last run succeeded.",
            facts=_facts(report),
        )
        sent = send(to_tell, recovered, context)
        low = self._tell_of_low_match(context, report, fingerprints(before.get("low")))
        unsent = [alert.fingerprint for alert in to_tell if alert.fingerprint not in sent]
        memory.save({"failed": False, "failures": failures, "unsent": unsent, "low": low})

    def _before(
        self, context: Mapping[str, Any], kept: dict[str, Any] | None, failures: int
    ) -> dict[str, Any]:
        """Return what is kept; as far as nothing is, what Airflow's database knows of the run before."""
        if kept is not None and isinstance(kept.get("failures"), int):
            return kept
        failed, report = _run_before(context, failures)
        if kept is None:
            low = [alert.fingerprint for alert in self.alerts if report and _is_low(alert, report)]
            return {"failed": failed, "failures": failures, "low": low}
        return {**kept, "failed": failed or kept.get("failed"), "failures": failures}

    def _tell_of_low_match(
        self, context: Mapping[str, Any], report: Mapping[str, Any], told: list[str]
    ) -> list[str]:
        """Send the alert once when the rate falls below a limit; return the alerts that were sent since."""
        rate = report.get("match_rate")
        if rate is None:  # unknown, so what was told still applies
            return told
        low = []
        for alert in self.alerts:
            if _is_low(alert, report):
                message = self._message(
                    context,
                    "low_match",
                    frozenset({"low_match"}),
                    f"matches only {rate:.1%} of its cohort (alert below {alert.limit:.0%}).",
                    reason=f"Only {rate:.1%} of the cohort exists in Customer.io (alert below "
                    f"{alert.limit:.0%}).",
                    facts=_facts(report),
                    explanation=_why_low(report),
                )
                low += send([alert], message, context, told)
        return low

    def _message(
        self, context: Mapping[str, Any], kind: Kind, events: frozenset[str], line: str, **content: Any
    ) -> Message:
        ti = context["ti"]
        where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id}
        return message.of_task(where, self._name(ti.task_id), kind, events, line, **content)

    def _name(self, task_id: str) -> str:
        _, _, target = task_id.partition("__")
        return f"{self.sync}, target {target}" if target else self.sync


def _why_low(report: Mapping[str, Any]) -> str:
    found = ", ".join(f"{count:,} by {kind}" for kind, count in (report.get("matched_by") or {}).items())
    check = (
        f"Check that each property and id_type in identifiers is right (they have found {found})"
        if found
        else "Check that user_id_property is the right Amplitude property, that id_type is the right "
        "Customer.io identifier (identifiers takes several, for people who lack the first)"
    )
    return (
        "The segment holds every member of the cohort who exists in Customer.io. The others do not exist "
        f"there, so they get no messages. {check}, and that these people have been imported into "
        "Customer.io. Set min_match_rate to refuse such a run, or match_rate_below to change the limit of "
        "this alert."
    )


def _in_words(report: Mapping[str, Any]) -> str:
    rate = report.get("match_rate")
    matched = f", {rate:.1%} of the cohort matched" if rate is not None else ""
    return (
        f"{report.get('added', 0):,} added, {report.get('removed', 0):,} removed, "
        f"{report.get('segment_after', 0):,} members now{matched}"
    )


def _facts(report: Mapping[str, Any]) -> dict[str, str]:
    rate = report.get("match_rate")
    return {
        **({"Segment": str(report["segment_name"])} if report.get("segment_name") else {}),
        "Added": f"{report.get('added', 0):,}",
        "Removed": f"{report.get('removed', 0):,}",
        "Members now": f"{report.get('segment_after', 0):,}",
        **({"Matched": f"{rate:.1%} of the cohort"} if rate is not None else {}),
    }


def _memory(context: Mapping[str, Any], kind: str) -> Memory:
    """Return the state of the task's sync, which the dry run and the approval before it share."""
    ti = context["ti"]
    head, dash, target = ti.task_id.partition("__")
    task_id = f"sync{dash}{target}" if head in _BEFORE_THE_SYNC else ti.task_id
    return Memory(context, _segment(context), key_of(kind, ti.dag_id, task_id))


def _segment(context: Mapping[str, Any]) -> Asset | None:
    """Return the segment that the task's sync fills; ``None`` for a task that exports for several syncs."""
    task = context["task"]
    if any(isinstance(end, Asset) and end.uri.startswith(f"{AMPLITUDE_SCHEME}:") for end in task.outlets):
        return None
    return next(filter(is_segment, (*task.outlets, *task.inlets)), None)


def _is_low(alert: Alert, report: Mapping[str, Any]) -> bool:
    return alert.is_low(report.get("match_rate"), report.get("identifiers"))


def _report(ti: RuntimeTaskInstance, run_id: str | None = None) -> dict[str, Any] | None:
    """Return the report of a task that has synced a cohort: no dry run, no restore, and not only a part."""
    report = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, run_id=run_id)
    synced = isinstance(report, dict) and report.get("dry_run") is False and report.get("limit") is None
    return report if synced and report.get("source") != "snapshot" else None


def _failures(context: Mapping[str, Any]) -> int:
    """
    Return in how many runs the task or its upstream has failed, from Airflow's database.

    This is needed besides our own state: a killed task could not save any, and a task whose upstream failed
    never ran.
    """
    return _count(context["ti"], _FAILED)


def _count(ti: RuntimeTaskInstance, states: Sequence[str], run_ids: list[str] | None = None) -> int:
    count = RuntimeTaskInstance.get_ti_count(
        ti.dag_id, task_ids=[ti.task_id], states=list(states), run_ids=run_ids
    )
    return int(count)


def _run_before(context: Mapping[str, Any], failures: int) -> tuple[bool, dict[str, Any] | None]:
    """
    Return whether the task failed in the run before, and what it reported there, from Airflow's database.

    Airflow finds it by the logical date. For a run that has none, or before which there is none, the run
    before has certainly failed if some have failed and none has succeeded.
    """
    ti: RuntimeTaskInstance = context["ti"]
    before = ti.get_previous_dagrun()
    if before is None:
        successes = _count(ti, ["success"]) - _count(ti, ["success"], [ti.run_id])
        return failures > 0 and successes == 0, None
    states = RuntimeTaskInstance.get_task_states(ti.dag_id, task_ids=[ti.task_id], run_ids=[before.run_id])
    failed = any(state in _FAILED for state in states.get(before.run_id, {}).values())
    return failed, _report(ti, before.run_id)
