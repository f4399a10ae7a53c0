"""A segment that a sync makes says so where everybody sees it: in its description."""

from __future__ import annotations


def _mark(cohort_id: str) -> str:
    return f"[managed by airflow-provider-cio-cohort: Amplitude cohort {cohort_id}]"


def describe(cohort_id: str, cohort_name: str | None, mode: str) -> str:
    """
    Return the description of a segment that a sync makes.

    :param cohort_id: the Amplitude cohort.
    :param cohort_name: its name, where Amplitude's list shows it.
    :param mode: ``mirror`` or ``add_only``.
    """
    cohort = f"the Amplitude cohort “{cohort_name}”" if cohort_name else "an Amplitude cohort"
    if mode == "mirror":
        words = f"Airflow keeps this segment equal to {cohort}; changes made by hand are undone."
    else:
        words = f"Airflow adds the members of {cohort} to this segment, and removes nobody."
    return f"{words} {_mark(cohort_id)}"


def is_owned(description: str, cohort_id: str) -> bool:
    """
    Say whether a segment was made by a sync for this cohort.

    :param description: the segment's.
    :param cohort_id: the Amplitude cohort; a segment that was made for another one is not owned.
    """
    return _mark(cohort_id) in description
