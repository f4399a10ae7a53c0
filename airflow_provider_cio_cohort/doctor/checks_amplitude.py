"""The lines about an Amplitude project; costs no export and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from airflow_provider_cio_cohort.cohorts import is_cohort_id
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
from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook, Cohort
from airflow_provider_cio_cohort.hooks.amplitude_api import HOSTS
from airflow_provider_cio_cohort.hooks.api import ApiResponse
from airflow_provider_cio_cohort.sync.export import exports_left
from airflow_provider_cio_cohort.sync.parameters import ExportParameters

CONNECTION = "amplitude.connection"
NETWORK = "amplitude.network"
HOST = "amplitude.host"
CLOCK = "amplitude.clock"
KEYS = "amplitude.keys"
LIST = "amplitude.list"
USAGE = "amplitude.usage"
#: The facts of these lines.
LIST_FIELDS = "amplitude.list_fields"
ARCHIVED_LISTED = "amplitude.archived_listed"
GROUP_OF_USERS = "amplitude.group_of_users"
USAGE_FIELDS = "amplitude.usage_fields"

_RESERVE: int = ExportParameters.model_fields["export_reserve"].default


def check_amplitude(hook: AmplitudeHook) -> Iterator[Finding]:
    """Yield the lines about a project, each as soon as it is known."""
    connection = connection_line(CONNECTION, hook, ("api",))
    yield connection
    if connection.status is not Status.OK:
        yield from not_asked((NETWORK, HOST, CLOCK, KEYS, LIST, USAGE), connection)
        return
    network = network_line(NETWORK, hook, (hook.api,), HOSTS.values())
    yield network
    if network.status is Status.WRONG:
        yield from not_asked((HOST, CLOCK, KEYS, LIST, USAGE), network)
        return
    heard = hear(hook.client, "/api/3/cohorts", "listing the cohorts")
    host = host_line(HOST, heard)
    yield host
    if host.status is not Status.OK:
        yield from not_asked((CLOCK, KEYS, LIST, USAGE), host)
        return
    yield clock_line(CLOCK, (heard.skew,))
    try:
        cohorts = hook.check()
    except CohortSyncError as error:
        keys = failed(KEYS, error, "No cohort of this project can be exported.")
        yield keys
        yield from not_asked((LIST, USAGE), keys)
        return
    yield Finding(KEYS, Status.OK, "Amplitude accepts both keys, and the plan has the cohort API.")
    yield _list(cohorts, heard.response)
    yield _usage(hook)


def _list(cohorts: list[Cohort], response: ApiResponse | None) -> Finding:
    if not cohorts:
        return Finding(
            LIST,
            Status.WARNING,
            "Amplitude lists no cohort.",
            "It lists only discoverable cohorts; others can be exported, but their size is unknown.",
            "Check that these are the keys of the right project.",
        )
    payload = response.payload if response else None
    items = payload.get("cohorts") if isinstance(payload, dict) else None
    usable = _usable([item for item in items or [] if isinstance(item, dict)])
    missing = [name for name in _FIELDS if name not in usable]
    archived = sum(cohort.archived for cohort in cohorts)
    groups = sum(cohort.group.strip().casefold() != "user" for cohort in cohorts)
    uncomputed = sum(cohort.last_computed is None for cohort in cohorts)
    facts: dict[str, Any] = {LIST_FIELDS: usable}
    if archived:
        facts[ARCHIVED_LISTED] = True
    if users := sorted({cohort.group for cohort in cohorts} & {"User", "user", "USER"}):
        facts[GROUP_OF_USERS] = users
    seen = (
        f"{len(cohorts):,} cohorts: {archived:,} archived, {groups:,} of groups, {uncomputed:,} not computed."
    )
    if not missing:
        return Finding(LIST, Status.OK, seen, facts=facts)
    return Finding(
        LIST,
        Status.WRONG if "id" in missing else Status.WARNING,
        f"{seen} No usable {listed(missing)} in the list.",
        "Without size, the guard short_cohort has less to compare with; without lastComputed, skip_unchanged "
        "has no effect; without archived or countGroup, such a cohort is found only by its export.",
        "Report this: Amplitude's answer has changed.",
        facts,
    )


def _usable(items: list[dict[str, Any]]) -> list[str]:
    """Return the fields that syncs rely on and any item has in a form that they can read."""
    return [name for name, is_usable in _FIELDS.items() if any(map(is_usable, items))]


def _group(item: dict[str, Any]) -> Any:
    definition = item.get("definition")
    group = definition.get("countGroup") if isinstance(definition, dict) else None
    return group.get("name") if isinstance(group, dict) else None


def _usage(hook: AmplitudeHook) -> Finding:
    try:
        usage = hook.usage()
    except CohortSyncError as error:
        return failed(USAGE, error, "Syncs cannot see how many exports the month has left.")
    facts = {USAGE_FIELDS: [name for name, value in vars(usage).items() if value is not None]}
    left = exports_left(usage)
    if left is None:
        return Finding(
            USAGE,
            Status.WARNING,
            "Amplitude does not say how many exports the month has left.",
            "export_reserve has no effect.",
            "Report this: Amplitude's answer has changed.",
            facts,
        )
    resets = f", reset at {usage.resets_at[:20]}" if usage.resets_at else ""
    seen = f"{usage.used:,} of {usage.limit:,} exports of the month are used{resets}."
    if left > _RESERVE:
        return Finding(USAGE, Status.OK, seen, facts=facts)
    return Finding(
        USAGE,
        Status.WARNING if left else Status.WRONG,
        seen,
        f"Syncs keep {_RESERVE} exports in reserve by default (export_reserve), so they request no more.",
        "Wait for the reset, run syncs less often, or let several segments share an export (targets).",
        facts,
    )


#: The fields that syncs rely on, and whether a cohort of the list has each of them in a usable form.
_FIELDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "id": lambda item: is_cohort_id(str(item.get("id") or "")),
    "name": lambda item: isinstance(item.get("name"), str),
    "size": lambda item: isinstance(item.get("size", ""), int | None),
    "lastComputed": lambda item: isinstance(item.get("lastComputed", ""), int | None),
    "archived": lambda item: isinstance(item.get("archived"), bool),
    "definition.countGroup.name": lambda item: isinstance(_group(item), str),
}
