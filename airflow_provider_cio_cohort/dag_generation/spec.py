"""
The keys of a sync in the YAML file, as pydantic models.

The editor's JSON Schema, the checks and the DAGs all come from these models. Types are strict: what YAML
turned into something else than was meant (``on``, ``0123``) is refused instead of guessed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import pendulum
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from airflow_provider_cio_cohort.dag_generation.alert_keys import AlertKeys
from airflow_provider_cio_cohort.dag_generation.cadence import localize
from airflow_provider_cio_cohort.dag_generation.keys import (
    Age,
    Cadence,
    Id,
    Moment,
    Name,
    Paragraph,
    Seconds,
    SnapshotPath,
    Tag,
    Text,
    Timezone,
)
from airflow_provider_cio_cohort.pools import MAX_CONN_ID

SEGMENT_KEYS = ("segment_name", "segment_id")
#: What a target may say; for anything else it takes what its sync says.
TARGET_KEYS = (
    "name",
    *SEGMENT_KEYS,
    "customer_io_conn_id",
    "user_id_property",
    "id_type",
    "mode",
    "max_removal_percent",
    "max_shortfall_percent",
    "min_match_rate",
    "adopt_segment",
    "on_guard",
)


class OperatorParameters(BaseModel):
    """The keys that are the operator's parameters, with its names and, but for deferrable, its defaults."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    cohort_id: Id = Field(
        description="The Amplitude cohort: the last part of its address, such as a1b2c3d. In quotes if it is "
        "digits only.",
        examples=["a1b2c3d"],
    )
    segment_name: Text | None = Field(
        default=None,
        description="The Customer.io segment by its name; one that does not exist is created. "
        "Exactly one of segment_name and segment_id.",
    )
    segment_id: Annotated[int, Field(gt=0, le=2**53)] | None = Field(
        default=None,
        description="The Customer.io segment by the number in its address; for a name that several have.",
    )
    user_id_property: Text = Field(
        default="user_id",
        description="The Amplitude property that is the Customer.io identifier: user_id, amplitude_id, or "
        "any user property.",
    )
    id_type: Literal["id", "email", "cio_id"] = Field(
        default="id", description="Which identifier of Customer.io it is."
    )
    mode: Literal["mirror", "add_only"] = Field(
        default="mirror",
        description="mirror: the segment becomes the cohort. add_only: it gets whom it lacks, and nobody is "
        "removed.",
    )
    max_removal_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = Field(
        default=50,
        description="Refuse to remove more than this share of the segment in a run; null turns it off. Up "
        "to 20 removals are never refused.",
    )
    max_shortfall_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = Field(
        default=30,
        description="Refuse to remove anybody for a cohort that has so much fewer members than Amplitude "
        "announces, or than the last good sync had; null turns it off.",
    )
    min_match_rate: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Refuse to write when a smaller share of the cohort, 0 to 1, is somebody in Customer.io.",
    )
    adopt_segment: bool = Field(
        default=False,
        description="Remove people also from a segment that no sync made for this cohort. Otherwise a run "
        "that would do so is refused.",
    )
    allow_large_removal: bool = Field(
        default=False,
        description="Let every run remove more than max_removal_percent. For one run, use the trigger form.",
    )
    allow_empty_cohort: bool = Field(
        default=False, description="Let every run empty the segment. For one run, use the trigger form."
    )
    allow_short_cohort: bool = Field(
        default=False, description="Let every run pass max_shortfall_percent. For one run, the trigger form."
    )
    allow_low_match: bool = Field(
        default=False, description="Let every run pass min_match_rate. For one run, use the trigger form."
    )
    dry_run: bool = Field(
        default=False,
        description="Look and report, but let no run write anything. For one run, use the trigger form.",
    )
    amplitude_conn_id: Id = Field(
        default="amplitude_default", description="The Airflow connection to one Amplitude project."
    )
    customer_io_conn_id: Id = Field(
        default="customer_io_default", description="The Airflow connection to one Customer.io workspace."
    )
    poll_interval: Seconds = Field(default=10, description="Seconds between two looks at the export.")
    export_timeout: Seconds = Field(default=3600, description="Seconds that a try waits for the export.")
    export_reserve: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=10,
        description="Exports of the month that are left alone: with no more left, a run fails before it "
        "spends one.",
    )
    skip_unchanged: bool = Field(
        default=False,
        description="End a run without an export when Amplitude has not computed the cohort anew since the "
        "last good sync, and the segment has as many members as then. Not together with targets, use_pools "
        "or on_guard: approve, which export first.",
    )
    snapshot_path: SnapshotPath | None = Field(
        default=None,
        description="Where each good run keeps the identifiers that it has synced, such as "
        "s3://aws_default@bucket/cohorts, to put the segment back one day. Identifiers are personal data.",
        examples=["s3://aws_default@bucket/cohorts"],
    )
    snapshot_keep_days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] = Field(
        default=30, description="Days for which a snapshot is kept; fractions are fine."
    )
    snapshot_keep_last: Annotated[int, Field(gt=0, le=100_000)] = Field(
        default=3, description="So many of the newest snapshots are kept however old they are."
    )
    deferrable: bool = Field(
        default=True, description="Wait for the export in the triggerer, without holding a worker."
    )


