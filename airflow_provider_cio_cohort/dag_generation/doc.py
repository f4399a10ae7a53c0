"""
What a DAG's page says, in plain words: what goes where, and when.

It holds no line numbers and no folders, because every change of it makes a new version of the DAG.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from airflow_provider_cio_cohort.dag_generation.cadence import in_words
from airflow_provider_cio_cohort.dag_generation.markdown import code, escape
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.exports import AMPLITUDE_GRANTS, exports_a_month
from airflow_provider_cio_cohort.pools import pools_of

#: Cadences with no times of their own, so that there is nothing to backfill.
_WITHOUT_PAST = ("manual", "once")


def segment(sync: Sync) -> str:
    """
    Return the words for the segment of a sync, not escaped.

    :param sync: the sync.
    """
    return f"number {sync.segment_id}" if sync.segment_name is None else f"“{sync.segment_name}”"


def summary(sync: Sync, targets: Mapping[str, Sync]) -> str:
    """
    Return what the list of DAGs shows for a sync.

    :param sync: the sync; with targets, the first of them.
    :param targets: what it says for each of its targets; empty if it has none.
    """
    if len(targets) > 1 and not sync.description:
        return f"Amplitude cohort {sync.cohort_id} goes to {len(targets)} Customer.io segments"
    goal = "mirrors" if sync.mode == "mirror" else "adds to"
    return sync.description or f"Amplitude cohort {sync.cohort_id} {goal} Customer.io segment {segment(sync)}"


def describe(sync: Sync, file: str, targets: Mapping[str, Sync], *, over_grant: bool) -> str:
    """
    Return the documentation of a sync's DAG.

    :param sync: a sound sync; with targets, the first of them.
    :param file: the YAML file's name.
    :param targets: what it says for each of its targets; empty if it has none.
    :param over_grant: whether the syncs of its connection cost more exports than Amplitude grants.
    """
    parts = [
        *_what(sync, targets),
        *_safety(targets or {"": sync}),
        *_tries(sync),
        *_alerts(sync),
        *_cost(sync, over_grant=over_grant),
        *_pools(targets or {"": sync}),
        *_by_hand(),
        *_snapshots(sync),
        *_backfill(sync),
        *_source(sync, file),
    ]
    return "\n\n".join(parts) + "\n"


def describe_disabled(sync: Sync, file: str, targets: Mapping[str, Sync]) -> str:
    """
    Return the documentation of a DAG that is switched off.

    :param sync: a sound sync; with targets, the first of them.
    :param file: the YAML file's name.
    :param targets: what it says for each of its targets; empty if it has none.
    """
    off = f"**This sync is disabled** in {code(file)}: nothing runs, not even by hand."
    return "\n\n".join([off, *_what(sync, targets), *_source(sync, file)]) + "\n"


def describe_problems(problems: Sequence[str]) -> str:
    """
    Return the documentation of a DAG that stands for a wrong sync.

    :param problems: what is wrong, each with its place.
    """
    items = "\n".join(f"- {escape(problem)}" for problem in problems)
    return (
        "**This sync does not run, because its configuration is wrong.** The other syncs of the file are not "
        f"affected.\n\n{items}\n\nThe DAG mends itself when the file is corrected.\n"
    )


def _what(sync: Sync, targets: Mapping[str, Sync]) -> Iterator[str]:
    if sync.description:
        yield escape(sync.description)
    yield f"{_goal(targets or {'': sync})}. Only the difference is sent, and the result is read back."
    if targets:
        yield (
            "One export serves several segments, the targets. Each has a task and a report of its own; one "
            "that fails does not stop the others. Clear its task to try it again with the same export."
        )
    yield "\n".join(
        [
            "| | |",
            "|---|---|",
            f"| **From** | Amplitude cohort {code(sync.cohort_id)}, "
            f"connection {code(sync.amplitude_conn_id)} |",
            *(row for name, target in (targets or {"": sync}).items() for row in _destination(name, target)),
            f"| **When** | {escape(_when(sync))} |",
            *([f"| **Owner** | {escape(sync.owner)} |"] if sync.owner else []),
        ]
    )


def _goal(each: Mapping[str, Sync]) -> str:
    goals = {
        "mirror": "becomes exactly the cohort: who is missing is added, who is not in the cohort is removed",
        "add_only": "gets everybody who is in the cohort; nobody is removed",
    }
    first, *others = {sync.mode: "" for sync in each.values()}
    if not others:
        return f"The Customer.io segment {goals[first]}"
    words = (
        f"that of {_names(name for name, sync in each.items() if sync.mode == mode)} {goals[mode]}"
        for mode in (first, *others)
    )
    return f"Of the Customer.io segments, {'; '.join(words)}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)


def _destination(name: str, sync: Sync) -> Iterator[str]:
    target = f", target {code(name)}" if name else ""
    identifier = {"id": "id", "email": "e-mail address", "cio_id": "cio_id"}[sync.id_type]
    yield (
        f"| **To** | Customer.io segment {escape(segment(sync))}, "
        f"connection {code(sync.customer_io_conn_id)}{target} |"
    )
    yield f"| **People** | Amplitude's {code(sync.user_id_property)} is the {identifier} in Customer.io |"


def _when(sync: Sync) -> str:
    words = in_words(sync.cadence, sync.timezone, sync.name, spread=sync.spread)
    return words if sync.ends is None else f"{words}, until {sync.ends.isoformat()}"


def _safety(each: Mapping[str, Sync]) -> Iterator[str]:
    if any(sync.dry_run for sync in each.values()):
        yield "**Dry run:** every run only looks and reports; nothing is written."
    alike: dict[tuple[str, str], list[str]] = {}
    for name, sync in each.items():
        asks = "asks somebody (*Required actions*)" if sync.on_guard == "approve" else "fails"
        guards = "\n".join(_guards(sync)).rstrip(",.")
        if guards:
            alike.setdefault((asks, f"{guards}."), []).append(name)
    for (asks, guards), names in alike.items():
        target = f", target {_names(names)}," if len(names) < len(each) else ""
        yield f"**A run{target} {asks} before it writes anything** if"
        yield guards
    asking = [sync for sync in each.values() if sync.on_guard == "approve"]
    if asking:
        yield (
            "**An approval** lets the change through that is shown, and no larger one. It is waited for up "
            f"to {asking[0].approval_timeout_hours:g} hours, during which no other run of this sync starts; "
            "then, or if the change is rejected, the task fails and nothing is written. With *Dry run*, "
            "nobody is asked."
        )


def _tries(sync: Sync) -> Iterator[str]:
    retry = "A failure is not tried again. "
    if sync.retries:
        times = "once" if sync.retries == 1 else f"up to {sync.retries} times"
        retry = (
            f"A failure that may pass is tried again {times}, after {sync.retry_delay_minutes:g} minutes and "
            "then at growing intervals; a retry continues the same Amplitude export. "
        )
    yield f"{retry}Wrong keys, an unknown cohort or a tripped guard fail at once and say what to do."


def _alerts(sync: Sync) -> Iterator[str]:
    if sync.alerts:
        rows = "\n".join(
            f"- {code(each.notifier.rpartition('.')[2])} is told of {', '.join(each.alert.on)}"
            for each in sync.alerts
        )
        yield f"**Alerts**, each sent once:\n\n{rows}"
    if sync.max_age is not None:
        yield (
            f"**Fresh** is a segment whose last good run is at most {sync.max_age} old; the freshness DAG of "
            "the file fails otherwise."
        )


def _guards(sync: Sync) -> Iterator[str]:
    if sync.min_match_rate is not None and not sync.allow_low_match:
        yield f"- less than {sync.min_match_rate:.1%} of the cohort are people in Customer.io,"
    if sync.mode == "mirror":
        yield from _guards_of_a_mirror(sync)


def _guards_of_a_mirror(sync: Sync) -> Iterator[str]:
    if sync.allow_empty_cohort:
        yield "- *(off: `allow_empty_cohort`)* the cohort is empty, so that everybody would be removed,"
    else:
        yield "- the cohort is empty, so that everybody would be removed,"
    if sync.max_removal_percent is None or sync.allow_large_removal:
        setting = "allow_large_removal" if sync.allow_large_removal else "max_removal_percent"
        yield f"- *(off: `{setting}`)* a large part of the segment would be removed,"
    else:
        share = f"{sync.max_removal_percent:g} %"
        yield f"- more than {share} of the segment would be removed (a handful is always fine),"
    if sync.max_shortfall_percent is None or sync.allow_short_cohort:
        setting = "allow_short_cohort" if sync.allow_short_cohort else "max_shortfall_percent"
        yield f"- *(off: `{setting}`)* the cohort is far smaller than Amplitude announces, or than last time,"
    else:
        share = f"{sync.max_shortfall_percent:g} %"
        yield f"- the cohort is more than {share} smaller than Amplitude announces, or than at the last sync,"
    if sync.adopt_segment:
        yield "- *(off: `adopt_segment`)* people would be removed from a segment that no sync made for it."
    else:
        yield "- people would be removed from a segment that no sync made for this cohort."


def _cost(sync: Sync, *, over_grant: bool) -> Iterator[str]:
    exports = exports_a_month(sync.cadence)
    month = f"up to {exports:,} in a month" if exports else "none by itself"
    unless = " A run that finds the cohort unchanged costs none." if sync.skip_unchanged else ""
    yield (
        f"**Each run costs one** of the {AMPLITUDE_GRANTS} exports that Amplitude grants a project a month: "
        f"{month}.{unless}"
    )
    if over_grant:
        yield (
            f"**Warning:** together, the syncs of connection {code(sync.amplitude_conn_id)} cost more than "
            f"{AMPLITUDE_GRANTS} exports a month, so some runs will fail. Choose rarer cadences, or let "
            "several segments share an export (`targets`)."
        )


def _pools(each: Mapping[str, Sync]) -> Iterator[str]:
    names = [
        name
        for sync in each.values()
        if sync.use_pools
        for _, _, name in pools_of(sync.amplitude_conn_id, sync.customer_io_conn_id)
    ]
    if names:
        yield (
            f"**Its tasks run in the pools** {_names(dict.fromkeys(names))}, which keep the vendors' limits. "
            "Airflow starts no task whose pool does not exist: a task that stays *scheduled* wants "
            "`airflow cohort-sync pools` with the YAML file, or *Admin → Pools*."
        )


def _by_hand() -> Iterator[str]:
    yield (
        "**To run it by hand**, use *Trigger*. The fields of the form hold for that run only: *Dry run* "
        "looks and reports but writes nothing; the others let the run do what a guard would refuse."
    )


def _snapshots(sync: Sync) -> Iterator[str]:
    if sync.snapshot_path is not None:
        yield (
            "**Every good run keeps a snapshot**: the identifiers that it has synced. To put the segment "
            "back, use *Trigger* or a backfill with *Source* set to `snapshot`: each run restores the newest "
            "snapshot that is not younger than *Snapshot of*, or than its logical date. The same guards "
            "apply, and no export is spent."
        )


def _backfill(sync: Sync) -> Iterator[str]:
    if sync.cadence in _WITHOUT_PAST:
        yield f"**A backfill** is refused by Airflow: a sync with cadence {sync.cadence} has no past times."
        return
    past = " with *Source* `cohort`" if sync.snapshot_path is not None else ""
    yield (
        f"**A backfill{past} does not bring back the past:** Amplitude knows only today's members. Each of "
        "its runs makes the segment equal to the cohort *of now*, one run after the other, and each costs "
        "one of the exports that Amplitude grants a month. One run by hand does the same."
    )


def _source(sync: Sync, file: str) -> Iterator[str]:
    yield f"This DAG is made from the sync {code(sync.name)} in {code(file)}; change it there."
