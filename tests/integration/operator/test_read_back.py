"""A run ends as soon as one read of the segment shows all of its writes, and never before they are true."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.engine import verify
from airflow_provider_cio_cohort.hooks import membership
from airflow_provider_cio_cohort.sync.target import describe
from tests.integration.operator.conftest import prove_keys
from tests.integration.operator.test_sync import writes

PAGES = "/membership$"
IDS = [f"u-{n}" for n in range(8)]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set for how long the count must not change."""

    def set_seconds(stable: str, timeout: str = "600") -> None:
        monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", timeout)
        monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_STABLE_SECONDS", stable)

    set_seconds("600")
    return set_seconds


@pytest.fixture
def segment(sandbox, assets, patience, monkeypatch: pytest.MonkeyPatch) -> Any:
    """
    A segment of eight people on four pages, of whom two are to leave; a cohort with another one, and a ghost.

    Earlier runs have filled it, so the keys of the connection are known to belong together.
    """
    monkeypatch.setattr(membership, "MEMBERS_PER_PAGE", 2)
    people = [sandbox.workspace.add_person(id=each) for each in IDS]
    sandbox.workspace.add_person(id="joins")
    kept = [each for each in IDS if each not in ("u-0", "u-6")]
    rows = [{"amplitude_id": f"{n}", "user_id": each} for n, each in enumerate([*kept, "joins", "ghost"])]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    made = sandbox.workspace.add_segment(
        name="Power users", description=describe("a1b2c3d", None, "mirror"), members=people
    )
    prove_keys(assets, made)
    return made


def assert_true(report: dict[str, Any], segment: Any) -> None:
    """Hold what a run reports against the segment as it is, whatever a read shows."""
    assert {person.id for person in segment.members} == {*IDS, "joins"} - {"u-0", "u-6"}
    counts = ("added", "removed", "unmatched", "rejected", "segment_after")
    assert [report[name] for name in counts] == [1, 2, 1, 0, 7]


def reads_after_writes(sandbox: Any) -> list[str]:
    """Return the paths of the App API that were called after the last write."""
    apis = [(each.api, each.path) for each in sandbox.requests]
    last = max(place for place, (api, _) in enumerate(apis) if api == "track")
    return [path.rpartition("/")[2] for api, path in apis[last + 1 :] if api == "app"]


def test_nothing_is_waited_for_where_the_first_read_shows_all(sandbox, segment, sync) -> None:
    """The count would have to stand still for ten minutes."""
    assert_true(sync(), segment)
    assert reads_after_writes(sandbox) == [
        "customer_count",
        *["membership"] * 4,
        "customer_count",
        "attributes",
    ]


def test_one_page_needs_one_count(sandbox, segment, sync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "MEMBERS_PER_PAGE", 30_000)
    assert_true(sync(), segment)
    assert reads_after_writes(sandbox) == ["customer_count", "membership", "attributes"]


