"""
Where a person looks at a cohort or a segment: the vendors' web applications, not their APIs.

Neither vendor documents these addresses; they are those that their users see in the browser.
"""

from __future__ import annotations

from urllib.parse import quote

_AMPLITUDE = {"us": "https://app.amplitude.com", "eu": "https://app.eu.amplitude.com"}
#: Serves a cohort without the organization's name, for who is logged in to one organization.
_AMPLITUDE_BARE = {"us": "https://analytics.amplitude.com", "eu": "https://analytics.eu.amplitude.com"}
_CUSTOMER_IO = {"us": "https://fly.customer.io", "eu": "https://eu.fly.customer.io"}


def cohort_url(region: str, organization: str | None, cohort_id: str) -> str:
    """
    Return the page of a cohort.

    :param region: ``us`` or ``eu``.
    :param organization: what follows ``/analytics/`` in Amplitude's addresses, where the connection says so.
    :param cohort_id: the cohort.
    """
    cohort = quote(cohort_id, safe="")
    if organization:
        return f"{_AMPLITUDE[region]}/analytics/{quote(organization, safe='')}/cohort/{cohort}"
    return f"{_AMPLITUDE_BARE[region]}/cohort/{cohort}"


def segment_url(region: str, workspace_id: int | None, segment_id: int | None) -> str:
    """
    Return the page of a segment, or of all segments where there is none yet.

    :param region: ``us`` or ``eu``.
    :param workspace_id: the workspace; ``None`` stands for the one that its reader looked at last.
    :param segment_id: the segment, or ``None``.
    """
    workspace = "last" if workspace_id is None else str(workspace_id)
    segment = "" if segment_id is None else f"/{segment_id}"
    return f"{_CUSTOMER_IO[region]}/workspaces/{workspace}/journeys/segments{segment}"
