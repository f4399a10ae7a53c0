"""
The keys of a sync in the YAML file, as pydantic models.

The editor's JSON Schema, the checks and the DAGs all come from these models. Types are strict: values that
YAML parses in an unexpected way (``on``, ``0123``) are refused instead of guessed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import pendulum
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from airflow_provider_cio_cohort.dag_generation.alert_keys import MAX_ALERTS, AlertKeys
from airflow_provider_cio_cohort.dag_generation.keys import (
    Age,
    Cadence,
    Moment,
    Name,
    Tag,
    Timezone,
)
from airflow_provider_cio_cohort.dag_generation.schedule import localize
from airflow_provider_cio_cohort.pools import MAX_CONN_ID
from airflow_provider_cio_cohort.sync.parameters import SyncParameters
from airflow_provider_cio_cohort.sync.values import Paragraph, Text, wrong_parameter

SEGMENT_KEYS = ("segment_name", "segment_id")
#: The keys of a target; it takes all others from its sync.
TARGET_KEYS = (
    "name",
    *SEGMENT_KEYS,
    "customer_io_conn_id",
    "user_id_property",
    "id_type",
    "identifiers",
    "people_segment_id",
    "mode",
    "max_removal_percent",
    "max_removals",
    "max_growth_percent",
    "max_additions",
    "max_shortfall_percent",
    "min_match_rate",
    "adopt_segment",
    "on_not_removable",
    "on_guard",
)


class Sync(SyncParameters):
    """One sync: a cohort, a segment, and when."""

    name: Name = Field(
        description="Unique in the file; the DAG is cohort_sync__<name>. Letters, digits, _, - and dots."
    )
    cadence: Cadence = Field(
        default="daily",
        description="When it runs: manual, once, realtime (each minute), hourly, daily, weekly (Monday), "
        "monthly (the 1st), or a cron expression of five fields, in quotes.",
        examples=["0 6 * * 1-5"],
    )
    timezone: Timezone = Field(
        default="UTC",
        description="Timezone of the cadence and the dates, with its clock changes, such as Europe/Berlin.",
        examples=["Europe/Berlin"],
    )
    spread: bool = Field(
        default=True,
        description="Derive minute and hour of a named cadence from the name, so that syncs do not all start "
        "at once. false: at the full hour, or at midnight.",
    )
    start_date: Moment = Field(
        default=datetime(2025, 1, 1),
        description="No scheduled run before this date or time, in the timezone of the sync.",
    )
    end_date: Moment | None = Field(
        default=None,
        description="No scheduled run after this date or time; Airflow holds back later runs of any kind.",
    )
    enabled: bool = Field(
        default=True,
        description="false: the DAG and its history stay visible, but nothing runs, not even by hand.",
    )
    retries: Annotated[int, Field(ge=0, le=100)] = Field(
        default=3, description="How often a failed task is retried."
    )
    retry_delay_minutes: Annotated[float, Field(ge=0, le=1440, allow_inf_nan=False)] = Field(
        default=5, description="Minutes before the first retry; fractions are fine. Doubles, up to an hour."
    )
    description: Paragraph | None = Field(
        default=None, description="What the sync is for; shown in Airflow's list and the DAG's docs."
    )
    owner: Annotated[Text, StringConstraints(max_length=500)] | None = Field(
        default=None,
        description="Who is responsible for it; shown in Airflow's list and the DAG's docs. Airflow's own "
        "default when left out.",
    )
    tags: list[Tag] = Field(
        default=[], description="Tags of the DAG, in addition to cohort-sync.", max_length=50
    )
    pool: Annotated[Text, StringConstraints(max_length=256)] | None = Field(
        default=None,
        description="Airflow pool of the task; it must exist, or the task never runs. Airflow's "
        "default pool when left out.",
    )
    use_pools: bool = Field(
        default=False,
        description="Keep the vendors' limits across all workers: exports and syncs run in pools of their "
        "connections, which `airflow cohort-sync pools` creates. Not together with pool or skip_unchanged.",
    )
    alerts: list[AlertKeys] = Field(
        default=[],
        description="Alerts about failures, guards, recoveries and so on, by any Airflow notifier. A "
        "sync's own list replaces that of the defaults.",
        max_length=MAX_ALERTS,
    )
    max_age: Age | None = Field(
        default=None,
        description="How old the last good run may be, such as 90m, 26h or 2d; when it is older, alerts are "
        "sent.",
        examples=["26h", "90m", "2d"],
    )
    on_guard: Literal["fail", "approve", "add_only"] = Field(
        default="fail",
        description="What happens when a guard trips. fail: the task fails. approve: a user is asked first. "
        "add_only: if only guards of removals trip, people are added, nobody is removed, and the task fails.",
    )
    approval_timeout_hours: Annotated[float, Field(gt=0, le=8760, allow_inf_nan=False)] = Field(
        default=24, description="Hours to wait for an approval; fractions are fine. Then the task fails."
    )

    @property
    def starts(self) -> pendulum.DateTime:
        """The start date in the sync's timezone."""
        return localize(self.start_date, self.timezone)

    @property
    def ends(self) -> pendulum.DateTime | None:
        """The end date in the sync's timezone."""
        return None if self.end_date is None else localize(self.end_date, self.timezone)

    @model_validator(mode="after")
    def _skips_before_the_export(self) -> Sync:
        other = "use_pools: true" if self.use_pools else "on_guard: approve"
        if self.skip_unchanged and (self.use_pools or self.on_guard == "approve"):
            raise wrong_parameter(
                "skip_unchanged",
                f"it cannot be combined with {other}, which exports the cohort before anything else. "
                "Remove one of them.",
            )
        return self

    @model_validator(mode="after")
    def _one_kind_of_pools(self) -> Sync:
        if not self.use_pools:
            return self
        if self.pool is not None:
            raise wrong_parameter(
                "pool",
                "it cannot be combined with use_pools: true, which puts each task into the pool of its "
                "connection. Remove one of them.",
            )
        for key in ("amplitude_conn_id", "customer_io_conn_id"):
            if len(getattr(self, key)) > MAX_CONN_ID:
                raise wrong_parameter(
                    key,
                    f"it is longer than {MAX_CONN_ID} characters, too long to name a pool after it. Shorten "
                    "it, or remove use_pools.",
                )
        return self

    @model_validator(mode="after")
    def _ends_after_start(self) -> Sync:
        if self.ends is not None and self.ends <= self.starts:
            raise wrong_parameter("end_date", f"it must be after the start_date, {self.starts.isoformat()}.")
        return self


_NAME: TypeAdapter[str] = TypeAdapter(Name)


def usable_name(value: object) -> str | None:
    """
    Return a value as a name, ``None`` if it is not a valid one.

    :param value: the parsed value.
    """
    try:
        return _NAME.validate_python(value, strict=True)
    except ValidationError:
        return None
