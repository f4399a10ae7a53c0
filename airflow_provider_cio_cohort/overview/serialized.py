"""Reads what only the DAGs themselves say, from Airflow's serialized DAGs: their timezone, and their form."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import JSON, Select, func, null, select, type_coerce
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview.memory import Memory
from airflow_provider_cio_cohort.overview.model import Dag
from airflow_provider_cio_cohort.overview.queries import chunks

#: The key and the digest of a serialized DAG.
_Version = tuple[str, str]


def with_timezones(session: Session, dags: Mapping[str, Dag], memory: Memory) -> dict[str, Dag]:
    """
    Add to DAGs their timezone.

    :param session: of the metadata database.
    :param dags: the DAGs, by their ids.
    :param memory: what earlier looks have read.
    """
    newest: dict[str, _Version] = {}
    for some in chunks(sorted(dags)):
        newest.update((dag_id, (str(key), digest)) for dag_id, key, digest in session.execute(versions(some)))
    known = {dag_id: memory.rows(("timezone", dag_id)) for dag_id in newest}
    changed = [dag_id for dag_id, version in newest.items() if version not in known[dag_id]]
    known |= {dag_id: {version: zone} for dag_id, version, zone, _ in _rows(session, changed)}
    found = dict(dags)
    for dag_id, zones in known.items():
        memory.keep(("timezone", dag_id), zones)
        found[dag_id] = _in_zone(found[dag_id], next(iter(zones.values()), None))
    return found


def with_serialized(session: Session, dags: Mapping[str, Dag]) -> dict[str, Dag]:
    """
    Add to DAGs their timezone, and the fields of their trigger form.

    :param session: of the metadata database.
    :param dags: the DAGs, by their ids.
    """
    found = dict(dags)
    for dag_id, _, zone, params in _rows(session, dags, form=True):
        found[dag_id] = replace(_in_zone(found[dag_id], zone), form=_fields(params))
    return found


def _in_zone(dag: Dag, zone: Any) -> Dag:
    return replace(dag, timezone=zone) if isinstance(zone, str) and is_timezone(zone) else dag


def is_timezone(name: str) -> bool:
    """
    Say whether this machine knows a timezone.

    :param name: such as ``Europe/Berlin``.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a fixed offset, a name that leads elsewhere, or no such file
        return False
    return True


def _rows(
    session: Session, dag_ids: Collection[str], *, form: bool = False
) -> Iterator[tuple[str, _Version, str | None, list[Any]]]:
    for some in chunks(sorted(dag_ids)):
        for dag_id, key, digest, zone, fields, compressed in session.execute(newest(some, form=form)):
            if compressed is not None:
                dag = json.loads(zlib.decompress(compressed)).get("dag", {})
                zone, fields = dag.get("timezone"), dag.get("params") if form else None
            yield dag_id, (str(key), digest), zone, fields or []


def versions(dag_ids: Collection[str]) -> Select[Any]:
    """
    Return a query for what tells versions of DAGs apart; Airflow also changes one in its place.

    :param dag_ids: the DAGs.
    """
    table = SerializedDagModel.__table__.c
    return _newest(select(table.dag_id, table.id, table.dag_hash), dag_ids)


def newest(dag_ids: Collection[str], *, form: bool = False) -> Select[Any]:
    """
    Return a query for the newest version of DAGs: as :func:`versions`, with timezone and params, and what is
    compressed instead.

    Of a document of many kilobytes, the database returns only what is needed; a compressed one comes whole.

    :param dag_ids: the DAGs.
    :param form: whether to read the params.
    """
    table = SerializedDagModel.__table__.c
    dag = type_coerce(table.data, JSON())
    params = dag["dag", "params"].as_json() if form else null()
    said = (dag["dag", "timezone"].as_string(), params, table.data_compressed)
    return _newest(select(table.dag_id, table.id, table.dag_hash, *said), dag_ids)


def _newest(question: Select[Any], dag_ids: Collection[str]) -> Select[Any]:
    table = SerializedDagModel.__table__.c
    latest = (
        select(table.dag_id, func.max(table.created_at).label("created_at"))
        .where(table.dag_id.in_(dag_ids))
        .group_by(table.dag_id)
        .subquery()
    )
    return question.join(
        latest, (latest.c.dag_id == table.dag_id) & (latest.c.created_at == table.created_at)
    )


def _fields(params: Any) -> frozenset[str]:
    """Return the names of serialized params: a list of pairs."""
    pairs = params if isinstance(params, list) else []
    return frozenset(str(pair[0]) for pair in pairs if isinstance(pair, list) and pair)
