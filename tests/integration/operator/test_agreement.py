"""What is read of a segment is held against its count, before the writes and after them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.assets import segment_asset
from airflow_provider_cio_cohort.hooks import membership
from airflow_provider_cio_cohort.sync.target import describe
from tests.integration.operator.conftest import prove_keys
from tests.integration.operator.test_sync import writes

PAGES = "/membership$"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "MEMBERS_PER_PAGE", 2)
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "20")  # also where the machine is busy


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon, where that is expected."""
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "0.5")
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__RETRY_TIMEOUT", "0.2")


@pytest.fixture
def segment(sandbox) -> Any:
    """A segment of twelve people, of whom the cohort keeps eleven."""
    people = [sandbox.workspace.add_person(id=f"u-{n:02}") for n in range(12)]
    rows = [{"amplitude_id": str(n), "user_id": person.id} for n, person in enumerate(people[:11])]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    description = describe("a1b2c3d", None, "mirror")
    return sandbox.workspace.add_segment(name="Power users", description=description, members=people)


def ids(segment: Any) -> set[str]:
    return {person.id for person in segment.members}


@pytest.mark.parametrize("action", ["end_early", "no_identifiers"])
def test_a_membership_that_ends_early_once_is_read_again(sandbox, sync, segment, action: str) -> None:
    sandbox.faults.add(action, after=2)
    report = sync()
    assert (report["segment_before"], report["removed"], report["segment_after"]) == (12, 1, 11)
    assert ids(segment) == {f"u-{n:02}" for n in range(11)}


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("end_early", exceptions.MembershipMismatchError),
        ("no_identifiers", exceptions.VendorUnavailableError),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_membership_that_always_ends_early_is_an_error_before_the_first_write(
    sandbox, sync, segment, action: str, error: type[Exception]
) -> None:
    sandbox.faults.add(action, after=2, times=0)
    with pytest.raises(error) as caught:
        sync()
    assert caught.value.segment_touched is False
    assert writes(sandbox) == []
    assert len(segment.members) == 12


@pytest.mark.usefixtures("impatient")
def test_a_membership_that_ends_early_after_the_writes_is_no_success(sandbox, sync, segment, assets) -> None:
    prove_keys(assets, segment)
    sandbox.at_request(
        lambda request: sandbox.faults.add("end_early", times=0), api="track", path="remove_customers"
    )
    with pytest.raises(exceptions.VerificationError, match="pages have"):
        sync()


@pytest.mark.usefixtures("impatient")
def test_a_membership_that_ends_early_proves_no_keys(sandbox, sync, segment, assets) -> None:
    """Whoever is on none of its pages need not have been removed."""
    sandbox.at_request(
        lambda request: sandbox.faults.add("end_early", times=0), api="track", path="remove_customers"
    )
    with pytest.raises(exceptions.MembershipMismatchError, match="pages have"):
        sync()
    store = assets[segment_asset("Power users")]
    assert not any(kept.get("proven") for kept in store.kept.values() if isinstance(kept, dict))


@pytest.mark.usefixtures("impatient")
def test_a_run_that_writes_nothing_holds_the_numbers_against_each_other_too(sandbox, sync, segment) -> None:
    sync()
    sandbox.faults.add("end_early", after=2, times=0)
    with pytest.raises(exceptions.MembershipMismatchError, match="its count is 11"):
        sync(mode="add_only")
    with pytest.raises(exceptions.MembershipMismatchError):
        sync(dry_run=True)


def test_pages_that_move_hide_no_stranger(sandbox, sync, segment) -> None:
    """Somebody leaves while the pages are read, so that the cursor skips the next one: a stranger."""
    leaving = segment.members[0]
    sandbox.at_request(lambda request: segment.by_hand_remove([leaving]), api="app", path=PAGES, after=5)
    report = sync()
    assert report["segment_after"] == 11
    assert ids(segment) == {f"u-{n:02}" for n in range(11)}


@pytest.mark.usefixtures("impatient")
def test_an_endless_membership_ends_with_an_error(sandbox, sync, segment) -> None:
    sandbox.configure(endless_next=True)
    with pytest.raises(exceptions.VendorUnavailableError, match="does not end"):
        sync()
    assert writes(sandbox) == []


@pytest.mark.parametrize("last_next", ["empty", "null", "absent", "empty_page"])
def test_each_form_of_the_last_page(sandbox, sync, segment, last_next: str) -> None:
    sandbox.configure(last_next=last_next)
    assert sync()["segment_after"] == 11


def test_a_count_that_shows_later_than_the_members_is_waited_for(sandbox, sync, segment) -> None:
    sandbox.configure(count_after=0.3)
    report = sync()
    assert (report["removed"], report["segment_after"]) == (1, 11)
