"""Asks somebody before a change is written that a guard would refuse."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import literal

from airflow_provider_cio_cohort.compatibility import NEVER_EXPIRE
from airflow_provider_cio_cohort.exceptions import ConfigurationError, GuardTrippedError
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import PLAN_KEY

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Where a task keeps the change that it has asked about. Airflow shows the first question of a task in a run
#: even after the task was cleared and asks about another change; so what is approved is what is kept here.
ASKED_KEY = "asked"


class ApproveChangeOperator(ApprovalOperator):
    """
    Put an approval between a plan and its writing; nobody is asked where no guard has tripped.

    Returns the plan that was approved, ``None`` where none had to be. Give it as ``approved_plan`` to
    :class:`.AmplitudeCohortToCustomerIOOperator`: it lets the change through that was shown, and no larger.

    :param plan_task_id: the dry run that has left the plan.
    :param segment: what the question calls the segment.
    :param response_timeout: how long to wait for an answer; then the task fails and nothing is written.
    :raises GuardTrippedError: if somebody rejects the change, nobody answers in time, or the run was cleared
        and has come to a larger change than the one that Airflow goes on showing.
    """

    def __init__(
        self,
        *,
        plan_task_id: str,
        segment: str,
        response_timeout: timedelta = timedelta(hours=24),
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject=literal(f"May this change of the segment {segment} be written?"),
            body="",
            fail_on_reject=True,
            response_timeout=response_timeout,
            **kwargs,
        )
        self.plan_task_id = plan_task_id

    def execute(self, context: Context) -> None:
        """
        Ask, if the plan has something to ask.

        :param context: the task's context.
        """
        plan = self._plan(context)
        if not plan["guards"]:
            self.log.info("No guard has tripped, so nobody is asked.")
            return
        if context["params"].get("dry_run"):
            self.log.info("Nothing is to be written in this dry run, so nobody is asked.")
            return
        store = context.get("task_state_store")
        if store is None:
            raise ConfigurationError(
                "A guard has tripped, and nobody can be asked: that takes Airflow 3.3 or newer.\n"
                f"Nothing was written. Tripped: {', '.join(plan['guards'])}. Trigger a run "
                "that allows it by name, or upgrade Airflow."
            )
        asked: Any = store.get(ASKED_KEY)
        if asked is None:
            store.set(ASKED_KEY, plan, retention=NEVER_EXPIRE)
        elif not _covers(asked, plan):
            raise GuardTrippedError(
                f"The change has grown since this run asked about it: {plan['to_add']:,} to add, "
                f"{plan['to_remove']:,} to remove.\nNothing was written. Asked about was to add "
                f"{asked['to_add']:,} and remove {asked['to_remove']:,}, and Airflow goes on showing the "
                "first question of a run. Trigger a new run to be asked about this one.",
                plan["guards"],
            )
        self.body = _question(asked or plan)
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """
        Return the change that was shown, if it was approved.

        :param context: the task's context.
        :param event: what somebody has answered, as Airflow's trigger tells it.
        """
        # Not the plan as it is now: somebody may have cleared its task while the question stood.
        asked: Any = context["task_state_store"].get(ASKED_KEY)
        refused = ""
        try:
            super().execute_complete(context, event)
        except HITLRejectException:
            refused = "Somebody rejected the change"
        except HITLTimeoutError:
            hours = (self.response_timeout or timedelta(0)) / timedelta(hours=1)
            refused = f"Nobody approved the change within {hours:g} hours"
        if refused:
            raise GuardTrippedError(
                f"{refused}, so nothing was written.\n"
                "The segment is as it was. To be asked again, trigger a new run.",
                asked["guards"],
            )
        return dict(asked)

    def _plan(self, context: Context) -> dict[str, Any]:
        plan: dict[str, Any] | None = context["ti"].xcom_pull(task_ids=self.plan_task_id, key=PLAN_KEY)
        if plan is None:
            raise ConfigurationError(
                f"The task {self.plan_task_id} has left no plan: it must be a dry run of this DAG run.\n"
                "Clear it, and the tasks behind it."
            )
        return plan


def _covers(asked: dict[str, Any], plan: dict[str, Any]) -> bool:
    """Tell whether who lets the one change through lets the other through as well."""
    smaller = all(plan[count] <= asked[count] for count in ("to_add", "to_remove"))
    return smaller and set(plan["guards"]) <= set(asked["guards"])


def _question(plan: dict[str, Any]) -> str:
    reasons = "\n".join(f"- {reason}" for reason in plan["reasons"])
    return (
        f"The sync would do this:\n\n| | people |\n|---|---|\n| added, at most | {plan['to_add']:,} |\n"
        f"| removed | {plan['to_remove']:,} |\n\nIt was stopped because\n\n{reasons}\n\n"
        "*Approve* lets this change through, but no larger one. *Reject* leaves the segment as it is."
    )
