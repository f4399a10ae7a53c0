"""The YAML's keys and the operator's parameters cannot drift apart."""

from __future__ import annotations

import pytest
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError

from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

FORM = [
    "dry_run",
    "allow_large_removal",
    "allow_empty_cohort",
    "allow_short_cohort",
    "allow_low_match",
    "allow_no_match",
    "adopt_segment",
]
#: What only the form sets, for one run.
OF_ONE_RUN = ["source", "snapshot_at"]


def test_a_generated_dag_defers_unless_told_otherwise(dag_with) -> None:
    assert dag_with().get_task("sync").deferrable is True
    assert dag_with("deferrable: false").get_task("sync").deferrable is False


def test_every_value_reaches_the_operator(dag_with) -> None:
    task = dag_with(
        "segment_id: 42",
        "user_id_property: customer_id",
        "id_type: cio_id",
        "mode: add_only",
        "max_removal_percent: 33.3",
        "max_shortfall_percent: 12.5",
        "min_match_rate: 0.9",
        "export_reserve: 3",
        "skip_unchanged: true",
        "amplitude_conn_id: amplitude_eu",
        "customer_io_conn_id: customer_io_eu",
        "poll_interval: 2.5",
        "export_timeout: 60",
        "snapshot_path: s3://aws_default@bucket/cohorts",
        "snapshot_keep_days: 7.5",
        "snapshot_keep_last: 5",
    ).get_task("sync")
    assert isinstance(task, AmplitudeCohortToCustomerIOOperator)
    assert (task.cohort_id, task.segment_id, task.segment_name) == ("a1b2c3d", 42, None)
    assert (task.user_id_property, task.id_type, task.mode) == ("customer_id", "cio_id", "add_only")
    assert (task.max_removal_percent, task.max_shortfall_percent) == (33.3, 12.5)
    assert (task.min_match_rate, task.export_reserve, task.skip_unchanged) == (0.9, 3, True)
    assert (task.amplitude_conn_id, task.customer_io_conn_id) == ("amplitude_eu", "customer_io_eu")
    assert (task.poll_interval, task.export_timeout) == (2.5, 60)
    assert task.snapshot_path == "s3://aws_default@bucket/cohorts"
    assert (task.snapshot_keep_days, task.snapshot_keep_last) == (7.5, 5)


def test_null_turns_the_removal_guard_off(dag_with) -> None:
    assert dag_with("max_removal_percent: null").get_task("sync").max_removal_percent is None


@pytest.mark.parametrize("form_field", FORM)
@pytest.mark.parametrize("in_yaml", [True, False])
def test_a_form_field_starts_with_the_value_of_the_yaml_and_reaches_the_operator(
    dag_with, form_field: str, in_yaml: bool
) -> None:
    dag = dag_with(f"{form_field}: {str(in_yaml).lower()}")
    assert isinstance(dag.params, ParamsDict)
    assert dag.params.dump()[form_field] is in_yaml
    assert set(dag.params) == {*FORM, *OF_ONE_RUN}
    param = dag.params.get_param(form_field)
    assert param.schema["type"] == "boolean"
    assert param.schema["title"]
    assert param.description
    for chosen in (True, False):
        task = dag_with(f"{form_field}: {str(in_yaml).lower()}").get_task("sync")
        task.render_template_fields({"params": {**dag.params.dump(), form_field: chosen}})
        assert getattr(task, form_field) == str(chosen)


def test_a_run_of_the_form_goes_back_to_a_snapshot(dag_with) -> None:
    dag = dag_with("on_guard: approve")
    assert (dag.params.dump()["source"], dag.params.dump()["snapshot_at"]) == ("cohort", None)
    chosen = {"source": "snapshot", "snapshot_at": "2026-01-31"}
    for task_id in ("export", "plan", "sync"):
        task = dag.get_task(task_id)
        task.template_fields = tuple({"source", "snapshot_at"} & {*task.template_fields})
        task.render_template_fields({"params": {**dag.params.dump(), **chosen}})
        assert task.source == "snapshot"
        assert getattr(task, "snapshot_at", "2026-01-31") == "2026-01-31"
    with pytest.raises(ParamValidationError, match="is not one of"):
        dag.params.get_param("source").resolve("yesterday")


def test_text_of_the_yaml_is_never_a_template(dag_with) -> None:
    texts = {
        "segment_name": "{% raise %} {# gone #} {{ params.dry_run }}",
        "snapshot_path": "file:///srv/{{ var.value.secret }}",
    }
    dag = dag_with(*(f"{key}: '{text}'" for key, text in texts.items()))
    task = dag.get_task("sync")
    task.render_template_fields({"params": dag.params.dump()})
    for key, text in texts.items():
        assert getattr(task, key) == text


@pytest.mark.parametrize("key", ["cohort_id", "amplitude_conn_id", "customer_io_conn_id"])
def test_where_no_template_can_be_right_it_is_refused(dags_of, key: str) -> None:
    keys = {"cohort_id": "a1b2c3d", key: "{{ 1 + 1 }}"}
    lines = "".join(f"  {name}: '{value}'\n" for name, value in keys.items())
    dags = dags_of(f"syncs:\n- name: a\n  segment_id: 1\n{lines}")
    assert f"key {key}: " in dags["cohort_sync__a"].get_task("sync").reason


@pytest.mark.parametrize("name", ["gp:{odd}", "{{ 1 + 1 }}"])
def test_a_property_with_braces_is_asked_for_by_its_name(dags_of, name: str) -> None:
    dags = dags_of(
        f"syncs:\n- {{name: a, cohort_id: x, segment_id: 1, user_id_property: '{name}'}}\n"
        f"- {{name: b, cohort_id: x, segment_id: 2, user_id_property: '{name}', on_guard: approve}}\n"
    )
    for dag_id, task_id in (("cohort_sync__a", "sync"), ("cohort_sync__b", "export")):
        task = dags[dag_id].get_task(task_id)
        task.template_fields = tuple({"properties", "user_id_property"} & {*task.template_fields})
        task.render_template_fields({"params": {}})
        found = getattr(task, "properties", None) or [task.user_id_property]
        assert found == [name]
