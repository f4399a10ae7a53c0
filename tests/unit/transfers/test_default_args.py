"""``default_args`` set our parameters as well, even if they mean another operator's of the same name."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, TaskGroup

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

HINT = "default_args set it for all tasks: give this task a {} of its own."


def sync(task_id: str = "sync", **parameters: Any) -> AmplitudeCohortToCustomerIOOperator:
    return AmplitudeCohortToCustomerIOOperator(
        task_id=task_id, cohort_id="a1b2c3d", segment_name="Power users", **parameters
    )


def test_a_value_for_sensors_is_refused_and_its_origin_named() -> None:
    with DAG("sensors", schedule=None, default_args={"mode": "reschedule"}):
        with pytest.raises(ConfigurationError) as caught:
            sync()
        assert "mode is 'reschedule'" in caught.value.headline
        assert HINT.format("mode") in str(caught.value)
        assert sync("another", mode="mirror").mode == "mirror"


def test_so_is_one_of_a_task_group_and_of_the_export() -> None:
    with DAG("groups", schedule=None), TaskGroup("group", default_args={"poll_interval": "5m"}):
        for build in (sync, lambda: AmplitudeCohortExportOperator(task_id="export", cohort_id="a1b2c3d")):
            with pytest.raises(ConfigurationError) as caught:
                build()
            assert HINT.format("poll_interval") in str(caught.value)


def test_a_value_that_fits_holds_for_all() -> None:
    with DAG("fits", schedule=None, default_args={"mode": "add_only", "poll_interval": 30}):
        task = sync()
        assert (task.mode, task.poll_interval) == ("add_only", 30)


def test_a_wrong_value_of_the_task_itself_is_its_own() -> None:
    with DAG("own", schedule=None, default_args={"mode": "mirror"}):
        with pytest.raises(ConfigurationError) as caught:
            sync(mode="miror")
        assert "default_args" not in str(caught.value)
