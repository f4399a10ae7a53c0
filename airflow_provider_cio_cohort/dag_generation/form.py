"""The trigger form of a sync: what a run by hand may do that the schedule may not."""

from __future__ import annotations

from airflow.sdk import Param

from airflow_provider_cio_cohort.dag_generation.spec import Sync

#: The parameters of the operator that the form offers.
FIELDS = (
    "dry_run",
    "allow_large_removal",
    "allow_empty_cohort",
    "allow_short_cohort",
    "allow_low_match",
    "adopt_segment",
)


def form(sync: Sync) -> dict[str, Param]:
    """
    Return the fields of the trigger form, each set as in the YAML file.

    :param sync: the sync.
    """
    words = {
        "dry_run": ("Dry run", "Look and report, but write nothing."),
        "allow_large_removal": (
            "Allow a large removal",
            f"Let this run remove more than max_removal_percent ({_percent(sync.max_removal_percent)}) of "
            "the segment.",
        ),
        "allow_empty_cohort": (
            "Allow an empty cohort",
            "Let this run remove everybody when the cohort is empty.",
        ),
        "allow_short_cohort": (
            "Allow a short cohort",
            "Let this run remove people for a cohort that is smaller than announced, or than last time, by "
            f"more than max_shortfall_percent ({_percent(sync.max_shortfall_percent)}).",
        ),
        "allow_low_match": (
            "Allow a low match",
            "Let this run write although few of the cohort are people in Customer.io "
            f"(min_match_rate: {_rate(sync.min_match_rate)}).",
        ),
        "adopt_segment": (
            "Adopt the segment",
            "Let this run remove people from a segment that no sync made for this cohort.",
        ),
    }
    return {
        name: Param(getattr(sync, name), type="boolean", title=words[name][0], description=words[name][1])
        for name in FIELDS
    }


def _percent(value: float | None) -> str:
    return "off" if value is None else f"{value:g} %"


def _rate(value: float | None) -> str:
    return "off" if value is None else f"{value:g}"
