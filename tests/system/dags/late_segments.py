"""A data engineer's own DAGs, in which only a run knows the segments: mapped tasks, arguments of a DAG."""

from typing import Any

from airflow.sdk import DAG, dag, task, task_group

from airflow_provider_cio_cohort.assets import segment_asset
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

PAIRS = {"mapped_one": "Mapped one", "mapped_two": "Mapped two"}

with DAG("mapped_syncs", schedule=None, params={"reverse": False}):

    @task
    def choose(params: dict[str, Any]) -> list[dict[str, str]]:
        """Return what to sync, in the order of the run."""
        found = [{"cohort_id": cohort, "segment_name": name} for cohort, name in PAIRS.items()]
        return found[::-1] if params["reverse"] else found

    AmplitudeCohortToCustomerIOOperator.partial(
        task_id="fill",
        skip_unchanged=True,
        deferrable=True,
        poll_interval=1,
        map_index_template="{{ task.cohort_id }}",
    ).expand_kwargs(choose())


@dag(schedule=None)
def argument_sync(segment: str = "By argument") -> None:
    """Fill the segment that the run names."""
    AmplitudeCohortToCustomerIOOperator(
        task_id="fill", cohort_id="argument", segment_name=segment, poll_interval=1
    )


with DAG("group_syncs", schedule=None):

    @task_group
    def one(cohort: str) -> None:
        """Fill one segment."""
        AmplitudeCohortToCustomerIOOperator(
            task_id="fill", cohort_id=cohort, segment_name=cohort, poll_interval=1
        )

    one.expand(cohort=["group_one", "group_two"])

TWO = segment_asset("Mapped two")

with DAG("after_mapped_two", schedule=[TWO]):

    @task
    def tell(triggering_asset_events: dict) -> list[str]:
        """Return which segments were filled."""
        return [event.extra["segment_name"] for event in triggering_asset_events[TWO]]

    tell()

argument_sync()
