"""A data engineer's own DAG: the operator between tasks of his own."""

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

with DAG(
    "win_back",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Berlin"),
    catchup=False,
    params={"cohort": "w1nback", "amplitude_conn_id": "amplitude_default"},
):

    @task
    def announce(report: dict) -> str:
        """Use the report of the sync."""
        return f"{report['segment_after']} people in {report['segment_name']}"

    sync = AmplitudeCohortToCustomerIOOperator(
        task_id="sync",
        cohort_id="{{ params.cohort }}",
        amplitude_conn_id="{{ params.amplitude_conn_id }}",
        segment_name="Win back",
        user_id_property="email",
        id_type="email",
        poll_interval=1,
    )
    announce(sync.output)
