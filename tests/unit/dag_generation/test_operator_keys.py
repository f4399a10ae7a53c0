"""The YAML's keys and the operator's parameters cannot drift apart."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError
from pydantic.fields import FieldInfo

from airflow_provider_cio_cohort.sync.parameters import SyncParameters, TaskParameters
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

FORM = tuple(TaskParameters.in_form())
#: The keys of a sync whose form has every field but those of other modes.
ALL = ("min_match_rate: 0.5", "snapshot_path: file:///srv/cohorts")
TRACKED = "mode: tracked"
#: The fields that a mirror and a tracked sync do not share.
OF_MIRROR, OF_TRACKED = {"adopt_segment"}, {"allow_lost_tracking"}
FLAGS = [name for name in FORM if TaskParameters.model_fields[name].annotation is bool]


def test_the_form_has_what_a_user_may_change_for_one_run() -> None:
    assert {"allow_large_removal", "dry_run"} < set(FLAGS)
    of_a_run = [name for name in FORM if name not in SyncParameters.model_fields]
    assert of_a_run == ["limit", "source", "snapshot_at"]
    assert all(TaskParameters.model_fields[name].title for name in FORM)


def another(name: str, field: FieldInfo) -> Any:
    """Return a value of a parameter that is not its default."""
    if field.examples:
        return field.examples[0]
    kinds = get_args(field.annotation) or (field.annotation,)
    if bool in kinds:
        return not field.default
    if str in map(type, kinds):  # a choice
        return next(each for each in reversed(kinds) if each != field.default)
    if {int, float} & {*kinds, *(get_args(kind)[0] for kind in kinds if get_args(kind))}:
        return 1
    if name == "identifiers":
        return [{"property": "a", "id_type": "id"}, {"property": "b", "id_type": "email"}]
    return f"other_{name}"


def test_a_generated_dag_defers_unless_told_otherwise(dag_with) -> None:
    assert dag_with().get_task("sync").deferrable is True
    assert dag_with("deferrable: false").get_task("sync").deferrable is False


@pytest.mark.parametrize("name", [name for name in SyncParameters.model_fields if name not in FORM])
def test_every_value_reaches_the_operator(dags_of, name: str) -> None:
    value = another(name, SyncParameters.model_fields[name])
    segment = {} if name == "segment_id" else {"segment_name": "Power users"}
    sync = {"name": "one", "cohort_id": "a", **segment, name: value}
    if name == "mode":
        sync["snapshot_path"] = "file:///srv/cohorts"  # tracked needs one
    (dag,) = dags_of(json.dumps({"syncs": [sync]})).values()
    task = dag.get_task("sync")
    assert isinstance(task, AmplitudeCohortToCustomerIOOperator)
    assert getattr(task, name) == value


def test_null_turns_the_removal_guard_off(dag_with) -> None:
    assert dag_with("max_removal_percent: null").get_task("sync").max_removal_percent is None


@pytest.mark.parametrize("form_field", FLAGS)
@pytest.mark.parametrize("in_yaml", [True, False])
def test_a_form_field_starts_with_the_value_of_the_yaml_and_reaches_the_operator(
    dag_with, form_field: str, in_yaml: bool
) -> None:
    lines = (*ALL, TRACKED) if form_field in OF_TRACKED else ALL
    dag = dag_with(*lines, f"{form_field}: {str(in_yaml).lower()}")
    assert isinstance(dag.params, ParamsDict)
    assert dag.params.dump()[form_field] is in_yaml
    assert set(dag.params) == {*FORM} - (OF_MIRROR if form_field in OF_TRACKED else OF_TRACKED)
    param = dag.params.get_param(form_field)
    assert param.schema["type"] == ["boolean", "null"]
    assert param.schema["title"]
    assert param.description
    for chosen in (True, False):
        task = dag_with(*lines, f"{form_field}: {str(in_yaml).lower()}").get_task("sync")
        task.render_template_fields({"params": {**dag.params.dump(), form_field: chosen}})
        assert getattr(task, form_field) == str(chosen)


REMOVALS = {"allow_large_removal", "allow_empty_cohort", "allow_short_cohort", "adopt_segment"}
BACK = {"source", "snapshot_at"}


@pytest.mark.parametrize(
    ("lines", "hidden"),
    [
        (ALL, set()),
        ((), {"allow_low_match", *BACK}),
        ((*ALL, "max_removal_percent: null"), {"allow_large_removal"}),
        ((*ALL, "max_removal_percent: null", "max_removals: 9"), set()),
        ((*ALL, "max_growth_percent: null"), {"allow_large_addition"}),
        ((*ALL, "max_growth_percent: null", "max_additions: 9"), set()),
        ((*ALL, "max_shortfall_percent: null"), {"allow_short_cohort"}),
        (ALL[:1], BACK),
        ((*ALL, "mode: add_only"), REMOVALS),
        ((*ALL, TRACKED), OF_MIRROR),
        ((*ALL, TRACKED, "max_removal_percent: null"), {"allow_large_removal", *OF_MIRROR}),
        (("mode: add_only",), {"allow_low_match", *REMOVALS, *BACK}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_form_has_only_what_can_apply_to_the_sync(dag_with, lines, hidden: set[str]) -> None:
    hidden = hidden if TRACKED in lines else hidden | OF_TRACKED
    dag = dag_with(*lines)
    assert set(dag.params) == {*FORM} - hidden
    task = dag.get_task("sync")
    task.render_template_fields({"params": dag.params.dump()})
    values = task.parameters  # without a template that names a field that the form lacks
    assert {name: getattr(values, name) for name in hidden} == {
        name: TaskParameters.model_fields[name].default for name in hidden
    }
    exporting = dag_with(*lines, "on_guard: approve").get_task("export")
    exporting.render_template_fields({"params": dag.params.dump()})
    assert exporting.source == "cohort"


def test_a_field_that_applies_to_one_target_is_in_the_form_of_all(dags_of) -> None:
    dag = dags_of(
        "syncs:\n- name: one\n  cohort_id: b\n  mode: add_only\n  targets:\n"
        "  - {name: eu, segment_id: 7, mode: mirror, min_match_rate: 0.5}\n  - {name: us, segment_id: 8}\n"
    )["cohort_sync__one"]
    assert set(dag.params) == {*FORM} - BACK - OF_TRACKED


def test_a_hidden_field_keeps_what_the_yaml_says(dag_with) -> None:
    task = dag_with("mode: add_only", "allow_empty_cohort: true").get_task("sync")
    assert task.allow_empty_cohort is True


def test_the_form_is_grouped_and_requires_nothing(dag_with) -> None:
    mirror, tracked = dag_with(*ALL).params, dag_with(*ALL, TRACKED).params
    both = {name: tracked if name in OF_TRACKED else mirror for name in FORM}
    schemas = {name: params.get_param(name).schema for name, params in both.items()}
    groups: dict[str, list[str]] = {}
    for name, schema in schemas.items():
        groups.setdefault(schema.get("section", ""), []).append(name)
        assert "null" in schema["type"]  # otherwise Airflow marks the field as required
    # Airflow opens the first one, "Run Parameters", which has no name of ours.
    assert list(groups) == ["", "Let through once", "Go back"]
    assert groups[""] == ["dry_run", "limit"]
    assert groups["Go back"] == ["source", "snapshot_at"]


def test_the_form_limits_a_run_in_all_its_tasks(dag_with) -> None:
    dag = dag_with("on_guard: approve")
    assert dag.params.dump()["limit"] is None
    assert dag.params.get_param("limit").schema["type"] == ["integer", "null"]
    for wrong in (0, -1, "many", 1.5):
        with pytest.raises(ParamValidationError):
            dag.params.update({"limit": wrong})
    for task_id in ("plan", "sync"):
        for given, limit in ((None, None), (50, 50)):
            task = dag_with("on_guard: approve").get_task(task_id)
            task.template_fields = ("limit",)
            task.render_template_fields({"params": {"limit": given}})
            values = {"cohort_id": "a", "segment_name": "S", "limit": task.limit}
            assert TaskParameters.from_task(values, {"limit"}).limit == limit


def test_only_the_operator_of_add_only_adds_although_a_guard_trips(dag_with) -> None:
    assert dag_with("on_guard: add_only").get_task("sync").on_guard == "add_only"
    assert dag_with("on_guard: add_only").task_ids == ["sync"]
    assert dag_with("on_guard: approve").get_task("sync").on_guard == "fail"
    assert dag_with().get_task("sync").on_guard == "fail"


def test_a_run_of_the_form_goes_back_to_a_snapshot(dag_with) -> None:
    dag = dag_with("on_guard: approve", *ALL)
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
