"""The parameters of one run, which come as text where a template made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_cio_cohort.sync.guards import Limits
from airflow_provider_cio_cohort.transfers import parameters
from airflow_provider_cio_cohort.transfers.endpoints import SegmentChoice

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
        AmplitudeCohortToCustomerIOOperator,
    )


@dataclass(frozen=True)
class RunParameters:
    """
    The templated parameters of one run, in their own types.

    :param cohort_id: the cohort.
    :param segment: the segment that was named.
    :param dry_run: whether nothing is to be written.
    :param limits: what the guards allow.
    :param from_snapshot: whether the segment is to be put back to what it was.
    :param snapshot_at: the moment to which, as somebody has written it; ``None`` for the run's own.
    :param snapshot_path: where snapshots are kept, ``None`` if none are.
    """

    cohort_id: str
    segment: SegmentChoice
    dry_run: bool
    limits: Limits
    from_snapshot: bool
    snapshot_at: str | None
    snapshot_path: str | None


def rendered(operator: AmplitudeCohortToCustomerIOOperator) -> RunParameters:
    """
    Read what the templates of a task made.

    :param operator: the task, rendered.
    :raises ConfigurationError: if a parameter is none.
    """
    if operator.segment_id is not None:
        segment = SegmentChoice(parameters.as_segment_id(operator.segment_id), None)
    else:
        segment = SegmentChoice(None, parameters.as_text(operator.segment_name, "segment_name"))
    flags = ("adopt_segment", *(name for name in operator.template_fields if name.startswith("allow_")))
    return RunParameters(
        cohort_id=parameters.as_text(operator.cohort_id, "cohort_id"),
        segment=segment,
        dry_run=parameters.as_flag(operator.dry_run, "dry_run"),  # type: ignore[arg-type]
        limits=Limits(
            max_removal_percent=operator.max_removal_percent,
            max_shortfall_percent=operator.max_shortfall_percent,
            min_match_rate=operator.min_match_rate,
            approved=parameters.as_approval(operator.approved_plan),
            **{name: parameters.as_flag(getattr(operator, name), name) for name in flags},
        ),
        from_snapshot=parameters.as_source(operator.source) == "snapshot",
        snapshot_at=parameters.as_optional(operator.snapshot_at),
        snapshot_path=parameters.as_snapshot_path(operator.snapshot_path),
    )
