"""What a probe asks about segments: their names, their pages, and those that Customer.io computes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from airflow_provider_cio_cohort.doctor.lines import Finding, Status
from airflow_provider_cio_cohort.doctor.probe_writes import known
from airflow_provider_cio_cohort.doctor.stage import ACCEPTED, Stage
from airflow_provider_cio_cohort.doctor.throwaway import DESCRIPTION, SWEEPS, new_name
from airflow_provider_cio_cohort.exceptions import CohortSyncError, RequestRejectedError
from airflow_provider_cio_cohort.hooks.customer_io_api import CIO_PREFIX, Segment, request_segment, segment_in
from airflow_provider_cio_cohort.sync.memory import UNIQUE_NAMES

log = logging.getLogger(__name__)

#: Characters of the longest name and description that are tried.
LONG = 300
#: Pages after the last one that are read to see whether the list ends.
PAGES = 3

_REWRITES: dict[str, Callable[[str], str]] = {
    "none": lambda text: text,
    "trim": str.strip,
    "collapse": lambda text: " ".join(text.split()),
}


def ask_page(stage: Stage) -> Iterator[Finding]:
    """Read the membership with nobody and with the test person in it, and see how it ends."""
    known(stage)
    stage.place(False)
    empty = stage.page()["raw_identifiers"]
    stage.place(True)
    page = stage.page(limit=1)
    member = page["identifiers"][0] if page["identifiers"] else {}
    end = _end(stage, page)
    person = known(stage)
    facts: dict[str, Any] = {
        "customer_io.empty_list": "null" if empty is None else "[]",
        "customer_io.last_page_next": end,
        "customer_io.membership_shows_email": "email" in member,
    }
    if person.id and person.id.isascii() and person.id.isdigit() and str(int(person.id)) == person.id:
        facts["customer_io.ids_as_numbers"] = isinstance(member.get("id"), int)
    shown = "shows" if "email" in member else "does not show"
    yield Finding(
        "probe.page",
        Status.WARNING if end == "same page again" else Status.OK,
        f"An empty list is {facts['customer_io.empty_list']}; next on the last page: {end}; a member {shown} "
        "an e-mail address.",
        "A list that does not end is noticed by the count." if end == "same page again" else "",
        facts=facts,
    )


def _end(stage: Stage, page: dict[str, Any]) -> str:
    """Return what ``next`` is on the last page; a cursor is followed to see whether it leads to an end."""
    if "next" not in page:
        return "absent"
    if page["next"] is None:
        return "null"
    if page["next"] == "":
        return "empty"
    for _ in range(PAGES):
        page = stage.page(str(page["next"]), limit=1)
        if page["identifiers"]:
            return "same page again"
        if not page.get("next"):
            return "cursor to an empty last page"
    return "cursors to empty pages"


def ask_same_name(stage: Stage) -> Iterator[Finding]:
    """Make a second segment of the same name."""
    try:
        second = stage.throwaways.make_again(stage.segment.name)
    except RequestRejectedError as error:
        is_unique, seen = True, f"is refused with HTTP {error.status}"
    else:
        stage.throwaways.discard(second)
        is_unique, seen = False, "is made"
    yield Finding(
        "probe.same_name",
        Status.OK,
        f"A second segment of the same name {seen}.",
        "Syncs repeat a creation whose response was lost."
        if is_unique
        else "Syncs refuse a segment_name that several segments have.",
        facts={UNIQUE_NAMES: is_unique},
    )


def ask_long_name(stage: Stage) -> Iterator[Finding]:
    """Make a segment whose name and description have 300 characters, inner blanks and ``<b>``."""
    name, description = _long(new_name()), _long(DESCRIPTION)
    segment = stage.throwaways.make(name, description)
    try:
        stored = request_segment(
            stage.hook.app_client, "GET", segment.id, "", "reading the throwaway segment", segment_in
        )
    finally:
        stage.throwaways.discard(segment)
    facts = _kept(name, description, stored)
    is_kept = stored.name == name and stored.description == description
    yield Finding(
        "probe.long_name",
        Status.OK if is_kept else Status.WARNING,
        f"Of {LONG} characters, a name keeps {len(stored.name)}, a description {len(stored.description)}; "
        f"rewritten: {facts['customer_io.segment_name_rewrite']}.",
        "" if is_kept else "Syncs find their segment by its description and id as well.",
        facts=facts,
    )


def _long(start: str) -> str:
    """Return a text of 300 characters with blanks at both ends, inner blanks and a tag."""
    return f" {start} <b>bold</b>  two blanks ".ljust(LONG - 1, "x") + " "


def _kept(name: str, description: str, stored: Segment) -> dict[str, Any]:
    """Return by which rewrite and which limits both texts became what is stored."""
    rewrite, whole_name, whole_description = "other", name, description
    for words, change in _REWRITES.items():
        fits = change(name).startswith(stored.name) and change(description).startswith(stored.description)
        if fits:
            rewrite, whole_name, whole_description = words, change(name), change(description)
            break
    return {
        "customer_io.segment_name_rewrite": rewrite,
        "customer_io.segment_name_limit": _limit(stored.name, whole_name),
        "customer_io.segment_description_limit": _limit(stored.description, whole_description),
    }


def _limit(stored: str, whole: str) -> int | None:
    return len(stored) if len(stored) < len(whole) else None


def ask_data_driven(stage: Stage, segment_id: int | None) -> Iterator[Finding]:
    """
    Add the test person to a segment that Customer.io computes; if that is accepted, it is undone.

    :param segment_id: the data-driven segment; ``None`` to ask nothing.
    """
    if segment_id is None:
        return
    app, what, name = stage.hook.app_client, "reading the data-driven segment", "probe.data_driven"
    segment = request_segment(app, "GET", segment_id, "", what, segment_in)
    if segment.is_manual:
        yield Finding(
            name,
            Status.UNKNOWN,
            "Not asked: the segment of --dynamic-segment is a manual one.",
            advice="Name a data-driven segment.",
        )
        return
    value, id_type = stage.surest
    was_in = _has_person(stage, segment_id)  # then nothing is to be undone
    status, is_undone = ACCEPTED, True
    try:
        status = stage.write("add", [value], id_type, segment_id)
    finally:
        if status == ACCEPTED and not was_in:
            is_undone = _take_out(stage, segment_id)
    if not is_undone:
        yield Finding(
            name,
            Status.WRONG,
            "The data-driven segment takes the test person, and may still have the person in it.",
            advice=f"Look whether the test person is in segment {segment_id}, and remove the person there.",
            facts={"customer_io.data_driven_status": status},
        )
        return
    yield Finding(
        name,
        Status.WARNING if status == ACCEPTED else Status.OK,
        f"To add a person to a data-driven segment is answered with HTTP {status}.",
        "Syncs read a segment's type before they write." if status == ACCEPTED else "",
        facts={"customer_io.data_driven_status": status},
    )


def _take_out(stage: Stage, segment_id: int) -> bool:
    """Remove the test person from a segment, and return whether the person no longer shows in it."""
    stage.hook = stage.throwaways.able_hook()
    value, id_type = stage.surest
    try:
        for _ in range(SWEEPS):
            status = stage.write("remove", [value], id_type, segment_id)
            stage.hook.cancel_token.wait(stage.patience)
            if status == ACCEPTED and not _has_person(stage, segment_id):
                return True
    except CohortSyncError as error:
        log.warning("%s", error.headline)
    return False


def _has_person(stage: Stage, segment_id: int) -> bool:
    cio_id = known(stage).cio_id
    members = stage.hook.stream_members(segment_id)
    return any((member.cio_id or "").removeprefix(CIO_PREFIX) == cio_id for member in members)
