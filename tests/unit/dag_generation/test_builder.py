from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_cio_cohort.dag_generation import build_dags, tasks
from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

THREE = """
syncs:
- {name: good, cohort_id: a, segment_id: 1}
- {name: bad, cohort_id: b, segment_id: 2, cadence: sometimes}
- {name: paused, cohort_id: c, segment_id: 3, enabled: false}
"""


def test_each_sync_becomes_a_dag_with_the_task_sync(dags_of) -> None:
    dags = dags_of(THREE)
    assert list(dags) == ["cohort_sync__good", "cohort_sync__bad", "cohort_sync__paused"]
    assert all(dag.dag_id == dag_id and dag.task_ids == ["sync"] for dag_id, dag in dags.items())


def test_a_dag_never_overlaps_itself_and_never_catches_up(dag_with) -> None:
    dag = dag_with()
    assert (dag.catchup, dag.max_active_runs, dag.dagrun_timeout) == (False, 1, None)
    # What keeps the runs of a backfill apart: it has a max_active_runs of its own.
    assert dag.get_task("sync").max_active_tis_per_dag == 1


def test_retries_grow_exponentially_up_to_an_hour(dag_with) -> None:
    task = dag_with().get_task("sync")
    assert (task.retries, task.retry_delay) == (3, timedelta(minutes=5))
    assert (task.retry_exponential_backoff, task.max_retry_delay) == (2.0, timedelta(hours=1))


def test_the_longest_delay_is_never_shorter_than_the_first(dag_with) -> None:
    task = dag_with("retry_delay_minutes: 90.5", "retries: 0").get_task("sync")
    assert (task.retries, task.retry_delay) == (0, timedelta(minutes=90, seconds=30))
    assert task.max_retry_delay == task.retry_delay


def test_description_owner_tags_and_pool(dag_with) -> None:
    dag = dag_with(
        "description: Paying people", "owner: growth", "tags: [paid, growth, paid]", "pool: amplitude"
    )
    assert dag.description == "Paying people"
    assert dag.tags == {"cohort-sync", "growth", "paid"}
    assert (dag.get_task("sync").owner, dag.get_task("sync").pool) == ("growth", "amplitude")


def test_without_a_description_the_list_of_dags_still_says_what_goes_where(dag_with) -> None:
    dag = dag_with()
    assert dag.description == (
        "Amplitude cohort a1b2c3d mirrors Customer.io segment “Power users [Amplitude]”"
    )
    assert dag.get_task("sync").pool == "default_pool"


def test_a_wrong_sync_says_so_and_the_others_work(dags_of) -> None:
    dags = dags_of(THREE)
    bad = dags["cohort_sync__bad"]
    assert bad.timetable.can_be_scheduled is False
    assert bad.tags == {"cohort-sync", "config-error"}
    place = "my_syncs.yaml:4: sync bad, key cadence"
    assert place in bad.doc_md
    with pytest.raises(AirflowFailException, match=place) as caught:
        bad.get_task("sync").execute({})
    headline, problem = str(caught.value).split("\n")
    assert headline == f"Wrong configuration, so the sync does not run: {place}."
    assert problem.startswith(f"{place}: ")
    assert bad.get_task("sync").retries == 0
    assert isinstance(dags["cohort_sync__good"].get_task("sync"), AmplitudeCohortToCustomerIOOperator)


def test_a_disabled_sync_stays_visible_and_runs_in_no_way(dags_of) -> None:
    off = dags_of(THREE)["cohort_sync__paused"]
    assert off.timetable.can_be_scheduled is False
    assert off.tags == {"cohort-sync", "disabled"}
    assert "disabled" in off.doc_md
    task = off.get_task("sync")
    with pytest.raises(
        AirflowFailException, match=r"(?s)paused is disabled in my_syncs\.yaml.*enabled: true"
    ):
        task.execute({})


def test_a_task_that_was_deferred_before_its_sync_was_disabled_is_refused_too(dags_of) -> None:
    task: BaseOperator = dags_of(THREE)["cohort_sync__paused"].get_task("sync")
    with pytest.raises(AirflowFailException, match="disabled"):
        task.resume_execution("execute_complete", {"event": {"status": "success"}}, {})


def test_where_a_task_runs_only_its_own_dag_is_built(write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(THREE)
    assert len(build_dags(path)) == 3
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "cohort_sync__bad")
    assert list(build_dags(path)) == ["cohort_sync__bad"]
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "another_dag")
    assert build_dags(path) == {}


def test_a_conflict_is_seen_also_where_only_one_dag_is_built(write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        "syncs:\n- {name: a, cohort_id: a, segment_id: 1}\n- {name: b, cohort_id: b, segment_id: 1}\n"
    )
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "cohort_sync__b")
    assert "config-error" in build_dags(path)["cohort_sync__b"].tags


def test_the_path_may_be_text(write) -> None:
    assert list(build_dags(str(write(THREE)))) == list(build_dags(write(THREE)))


def test_no_syncs_is_no_dags(dags_of) -> None:
    assert dags_of("syncs: []") == dags_of("syncs:\n# all of them commented out\n") == {}


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    dag = build_dags(tmp_path / "nowhere.yaml")["cohort_file__nowhere"]
    with pytest.raises(AirflowFailException, match=r"(?s)nowhere\.yaml:1: .*cannot be read.*__file__"):
        dag.get_task("read").execute({"ti": Mock(get_previous_dagrun=lambda: None)})


def test_what_only_the_operator_refuses_stops_no_other_sync(dags_of, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stricter(AmplitudeCohortToCustomerIOOperator):
        def __init__(self, *, cohort_id: str, **kwargs) -> None:
            super().__init__(cohort_id=cohort_id, **kwargs)
            if cohort_id == "x":
                raise ConfigurationError("cohort x is not liked.")

    monkeypatch.setattr(tasks, "AmplitudeCohortToCustomerIOOperator", Stricter)
    dags = dags_of(
        "syncs:\n- {name: a, cohort_id: x, segment_id: 1}\n- {name: b, cohort_id: y, segment_id: 2}\n"
    )
    assert "sync a: cohort x is not liked" in dags["cohort_sync__a"].get_task("sync").reason
    assert "config-error" not in dags["cohort_sync__b"].tags


@pytest.mark.parametrize(
    "cadence", ["manual", "once", "realtime", "hourly", "weekly", "monthly", "'0 6 * * 1-5'"]
)
def test_every_dag_survives_airflows_own_serialization(dags_of, cadence: str) -> None:
    head = f"defaults: {{cadence: {cadence}, timezone: Europe/Berlin, end_date: 2030-01-01}}"
    dags = dags_of(head + THREE + "- {name: odd, cohort_id: x, segment_name: 'Zoë 👩‍👩‍👧 | {% x %}'}\n")
    assert len(dags) == 4
    for dag in dags.values():
        stored = DagSerialization.to_dict(dag)
        DagSerialization.validate_schema(stored)
        assert DagSerialization.from_dict(stored).dag_id == dag.dag_id
