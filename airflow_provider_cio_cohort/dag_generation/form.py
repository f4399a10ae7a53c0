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
#: Those that choose a snapshot. No key of the YAML file sets them: they are for one run.
SNAPSHOT_FIELDS = ("source", "snapshot_at")


def form(sync: Sync, targets: Mapping[str, Sync]) -> dict[str, Param]:
    """
    Return the fields of the trigger form, each set as in the YAML file.

    :param sync: the sync; with targets, the first of them.
    :param targets: what it says for each of its targets, all of which the form is for; empty if it has none.
    """
    each = list(targets.values()) or [sync]
    values = {name: all(getattr(one, name) for one in each) for name in FIELDS}
    words = {
        "dry_run": ("Dry run", "Look and report, but write nothing. It costs an export, like any run."),
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
            "Adopt the segment",
            "Let this run remove people from a segment that no sync made for this cohort.",
        ),
    }
    flags = {
        name: Param(values[name], type="boolean", title=words[name][0], description=words[name][1])
        for name in FIELDS
    }
    return {**flags, **_snapshot()}


def _snapshot() -> dict[str, Param]:
    """Return the fields that choose a snapshot, also where none is kept: a run that asks then fails."""
    return {
        "source": Param(
            "cohort",
            type="string",
            enum=["cohort", "snapshot"],
            title="Source",
            description="cohort: the segment becomes the cohort of now. snapshot: it is put back to what it "
            "was, if the sync keeps snapshots (snapshot_path); Amplitude is not asked, no export is spent.",
        ),
        "snapshot_at": Param(
            None,
            type=["null", "string"],
            title="Snapshot of",
            description="For the source snapshot: a date (its end is meant) or a time, such as 2026-01-31 or "
            "2026-01-31T06:00, in the timezone of the DAG. The newest snapshot that is not younger is taken. "
            "When empty, that of the run's logical date.",
        ),
    }


def _shown(each: Sequence[Sync], key: str, form: str, unit: str = "") -> str:
    values = {getattr(one, key) for one in each}
    if len(values) > 1:
        return "each target's own"
    value = values.pop()
    return "off" if value is None else f"{value:{form}}{unit}"
