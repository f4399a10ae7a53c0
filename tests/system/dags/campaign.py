"""A campaign that starts whenever a sync has filled its segment, and reads how many are in it."""

from airflow.sdk import DAG, task

from airflow_provider_cio_cohort.assets import segment_asset

SEGMENT = segment_asset("Watched")

with DAG("campaign", schedule=[SEGMENT], catchup=False):

    @task
    def start(triggering_asset_events: dict) -> dict:
        """Return the counts of the sync that has started this run."""
        [event] = triggering_asset_events[SEGMENT]
        return {name: event.extra[name] for name in ("added", "segment_after", "match_rate")}

    start()
