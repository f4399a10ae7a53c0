from __future__ import annotations

import pytest


def two(first: str, second: str) -> str:
    third = "name: c, cohort_id: x, segment_id: 9"
    return f"syncs:\n- {{name: a, cohort_id: x, {first}}}\n- {{name: b, {second}}}\n- {{{third}}}\n"


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
    ],
)
def test_syncs_that_would_undo_each_other_do_not_run(problems_of, first: str, second: str) -> None:
    problems = problems_of(two(first, second))
    key = "segment_name" if "segment_name" in first else "segment_id"
    assert f"my_syncs.yaml, line 2, sync a, key {key}: this sync" in problems["a"][0]
    assert f"my_syncs.yaml, line 3, sync b, key {key}: this sync" in problems["b"][0]
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
    assert "line 1, sync a, key segment_name (from defaults): this sync (mirror) and b" in problems["a"][0]
