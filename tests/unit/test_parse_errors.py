"""What an operator refuses when a DAG file is parsed: the message names DAG, task and parameter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, TaskGroup

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.operators.approval import ApproveChangeOperator
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

SYNC = {"cohort_id": "a1b2c3d", "segment_name": "S"}


@pytest.mark.parametrize(
    ("operator", "parameters", "words"),
    [
        (AmplitudeCohortToCustomerIOOperator, {**SYNC, "mode": "miror"}, "mode is 'miror'; it must be"),
        (AmplitudeCohortToCustomerIOOperator, {"cohort_id": "a1b2c3d"}, "segment_name: it is missing"),
        (
            AmplitudeCohortToCustomerIOOperator,
            {**SYNC, "amplitude_conn_id": "acme", "customer_io_conn_id": "acme"},
            "customer_io_conn_id: amplitude_conn_id names the same connection",
        ),
        (AmplitudeCohortToCustomerIOOperator, {"segment_name": "S"}, "cohort_id is missing"),
        (AmplitudeCohortExportOperator, {"cohort_id": "a1b2c3d", "properties": []}, "properties is "),
        (AmplitudeCohortExportOperator, {}, "cohort_id is missing"),
        (ApproveChangeOperator, {"segment": "S"}, "plan_task_id is missing"),
        (ApproveChangeOperator, {"plan_task_id": "plan"}, "segment is missing"),
        (
            ApproveChangeOperator,
            {"plan_task_id": "plan", "segment": "S", "response_timeout": timedelta(0)},
            "response_timeout is ",
        ),
    ],
)
def test_it_names_dag_task_and_parameter(
    operator: Callable[..., Any], parameters: dict[str, Any], words: str
) -> None:
    with DAG("mine", schedule=None), TaskGroup("growth"), pytest.raises(ConfigurationError) as caught:
        operator(task_id="fill", **parameters)
    assert str(caught.value).startswith(f"Task growth.fill of DAG mine: {words}")


def test_without_a_dag_it_names_the_task() -> None:
    with pytest.raises(ConfigurationError, match=r"^Task fill: mode is 'miror'"):
        AmplitudeCohortToCustomerIOOperator(task_id="fill", mode="miror", **SYNC)
