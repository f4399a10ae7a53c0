"""Asks for an approval before a change is written that a guard would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import literal

from airflow_provider_cio_cohort.compatibility import NEVER_EXPIRE
from airflow_provider_cio_cohort.exceptions import ConfigurationError, GuardTrippedError
from airflow_provider_cio_cohort.state import ASKED, NOTHING, keep_failure
from airflow_provider_cio_cohort.sync.parameters import CORRECT, REQUIRED
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import PLAN_KEY
from airflow_provider_cio_cohort.transfers.context import place_of

if TYPE_CHECKING:
    from airflow.sdk import Context


_LONGEST_WAIT = timedelta(days=365)


class ApproveChangeOperator(ApprovalOperator):
    """
    Ask for an approval between a plan and the write; where no guard has tripped, none is needed.

    Returns the plan that was approved, ``None`` where none was needed. Give it as ``approved_plan`` to
    :class:`.AmplitudeCohortToCustomerIOOperator`: it allows exactly the change that was shown, to the same
    people.

    :param plan_task_id: the dry run that returned the plan.
    :param segment: what the question calls the segment.
    :param response_timeout: how long to wait for an answer; then the task fails and nothing is written.
    :raises ConfigurationError: if a parameter is missing, or ``response_timeout`` is not above 0 and at most
        365 days.
    :raises GuardTrippedError: if the change is rejected, there is no answer in time, or the run was cleared
        and now plans another change than the one that Airflow keeps showing.
    """

    def __init__(
        self,
        *,
        plan_task_id: str = REQUIRED,
        segment: str = REQUIRED,
        response_timeout: timedelta = timedelta(hours=24),
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject=literal(f"Write this change to the segment {segment}?"),
            body="",
            fail_on_reject=True,
            response_timeout=response_timeout,
            **kwargs,
        )
        for name, value in (("plan_task_id", plan_task_id), ("segment", segment)):
            if value is REQUIRED:
                raise ConfigurationError(f"{place_of(self)}: {name} is missing.\n{CORRECT}")
        wait: Any = response_timeout
        if not (isinstance(wait, timedelta) and timedelta(0) < wait <= _LONGEST_WAIT):
            raise ConfigurationError(
                f"{place_of(self)}: response_timeout is {wait!r}; it must be a timedelta above 0 and up to "
                f"365 days.\n{CORRECT}"
            )
        self.plan_task_id = plan_task_id
        self.segment = segment
        #: The plan that is asked about, for alerts.
        self.change: dict[str, Any] = {}

    def execute(self, context: Context) -> None:
        """
        Ask, if the plan needs an approval.

        :param context: the task's context.
        """
        with _failure_kept(context):
            self._ask(context)

    def _ask(self, context: Context) -> None:
        plan = self._plan(context)
        if not plan["guards"]:
            self.log.info("No guard has tripped, so no approval is needed.")
            return
        if context["params"].get("dry_run"):
            self.log.info("This is a dry run, so no approval is needed.")
            return
        store = context.get("task_state_store")
        if store is None:
            raise ConfigurationError(
                "A guard has tripped, but asking for an approval needs Airflow 3.3 or newer.\n"
                f"Nothing was written. Tripped: {', '.join(plan['guards'])}. Trigger a run that allows it "
                "by name, or upgrade Airflow."
            )
        # Airflow shows the first question of a task in a run even after the task was cleared and asks about
        # another change; so what is approved is what is kept here.
        asked: Any = store.get(ASKED)
        if asked is None:
            store.set(ASKED, plan, retention=NEVER_EXPIRE)
        elif not _covers(asked, plan):
            raise GuardTrippedError(
                f"The change is no longer the one that this run asked about: {plan['to_add']:,} to add, "
                f"{plan['to_remove']:,} to remove.\n"
                f"Nothing was written. The question was about adding {asked['to_add']:,} and removing "
                f"{asked['to_remove']:,}, or about other people, and Airflow keeps showing the first "
                "question of a run. Trigger a new run to be asked about this change.",
                plan["guards"],
            )
        self.change = asked or plan
        self.body = _question(self.change)
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """
        Return the change that was shown, if it was approved.

        :param context: the task's context.
        :param event: the answer, as Airflow's trigger reports it.
        """
        with _failure_kept(context):
            return self._approved(context, event)

    def _approved(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        # Not the plan as it is now: its task may have been cleared while the question was open.
        asked: Any = context["task_state_store"].get(ASKED)
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
                "The segment is unchanged. To be asked again, trigger a new run.",
                asked["guards"],
            )
        return dict(asked)

    def _plan(self, context: Context) -> dict[str, Any]:
        plan: dict[str, Any] | None = context["ti"].xcom_pull(task_ids=self.plan_task_id, key=PLAN_KEY)
        if plan is None:
            raise ConfigurationError(
                f"The task {self.plan_task_id} returned no plan: it must be a dry run of this DAG run.\n"
                "Clear it and its downstream tasks."
            )
        return plan


@contextmanager
def _failure_kept(context: Context) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        keep_failure(context, error, NOTHING)
        raise


def _covers(asked: dict[str, Any], plan: dict[str, Any]) -> bool:
    """Say whether a plan is the change that was asked about, of the same people."""
    same = all(plan[what] == asked[what] for what in ("of", "cohort_digest", "removal_digest"))
    return same and plan["to_add"] <= asked["to_add"] and set(plan["guards"]) <= set(asked["guards"])


def _question(plan: dict[str, Any]) -> str:
    reasons = "\n".join(f"- {reason}" for reason in plan["reasons"])
    return (
        f"The sync would do this:\n\n| | people |\n|---|---|\n| added, at most | {plan['to_add']:,} |\n"
        f"| removed | {plan['to_remove']:,} |\n\nIt was stopped because\n\n{reasons}\n\n"
        "*Approve* allows exactly this change, to these people, and no other. *Reject* leaves the segment "
        "as it is."
    )
