"""Creates a segment, once, although the answer to the creation may be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_cio_cohort.exceptions import SegmentNotCreatedError, VendorUnavailableError
from airflow_provider_cio_cohort.hooks.segments import Segment, parse_segment

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook


def create_segment(hook: CustomerIOHook, name: str, description: str) -> Segment:
    """
    Create a manual segment; see :meth:`.CustomerIOHook.create_segment`.

    :param hook: the Customer.io hook, for its App API, key and pace.
    :param name: its name.
    :param description: what Customer.io's users read about it.
    :raises SegmentNotCreatedError: if no answer came, and it does not show in the list.
    """
    body = {"segment": {"name": name, "description": description}}
    try:
        answer = hook.call(
            hook.app,
            hook.app_auth,
            "POST",
            "/v1/segments",
            what="creating a segment",
            json=body,
            pacer=hook.app_pacer,
            idempotent=False,
        )
    except VendorUnavailableError as error:
        if found := hook.find_segment(name):
            return found
        raise SegmentNotCreatedError(
            f"It is not known whether the segment was created: {name!r}.\n{error.headline} A retry looks "
            "for it before it creates one."
        ) from None
    payload = answer.payload if isinstance(answer.payload, dict) else {}
    return parse_segment(payload.get("segment"))
