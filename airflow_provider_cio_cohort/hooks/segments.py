"""What Customer.io's App API tells about a segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_cio_cohort.exceptions import VendorUnavailableError


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


def parse_segment(item: Any) -> Segment:
    """
    Read a segment from an answer.

    :param item: what stands under ``segment``, or in the list ``segments``.
    :raises VendorUnavailableError: if it has no id.
    """
    if not isinstance(item, dict) or not isinstance(item.get("id"), int):
        raise VendorUnavailableError("Customer.io's App API answered with a segment that has no id.")
    return Segment(
        id=item["id"],
        name=str(item.get("name") or ""),
        description=str(item.get("description") or ""),
        is_manual=item.get("type") == "manual",
    )
