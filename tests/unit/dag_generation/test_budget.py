"""What a file of syncs costs, and what is done when that is too much."""

from __future__ import annotations

import pytest
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID

from airflow_provider_cio_cohort import exports
from airflow_provider_cio_cohort.exports import exports_a_month

THREE = """
syncs:
- {name: first, cohort_id: a, segment_id: 1, cadence: daily}
- {name: second, cohort_id: b, segment_id: 2, cadence: hourly}
- {name: third, cohort_id: c, segment_id: 3, cadence: weekly}
- {name: other, cohort_id: c, segment_id: 4, cadence: hourly, amplitude_conn_id: amplitude_eu}
- {name: paused, cohort_id: c, segment_id: 5, cadence: realtime, enabled: false}
"""


@pytest.mark.parametrize(
    ("cadence", "exports"),
    [
        ("manual", 0),
        ("once", 1),
        ("realtime", 44640),
        ("hourly", 744),
        ("daily", 31),
        ("weekly", 5),
        ("monthly", 1),
        ("* * * * *", 44640),
        ("*/15 * * * *", 2976),
        ("0 6,18 * * *", 62),
        ("0 6 * * 1-5", 23),
        ("0 6 1 * *", 1),
        ("30 4 29 2 *", 1),
        ("0 0 31 * *", 1),
        ("0 9-17/2 * * mon", 25),
    ],
)
def test_what_a_cadence_costs(cadence: str, exports: int) -> None:
    assert exports_a_month(cadence) == exports


def test_more_than_amplitude_grants_is_a_warning_in_log_and_docs(dags_of, caplog) -> None:
    dags = dags_of(THREE)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        f"my_syncs.yaml: the syncs of connection {name} cost {cost} exports a month; Amplitude grants 500."
        for name, cost in (("amplitude_default", 780), ("amplitude_eu", 744))
    ]
    for name in ("first", "second", "third", "other"):
        assert "cost more than 500 exports a month" in dags[f"cohort_sync__{name}"].doc_md
    assert "up to 744 in a month" in dags["cohort_sync__second"].doc_md


def test_a_tasks_own_parse_does_not_warn_in_its_log(dags_of, caplog, monkeypatch) -> None:
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "cohort_sync__first")
    assert list(dags_of(THREE)) == ["cohort_sync__first"]
    assert not caplog.records


def test_what_fits_is_no_warning(dags_of, caplog) -> None:
    dags = dags_of(THREE.replace("hourly", "daily"))
    assert not caplog.records
    assert all("cost more than" not in dag.doc_md for dag in dags.values())


def test_beyond_a_limit_the_later_syncs_are_turned_away(problems_of) -> None:
    problems = problems_of("max_exports_per_month: 100\n" + THREE)
    assert [name for name, found in problems.items() if found] == ["second", "other"]
    (problem,) = problems["second"]
    assert problem.startswith("my_syncs.yaml:5: sync second, key cadence: ")
    assert "cost 31 exports a month of connection amplitude_default, and this one 744 more" in problem
    assert "max_exports_per_month is 100" in problem


def test_a_limit_for_one_connection(problems_of) -> None:
    problems = problems_of("max_exports_per_month: {amplitude_eu: 100}\n" + THREE)
    assert [name for name, found in problems.items() if found] == ["other"]


def test_many_targets_cost_one_export(problems_of) -> None:
    content = (
        "max_exports_per_month: 31\nsyncs:\n- {name: a, cohort_id: a, targets: "
        "[{name: x, segment_id: 1}, {name: y, segment_id: 2}]}\n"
    )
    assert problems_of(content) == {"a": []}


@pytest.mark.parametrize("value", ["many", "-1", "1.5", "[1]", "{amplitude_eu: x}", "true", ""])
def test_a_limit_that_is_none(problems_of, value: str) -> None:
    problems = problems_of(f"max_exports_per_month: {value}\n" + THREE)
    assert all(len(found) == 1 for found in problems.values())
    assert ":1: sync first, key max_exports_per_month: it must be a whole number" in problems["first"][0]


def test_a_limit_for_a_connection_that_no_sync_uses_is_a_warning(dags_of, caplog) -> None:
    dags_of("max_exports_per_month: {amplitude_defalt: 100}\n" + THREE.replace("hourly", "daily"))
    assert [record.getMessage() for record in caplog.records] == [
        "my_syncs.yaml: max_exports_per_month limits the connection amplitude_defalt, but no sync uses it."
    ]


def test_a_thousand_times_of_day_walk_through_the_year_once() -> None:
    exports._days_of.cache_clear()
    exports._times_of.cache_clear()
    for number in range(1000):
        assert exports_a_month(f"{number % 60} {number // 60} * * 1-5") == 23
    assert exports._days_of.cache_info().misses == 1


def test_two_limits_of_one_connection_are_refused(problems_of) -> None:
    problems = problems_of(f"max_exports_per_month: {{amplitude_eu: 9, amplitude_eu: 800}}{THREE}")
    for name in ("first", "other"):
        (problem,) = problems[name]
        assert "key max_exports_per_month: amplitude_eu: it appears twice, first on line 1." in problem
