"""
Finds what has disappeared although nobody has removed it: DAGs whose file cannot be read; pure functions.

A DAG that is no longer in its file is removed on purpose if the file can be read. If it cannot, nobody has
removed the DAGs that were in it when it was last read. A DAG that had disappeared before then stays removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from airflow_provider_cio_cohort.overview.model import Attention, Dag, Kind
from airflow_provider_cio_cohort.overview.queries import BROKEN_FILE, FRESHNESS, Known, Place

#: Airflow stores the DAGs of a file one after the other, so their times differ a little.
_OF_ONE_READING = timedelta(minutes=1)
#: For how long the DAGs of a DAG file count as missing that reads several YAML files, one of which is broken:
#: it is unknown which of them had the DAG.
_LONGEST = timedelta(days=31)
_NO_IMPORT = "The DAG file cannot be imported, so none of its DAGs runs. The list of DAGs shows the error."
_NO_FILE = "The file cannot be read, so none of its syncs runs. The DAG's docs show where and why."


@dataclass(frozen=True)
class Present:
    """
    The DAGs to show, and what is wrong with their files.

    :param dags: the DAGs by their ids, without those that were removed.
    :param attention: broken files, and freshness DAGs that are missing or paused.
    """

    dags: Mapping[str, Dag]
    attention: tuple[Attention, ...]


def present(
    known: Mapping[str, Known],
    tags: Mapping[str, Set[str]],
    errors: Mapping[Place, bool],
    now: datetime,
    readable: Set[str] | None = None,
) -> Present:
    """
    Return the DAGs to show, and what is wrong with their files.

    :param known: all DAGs with syncs, and those that stand for a file or watch one.
    :param tags: which of our tags each DAG has.
    :param errors: the DAG files that cannot be imported, and whether this package could not import them.
    :param now: the current time.
    :param readable: the ids of the DAGs that may be shown; ``None`` for all. The others only help to find out
        what is missing.
    """
    by_place: dict[Place, list[Known]] = {}
    for one in known.values():
        by_place.setdefault(one.place, []).append(one)
    dags: dict[str, Dag] = {}
    found: list[Attention] = []
    for place, those in by_place.items():
        stands = [one for one in those if BROKEN_FILE in tags.get(one.dag.dag_id, ())]
        broken = [one for one in stands if not one.stale]
        is_broken = place in errors or bool(broken)
        lost = (
            _readable(_lost([one for one in those if one not in stands], now), readable) if is_broken else []
        )
        there = _readable([one for one in those if not one.stale], readable)
        if place in errors and (lost or there):
            found.append(Attention(Kind.BROKEN_FILE, _NO_IMPORT, file=place[1]))
        for one in there:
            if one in broken:
                found.append(_of_file(one))
                continue
            dags[one.dag.dag_id] = one.dag
            if one.dag.paused and _watches(one, tags):
                found.append(_watch_is_paused(one))
        for one in lost:
            dags[one.dag.dag_id] = replace(one.dag, missing_since=one.parsed)
            if _watches(one, tags):
                found.append(_watch_is_missing(one))
    return Present(dags, tuple(found))


def unknown_files(errors: Mapping[Place, bool], known: Iterable[Attention]) -> list[Attention]:
    """
    Return DAG files of ours that cannot be imported, and of which Airflow has never seen a DAG.

    :param errors: the DAG files that cannot be imported, and whether the error names this package.
    :param known: what is known of other files.
    """
    others = {one.file for one in known}
    files = [file for (_, file), names_us in errors.items() if names_us and file not in others]
    return [Attention(Kind.BROKEN_FILE, _NO_IMPORT, file=file) for file in sorted(filter(None, files))]


def _readable(those: Iterable[Known], readable: Set[str] | None) -> list[Known]:
    return [one for one in those if readable is None or one.dag.dag_id in readable]


def _lost(syncs: Iterable[Known], now: datetime) -> list[Known]:
    stale = [one for one in syncs if one.stale and one.parsed is not None]
    last = max((one.parsed for one in stale if one.parsed is not None), default=now)
    several = any(not one.stale for one in syncs)
    since = now - _LONGEST if several else last - _OF_ONE_READING
    return [one for one in stale if one.parsed is not None and one.parsed >= since]


def _of_file(one: Known) -> Attention:
    file = (one.description or "").partition(" cannot be read")[0] or one.dag.dag_id
    return Attention(Kind.BROKEN_FILE, _NO_FILE, file=file, dag_id=one.dag.dag_id)


def _watches(one: Known, tags: Mapping[str, Set[str]]) -> bool:
    return FRESHNESS in tags.get(one.dag.dag_id, ())


def _watch_is_missing(one: Known) -> Attention:
    text = f"{one.dag.dag_id} is missing with it, so nobody is told when a segment becomes stale."
    return Attention(Kind.UNWATCHED, text, file=_file_of(one))


def _watch_is_paused(one: Known) -> Attention:
    text = f"{one.dag.dag_id} is paused, so nobody is told when a segment becomes stale: unpause it."
    return Attention(Kind.UNWATCHED, text, file=_file_of(one), dag_id=one.dag.dag_id)


def _file_of(one: Known) -> str:
    return PurePosixPath(one.file or "").name or one.dag.dag_id
