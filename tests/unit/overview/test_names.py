"""What cohort and segment are called, and where the vendors show them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import Sync, load_overview
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, failure

COHORT = "https://analytics.amplitude.com/cohort/a1b2c3d"
SEGMENT = "https://fly.customer.io/workspaces/7/journeys/segments/17"


def only(session: Session) -> Sync:
    (sync,) = load_overview(session, now=NOW).syncs
    return sync


def test_a_good_sync_tells_them(session: Session, airflow: Airflow) -> None:
    airflow.good(airflow.sync(), airflow.ago(days=1))
    sync = only(session)
    assert (sync.cohort_name, sync.cohort_url) == ("Power users of the app", COHORT)
    assert (sync.segment_id, sync.segment_name, sync.segment_url) == ("17", "Power users", SEGMENT)


def test_a_sync_that_never_succeeded_has_them_from_its_failure(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    kept = failure(cohort_id="a1b2c3d", cohort_name="VIP", cohort_url=COHORT, segment_url=SEGMENT)
    airflow.failed(made[0], airflow.ago(days=1), kept)
    sync = only(session)
    assert (sync.cohort_name, sync.cohort_url, sync.segment_url) == ("VIP", COHORT, SEGMENT)


def test_the_newest_name_counts(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=3), cohort_name="Old")
    airflow.good(made, airflow.ago(days=2), cohort_name="New")
    airflow.good(made, airflow.ago(days=1), cohort_name=None, cohort_url=None)  # as of a snapshot
    assert (only(session).cohort_name, only(session).cohort_url) == ("New", COHORT)


def test_the_name_of_another_cohort_is_not_shown(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()  # has read a1b2c3d since the sync was edited
    airflow.good(made, airflow.ago(days=1), cohort_id="zzzzzzz", cohort_name="Old", cohort_url=COHORT)
    sync = only(session)
    assert (sync.cohort_id, sync.cohort_name, sync.cohort_url) == ("a1b2c3d", None, None)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "http://analytics.amplitude.com/cohort/a",
        "https://analytics.amplitude.com.example.com/",
        "https://evilamplitude.com/",
        "https://amplitude.com@example.com/",
        "https://example.com\\.amplitude.com/",
        "https://analytics.amplitude.com/\nx",
        "https://[half",
        "//analytics.amplitude.com/x",
        "https://analytics.amplitude.com/" + "a" * 400,
        17,
        None,
    ],
)
def test_only_addresses_of_the_vendors_are_links(session: Session, airflow: Airflow, address: Any) -> None:
    airflow.good(airflow.sync(), airflow.ago(days=1), cohort_url=address, segment_url=address)
    sync = only(session)
    assert (sync.cohort_url, sync.segment_url) == (None, None)


def test_each_region(session: Session, airflow: Airflow) -> None:
    urls = {
        "cohort_url": "https://analytics.eu.amplitude.com/analytics/acme/cohort/a1b2c3d",
        "segment_url": "https://eu.fly.customer.io/workspaces/7/journeys/segments/17",
    }
    airflow.good(airflow.sync(), airflow.ago(days=1), **urls)
    sync = only(session)
    assert (sync.cohort_url, sync.segment_url) == (urls["cohort_url"], urls["segment_url"])
