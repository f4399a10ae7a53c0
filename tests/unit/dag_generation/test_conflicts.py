from __future__ import annotations

import pytest
from airflow.serialization.serialized_objects import DagSerialization


def two(first: str, second: str) -> str:
    third = "name: c, cohort_id: x, segment_id: 9"
    return f"syncs:\n- {{name: a, cohort_id: x, {first}}}\n- {{name: b, {second}}}\n- {{{third}}}\n"


TRACKED = "mode: tracked, snapshot_path: file:///srv/cohorts"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("segment_id: 1", "cohort_id: y, segment_id: 1"),
        ("segment_id: 1", "cohort_id: x, segment_id: 1"),
        ("segment_name: S", "cohort_id: y, segment_name: ' S '"),
        ("segment_id: 1", "cohort_id: y, segment_id: 1, mode: add_only"),
        ("segment_id: 1, mode: add_only", "cohort_id: y, segment_id: 1"),
        (
            "segment_id: 1",
            "cohort_id: x, segment_id: 1, mode: add_only, user_id_property: email, id_type: email",
        ),
        ("segment_id: 1, dry_run: true", "cohort_id: y, segment_id: 1"),
        (f"segment_id: 1, {TRACKED}", "cohort_id: x, segment_id: 1"),
        (f"segment_id: 1, {TRACKED}", "cohort_id: x, segment_id: 1, mode: add_only"),
        (f"segment_id: 1, {TRACKED}", f"cohort_id: x, segment_id: 1, {TRACKED}"),
        (f"segment_id: 1, {TRACKED}", f"cohort_id: y, segment_id: 1, {TRACKED}"),
    ],
)
def test_syncs_that_would_undo_each_other_do_not_run(problems_of, first: str, second: str) -> None:
    problems = problems_of(two(first, second))
    key = "segment_name" if "segment_name" in first else "segment_id"
    assert f"my_syncs.yaml:2: sync a, key {key}: this sync" in problems["a"][0]
    assert f"my_syncs.yaml:3: sync b, key {key}: this sync" in problems["b"][0]
    assert " and b (" in problems["a"][0]
    assert " and a (" in problems["b"][0]
    assert problems["c"] == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("segment_id: 1", "cohort_id: y, segment_id: 2"),
        ("segment_name: S", "cohort_id: y, segment_name: s"),
        ("segment_id: 1", "cohort_id: y, segment_id: 1, customer_io_conn_id: other_workspace"),
        ("segment_id: 1, mode: add_only", "cohort_id: y, segment_id: 1, mode: add_only"),
        ("segment_id: 1", "cohort_id: x, segment_id: 1, mode: add_only"),
        ("segment_id: 1, enabled: false", "cohort_id: y, segment_id: 1"),
        ("segment_name: '5'", "cohort_id: y, segment_id: 5"),
    ],
)
def test_syncs_that_get_on_with_each_other(problems_of, first: str, second: str) -> None:
    assert problems_of(two(first, second)) == {"a": [], "b": [], "c": []}


def test_a_segment_from_the_defaults_counts(problems_of) -> None:
    problems = problems_of(
        "defaults: {segment_name: S}\nsyncs:\n- {name: a, cohort_id: x}\n- {name: b, cohort_id: y}\n"
    )
    assert ":1: sync a, key segment_name (from defaults): this sync (mirror) and b" in problems["a"][0]


def writers(dags_of, first: str, second: str) -> list[dict[str, object]]:
    """What the first of two syncs is told of the second."""
    dags = dags_of(f"syncs:\n- {{name: a, cohort_id: x, {first}}}\n- {{name: b, {second}}}\n")
    return dags["cohort_sync__a"].get_task("sync").other_writers


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("segment_name: S", "cohort_id: y, segment_id: 5"),
        ("segment_id: 5", "cohort_id: x, segment_name: S"),
        ("segment_name: S", "cohort_id: y, segment_name: S, customer_io_conn_id: other"),
        ("segment_id: 5", "cohort_id: y, segment_id: 5, customer_io_conn_id: other"),
        ("segment_id: 5", "cohort_id: y, segment_name: S, customer_io_conn_id: other"),
        ("segment_name: S, mode: add_only", "cohort_id: y, segment_id: 5"),
    ],
)
def test_a_sync_knows_who_else_may_fill_its_segment(dags_of, first: str, second: str) -> None:
    [other] = writers(dags_of, first, second)
    assert (other["sync"], other["mode"]) == ("b", "mirror")
    assert other["customer_io_conn_id"] == ("other" if "other" in second else "customer_io_default")
    named = (other["segment_name"], other["segment_id"])
    assert named == (("S", None) if "segment_name" in second else (None, 5))
    cohort = "x" if "cohort_id: x" in second else "y"
    assert other["people"] == f"amplitude_default/{cohort}/user_id/id"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("segment_name: S", "cohort_id: y, segment_name: T"),
        ("segment_name: S", "cohort_id: y, segment_name: T, customer_io_conn_id: other"),
        ("segment_id: 1", "cohort_id: y, segment_id: 2, customer_io_conn_id: other"),
        ("segment_name: S", "cohort_id: y, segment_id: 5, enabled: false"),
        ("segment_name: S", "cohort_id: y, segment_id: five"),
        ("segment_name: S, mode: add_only", "cohort_id: y, segment_id: 5, mode: add_only"),
        ("segment_name: S", "cohort_id: x, segment_id: 5, mode: add_only"),
    ],
)
def test_a_sync_is_told_of_nobody_who_cannot_get_in_its_way(dags_of, first: str, second: str) -> None:
    assert writers(dags_of, first, second) == []


def test_the_targets_of_a_sync_know_each_other(dags_of) -> None:
    targets = "targets: [{name: one, segment_name: S}, {name: two, segment_id: 5, on_guard: approve}]"
    dag = dags_of(f"syncs: [{{name: a, cohort_id: x, {targets}}}]")["cohort_sync__a"]
    for task_id, other in (("sync__one", "two"), ("plan__two", "one"), ("sync__two", "one")):
        assert [each["sync"] for each in dag.get_task(task_id).other_writers] == [f"a, target {other}"]


def test_what_a_sync_knows_of_others_makes_no_new_version_of_its_dag(dags_of) -> None:
    one = "- {name: a, cohort_id: x, segment_name: S}\n"
    other = "- {name: b, cohort_id: y, segment_id: 5}\n"
    alone, together = (dags_of(f"syncs:\n{syncs}")["cohort_sync__a"] for syncs in (one, one + other))
    assert alone.get_task("sync").other_writers != together.get_task("sync").other_writers
    assert DagSerialization.to_dict(alone) == DagSerialization.to_dict(together)
