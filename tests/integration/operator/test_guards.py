"""The guards as a task meets them: before the first write, with a way through for one run."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
    PLAN_KEY,
    AmplitudeCohortToCustomerIOOperator,
)


def people(count: int, first: int = 0) -> list[str]:
    return [f"u-{n:03}" for n in range(first, first + count)]


def members(sandbox) -> int:
    return len(sandbox.workspace.find_segment("Power users").members)


def writes(sandbox) -> int:
    return sum(1 for record in sandbox.requests if record.path.endswith("_customers"))


def trip(sync, **parameters) -> exceptions.GuardTrippedError:
    with pytest.raises(exceptions.GuardTrippedError) as caught:
        sync(**parameters)
    return caught.value


WIRED = {"allow_short_cohort": "{{ params.allow_short_cohort }}"}


@pytest.mark.parametrize(
    ("params", "task", "words"),
    [
        ({}, {}, "This DAG's form does not set allow_short_cohort: give the DAG "),
        (
            {},
            {},
            'params={"allow_short_cohort": False} and the task '
            'allow_short_cohort="{{ params.allow_short_cohort }}"',
        ),
        ({"allow_short_cohort": False}, {}, "This DAG's form does not set allow_short_cohort"),
        ({"allow_short_cohort": False}, WIRED, "by hand with this field set in its form"),
    ],
)
def test_a_guard_says_how_to_allow_it_in_the_dag_that_there_is(
    cohort, sync, params: dict[str, bool], task: dict[str, str], words: str
) -> None:
    dag = DAG("mine", schedule=None, params=params)
    cohort(*people(100))
    sync()
    cohort(*people(60)).announced = 100
    with dag:
        operator = AmplitudeCohortToCustomerIOOperator(
            task_id="fill", cohort_id="a1b2c3d", segment_name="Power users", poll_interval=0.05, **task
        )
    operator.render_template_fields({"params": params})
    error = trip(sync, ready=operator, context={"dag": dag})
    assert words in str(error)


def test_a_wrong_mapping_says_how_to_allow_it_in_a_dag_without_the_form(cohort, sync) -> None:
    cohort(*people(30))
    with pytest.raises(exceptions.MappingError) as caught:
        sync(user_id_property="amplitude_id", context={"dag": DAG("mine", schedule=None)})
    assert 'give the DAG params={"allow_no_match": False}' in str(caught.value)


def test_a_cohort_far_smaller_than_announced_removes_nobody(sandbox, cohort, sync) -> None:
    cohort(*people(100))
    sync()
    cohort(*people(60)).announced = 100
    sandbox.reset_requests()
    error = trip(sync)
    assert error.trips == ("short_cohort",)
    assert "only 60 of the 100 members that Amplitude's list reports" in str(error)
    assert "allow_short_cohort" in str(error)
    assert writes(sandbox) == 0
    assert sync(allow_short_cohort="True")["removed"] == 40


def test_a_cohort_far_smaller_than_last_time_removes_nobody(sandbox, cohort, sync, assets) -> None:
    cohort(*people(100))
    sync()
    cohort(*people(60))
    assert trip(sync).trips == ("short_cohort",)
    assert "last good sync" in str(trip(sync))
    assert members(sandbox) == 100
    assert sync(max_shortfall_percent=50)["removed"] == 40
    assert sync()["to_remove"] == 0


def test_the_memory_of_another_cohort_does_not_count(sandbox, cohort, sync, assets) -> None:
    cohort(*people(100))
    sync()
    sandbox.project.add_cohort(
        id="other12", name="x", rows=[{"amplitude_id": u, "user_id": u} for u in people(60)]
    )
    assert trip(sync, cohort_id="other12").trips == ("unmanaged_segment",)


def test_a_cohort_that_nothing_is_known_of_removes_few(sandbox, cohort, sync) -> None:
    guests = [sandbox.workspace.add_person(id=f"g-{n}") for n in range(40)]
    sandbox.workspace.add_segment(name="Power users", members=guests)
    cohort(*people(60))
    rows = [{"amplitude_id": u, "user_id": u} for u in people(60)]
    sandbox.project.add_cohort(id="h1dd3nx", name="x", rows=rows, listed=False)
    settings = {"cohort_id": "h1dd3nx", "adopt_segment": True, "max_removal_percent": None}
    assert trip(sync, **settings).trips == ("short_cohort",)
    assert sync(**settings, allow_short_cohort=True)["removed"] == 40


def test_a_low_match_writes_nothing(sandbox, cohort, sync) -> None:
    cohort(*people(40))
    cohort(*people(40), *people(60, first=500), known=False)
    error = trip(sync, min_match_rate=0.5)
    assert error.trips == ("low_match",)
    assert "only 40 of 100 identifiers (40.0 %)" in str(error)
    assert "allow_low_match" in str(error)
    assert writes(sandbox) == 0
    assert sync(min_match_rate=0.4)["match_rate"] == 0.4
    assert trip(sync, min_match_rate=0.41).trips == ("low_match",)
    assert sync(min_match_rate=0.41, allow_low_match="true")["unmatched"] == 60


def test_a_match_that_nobody_tells_is_too_low(sandbox, cohort, sync) -> None:
    sandbox.configure(lookup_allowed=False)
    cohort("a")
    assert trip(sync, min_match_rate=0.1).trips == ("low_match",)


def test_a_dry_run_leaves_a_plan_and_its_approval_lets_that_change_through(
    sandbox, cohort, sync, xcoms
) -> None:
    cohort(*people(100))
    sync()
    cohort(*people(80, first=60))
    sync(dry_run=True)
    plan = xcoms.pushed[PLAN_KEY]
    assert (plan["guards"], plan["to_add"], plan["to_remove"]) == (["large_removal"], 40, 60)
    assert "60 of 100 members" in plan["reasons"][0]
    for other in ({"removal_digest": "0"}, {"cohort_digest": "0"}, {"of": {}}, {"to_add": 39}):
        error = trip(sync, approved_plan={**plan, **other})
        assert "Now 40 would be added and 60 removed" in str(error)
    assert trip(sync, approved_plan={**plan, "guards": []}).trips == ("large_removal",)
    assert sync(approved_plan=plan)["removed"] == 60


def test_an_approval_that_is_none(sandbox, cohort, sync) -> None:
    cohort("a")
    with pytest.raises(exceptions.ConfigurationError, match="approved_plan"):
        sync(approved_plan="yes")
    assert sync(approved_plan="None")["added"] == 1
