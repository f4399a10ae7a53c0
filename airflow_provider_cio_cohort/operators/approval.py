"""Asks somebody before a change is written that a guard would refuse."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import literal

from airflow_provider_cio_cohort.exceptions import GuardTrippedError
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import PLAN_KEY

if TYPE_CHECKING:
    from airflow.sdk import Context


class ApproveChangeOperator(ApprovalOperator):
    """
    Put an approval between a plan and its writing; nobody is asked where no guard has tripped.

    Returns the plan that was approved, ``None`` where none had to be. Give it as ``approved_plan`` to
    :class:`.AmplitudeCohortToCustomerIOOperator`: it lets the change through that was shown, and no larger.

    :param plan_task_id: the dry run that has left the plan.
    :param segment: what the question calls the segment.
    :param response_timeout: how long to wait for an answer; then the task fails and nothing is written.
    :raises GuardTrippedError: if somebody rejects the change, or nobody answers in time.
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
        """Ask, if the plan has something to ask."""
        plan = self._plan(context)
        if not plan["guards"]:
            self.log.info("No guard has tripped, so nobody is asked.")
            return
        if context["params"].get("dry_run"):
            self.log.info("Nothing is to be written in this dry run, so nobody is asked.")
            return
        self.body = _question(plan)
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the plan if it was approved."""
        plan = self._plan(context)
        refused = ""
        try:
            super().execute_complete(context, event)
        except HITLRejectException:
            refused = "Somebody rejected the change"
        except HITLTimeoutError:
            refused = f"Nobody approved the change within {self.response_timeout}"
        if refused:
            raise GuardTrippedError(f"{refused}, so nothing was written.", plan["guards"])
        return plan

    def _plan(self, context: Context) -> dict[str, Any]:
        plan: dict[str, Any] = context["ti"].xcom_pull(task_ids=self.plan_task_id, key=PLAN_KEY)
        return plan


def _question(plan: dict[str, Any]) -> str:
    reasons = "\n".join(f"- {reason}" for reason in plan["reasons"])
    return (
        f"The sync would do this:\n\n| | people |\n|---|---|\n| added, at most | {plan['to_add']:,} |\n"
        f"| removed | {plan['to_remove']:,} |\n\nIt was stopped because\n\n{reasons}\n\n"
        "*Approve* lets this change through, but no larger one. *Reject* leaves the segment as it is."
    )
