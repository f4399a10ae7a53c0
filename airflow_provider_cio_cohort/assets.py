"""
Cohorts and segments as Airflow assets, and what their addresses mean to OpenLineage.

:func:`segment_asset` is for DAGs that start when a segment was filled.

``amplitude://<connection>/cohorts/<id>`` and ``customerio://<connection>/segments/name|id/<name or id>``; and
``customerio://<connection>/``, which carries what is known of the workspace.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from airflow.sdk import Asset, AssetAlias, literal

from airflow_provider_cio_cohort.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset

#: What is public; the rest may change in any release.
__all__ = ["segment_asset"]

AMPLITUDE_SCHEME, CUSTOMER_IO_SCHEME = "amplitude", "customerio"
#: Airflow takes 1,500 characters for an asset's name; quoted, a letter may take nine.
MAX_NAME = 1400
#: What stays as it is in the names of assets. On MySQL, Airflow takes only ASCII.
_READABLE = "".join(sign for sign in map(chr, range(32, 127)) if sign != "%")
#: The address of :func:`late_segments`.
LATE_URI = f"{CUSTOMER_IO_SCHEME}:/segments"
#: The outlet by which tasks create the events of such segments, if they have no other alias.
LATE_ALIAS = AssetAlias("customer_io_segments")
_Literal = type(literal(""))


def segment_asset(
    segment_name: str | None = None,
    *,
    segment_id: int | None = None,
    customer_io_conn_id: str = "customer_io_default",
) -> Asset:
    """
    Return the Airflow asset of a segment, for the ``schedule`` of a DAG that starts when it was filled.

    :param segment_name: the segment's name, if the sync names it by ``segment_name``.
    :param segment_id: its number, if the sync names it by ``segment_id``.
    :param customer_io_conn_id: the sync's connection to Customer.io.
    :raises ConfigurationError: if not exactly one of name and number is given, or one is a template.
    """
    if (segment_name is None) == (segment_id is None):
        raise ConfigurationError(
            "segment_asset() needs exactly one of segment_name and segment_id.\n"
            "Give the one that the sync has: they are two assets."
        )
    asset = known_segment(customer_io_conn_id, segment_name, segment_id)
    if asset is None:
        raise ConfigurationError(
            "segment_asset() takes no templates.\n"
            "Write the name or the number as it is: it must be known when the DAG is parsed."
        )
    return asset


def known_segment(conn_id: Any, name: Any, segment_id: Any) -> Asset | None:
    """
    Return the Airflow asset of a segment; ``None`` where a template decides which segment it is.

    :param conn_id: the connection to the workspace.
    :param name: the segment's name, or ``None``.
    :param segment_id: its id, or ``None``.
    """
    if segment_id is not None:
        return _asset(CUSTOMER_IO_SCHEME, conn_id, "segments/id", segment_id, "Customer.io segment {}")
    return _asset(CUSTOMER_IO_SCHEME, conn_id, "segments/name", name, 'Customer.io segment "{}"')


def cohort_asset(conn_id: Any, cohort_id: Any) -> Asset | None:
    """
    Return the Airflow asset of a cohort; ``None`` where a template decides which cohort it is.

    :param conn_id: the connection to the project.
    :param cohort_id: its id.
    """
    return _asset(AMPLITUDE_SCHEME, conn_id, "cohorts", cohort_id, "Amplitude cohort {}")


def workspace_asset(conn_id: Any) -> Asset | None:
    """
    Return the Airflow asset of a workspace; ``None`` where a template decides which it is.

    :param conn_id: the connection to the workspace.
    """
    known = _as_it_is(conn_id)
    if known is None:
        return None
    authority = quote(known.strip(), safe="")
    return Asset(f"Customer.io workspace ({authority})", f"{CUSTOMER_IO_SCHEME}://{authority}/")


def late_segments() -> Asset:
    """
    Return an inlet of the tasks whose segment is known only when they run: a template or a mapping decides.

    By it they are found, and it carries what is remembered of their segments.
    """
    return Asset("Customer.io segments that are known at run time", LATE_URI)


def settled(conn_id: str, name: str | None, segment_id: Any) -> Asset:
    """
    Return the Airflow asset of a segment, once every template is rendered.

    :param conn_id: the connection to the workspace.
    :param name: the segment's name, or ``None``.
    :param segment_id: its id, or ``None``.
    """
    found = known_segment(literal(conn_id), None if name is None else literal(name), segment_id)
    assert found is not None  # noqa: S101 (nothing is left to be rendered)
    return found


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


def _asset(scheme: str, conn_id: Any, path: str, which: Any, name: str) -> Asset | None:
    parts = [_as_it_is(conn_id), _as_it_is(which)]
    if None in parts:
        return None
    conn, thing = (str(part).strip() for part in parts)
    authority, last = quote(conn, safe=""), quote(thing, safe="")
    if len(authority) + len(last) > MAX_NAME:
        thing = last = sha256(last.encode()).hexdigest()
    return Asset(
        f"{name.format(quote(thing, safe=_READABLE))} ({authority})", f"{scheme}://{authority}/{path}/{last}"
    )


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
