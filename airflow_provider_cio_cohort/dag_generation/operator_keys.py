"""The keys of a sync in the YAML file that are parameters of the operator."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_cio_cohort.dag_generation.keys import Id, Seconds, SnapshotPath, Text


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
