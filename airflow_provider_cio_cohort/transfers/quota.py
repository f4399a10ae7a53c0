"""Looks at the month's exports before one is spent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_cio_cohort.exceptions import (
    AuthenticationError,
    PlanError,
    QuotaReachedError,
    RequestRejectedError,
)

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook, Usage

log = logging.getLogger(__name__)


def exports_left(usage: Usage) -> int | None:
    """
    Return how many exports of the month are left, ``None`` if Amplitude does not say.

    :param usage: what it says.
    """
    return None if usage.limit is None or usage.used is None else max(usage.limit - usage.used, 0)


def check_quota(amplitude: AmplitudeHook, reserve: int) -> dict[str, Any]:
    """
    Refuse to spend an export that is to be kept, and return the month as it is with this one.

    What Amplitude tells of the month is not documented, so a project that tells nothing is let through.

    :param amplitude: the hook.
    :param reserve: exports of the month that are left alone.
    :return: ``exports_used``, ``exports_limit`` and ``exports_reset``; empty if Amplitude does not say.
    :raises QuotaReachedError: if no more than the reserve is left.
    """
    try:
        usage = amplitude.usage()
    except (AuthenticationError, PlanError, RequestRejectedError) as error:
        log.warning("Going on without knowing how many exports are left this month: %s", error.headline)
        return {}
    if usage.limit is None or usage.used is None:
        log.warning("Going on without knowing how many exports are left this month: Amplitude does not say.")
        return {}
    left = usage.limit - usage.used
    if left <= reserve:
        resets = (
            f"The count starts anew at {usage.resets_at}" if usage.resets_at else "A new month brings more"
        )
        raise QuotaReachedError(
            f"Amplitude has {max(left, 0)} of the month's {usage.limit} exports left (connection "
            f"{amplitude.amplitude_conn_id!r}).\n"
            f"{usage.used} are used, and export_reserve keeps {reserve}, so none was requested. {resets}; a "
            "lower export_reserve uses what is left."
        )
    log.info("This is export %s of the month's %s.", f"{usage.used + 1:,}", f"{usage.limit:,}")
    return {
        "exports_used": usage.used + 1,
        "exports_limit": usage.limit,
        "exports_reset": usage.resets_at,
    }
