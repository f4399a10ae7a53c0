"""
The segment that a sync fills: how it is found, who owns it, and who else writes to it.

A segment that a sync creates is marked where everybody sees it: at the start of its description.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_provider_cio_cohort.engine.customer_io import Target
from airflow_provider_cio_cohort.exceptions import (
    ConfigurationError,
    MappingError,
    SegmentConflictError,
    UnknownSegmentError,
)
from airflow_provider_cio_cohort.state import fingerprint
from airflow_provider_cio_cohort.sync.memory import Remembered, SegmentMemory
from airflow_provider_cio_cohort.sync.parameters import SyncParameters, TaskParameters
from airflow_provider_cio_cohort.sync.ports import CustomerIO, Segment

log = logging.getLogger(__name__)

_MARK = "[managed by airflow-provider-cio-cohort: Amplitude cohort "


# ---- ownership


def describe(cohort_id: str, cohort_name: str | None, mode: str, segment_name: str = "") -> str:
    """
    Return the description of a segment that a sync creates.

    The mark comes first, so that no length limit cuts it and no cohort's name can imitate it.

    :param cohort_id: the Amplitude cohort.
    :param cohort_name: its name, where Amplitude's list shows it.
    :param mode: ``mirror``, ``add_only`` or ``tracked``.
    :param segment_name: what the sync calls the segment, by which it finds a segment that was renamed.
    """
    cohort = f"the Amplitude cohort “{cohort_name}”" if cohort_name else "an Amplitude cohort"
    if mode == "mirror":
        words = f"Airflow keeps this segment equal to {cohort}; changes made by hand are undone."
    elif mode == "tracked":
        words = f"Airflow adds the members of {cohort} to this segment, and removes only whom it has added."
    else:
        words = f"Airflow adds the members of {cohort} to this segment, and removes nobody."
    return f"{mark(cohort_id, segment_name)} {words}"


def mark(cohort_id: str, segment_name: str = "") -> str:
    """
    Return the mark that begins the description of a segment that a sync created.

    :param cohort_id: the Amplitude cohort.
    :param segment_name: what the sync calls the segment.
    """
    name = f", sync {fingerprint(segment_name)[:8]}" if segment_name else ""
    return f"{_MARK}{cohort_id}{name}]"


def is_owned(description: str, cohort_id: str) -> bool:
    """
    Say whether a sync created a segment for this cohort.

    :param description: the segment's.
    :param cohort_id: the Amplitude cohort; a segment that was created for another cohort is not owned.
    """
    return description.lstrip().startswith((f"{_MARK}{cohort_id}]", f"{_MARK}{cohort_id},"))


def managed_for(description: str) -> str | None:
    """
    Return the cohort for which a sync created a segment; ``None`` if no sync did.

    :param description: the segment's.
    """
    found = re.match(re.escape(_MARK) + r"([^\s,\]]+)", description.lstrip())
    return found[1] if found and is_owned(description, found[1]) else None


# ---- finding and creating it


def check_id_type(customer_io: CustomerIO, id_type: str) -> None:
    """
    Make sure that the workspace identifies people by this kind of identifier, where that is optional.

    :param customer_io: the workspace.
    :param id_type: ``id``, ``email`` or ``cio_id``.
    :raises MappingError: if it does not, because nothing that is sent by it would have an effect.
    """
    if id_type != "email" or customer_io.accepts_identifier(id_type) is not False:
        return
    raise MappingError(
        f"The Customer.io workspace of connection {customer_io.customer_io_conn_id!r} does not identify "
        f"people by {id_type}.\n"
        f"No value of id_type {id_type} would match a person, so no export was requested. Set id_type to id "
        "and user_id_property to the property that holds Customer.io's id (with identifiers, remove this "
        "one); or switch the identifier on in "
        "Customer.io (Settings > Workspace settings > General workspace settings)."
    )


def check_lookups(customer_io: CustomerIO) -> None:
    """
    Make sure that people can be looked up, which a sync with several identifiers needs.

    :param customer_io: the workspace.
    :raises ConfigurationError: if the App API key may not.
    """
    if customer_io.accepts_identifier("cio_id") is not None:
        return
    raise ConfigurationError(
        f"The App API key of {customer_io.customer_io_conn_id!r} may not look people up.\n"
        "A sync with several identifiers needs that: an identifier counts only where Customer.io does not "
        "know the ones before it. No export was requested, and nothing was written. Allow the key to look "
        "people up, or use user_id_property and id_type instead of identifiers."
    )


def check_people(customer_io: CustomerIO, segment_id: int) -> None:
    """
    Make sure that a segment can tell who exists in the workspace.

    :param customer_io: the workspace.
    :param segment_id: the segment of everybody.
    :raises ConfigurationError: if there is none of that number, or people are added to it by hand.
    """
    found = next((each for each in customer_io.list_segments() if each.id == segment_id), None)
    if found is not None and not found.is_manual:
        return
    what = (
        f"has no segment {segment_id}"
        if found is None
        else f"does not compute the members of segment {found.name!r} ({segment_id}), which is a manual one"
    )
    raise ConfigurationError(
        f"Customer.io {what} (people_segment_id; connection {customer_io.customer_io_conn_id!r}).\n"
        "No export was requested, and nothing was written. Give the number of a data-driven segment that "
        "contains everybody, such as one for which 'id exists' or 'email exists' is true; or remove "
        "people_segment_id, and people are looked up."
    )


def find_segment(
    customer_io: CustomerIO, parameters: SyncParameters, remembered: Remembered | None = None
) -> Segment | None:
    """
    Return the segment; ``None`` if there is none yet.

    A segment that is given by name is looked for by its remembered number, then by its name, then by the mark
    in its description: it may have been renamed in Customer.io, which may also store a name differently than
    it was sent.

    :param customer_io: the workspace.
    :param parameters: what names the segment.
    :param remembered: the segment, as an earlier run has found it.
    :raises PermanentError: if the number is unknown, the name ambiguous, or the segment data-driven.
    """
    if parameters.segment_id is not None:
        return customer_io.get_segment(parameters.segment_id)
    name = str(parameters.segment_name)
    found = _remembered_segment(customer_io, remembered)
    if found is None:
        listed = customer_io.list_segments()
        found = customer_io.find_segment(name, listed)
        found = found or _marked_segment(customer_io, listed, parameters.cohort_id, name)
    if found is not None and found.name != name:
        log.warning(
            "Customer.io calls the segment %r (%s), which this sync names %r. The sync uses it anyway; "
            "change segment_name, or set segment_id.",
            found.name,
            found.id,
            name,
        )
    return found


def _remembered_segment(customer_io: CustomerIO, remembered: Remembered | None) -> Segment | None:
    """Return the segment; in the workspace of other keys, its number may belong to another segment."""
    if remembered is None:
        return None
    segment_id, name = remembered
    if name is not None and (segment_id, name) not in (
        (each.id, each.name) for each in customer_io.list_segments()
    ):
        return None
    try:
        return customer_io.get_segment(segment_id)
    except UnknownSegmentError:
        return None  # deleted since


def _marked_segment(
    customer_io: CustomerIO, listed: Sequence[Segment], cohort_id: str, name: str
) -> Segment | None:
    start = mark(cohort_id, name)
    marked = [each for each in listed if each.description.startswith(start)]
    return customer_io.get_segment(marked[0].id) if len(marked) == 1 else None


def existing(segment: Segment, cohort_id: str, memory: SegmentMemory) -> Target:
    """
    Return a segment as the target of a run.

    :param segment: the segment.
    :param cohort_id: the cohort.
    :param memory: what is remembered of the segment.
    """
    owned = is_owned(segment.description, cohort_id) or memory.is_made_for(cohort_id)
    return Target(segment.id, segment.name, owned)


def create(
    customer_io: CustomerIO,
    parameters: SyncParameters,
    cohort_name: str | None,
    memory: SegmentMemory,
    *,
    unique_names: bool = False,
) -> Target:
    """
    Create the segment, and return it as the target of a run.

    :param customer_io: the workspace.
    :param parameters: what names the segment.
    :param cohort_name: the cohort's name, for the description.
    :param memory: what is remembered of the segment.
    :param unique_names: whether the workspace refuses a second segment of the same name.
    :raises StateStoreError: if that cannot be read: the segment may exist under another name.
    """
    memory.void()
    name, cohort_id = str(parameters.segment_name), parameters.cohort_id
    description = describe(cohort_id, cohort_name, parameters.mode, name)
    made = customer_io.create_segment(name, description, unique_names=unique_names)
    log.info("Created the segment %r (%s) in Customer.io.", made.name, made.id)
    if made.name != name:
        log.warning("Customer.io stored the name of segment %s as %r, not as %r.", made.id, made.name, name)
    if not is_owned(made.description, cohort_id):
        log.warning(
            "Customer.io did not store the description of segment %s as it was sent, so the segment does "
            "not show that a sync manages it.",
            made.id,
        )
    memory.attach(made.id, made.name)
    memory.note_segment(made_for=cohort_id)
    return Target(made.id, made.name, owned=True)


# ---- other writers


def check_other_writers(
    customer_io: CustomerIO,
    segment: Segment | None,
    parameters: TaskParameters,
    workspace_of: Callable[[str], int | None],
) -> None:
    """
    Refuse to fill a segment that another sync of the same file fills with other people.

    Where one names the segment and the other gives its number, or where they reach one workspace by two
    connections, the file does not show the conflict: only Customer.io does.

    :param customer_io: the workspace.
    :param segment: the segment that this sync fills; ``None`` where there is none yet.
    :param parameters: this sync's, with the other syncs in ``other_writers``.
    :param workspace_of: returns the workspace's number of another connection; ``None`` if that is unknown.
    :raises SegmentConflictError: naming the other sync.
    """
    if segment is None:
        return
    mode = parameters.mode
    for other in parameters.other_writers:
        modes = {mode, other["mode"]}
        is_one_cohort = modes == {"mirror", "add_only"} and other.get("people") == parameters.people
        if modes == {"add_only"} or is_one_cohort:
            continue
        if _is_same(customer_io, segment, other, workspace_of):
            raise SegmentConflictError(
                f"The sync {other['sync']} ({other['mode']}) writes to the same segment, {segment.id}.\n"
                f"This sync ({mode}) fills it too; in Customer.io it is called {segment.name!r}. A mirror "
                "or a tracked sync removes people who are not in its own cohort, so they would undo each "
                "other's work. Give each a segment of its own, make both add_only, or set enabled: false."
            )


def _is_same(
    customer_io: CustomerIO,
    segment: Segment,
    other: Mapping[str, Any],
    workspace_of: Callable[[str], int | None],
) -> bool:
    conn_id = other["customer_io_conn_id"]
    if conn_id != customer_io.customer_io_conn_id:
        workspace_id = workspace_of(conn_id)
        if workspace_id is None or workspace_id != customer_io.workspace_id:
            return False
    if other.get("segment_id") is not None:
        return str(other["segment_id"]) == str(segment.id)
    return bool(other.get("segment_name") == segment.name)


def without_segment(parameters: SyncParameters) -> Target:
    """
    Return the target of a dry run where a run would create the segment.

    :param parameters: what names the segment.
    """
    return Target(None, str(parameters.segment_name), owned=True)
