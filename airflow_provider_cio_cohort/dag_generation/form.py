"""The trigger form of a sync: what a run by hand may do that the schedule may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def form(sync: Sync, targets: Mapping[str, Sync]) -> dict[str, Param]:
    """
    Return the fields of the trigger form, each set as in the YAML file.

    :param sync: the sync; with targets, the first of them.
    :param targets: what it says for each of its targets, all of which the form is for; empty if it has none.
    """
    each = list(targets.values()) or [sync]
    values = {name: all(getattr(one, name) for one in each) for name in FIELDS}
    words = {
        "dry_run": ("Dry run", "Look and report, but write nothing."),
        "allow_large_removal": (
            "Allow a large removal",
            "Let this run remove more than max_removal_percent "
            f"({_shown(each, 'max_removal_percent', 'g', ' %')}) of the segment.",
        ),
        "allow_empty_cohort": (
            "Allow an empty cohort",
            "Let this run remove everybody when the cohort is empty.",
        ),
        "allow_short_cohort": (
            "Allow a short cohort",
            "Let this run remove people for a cohort that is smaller than announced, or than last time, by "
            f"more than max_shortfall_percent ({_shown(each, 'max_shortfall_percent', 'g', ' %')}).",
        ),
        "allow_low_match": (
            "Allow a low match",
            "Let this run write although few of the cohort are people in Customer.io "
            f"(min_match_rate: {_shown(each, 'min_match_rate', '.1%')}).",
        ),
        "adopt_segment": (
            "Hand the segment over",
            "Let this run remove people from a segment that no sync made for this cohort.",
        ),
    }
    return {
        name: Param(values[name], type="boolean", title=words[name][0], description=words[name][1])
        for name in FIELDS
    }


def _shown(each: Sequence[Sync], key: str, form: str, unit: str = "") -> str:
    values = {getattr(one, key) for one in each}
    if len(values) > 1:
        return "each target's own"
    value = values.pop()
    return "off" if value is None else f"{value:{form}}{unit}"
