"""What Customer.io tells about a segment and a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_cio_cohort.exceptions import (
    DataDrivenSegmentError,
    UnknownSegmentError,
    VendorUnavailableError,
)


@dataclass(frozen=True)
class Segment:
    """
    A segment as Customer.io shows it.

    :param id: its id.
    :param name: its name; it cannot be changed through the API, and need not be unique.
    :param description: its description.
    :param is_manual: whether people can be added and removed; otherwise Customer.io computes it.
    """

    id: int
    name: str
    description: str
    is_manual: bool


@dataclass(frozen=True)
class Account:
    """
    What Customer.io's Track API tells about its keys.

    :param region: where the workspace lives; empty if the answer does not say.
    :param workspace_id: its number, as its pages' addresses have it; ``None`` if the answer does not say.
    """

    region: str
    workspace_id: int | None


def parse_account(item: Any) -> Account:
    """
    Read the answer about the keys.

    :param item: the answer's JSON.
    """
    facts = item if isinstance(item, dict) else {}
    workspace_id = facts.get("environment_id")
    return Account(str(facts.get("region") or ""), workspace_id if isinstance(workspace_id, int) else None)


def parse_segment(item: Any) -> Segment:
    """
    Read a segment from an answer.

    :param item: what stands under ``segment``, or in the list ``segments``.
    :raises VendorUnavailableError: if it has no id.
    """
    if not isinstance(item, dict) or not isinstance(item.get("id"), int):
        raise VendorUnavailableError(
            "Customer.io's App API answered with a segment that has no id.\nA retry may succeed."
        )
    return Segment(
        id=item["id"],
        name=str(item.get("name") or ""),
        description=str(item.get("description") or ""),
        is_manual=item.get("type") == "manual",
    )


def as_manual(segment: Segment) -> Segment:
    """
    Return a segment to which people can be added.

    :param segment: any segment.
    :raises DataDrivenSegmentError: if Customer.io computes its members.
    """
    if not segment.is_manual:
        raise DataDrivenSegmentError(
            f"Customer.io's segment {segment.name!r} ({segment.id}) is data-driven, so nobody can be added.\n"
            "Customer.io computes its members. Choose a manual segment, or a new name, and one is created."
        )
    return segment


def unknown_segment(conn_id: str, segment_id: int) -> UnknownSegmentError:
    """
    Return the error for a segment that a workspace does not have.

    :param conn_id: the workspace's connection.
    :param segment_id: the segment.
    """
    return UnknownSegmentError(
        f"Customer.io has no segment {segment_id} in the workspace of connection {conn_id!r}.\n"
        "Correct segment_id, the number in the segment's address in Customer.io, or customer_io_conn_id; "
        "`airflow cohort-sync segments` lists them."
    )
