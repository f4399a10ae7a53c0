"""A sync that OpenLineage hears of; the others are left out of it, to save time."""

from airflow.providers.openlineage.utils.selective_enable import enable_lineage
from airflow.sdk import DAG

from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

with DAG("traced", schedule=None, catchup=False) as dag:
    AmplitudeCohortToCustomerIOOperator(
        task_id="sync", cohort_id="tracedaa", segment_name="Traced people", poll_interval=1
    )
enable_lineage(dag)
