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

from airflow_provider_cio_cohort.overview.model import Dag
from airflow_provider_cio_cohort.overview.queries import chunks


def with_serialized(session: Session, dags: Mapping[str, Dag], *, form: bool = False) -> dict[str, Dag]:
    """
    Add to DAGs their timezone, and the fields of their trigger form.

    :param session: of the metadata database.
    :param dags: the DAGs, by their ids.
    :param form: whether to add the fields.
    """
    found = dict(dags)
    for dag_id, timezone, params in _rows(session, dags, form=form):
        zone = timezone if isinstance(timezone, str) and is_timezone(timezone) else found[dag_id].timezone
        found[dag_id] = replace(found[dag_id], timezone=zone, form=_fields(params))
    return found


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
    session: Session, dag_ids: Collection[str], *, form: bool
) -> Iterator[tuple[str, str | None, list[Any]]]:
    for some in chunks(sorted(dag_ids), 500):
        for dag_id, zone, fields, compressed in session.execute(newest(some, form=form)):
            if compressed is not None:
                dag = json.loads(zlib.decompress(compressed)).get("dag", {})
                zone, fields = dag.get("timezone"), dag.get("params") if form else None
            yield dag_id, zone, fields or []


def newest(dag_ids: Collection[str], *, form: bool = False) -> Select[Any]:
    """
    Return a query for the newest version of DAGs: id, timezone, params, and what is compressed instead.

    Of a document of many kilobytes, the database returns only what is needed; a compressed one comes whole.

    :param dag_ids: the DAGs.
    :param form: whether to read the params.
    """
    table = SerializedDagModel.__table__.c
    dag = type_coerce(table.data, JSON())
    params = dag["dag", "params"].as_json() if form else null()
    latest = (
        select(table.dag_id, func.max(table.created_at).label("created_at"))
        .where(table.dag_id.in_(dag_ids))
        .group_by(table.dag_id)
        .subquery()
    )
    return select(table.dag_id, dag["dag", "timezone"].as_string(), params, table.data_compressed).join(
        latest, (latest.c.dag_id == table.dag_id) & (latest.c.created_at == table.created_at)
    )


def _fields(params: Any) -> frozenset[str]:
    """Return the names of serialized params: a list of pairs."""
    pairs = params if isinstance(params, list) else []
    return frozenset(str(pair[0]) for pair in pairs if isinstance(pair, list) and pair)
