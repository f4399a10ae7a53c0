"""Any 5xx is the server's fault: whatever its number, it is retried, and no key or parameter is blamed."""

from __future__ import annotations

import pytest

from airflow_provider_cio_cohort import exceptions
from tests.integration.faults.table import FOUND, PLACES, expected
from tests.integration.faults.test_converges import break_at

#: Of servers, of Cloudflare, of other proxies, and one that nobody has assigned.
UNUSUAL = [501, 505, 507, 509, 525, 530, 555, 598, 599]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", UNUSUAL)
def test_any_server_error_that_passes(task, place: str, status: int) -> None:
    broken = break_at(task, place, "500", status=status)
    report = task.run()
    assert broken.met == 1
    left_to_airflow = not PLACES[place].repeated and (place, "500") not in FOUND
    assert len(task.errors) == left_to_airflow, task.errors
    task.assert_as_without_faults(report)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", [501, 599])
def test_any_server_error_that_lasts(task, place: str, status: int) -> None:
    broken = break_at(task, place, "500", status=status, times=0)
    error = task.fail(export_timeout=0.2)
    assert broken.met
    kind, words = expected(place, "500")
    assert type(error) is kind
    wanted = [word.replace("500", str(status)) for word in words]
    assert [word for word in wanted if word.lower() not in str(error).lower()] == []
    assert [word for word in ("would be refused", " key of ", "keys of") if word in str(error)] == []
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run())


def test_a_look_up_that_fails_trips_no_guard(task) -> None:
    broken = break_at(task, "the lookup", "500", status=501, times=0)
    error = task.fail(min_match_rate=0.5)
    assert isinstance(error, exceptions.VendorUnavailableError)
    assert broken.met
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run(min_match_rate=0.5))


def test_a_server_error_with_the_words_of_a_lost_export_loses_none(task) -> None:
    for path, details in (("/request-status/", "No job exists"), ("/file$", "Cohort download not found")):
        task.sandbox.faults.add("status", path=path, status=500, body={"details": details})
    task.assert_as_without_faults(task.run())
    assert task.errors == []
