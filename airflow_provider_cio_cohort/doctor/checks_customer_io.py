"""The lines about a Customer.io workspace; changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_provider_cio_cohort.doctor.lines import (
    Finding,
    Status,
    clock_line,
    connection_line,
    failed,
    hear,
    host_line,
    listed,
    network_line,
    not_asked,
)
from airflow_provider_cio_cohort.engine.identifiers import ID_TYPES
from airflow_provider_cio_cohort.exceptions import CohortSyncError, UnknownSegmentError
from airflow_provider_cio_cohort.hooks.customer_io import ACCOUNT, APP_REQUESTS_PER_SECOND, CustomerIOHook
from airflow_provider_cio_cohort.hooks.customer_io_api import (
    APP_HOSTS,
    TRACK_HOSTS,
    Segment,
    max_concurrent_tasks,
    pace_of,
)
from airflow_provider_cio_cohort.hooks.membership import MEMBERS_PER_PAGE, SegmentMember
from airflow_provider_cio_cohort.sync.memory import UNIQUE_NAMES
from airflow_provider_cio_cohort.sync.parameters import SyncParameters
from airflow_provider_cio_cohort.sync.target import check_id_type

CONNECTION = "customer_io.connection"
NETWORK = "customer_io.network"
PACE = "customer_io.pace"
TRACK_HOST = "customer_io.track_host"
APP_HOST = "customer_io.app_host"
CLOCK = "customer_io.clock"
TRACK_KEYS = "customer_io.track_keys"
APP_KEY = "customer_io.app_key"
SEGMENT_NAMES = "customer_io.segment_names"
MEMBERSHIP = "customer_io.membership"
LOOKUP = "customer_io.lookup"
IDENTIFIERS = "customer_io.identifiers"
_OF_THE_APP_KEY = (SEGMENT_NAMES, MEMBERSHIP, LOOKUP, IDENTIFIERS)
#: The facts of these lines.
WORKSPACE_NAMED = "customer_io.workspace_named"
ACCEPTED_IDENTIFIERS = "customer_io.identifiers"
LAST_NEXT = "customer_io.last_page_next"
MEMBER_FIELDS = "customer_io.member_fields"
IDS_AS_NUMBERS = "customer_io.ids_as_numbers"
EMPTY_LIST = "customer_io.empty_list"

#: The requests a second that Customer.io publishes as the Track API's limit, in its lowest recent statement.
_PUBLISHED_PACE = 1_000
#: Segments that are counted to find a small one whose members are read.
_MOST_COUNTED = 10


def check_customer_io(hook: CustomerIOHook, syncs: Sequence[SyncParameters] = ()) -> Iterator[Finding]:
    """
    Yield the lines about a workspace, each as soon as it is known.

    :param syncs: the syncs whose segment names and identifiers are checked in particular.
    """
    connection = connection_line(CONNECTION, hook, ("track", "app"))
    yield connection
    rest = (TRACK_HOST, APP_HOST, CLOCK, TRACK_KEYS, APP_KEY, *_OF_THE_APP_KEY)
    if connection.status is not Status.OK:
        yield from not_asked((NETWORK, PACE, *rest), connection)
        return
    hosts = (*TRACK_HOSTS.values(), *APP_HOSTS.values())
    network = network_line(NETWORK, hook, (hook.track, hook.app), hosts)
    yield network
    pace = _pace(hook)
    yield pace
    for line in (network, pace):
        if line.status is Status.WRONG:
            yield from not_asked(rest, line)
            return
    track = hear(hook.track_client, ACCOUNT, "asking for the account's region")
    track_host = host_line(TRACK_HOST, track)
    yield track_host
    app = hear(hook.app_client, "/v1/segments", "listing the segments")
    app_host = host_line(APP_HOST, app)
    yield app_host
    yield clock_line(CLOCK, (track.skew, app.skew))
    if track_host.status is Status.OK:
        yield _track_keys(hook)
    else:
        yield from not_asked((TRACK_KEYS,), track_host)
    if app_host.status is Status.OK:
        yield from _with_app_key(hook, syncs)
    else:
        yield from not_asked((APP_KEY, *_OF_THE_APP_KEY), app_host)


def _pace(hook: CustomerIOHook) -> Finding:
    connection, extra = hook.connection, hook.connection.extra_dejson
    try:
        tasks = max_concurrent_tasks(connection, extra)
        whole = pace_of(connection, extra) * tasks
    except CohortSyncError as error:
        return failed(PACE, error, "Syncs of this connection fail before they send anything.")
    at_once = "1 task" if tasks == 1 else f"{tasks:,} tasks"
    seen = (
        f"Up to {whole:,g} requests a second to the Track API and {APP_REQUESTS_PER_SECOND:g} to the App "
        f"API, shared by {at_once} at a time."
    )
    if whole <= _PUBLISHED_PACE:
        return Finding(PACE, Status.OK, seen)
    return Finding(
        PACE,
        Status.WARNING,
        seen,
        f"Customer.io publishes a limit of {_PUBLISHED_PACE:,} a second for all writers of a workspace, and "
        "may drop what exceeds it.",
        "Lower requests_per_second in the connection, unless more was agreed.",
    )


def _track_keys(hook: CustomerIOHook) -> Finding:
    try:
        hook.check_track()
        workspace_id = hook.workspace_id
    except CohortSyncError as error:
        return failed(TRACK_KEYS, error, "Nobody can be added or removed.")
    facts = {WORKSPACE_NAMED: workspace_id is not None}
    named = "names the workspace" if workspace_id is not None else "does not name the workspace"
    return Finding(
        TRACK_KEYS,
        Status.OK,
        f"Customer.io accepts Site ID and Tracking API key in the region {hook.track.region}, and {named}.",
        "Whether they belong to the workspace of the App API key shows only in a write: the first sync "
        "proves it before it sends more than one person or one batch.",
        facts=facts,
    )


def _with_app_key(hook: CustomerIOHook, syncs: Sequence[SyncParameters]) -> Iterator[Finding]:
    try:
        segments = hook.list_segments()
    except CohortSyncError as error:
        key = failed(APP_KEY, error, "No segment can be found, created or read.")
        yield key
        yield from not_asked(_OF_THE_APP_KEY, key)
        return
    manual = sum(segment.is_manual for segment in segments)
    yield Finding(
        APP_KEY,
        Status.OK,
        f"Customer.io accepts the App API key, which may list segments: {len(segments):,}, of which "
        f"{manual:,} are manual.",
        "Whether it may also create segments shows only when a sync creates one.",
    )
    yield _segment_names(segments, {sync.segment_name for sync in syncs})
    yield _membership(hook, segments)
    yield from _identifiers(hook, sorted({sync.id_type for sync in syncs}))


def _segment_names(segments: Sequence[Segment], wanted: set[str | None]) -> Finding:
    ids = defaultdict(list)
    for segment in segments:
        ids[segment.name].append(segment.id)
    shared = {name: found for name, found in ids.items() if len(found) > 1}
    if not shared:
        return Finding(SEGMENT_NAMES, Status.OK, "No two segments have the same name.")
    concerned = sum(name in wanted for name in shared)
    of_syncs = f"; {concerned:,} of them are named by these syncs" if concerned else ""
    numbers = listed("/".join(map(str, found)) for found in shared.values())
    return Finding(
        SEGMENT_NAMES,
        Status.WRONG if concerned else Status.WARNING,
        f"Several segments have the same name (ids {numbers}): {len(shared):,} such names{of_syncs}.",
        "A sync that names one of them fails (AmbiguousSegmentError).",
        "Set segment_id instead of segment_name in such a sync, or delete a segment.",
        {UNIQUE_NAMES: False},
    )


# ---- a membership


def _membership(hook: CustomerIOHook, segments: Sequence[Segment]) -> Finding:
    try:
        segment_id, count = _small_segment(hook, segments)
    except CohortSyncError as error:
        return failed(MEMBERSHIP, error, "Syncs cannot compare a segment with its cohort.")
    if segment_id is None:
        return Finding(
            MEMBERSHIP,
            Status.WARNING,
            "The workspace has no segment whose members could be read.",
            "What a page of members looks like is not known.",
            "Ask again when there is a segment with members.",
        )
    heard = _page(hook, segment_id)
    if heard.error is not None:
        return failed(MEMBERSHIP, heard.error, "Syncs cannot compare a segment with its cohort.")
    payload = heard.response.payload if heard.response else None
    people = payload.get("identifiers", ...) if isinstance(payload, dict) else ...
    if people is None or people == []:
        facts = {EMPTY_LIST: "null" if people is None else "[]", LAST_NEXT: _next_in(payload)}
        seen = f"An empty segment has {facts[EMPTY_LIST]} as its members, and next is {facts[LAST_NEXT]}."
        return Finding(MEMBERSHIP, Status.OK, seen, facts=facts)
    if not isinstance(people, list) or not all(map(_is_readable, people)):
        return Finding(
            MEMBERSHIP,
            Status.WRONG,
            "A page of members lacks the members, or the identifiers of some.",
            "Syncs cannot compare a segment with its cohort.",
            "Report this: Customer.io's answer has changed.",
        )
    return _of_page(hook, segment_id, count, payload, people)


def _small_segment(hook: CustomerIOHook, segments: Sequence[Segment]) -> tuple[int | None, int]:
    """Return a segment with few members but some, if there is one, and their number."""
    found: tuple[int | None, int] = None, 0
    for segment in sorted(segments, key=lambda each: not each.is_manual)[:_MOST_COUNTED]:
        try:
            count = hook.count_members(segment.id)
        except UnknownSegmentError:  # deleted meanwhile
            continue
        if found[0] is None or not found[1] or 0 < count < found[1]:
            found = segment.id, count
    return found


def _page(hook: CustomerIOHook, segment_id: int, start: str = "") -> Any:
    params = {"limit": MEMBERS_PER_PAGE, **({"start": start} if start else {})}
    path = f"/v1/segments/{segment_id}/membership"
    return hear(hook.app_client, path, f"reading the members of segment {segment_id}", params)


def _is_readable(person: Any) -> bool:
    return isinstance(person, dict) and any(person.get(kind) for kind in SegmentMember._fields)


def _next_in(payload: Any) -> str:
    if "next" not in payload:
        return "absent"
    return {None: "null", "": "empty"}.get(payload["next"], "a cursor")


def _of_page(
    hook: CustomerIOHook, segment_id: int, count: int, payload: Any, people: list[dict[str, Any]]
) -> Finding:
    fields = [kind for kind in SegmentMember._fields if any(kind in person for person in people)]
    without_id = sum(person.get("id") in (None, "") for person in people)
    facts: dict[str, Any] = {
        MEMBER_FIELDS: fields,
        IDS_AS_NUMBERS: any(isinstance(person.get("id"), int) for person in people),
    }
    seen = (
        f"Segment {segment_id} has {count:,} members, its first page {len(people):,}; a member has "
        f"{listed(fields)}; {without_id:,} have no id."
    )
    meaning = ""
    if without_id:
        meaning = "Customer.io's API is documented to remove nobody without an id (on_not_removable)."
    last = _next_in(payload)
    if last != "a cursor":
        facts[LAST_NEXT] = last
        if len(people) == count:
            return Finding(MEMBERSHIP, Status.OK, f"{seen} At the end, next is {last}.", meaning, facts=facts)
        return Finding(
            MEMBERSHIP,
            Status.WARNING,
            f"{seen} At the end, next is {last}, but the count differs.",
            "A run reads again until both agree; it fails if they never do (MembershipMismatchError).",
            "Ask again; if it stays so, something keeps changing the segment, or pages are left out.",
            facts,
        )
    if len(people) < count:
        return Finding(MEMBERSHIP, Status.OK, f"{seen} Its end was not read.", meaning, facts=facts)
    return _after_the_end(hook, segment_id, str(payload["next"]), seen, meaning, facts)


def _after_the_end(
    hook: CustomerIOHook, segment_id: int, start: str, seen: str, meaning: str, facts: dict[str, Any]
) -> Finding:
    """Follow the cursor of a page that has all members."""
    heard = _page(hook, segment_id, start)
    if heard.error is not None:
        return failed(MEMBERSHIP, heard.error, "Syncs cannot tell the end of a membership.")
    payload = heard.response.payload if heard.response else None
    if isinstance(payload, dict) and not payload.get("identifiers"):
        is_last = _next_in(payload) != "a cursor"
        facts[LAST_NEXT] = "cursor to an empty last page" if is_last else "cursors to empty pages"
        return Finding(MEMBERSHIP, Status.OK, f"{seen} An empty page follows.", meaning, facts=facts)
    facts[LAST_NEXT] = "same page again"
    return Finding(
        MEMBERSHIP,
        Status.WARNING,
        f"{seen} More members follow than were counted.",
        "A run reads up to three pages more than it counted; then it fails (VendorUnavailableError).",
        "Ask again; if it stays so, report it to Customer.io.",
        facts,
    )


# ---- identifiers


def _identifiers(hook: CustomerIOHook, of_syncs: Sequence[str]) -> Iterator[Finding]:
    try:
        accepted = {kind: hook.accepts_identifier(kind) for kind in ID_TYPES}
    except CohortSyncError as error:
        lookup = failed(LOOKUP, error)
        yield lookup
        yield from not_asked((IDENTIFIERS,), lookup)
        return
    if None in accepted.values():
        lookup = Finding(
            LOOKUP,
            Status.WARNING,
            "The App API key may not look people up.",
            "A run cannot tell unknown people from a dropped batch: it sends them once more and warns. "
            "min_match_rate cannot be checked, large_addition counts people who may not exist, dry runs do "
            "not know how many people match, and syncs with several identifiers are refused.",
            "Allow the key to read people in Customer.io (the scope of the App API key).",
        )
        yield lookup
        yield from not_asked((IDENTIFIERS,), lookup)
        return
    yield Finding(LOOKUP, Status.OK, "The App API key may look people up.")
    kinds = [kind for kind, is_accepted in accepted.items() if is_accepted]
    facts = {ACCEPTED_IDENTIFIERS: kinds}
    seen = f"The workspace identifies people by {listed(kinds)}."
    try:
        for id_type in of_syncs:
            check_id_type(hook, id_type)
    except CohortSyncError as error:
        rest = str(error).partition("\n")[2]
        yield Finding(IDENTIFIERS, Status.WRONG, seen, error.headline, rest, facts)
        return
    meaning = "" if len(kinds) == len(ID_TYPES) else "Syncs with another id_type are refused."
    yield Finding(IDENTIFIERS, Status.OK, seen, meaning, facts=facts)
