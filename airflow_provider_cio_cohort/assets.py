"""
Cohorts and segments as Airflow assets, and what their addresses mean to OpenLineage.

``amplitude://<connection>/cohorts/<id>`` and ``customerio://<connection>/segments/name|id/<name or id>``; and
``customerio://<connection>/``, which carries what is known of the workspace.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from airflow.sdk import Asset, literal

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset

AMPLITUDE_SCHEME, CUSTOMER_IO_SCHEME = "amplitude", "customerio"
#: Airflow takes 1,500 characters for an asset's name; quoted, a letter may take nine.
MAX_NAME = 1400
_Literal = type(literal(""))


def segment_asset(conn_id: Any, name: Any, segment_id: Any) -> Asset | None:
    """
    Return the Airflow asset of a segment; ``None`` where a template decides which segment it is.

    :param conn_id: the connection to the workspace.
    :param name: the segment's name, or ``None``.
    :param segment_id: its id, or ``None``.
    """
    kind, which = ("name", name) if segment_id is None else ("id", segment_id)
    return _asset(CUSTOMER_IO_SCHEME, conn_id, f"segments/{kind}", which)


def cohort_asset(conn_id: Any, cohort_id: Any) -> Asset | None:
    """
    Return the Airflow asset of a cohort; ``None`` where a template decides which cohort it is.

    :param conn_id: the connection to the project.
    :param cohort_id: its id.
    """
    return _asset(AMPLITUDE_SCHEME, conn_id, "cohorts", cohort_id)


def workspace_asset(conn_id: Any) -> Asset | None:
    """
    Return the Airflow asset of a workspace; ``None`` where a template decides which it is.

    :param conn_id: the connection to the workspace.
    """
    known = _as_it_is(conn_id)
    return None if known is None else Asset(f"{CUSTOMER_IO_SCHEME}://{quote(known.strip(), safe='')}/")


def is_segment(asset: Any) -> bool:
    """
    Say whether an inlet or outlet is the asset of a segment.

    :param asset: anything that a task may have as such.
    """
    uri = asset.uri if isinstance(asset, Asset) else ""
    return uri.startswith(f"{CUSTOMER_IO_SCHEME}://") and "/segments/" in uri


def as_dataset(asset: Asset, lineage_context: Any) -> Dataset | None:
    """
    Return the OpenLineage dataset of a cohort or a segment: the connection is the namespace.

    :param asset: one of this module's assets.
    :param lineage_context: the operator that Airflow passes; not used.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    if not parts.netloc or not parts.path.strip("/"):
        return None
    return Dataset(namespace=f"{parts.scheme}://{parts.netloc}", name=unquote(parts.path.strip("/")))


def _asset(scheme: str, conn_id: Any, path: str, which: Any) -> Asset | None:
    parts = [_as_it_is(conn_id), _as_it_is(which)]
    if None in parts:
        return None
    authority, thing = (quote(str(part).strip(), safe="") for part in parts)
    if len(authority) + len(thing) > MAX_NAME:
        thing = sha256(thing.encode()).hexdigest()
    return Asset(f"{scheme}://{authority}/{path}/{thing}")


def _as_it_is(value: Any) -> str | None:
    """
    Return a parameter's text, ``None`` if it is not known before the task runs.

    Only plain text and whole numbers are known. What Airflow resolves later (a template, an argument of a
    ``@dag`` or of a mapped task group, an XCom) has a text too, but that is the address of an object.
    """
    if isinstance(value, _Literal):
        return value.value if isinstance(value.value, str) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or "{{" in value or "{%" in value or "{#" in value:
        return None
    return value