class Sync(OperatorParameters):
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
        description="Timezone of the cadence and the dates, through changes of the clock, such as "
        "Europe/Berlin.",
        examples=["Europe/Berlin"],
    )
    spread: bool = Field(
        default=True,
        description="Derive minute and hour of a named cadence from the name, so that syncs do not all start "
        "at once. false: at the full hour, or at midnight.",
    )
    start_date: Moment = Field(
        default=datetime(2025, 1, 1),
        description="No scheduled run before; a date or a time, in the timezone of the sync.",
    )
    end_date: Moment | None = Field(
        default=None, description="No scheduled run after; Airflow holds back all others of a later date."
    )
    enabled: bool = Field(
        default=True,
        description="false: the DAG and its history stay visible, but nothing runs, not even by hand.",
    )
    retries: Annotated[int, Field(ge=0, le=100)] = Field(
        default=3, description="How often a failed task is tried again."
    )
    retry_delay_minutes: Annotated[float, Field(ge=0, le=1440, allow_inf_nan=False)] = Field(
        default=5, description="Minutes before the first retry; fractions are fine. Doubles, up to an hour."
    )
    description: Paragraph | None = Field(
        default=None, description="What the sync is for; shown in Airflow's list and the DAG's docs."
    )
    owner: Annotated[Text, StringConstraints(max_length=500)] | None = Field(
        default=None,
        description="Who looks after it; shown in Airflow's list and the DAG's docs. Airflow's own default "
        "when left out.",
    )
    tags: list[Tag] = Field(
        default=[], description="Tags of the DAG, in addition to cohort-sync.", max_length=50
    )
    pool: Annotated[Text, StringConstraints(max_length=256)] | None = Field(
        default=None,
        description="Airflow pool of the task; it must exist, for otherwise the task never runs. Airflow's "
        "default pool when left out.",
    )
    use_pools: bool = Field(
        default=False,
        description="Keep the vendors' limits over all workers: exports and syncs run in pools of their "
        "connections, which `airflow cohort-sync pools` makes. Not together with pool or skip_unchanged.",
    )
    alerts: list[AlertKeys] = Field(
        default=[],
        description="Who is told of failures, guards, recoveries and the like, by any Airflow notifier. A "
        "list of its own replaces that of the defaults.",
        max_length=20,
    )
    max_age: Age | None = Field(
        default=None,
        description="How old the last good run may be, such as 90m, 26h or 2d; then the alerts are sent.",
        examples=["26h", "90m", "2d"],
    )
    on_guard: Literal["fail", "approve"] = Field(
        default="fail",
        description="What a guard that trips does. fail: the task fails. approve: somebody is asked first.",
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
    def _one_segment(self) -> Sync:
        if self.segment_name is None and self.segment_id is None:
            raise _wrong("segment_name", "it is missing; give exactly one of segment_name and segment_id.")
        if self.segment_name is not None and self.segment_id is not None:
            raise _wrong("segment_id", "segment_name is there too; give exactly one of the two.")
        return self

    @model_validator(mode="after")
    def _skips_before_the_export(self) -> Sync:
        other = "use_pools: true" if self.use_pools else "on_guard: approve"
        if self.skip_unchanged and (self.use_pools or self.on_guard == "approve"):
            raise _wrong(
                "skip_unchanged",
                f"it does not go with {other}, which exports the cohort before anything else. "
                "Take one of them out.",
            )
        return self

    @model_validator(mode="after")
    def _one_kind_of_pools(self) -> Sync:
        if not self.use_pools:
            return self
        if self.pool is not None:
            raise _wrong(
                "pool",
                "it does not go with use_pools: true, which puts each task into the pool of its connection. "
                "Take one of them out.",
            )
        for key in ("amplitude_conn_id", "customer_io_conn_id"):
            if len(getattr(self, key)) > MAX_CONN_ID:
                raise _wrong(
                    key,
                    f"it is longer than {MAX_CONN_ID} characters, too long to name a pool after it. Shorten "
                    "it, or take use_pools out.",
                )
        return self

    @model_validator(mode="after")
    def _ends_after_start(self) -> Sync:
        if self.ends is not None and self.ends <= self.starts:
            raise _wrong("end_date", f"it must be after the start_date, {self.starts.isoformat()}.")
        return self


_NAME: TypeAdapter[str] = TypeAdapter(Name)


def usable_name(value: object) -> str | None:
    """
    Return the name that a value is, ``None`` if it can be none.

    :param value: what YAML made of it.
    """
    try:
        return _NAME.validate_python(value, strict=True)
    except ValidationError:
        return None


def _wrong(key: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("sync", "{message}", {"key": key, "message": message})
