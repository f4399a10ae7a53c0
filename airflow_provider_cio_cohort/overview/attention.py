"""Decides which syncs and quotas need attention; pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_cio_cohort.cohorts import FEW_IDENTIFIERS, is_low_match_rate
from airflow_provider_cio_cohort.overview.model import Attention, Kind, Quota, Report, State, Sync

#: A match rate that falls by more than this counts as a drop.
MATCH_RATE_DROP = 0.1
#: A segment that loses more than this share of its members at once, and more than a few, counts as a drop.
SIZE_DROP = 0.3


def attention(
    syncs: Iterable[Sync], quotas: Iterable[Quota], files: Iterable[Attention] = ()
) -> tuple[Attention, ...]:
    """
    Return everything that needs attention, the most urgent first.

    :param syncs: all syncs.
    :param quotas: the quotas of all Amplitude projects.
    :param files: what needs attention about files.
    """
    found = [*files, *(one for sync in syncs for one in of_sync(sync))]
    found += [Attention(Kind.QUOTA, over(quota), quota=quota) for quota in quotas if quota.over]
    order = list(Kind)
    return tuple(sorted(found, key=lambda one: order.index(one.kind)))


def of_sync(sync: Sync) -> tuple[Attention, ...]:
    """
    Return what needs attention about one sync.

    :param sync: the sync.
    """
    if sync.state is State.MISSING:
        text = "Airflow has lost its DAG, so it does not run: its file cannot be read."
        return (Attention(Kind.MISSING, text, sync, since=sync.dag.missing_since),)
    if sync.state is State.CONFIG_ERROR:
        text = "Its configuration has a mistake, so it does not run. The DAG's docs show where and why."
        return (Attention(Kind.CONFIG_ERROR, text, sync),)
    if sync.state is State.DISABLED:
        return ()
    return (*_of_runs(sync), *_of_reports(sync))


def _of_runs(sync: Sync) -> Iterator[Attention]:
    if sync.failures:
        yield Attention(Kind.FAILED, _failed(sync), sync, since=sync.failing_since)
    for pool in sync.missing_pools:
        yield Attention(Kind.NO_POOL, f"A task waits for the pool {pool}, which does not exist.", sync)
    if sync.state is State.WAITING:
        text = "A user must approve or reject its change."
        yield Attention(Kind.WAITING, text, sync, since=sync.waiting_since)
    elif sync.overdue_since and not sync.failures:
        text = "No good sync since one was due."
        yield Attention(Kind.OVERDUE, text, sync, since=sync.overdue_since)
    if sync.dag.paused and sync.dag.schedule not in (None, "@once"):
        yield Attention(Kind.PAUSED, "The DAG is paused, so its schedule does not run.", sync)


def _failed(sync: Sync) -> str:
    times = "The last run failed." if sync.failures == 1 else f"The last {sync.failures} runs failed."
    times = times if sync.last_good else f"{times} No good sync is known."
    failure = sync.last_failed.failure if sync.last_failed else None
    return f"{failure.reason} {times}" if failure and failure.error else times


def _of_reports(sync: Sync) -> Iterator[Attention]:
    if not sync.reports:
        return
    last = sync.reports[-1]
    # A run that was cleared is compared with the run before it, not with itself.
    others = (one for one in reversed(sync.reports[:-1]) if one.run_id is None or one.run_id != last.run_id)
    before = next(others, None)
    if text := before and _dropped(before, last):
        yield Attention(Kind.DROP, text, sync, since=last.at)
    if is_low_match_rate(last.match_rate, last.identifiers):
        text = (
            f"Only {last.match_rate:.1%} of the cohort's identifiers exist in Customer.io: check "
            "user_id_property and id_type, or identifiers."
        )
        yield Attention(Kind.LOW_MATCH, text, sync, since=last.at)
    if last.not_removable:
        text = (
            f"{last.not_removable:,} people without an id stay in the segment, although they are not in the "
            "cohort: remove them by hand in Customer.io."
        )
        yield Attention(Kind.NOT_REMOVABLE, text, sync, since=last.at)
    if last.rejected:
        text = f"Customer.io refuses {last.rejected:,} identifiers of the cohort: correct them in Amplitude."
        yield Attention(Kind.REJECTED, text, sync, since=last.at)


def _dropped(before: Report, last: Report) -> str | None:
    if (
        before.size is not None
        and last.size is not None
        and before.size - last.size > max(FEW_IDENTIFIERS, before.size * SIZE_DROP)
    ):
        return f"Its segment fell from {before.size:,} to {last.size:,} members."
    if (
        before.match_rate is not None
        and last.match_rate is not None
        and before.match_rate - last.match_rate > MATCH_RATE_DROP
        and _are_many(last.identifiers)
    ):
        return f"Its match rate fell from {before.match_rate:.1%} to {last.match_rate:.1%}."
    return None


def _are_many(identifiers: int | None) -> bool:
    return identifiers is None or identifiers > FEW_IDENTIFIERS


def over(quota: Quota) -> str:
    """
    Return the message that a project's exports will not suffice.

    :param quota: the quota of the project.
    """
    if quota.used is not None and quota.used >= quota.limit:
        return f"All {quota.limit:,} exports of the month are used."
    return f"At this pace {quota.forecast:,} of {quota.limit:,} exports will be needed by the month's end."
