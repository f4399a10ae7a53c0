"""Each parameter of a sync: what a task may have for it, and that it is said once."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG
from pydantic import BaseModel

from airflow_provider_cio_cohort import alerts, dag_generation, operators, sync, transfers
from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.operators.approval import ApproveChangeOperator
from airflow_provider_cio_cohort.sync.parameters import (
    REQUIRED,
    SharedExportParameters,
    TaskParameters,
)
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

NEEDED = {"cohort_id": "a1b2c3d", "segment_name": "Power users"}
OPERATORS = [
    (AmplitudeCohortToCustomerIOOperator, TaskParameters),
    (AmplitudeCohortExportOperator, SharedExportParameters),
]


def of_task(templates: tuple[str, ...] = (), **values: Any) -> TaskParameters:
    return TaskParameters.from_task({**NEEDED, **values}, templates)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        ("True", True),
        ("true", True),
        ("1", True),
        (False, False),
        ("False", False),
        ("", False),
        (None, False),
    ],
)
def test_flags_as_templates_render_them(value: Any, expected: bool) -> None:
    assert of_task(dry_run=value).dry_run is expected


def test_a_flag_that_is_neither_true_nor_false_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"dry_run is 'maybe'"):
        of_task(dry_run="maybe")


@pytest.mark.parametrize(("value", "expected"), [(7, 7), ("7", 7), (" 7 ", 7)])
def test_segment_ids_as_templates_render_them(value: Any, expected: int) -> None:
    assert of_task(segment_name=None, segment_id=value).segment_id == expected


@pytest.mark.parametrize("value", ["seven", "7.0", "-7", 0, True, "\u0667", "", " ", 7.0])
def test_what_is_no_segment_id(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"segment_id is .*number of a Customer\.io segment"):
        of_task(segment_name=None, segment_id=value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_removal_percent", value) for value in (-1, 100.1, True, "50", float("nan"))),
        ("snapshot_keep_last", 2.5),
        ("snapshot_keep_days", 0),
        ("export_timeout", float("inf")),
        ("poll_interval", 0),
        ("export_reserve", -1),
        ("deferrable", "yes"),
    ],
)
def test_numbers_out_of_bounds_are_refused_when_the_dag_is_read(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is"):
        AmplitudeCohortToCustomerIOOperator(task_id="sync", **{**NEEDED, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("export_timeout", float("inf")),
        ("export_timeout", float("nan")),
        ("export_timeout", 10**400),
        ("poll_interval", "10"),
        ("export_reserve", 2.5),
        ("hold_slot", 1),
        ("cohort_id", 1234567),
        ("cohort_id", ["a1b2c3d"]),
        ("amplitude_conn_id", {"id": "amplitude_default"}),
        ("properties", ()),
        ("properties", "user_id"),
        ("properties", ("user_id", 7)),
        ("syncs", [{"id_type": "email"}]),
        ("syncs", [{"segment_id": 7, "id_type": "phone"}]),
        ("syncs", [{"segment_id": 7, "customer_io_conn_id": "c d"}]),
        ("syncs", [{"segment_id": 7}, {"segment_id": 8, "retries": 3}]),
        ("syncs", ["Power users"]),
        ("syncs", {"segment_id": 7}),
    ],
)
def test_the_export_task_has_the_same_bounds(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^Task export: {name}"):
        AmplitudeCohortExportOperator(task_id="export", **{"cohort_id": "a1b2c3d", name: value})


@pytest.mark.parametrize("value", [timedelta(0), timedelta(days=-1), timedelta(days=366), 24, None])
def test_an_approval_is_waited_for_within_the_bounds_of_the_yaml(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"response_timeout is .* up to 365 days"):
        ApproveChangeOperator(task_id="a", plan_task_id="plan", segment="S", response_timeout=value)


def test_default_args_have_the_same_bounds() -> None:
    with (
        DAG("d", schedule=None, default_args={"snapshot_keep_last": 2.5}),
        pytest.raises(ConfigurationError, match=r"snapshot_keep_last is 2\.5"),
    ):
        AmplitudeCohortToCustomerIOOperator(task_id="sync", **NEEDED)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"segment_id": 7}, "segment_id: segment_name is given too"),
        ({"segment_name": None}, "segment_name: it is missing"),
        ({"cohort_id": 1234567}, "cohort_id is 1234567, of type int; it must be text"),
        ({"cohort_id": " "}, "cohort_id is empty"),
        ({"mode": "mirrored"}, "mode is 'mirrored'; it must be 'mirror', 'add_only' or 'tracked'"),
        ({"mode": "tracked"}, "mode: tracked needs a snapshot_path: the sync keeps there whom it has added"),
        ({"snapshot_path": "cohorts"}, "snapshot_path is not valid"),
        (
            {"snapshot_path": ["file:///srv"]},
            "snapshot_path is ['file:///srv'], of type list; it must be text",
        ),
        ({"dry_run": ["yes"]}, "dry_run is ['yes']; it must be true or false"),
        ({"cohort_id": "Power users"}, "cohort_id is not valid: 'Power users' is not a cohort id"),
        ({"cohort_id": "${COHORT_ID}"}, "cohort_id is not valid: '${COHORT_ID}' is not a cohort id"),
        (
            {"customer_io_conn_id": "my own"},
            "customer_io_conn_id is not valid: 'my own' is not a connection id",
        ),
        (
            {"segment_name": "Power\u200busers"},
            "segment_name is not valid: it contains the invisible character",
        ),
        ({"approved_plan": {}}, "approved_plan is not what the task approve returned"),
        ({"export": {"request_id": "7"}}, "export is not what the task that requests the export returns"),
    ],
)
def test_what_is_wrong_is_refused_when_the_dag_is_read(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AmplitudeCohortToCustomerIOOperator(task_id="sync", **{**NEEDED, **values})
    assert caught.value.headline.startswith(f"Task sync: {words}")


def test_quotes_that_python_code_means_are_kept() -> None:
    name = "\u201cPower users\u201d"
    operator = AmplitudeCohortToCustomerIOOperator(task_id="sync", **{**NEEDED, "segment_name": name})
    assert operator.parameters.segment_name == name


def test_what_a_function_or_a_list_renders_is_not_looked_at_either() -> None:
    def chosen(context: Any, jinja_env: Any) -> str:
        return "a1b2c3d"

    AmplitudeCohortToCustomerIOOperator(task_id="sync", **{**NEEDED, "cohort_id": chosen})
    AmplitudeCohortExportOperator(
        task_id="export",
        cohort_id="a1b2c3d",
        properties=["{{ params.x }}"],
        syncs=[{"segment_name": "{{ params.y }}"}],
    )


def test_templates_are_not_looked_at_before_they_are_rendered() -> None:
    values = dict.fromkeys(TaskParameters.templated(), "{{ params.x }}")
    values["segment_id"] = None
    AmplitudeCohortToCustomerIOOperator(task_id="sync", **values)


# ---- said once


@pytest.mark.parametrize(("operator", "model"), OPERATORS)
def test_the_signature_has_the_parameters_and_their_defaults(
    operator: type[Any], model: type[TaskParameters]
) -> None:
    signature = inspect.signature(inspect.unwrap(operator.__init__)).parameters
    given = {name: each.default for name, each in signature.items() if name not in ("self", "kwargs")}
    assert set(given) == set(model.model_fields)
    # Airflow's own default in a DAG of one's own; the DAGs from YAML always defer.
    del given["deferrable"]
    for name, default in given.items():
        field = model.model_fields[name]
        assert (default is REQUIRED) == field.is_required(), name
        if not field.is_required():
            assert (default, type(default)) == (field.default, type(field.default)), name


@pytest.mark.parametrize(("operator", "model"), OPERATORS)
def test_the_docstring_describes_each_parameter(operator: type[Any], model: type[TaskParameters]) -> None:
    for name, field in model.model_fields.items():
        assert f":param {name}: {field.description}" in operator.__doc__
    assert tuple(operator.template_fields) == model.templated()


def test_no_parameter_is_declared_twice() -> None:
    assert all((alerts, dag_generation, operators, sync, transfers))  # all that has models is imported
    package = "airflow_provider_cio_cohort"
    own = [model for model in _models(BaseModel) if model.__module__.startswith(package)]
    declared: dict[str, set[str]] = {}
    for model in own:
        for name in model.__annotations__.keys() & TaskParameters.model_fields.keys():
            declared.setdefault(name, set()).add(model.__qualname__)
    assert declared.pop("source") == {"TaskParameters", "SharedExportParameters"}  # two operators' own
    assert declared.pop("on_guard") == {"Sync", "TaskParameters"}  # only a DAG can ask for an approval
    assert {name: where for name, where in declared.items() if len(where) > 1} == {}


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    below = model.__subclasses__()
    return [*below, *(each for one in below for each in _models(one))]
