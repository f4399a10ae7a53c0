"""Asking somebody before a change is written: who is asked what, and what an answer lets through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput
from airflow.sdk.execution_time import task_runner

from airflow_provider_cio_cohort.exceptions import ConfigurationError, GuardTrippedError
from airflow_provider_cio_cohort.operators.approval import ApproveChangeOperator

LARGE = {
    "guards": ["large_removal"],
    "reasons": ["60 of 100 members (60.0 %) would be removed"],
    "to_add": 1234,
    "to_remove": 60,
    "of": {"cohort_id": "a1b2c3d"},
    "cohort_digest": "c1",
    "removal_digest": "r1",
}
NOTHING = {**LARGE, "guards": [], "reasons": [], "to_add": 5, "to_remove": 0}


class Run:
    """One DAG run as the task ``approve`` sees it: the plan, what it keeps, and what it asks of Airflow."""

    def __init__(self, store: Any, plan: Any, *, dry_run: bool = False) -> None:
        self.plan = plan
        self.id = "00000000-0000-0000-0000-000000000001"
        self.questions: list[Any] = []
        self.pushed: dict[str, Any] = {}
        self.context: Any = {
            "ti": self,
            "task_instance": self,
            "task_state_store": store,
            "params": {"dry_run": dry_run},
        }
        self.operator = ApproveChangeOperator(
            task_id="approve",
            plan_task_id="plan",
            segment="Power {{ users }}",
            response_timeout=timedelta(hours=1.5),
        )
        self.operator.render_template_fields({})

    def xcom_pull(self, *, task_ids: str, key: str) -> Any:
        assert (task_ids, key) == ("plan", "plan")
        return self.plan

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def send(self, msg: Any) -> None:
        self.questions.append(msg)

    def ask(self) -> TaskAwaitingInput | None:
        try:
            assert self.operator.execute(self.context) is None
        except TaskAwaitingInput as waiting:
            return waiting
        return None

    def answer(self, *options: str) -> Any:
        event = {
            "chosen_options": list(options),
            "params_input": {},
            "responded_at": datetime(2026, 1, 1, tzinfo=UTC),
            "responded_by_user": None,
        }
        return self.operator.execute_complete(self.context, event)


@pytest.fixture
def run(store, monkeypatch: pytest.MonkeyPatch):
    def start(plan: Any, **kwargs: Any) -> Run:
        made = Run(store, plan, **kwargs)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
        return made

    return start


def test_nobody_is_asked_where_no_guard_has_tripped(run) -> None:
    quiet = run(NOTHING)
    assert quiet.ask() is None
    assert quiet.questions == []


def test_nobody_is_asked_in_a_dry_run(run) -> None:
    dry = run(LARGE, dry_run=True)
    assert dry.ask() is None
    assert dry.questions == []


def test_the_question_shows_counts_and_reasons_and_names_the_segment_as_it_is(run) -> None:
    asking = run(LARGE)
    waiting = asking.ask()
    assert waiting is not None
    assert (waiting.method_name, waiting.timeout) == ("execute_complete", timedelta(hours=1.5))
    (question,) = asking.questions
    assert question.subject == "Write this change to the segment Power {{ users }}?"
    assert "| added, at most | 1,234 |" in question.body
    assert "| removed | 60 |" in question.body
    assert "- 60 of 100 members (60.0 %) would be removed" in question.body
    assert question.options == ["Approve", "Reject"]
    assert not question.defaults


def test_an_approval_returns_the_change_that_it_lets_through(run) -> None:
    asking = run(LARGE)
    assert asking.ask() is not None
    assert asking.answer("Approve") == LARGE


def test_a_rejection_fails_without_a_retry(run) -> None:
    asking = run(LARGE)
    asking.ask()
    with pytest.raises(GuardTrippedError, match="Somebody rejected the change, so nothing was") as raised:
        asking.answer("Reject")
    assert isinstance(raised.value, AirflowFailException)
    assert raised.value.trips == ("large_removal",)


def test_no_answer_in_time_fails_without_a_retry(run) -> None:
    asking = run(LARGE)
    asking.ask()
    event = {"error": "The response timeout has passed.", "error_type": "timeout"}
    with pytest.raises(GuardTrippedError, match=r"Nobody approved the change within 1\.5 hours"):
        asking.operator.execute_complete(asking.context, event)


@pytest.mark.parametrize("growth", [{"to_remove": 5000}, {"to_add": 5000}])
def test_a_plan_that_grew_while_the_question_stood_is_not_what_is_approved(run, growth) -> None:
    asking = run(LARGE)
    asking.ask()
    asking.plan = {**LARGE, **growth}
    assert asking.answer("Approve") == LARGE


@pytest.mark.parametrize(
    "other",
    [
        {"removal_digest": "r2"},
        {"cohort_digest": "c2"},
        {"of": {"cohort_id": "b"}},
        {"to_add": 1235},
        {"guards": ["large_removal", "unmanaged_segment"]},
    ],
)
def test_a_cleared_task_asks_about_no_other_change_because_airflow_shows_the_first_question(
    run, other
) -> None:
    run(LARGE).ask()
    again = run({**LARGE, **other})
    with pytest.raises(GuardTrippedError, match="Trigger a new run to be asked about"):
        again.ask()
    assert again.questions == []


@pytest.mark.parametrize("other", [{}, {"to_add": 0}])
def test_a_cleared_task_asks_again_about_the_same_people(run, other) -> None:
    run(LARGE).ask()
    again = run({**LARGE, **other})
    assert again.ask() is not None
    assert "| removed | 60 |" in again.questions[0].body
    assert again.answer("Approve") == LARGE


def test_a_missing_plan_says_which_task_to_clear(run) -> None:
    with pytest.raises(ConfigurationError, match="The task plan returned no plan"):
        run(None).ask()