@pytest.mark.parametrize(
    "settings",
    [
        {"visible_after": 0.4},
        {"visible_after": 0.4, "count_after": 0},
        {"visible_after": 0, "count_after": 0.4},
        {"visible_after": 0.4, "fresh_share": 0.3},
        {"visible_after": 0.4, "count_after": 0.2, "fresh_share": 0.7},
    ],
    ids=str,
)
def test_late_writes_are_read_until_they_show(sandbox, segment, sync, settings: dict[str, Any]) -> None:
    sandbox.configure(**settings)
    assert_true(sync(), segment)
    assert len(writes(sandbox)) == 2


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every segment for one that takes long to read."""
    monkeypatch.setattr(verify, "READ_AT_ONCE", 0)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("visible_after", [0, 0.3])
def test_a_large_segment_is_read_once_its_count_is_as_expected(
    sandbox, segment, sync, patience, visible_after: float
) -> None:
    patience("1", timeout="20")
    sandbox.configure(visible_after=visible_after)
    assert_true(sync(), segment)
    assert reads_after_writes(sandbox).count("membership") == 4


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("lookup_allowed", [True, False])
def test_a_first_sync_of_many_people_waits_for_the_count(
    sandbox, segment, sync, patience, lookup_allowed: bool
) -> None:
    patience("0.3", timeout="20")
    sandbox.configure(lookup_allowed=lookup_allowed, visible_after=0.2)
    report = sync(segment_name="Another")
    assert (report["added"], report["unmatched"], report["segment_after"]) == (7, 1, 7)


@pytest.mark.parametrize("path", ["add_customers$", "remove_customers$"])
@pytest.mark.parametrize(
    "settings", [{}, {"visible_after": 0.1}, {"visible_after": 0.1, "fresh_share": 0.5}], ids=str
)
def test_a_write_that_is_dropped_is_sent_again_after_a_while(
    sandbox, segment, sync, patience, path: str, settings: dict[str, Any]
) -> None:
    patience("0.3")
    sandbox.configure(**settings)
    dropped = sandbox.faults.add("drop", path=path)
    assert_true(sync(), segment)
    assert dropped.met == 1
    assert len(writes(sandbox)) >= 3  # more, where it was late to show


@pytest.mark.parametrize("path", ["add_customers$", "remove_customers$"])
def test_a_write_that_is_always_dropped_is_no_success(sandbox, segment, sync, patience, path: str) -> None:
    patience("0.1", timeout="0.6")
    sandbox.configure(visible_after=0.05, fresh_share=0.5)
    sandbox.faults.add("drop", path=path, times=0)
    with pytest.raises(exceptions.VerificationError):
        sync()


@pytest.mark.parametrize("page", range(1, 4))
def test_a_removal_that_is_hidden_by_a_shift_of_the_pages_is_not_taken_as_done(
    sandbox, segment, sync, patience, page: int
) -> None:
    """Of two removals, the first shows while the pages are read, so that some pages move up."""
    patience("0.3")
    first, other = segment.members[0], segment.members[6]
    sandbox.configure(visible_after=600)

    def one_is_lost(request: Any) -> None:
        segment.by_hand_add([other])
        sandbox.configure(visible_after=0)

    def the_other_shows(request: Any) -> None:
        segment.by_hand_remove([first])

    sandbox.at_request(one_is_lost, path="customer_count$", after=2)
    sandbox.at_request(the_other_shows, path=PAGES, after=4 + page)
    joins = sandbox.workspace.person("joins")
    sandbox.at_request(lambda request: segment.by_hand_add([joins]), path="customer_count$", after=2)
    assert_true(sync(), segment)


@pytest.mark.parametrize("page", range(4))
@pytest.mark.parametrize("action", ["end_early", "no_identifiers"])
def test_pages_that_are_left_out_prove_no_removal(
    sandbox, segment, sync, patience, action: str, page: int
) -> None:
    patience("0.3")
    sandbox.faults.add("drop", path="remove_customers$")
    sandbox.at_request(
        lambda request: sandbox.faults.add(action, after=page), api="track", path="remove_customers$"
    )
    assert_true(sync(), segment)


def test_somebody_else_who_joins_during_the_read_is_seen(sandbox, segment, sync, patience) -> None:
    patience("0.1", timeout="0.6")
    stranger = sandbox.workspace.add_person(id="stranger")
    sandbox.at_request(lambda request: segment.by_hand_add([stranger]), path=PAGES, after=5)
    with pytest.raises(exceptions.VerificationError, match="1 unexpected"):
        sync()


def test_writes_of_a_try_that_failed_may_still_come(sandbox, segment, sync, patience) -> None:
    """So the next try does not end with the first read that shows its own writes."""
    patience("0.1", timeout="0.3")
    lost = sandbox.faults.add("drop", path="customers$", times=0)
    with pytest.raises(exceptions.VerificationError):
        sync()
    sandbox.faults.clear()
    patience("1", timeout="2")
    stranger = sandbox.workspace.add_person(id="stranger")
    late = threading.Timer(0.3, lambda: segment.by_hand_add([stranger]))
    sandbox.at_request(lambda request: late.start(), path="remove_customers$")
    with pytest.raises(exceptions.VerificationError, match="1 unexpected"):
        sync()
    late.join()
    assert lost.met
