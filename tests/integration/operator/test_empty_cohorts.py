"""An empty cohort in all the forms that Amplitude may give it, where its list says that nobody is in it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.sandbox.settings import CHOICES
from tests.integration.operator.test_sync import members

FORMS = CHOICES["empty_export"]


@pytest.fixture(params=[True, False], ids=["compressed", "plain"])
def world(request, sandbox, sync, cohort) -> Any:
    """A segment that was filled from a cohort which has become empty since."""
    sandbox.configure(limits=False, compressed=request.param)
    cohort("u-1", "u-2")
    sync()
    sandbox.reset_requests()
    cohort()
    return sandbox


@pytest.mark.parametrize("content_length", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_it_stops_at_its_guard_and_passes_where_that_is_allowed(
    world, sync, form: str, content_length: bool
) -> None:
    world.configure(empty_export=form, content_length=content_length)
    with pytest.raises(exceptions.GuardTrippedError) as caught:
        sync()
    assert caught.value.trips == ("empty_cohort",)
    assert members(world) == {"u-1", "u-2"}
    report = sync(allow_empty_cohort=True)
    assert (report["cohort_rows"], report["identifiers"], report["removed"]) == (0, 0, 2)
    assert members(world) == set()


@pytest.mark.parametrize("form", FORMS)
def test_nobody_is_added_and_nobody_removed(world, sync, form: str) -> None:
    world.configure(empty_export=form)
    report = sync(mode="add_only")
    assert (report["cohort_rows"], report["added"], report["segment_after"]) == (0, 0, 2)


@pytest.mark.parametrize("announced", [None, 1, 1000])
@pytest.mark.parametrize("form", [form for form in FORMS if form != "header"])
def test_where_somebody_may_be_in_it_it_is_an_error(
    world, sync, monkeypatch, form: str, announced: int | None
) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__RETRY_TIMEOUT", "0.05")
    found = world.project.cohorts["a1b2c3d"]
    found.announced, found.listed = announced, announced is not None
    world.configure(empty_export=form)
    with pytest.raises(exceptions.RetryableError) as caught:
        sync(allow_empty_cohort=True, allow_short_cohort=True)
    kinds = (exceptions.IncompleteExportError, exceptions.ExportFailedError)
    assert isinstance(caught.value, kinds)
    assert members(world) == {"u-1", "u-2"}


def test_a_file_that_is_late_is_waited_for(world, sync, monkeypatch) -> None:
    """A 404 may mean that the file is not there yet, whatever the list says."""
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__EXPORT_GRACE", "30")
    people = [{"amplitude_id": "1", "user_id": "u-1"}]
    found = world.project.add_cohort(id="a1b2c3d", name="Power users", rows=people, announced=0)
    body = {"details": "Cohort download not found"}
    world.faults.add("status", path="/file$", status=404, body=body, times=5)
    assert sync()["cohort_rows"] == len(found.rows)
    assert members(world) == {"u-1"}


@pytest.mark.parametrize("text", ["<html>", "{}"])
def test_a_page_or_a_message_is_no_empty_cohort(world, sync, monkeypatch, text: str) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__RETRY_TIMEOUT", "0.05")
    action = {"action": "html", "status": 200} if text == "<html>" else {"action": "status", "body": {}}
    world.faults.add(**{"status": 200, **action}, path="/file$", times=0)
    with pytest.raises(exceptions.VendorUnavailableError):
        sync(allow_empty_cohort=True)
    assert members(world) == {"u-1", "u-2"}
