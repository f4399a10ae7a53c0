"""Syncs of one file that would undo each other's work."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_cio_cohort.dag_generation.spec import Sync

#: The name of a sync, and of one of its targets; the second is empty for a sync without targets.
Label = tuple[str, str]


def find_conflicts(syncs: Mapping[Label, Sync]) -> dict[Label, str]:
    """
    Return for each sync that must not run what it collides with.

    Two mirrors of one segment remove each other's members at every run, and so does a mirror with an
    ``add_only`` sync of another cohort; people would enter and leave the segment, and get its messages, again
    and again. An ``add_only`` sync may share the segment with a mirror of the same people (add every hour,
    tidy up every night), and any number of ``add_only`` syncs may fill one segment. Disabled syncs collide
    with nothing.

    :param syncs: every sound sync, or target of one, by its label.
    """
    shared: dict[tuple[str, str | int | None], dict[Label, Sync]] = {}
    for label, sync in syncs.items():
        if sync.enabled:
            segment = sync.segment_id if sync.segment_name is None else sync.segment_name
            shared.setdefault((sync.customer_io_conn_id, segment), {})[label] = sync
    found: dict[Label, str] = {}
    for group in shared.values():
        for label, sync in group.items():
            others = [other for other in group if other != label and _collide(sync, group[other])]
            if others:
                found[label] = _message(sync, others, group)
    return found


def _collide(one: Sync, other: Sync) -> bool:
    modes = {one.mode, other.mode}
    if modes == {"add_only"}:
        return False
    return modes == {"mirror"} or _people(one) != _people(other)


def _shown(label: Label) -> str:
    name, target = label
    return f"{name}, target {target}" if target else name


def _people(sync: Sync) -> tuple[str, str, str, str]:
    return sync.amplitude_conn_id, sync.cohort_id, sync.user_id_property, sync.id_type


def _message(sync: Sync, others: list[Label], group: Mapping[Label, Sync]) -> str:
    them = ", ".join(f"{_shown(other)} ({group[other].mode})" for other in others)
    return (
        f"this sync ({sync.mode}) and {them} write to the same segment, and a mirror removes everybody that "
        "is not in its own cohort, so they would undo each other's work; none of them runs. Give each a "
        "segment of its own, make all of them add_only, or set enabled: false."
    )
