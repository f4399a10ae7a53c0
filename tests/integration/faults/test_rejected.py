"""Identifiers for which Customer.io refuses a whole batch: the others arrive, and nobody is named."""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.batches import FEW_REJECTED, MOST_REFUSALS
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

BAD = "zqz-bad"


@pytest.fixture
def hook(sandbox, connect) -> CustomerIOHook:
    """A hook at a high pace: what is refused takes many small requests."""
    extra = {**sandbox.connections()["customer_io_default"]["extra"], "requests_per_second": 2000}
    hook = CustomerIOHook(connect("customer_io_default", extra=extra))
    hook.policy = replace(hook.policy, retry_wait_initial=0.01)
    return hook


def people(sandbox, count: int) -> list[str]:
    ids = [f"u-{n:05}" for n in range(count)]
    for each in ids:
        sandbox.workspace.add_person(id=each)
    return ids


def bad(sandbox, *numbers: int) -> list[str]:
    """People whose ids the Track API refuses."""
    sandbox.configure(track_refuses=f"^{BAD}")
    ids = [f"{BAD}-{number}" for number in numbers]
    for each in ids:
        sandbox.workspace.add_person(id=each)
    return ids


def cohort_of(sandbox, *users: str) -> None:
    rows = [{"amplitude_id": user, "user_id": user} for user in users]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)


def sent(sandbox, action: str = "add_customers") -> list[int]:
    return [record.ids for record in sandbox.requests if record.path.endswith(action)]


# ---- the hook


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_bad_identifier_spoils_no_batch(sandbox, hook, caplog, status: int) -> None:
    ids, (spoils,) = people(sandbox, 2500), bad(sandbox, 1)
    sandbox.configure(track_refuses_status=status)
    segment = sandbox.workspace.add_segment(name="Some")
    with caplog.at_level(logging.WARNING):
        found = hook.add_members(segment.id, [*ids[:1300], spoils, *ids[1300:]])
    assert (found.count, found.rejected) == (2500, (spoils,))
    assert {person.id for person in segment.members} == set(ids)
    assert len(sent(sandbox)) < 30
    (told,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert f"refused 1 identifiers while changing the members of segment {segment.id} (HTTP {status})" in told
    assert "It said: id *** is not valid ***." in told
    assert spoils not in told
    assert spoils not in repr(found)


def test_a_batch_that_is_too_large_is_sent_in_parts(sandbox, hook) -> None:
    ids = people(sandbox, 1000)
    sandbox.configure(track_max_bytes=3000)
    segment = sandbox.workspace.add_segment(name="Some")
    assert hook.add_members(segment.id, ids).count == 1000
    assert len(segment.members) == 1000


def test_a_refusal_that_passes_rejects_nobody(sandbox, hook) -> None:
    ids = people(sandbox, 10)
    segment = sandbox.workspace.add_segment(name="Some")
    sandbox.faults.add("status", path="add_customers", status=400)
    assert hook.add_members(segment.id, ids).rejected == ()
    assert len(segment.members) == 10


def test_what_is_refused_of_a_removal_does_not_keep_the_others(sandbox, hook) -> None:
    ids, spoils = people(sandbox, 100), bad(sandbox, 1, 2)
    segment = sandbox.workspace.add_segment(name="Some", members=[*ids, *spoils])
    found = hook.remove_members(segment.id, [*spoils, *ids])
    assert (found.count, set(found.rejected)) == (100, set(spoils))
    assert {person.id for person in segment.members} == set(spoils)


@pytest.mark.parametrize(
    "make", [lambda s: {"type": "dynamic"}, lambda s: s.configure(track_refuses=".") or {}]
)
def test_a_request_that_is_refused_whatever_its_values_ends_at_once(sandbox, hook, make: Any) -> None:
    ids = people(sandbox, 5000)
    segment = sandbox.workspace.add_segment(name="Some", **make(sandbox))
    with pytest.raises(exceptions.RequestRejectedError) as caught:
        hook.add_members(segment.id, ids)
    assert caught.value.status == 400
    assert caught.value.headline == (
        f"Customer.io's Track API refused changing the members of segment {segment.id}: HTTP 400."
    )
    assert "It said: " in str(caught.value)
    assert "u-0" not in str(caught.value)
    assert segment.members == []
    # The batches that were under way, and one identifier that nobody has.
    assert sent(sandbox).count(1) == 1
    assert set(sent(sandbox)) == {1, 1000}


def test_values_that_are_all_refused_end_it_early(sandbox, hook) -> None:
    spoils = bad(sandbox, *range(5000))
    segment = sandbox.workspace.add_segment(name="Some")
    with pytest.raises(
        exceptions.RequestRejectedError, match=r"refused \d+ of \d+ identifiers while"
    ) as caught:
        hook.add_members(segment.id, spoils, total=len(spoils))
    assert BAD not in str(caught.value)
    assert "check user_id_property and id_type" in str(caught.value)
    assert len(sent(sandbox)) < MOST_REFUSALS + 10


def test_more_than_a_small_share_ends_it(sandbox, hook) -> None:
    ids, spoils = people(sandbox, 400), bad(sandbox, *range(100))
    segment = sandbox.workspace.add_segment(name="Some")
    mixed = [value for number, each in enumerate(ids) for value in (each, *spoils[number : number + 1])]
    with pytest.raises(exceptions.RequestRejectedError, match=rf"refused {5 * 500 // 100 + 1} of "):
        hook.add_members(segment.id, mixed, total=len(mixed))


def test_a_few_are_no_small_share_of_a_few(sandbox, hook) -> None:
    spoils = bad(sandbox, *range(FEW_REJECTED))
    segment = sandbox.workspace.add_segment(name="Some")
    assert len(hook.add_members(segment.id, spoils).rejected) == FEW_REJECTED


def test_many_among_many_are_isolated_wherever_they_are(sandbox, hook) -> None:
    ids, spoils = people(sandbox, 2000), bad(sandbox, *range(40))
    segment = sandbox.workspace.add_segment(name="Some")
    for values in ([*spoils, *ids], [*ids, *spoils]):
        found = hook.add_members(segment.id, values, total=len(values))
        assert (found.count, set(found.rejected)) == (2000, set(spoils))


def test_nothing_is_halved_once_it_was_stopped(sandbox, hook) -> None:
    ids, spoils = people(sandbox, 900), bad(sandbox, 1)
    segment = sandbox.workspace.add_segment(name="Some")
    sandbox.at_request(lambda request: hook.stop(), api="track", path="add_customers", after=4)
    with pytest.raises(exceptions.SyncStoppedError):
        hook.add_members(segment.id, [*ids, *spoils])
    assert len(sent(sandbox)) <= 6


def test_parts_keep_to_the_pace(sandbox, hook, monkeypatch) -> None:
    people(sandbox, 10)
    (spoils,) = bad(sandbox, 1)
    segment = sandbox.workspace.add_segment(name="Some")
    limiter, reserved = hook.track_client.rate_limiter, []
    reserve = limiter.reserve
    monkeypatch.setattr(limiter, "reserve", lambda: reserved.append(1) or reserve())
    hook.add_members(segment.id, [*(f"u-{n:05}" for n in range(10)), spoils])
    assert len(reserved) == len(sent(sandbox))


def test_a_part_that_meets_a_fault_is_retried(sandbox, hook) -> None:
    ids, spoils = people(sandbox, 100), bad(sandbox, 1)
    segment = sandbox.workspace.add_segment(name="Some")
    met = sandbox.faults.add("status", path="add_customers", status=503, after=3, times=2)
    assert hook.add_members(segment.id, [*ids, *spoils]).rejected == tuple(spoils)
    assert met.met == 2
    assert len(segment.members) == 100


def test_a_lone_surrogate_is_left_out(sandbox, hook) -> None:
    ids = people(sandbox, 3)
    segment = sandbox.workspace.add_segment(name="Some")
    found = hook.add_members(segment.id, [*ids, "zqz\udc80"])
    assert (found.count, found.rejected) == (3, ("zqz\udc80",))
    assert hook.add_members(segment.id, ["zqz\udc80"]).count == 0
    assert hook.find_people([*ids, "zqz\udc80"]).refused == 1
    assert len(segment.members) == 3


def test_letters_outside_ascii_are_sent_as_utf_8(sandbox, hook) -> None:
    person = sandbox.workspace.add_person(id="é" * 50)
    segment = sandbox.workspace.add_segment(name="Some")
    hook.add_members(segment.id, [person.id])
    hook.find_people([person.id])
    assert segment.members == [person]
    sizes = [record.received for record in sandbox.requests if record.ids]
    assert len(sizes) == 2
    assert max(sizes) < 150


def test_both_clients_ask_for_gzip_alone(sandbox, hook) -> None:
    segment = sandbox.workspace.add_segment(name="Some")
    hook.add_members(segment.id, ["u-1"])
    hook.count_members(segment.id)
    AmplitudeHook().list_cohorts()
    assert {record.headers["Accept-Encoding"] for record in sandbox.requests} == {"gzip"}
    assert {record.api for record in sandbox.requests} == {"amplitude", "track", "app"}


def test_an_empty_answer_to_a_write_is_as_good_as_any(sandbox, hook) -> None:
    ids = people(sandbox, 3)
    segment = sandbox.workspace.add_segment(name="Some")
    sandbox.faults.add("empty_after", path="_customers", times=0)
    hook.add_members(segment.id, ids)
    assert len(segment.members) == 3
    hook.remove_members(segment.id, ids[:1])
    assert len(segment.members) == 2
    assert (len(sent(sandbox)), len(sent(sandbox, "remove_customers"))) == (1, 1)


@pytest.mark.parametrize("status", [400, 401, 503])
def test_batches_that_fail_together_leave_no_exception_behind(sandbox, hook, caplog, status: int) -> None:
    ids = people(sandbox, 20_000)
    segment = sandbox.workspace.add_segment(name="Some")
    sandbox.configure(latency_ms=50)  # so that many are under way
    sandbox.faults.add("status", path="add_customers", status=status, times=0)
    with caplog.at_level(logging.ERROR, asyncio.__name__), pytest.raises(exceptions.CohortSyncError):
        hook.add_members(segment.id, ids)
    gc.collect()  # that is when asyncio complains
    assert len(sent(sandbox)) > 1
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


#: A vendor that refuses one spelling of a ``cio_id``, and perhaps whatever does not look like one.
SPELLINGS = {
    "without a prefix": (False, "^cio_"),
    "with a prefix": (True, "^(?!cio_)"),
    "without a prefix, of that form": (False, "^(?![0-9a-f]{12}$)"),
    "with a prefix, of that form": (True, "^(?!cio_[0-9a-f]{12}$)"),
}


@pytest.mark.parametrize("needs", SPELLINGS)
@pytest.mark.parametrize("given", ["", "cio_"])
@pytest.mark.parametrize("count", [1, 1100])
def test_each_spelling_of_a_cio_id_is_tried(sandbox, hook, needs: str, given: str, count: int) -> None:
    prefix, refuses = SPELLINGS[needs]
    persons = [sandbox.workspace.add_person(id=f"u-{n}") for n in range(count)]
    segment = sandbox.workspace.add_segment(name="Some")
    sandbox.configure(cio_prefix=prefix, track_refuses=refuses)
    values = [f"{given}{person.cio_id}" for person in persons]
    found = hook.add_members(segment.id, values, "cio_id", total=count)
    assert (found.count, found.rejected) == (count, ())
    assert len(segment.members) == count
    assert hook.remove_members(segment.id, values, "cio_id").rejected == ()
    assert segment.members == []


@pytest.mark.parametrize("needs", SPELLINGS)
def test_a_bad_cio_id_is_isolated_in_each_spelling(sandbox, hook, needs: str) -> None:
    prefix, refuses = SPELLINGS[needs]
    persons = [sandbox.workspace.add_person(id=f"u-{n}") for n in range(100)]
    segment = sandbox.workspace.add_segment(name="Some")
    sandbox.configure(cio_prefix=prefix, track_refuses=f"{refuses}|zqz")
    values = [person.cio_id for person in persons]
    found = hook.add_members(segment.id, [*values[:50], BAD, *values[50:]], "cio_id")
    assert (found.count, found.rejected) == (100, (BAD,))
    assert len(segment.members) == 100


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_cio_ids_that_are_refused_in_each_spelling_end_it(sandbox, hook, count: int) -> None:
    segment = sandbox.workspace.add_segment(name="Some", type="dynamic")
    values = [sandbox.workspace.add_person(id=f"u-{n}").cio_id for n in range(count)]
    with pytest.raises(exceptions.RequestRejectedError, match="segment is not a manual segment") as caught:
        hook.add_members(segment.id, values, "cio_id", total=count)
    assert "refused changing the members of segment" in caught.value.headline
    assert len(sent(sandbox)) <= 2 * MOST_REFUSALS + 10


# ---- a sync


@pytest.mark.parametrize("needs", SPELLINGS)
@pytest.mark.parametrize("lookup", [True, False])
def test_a_sync_by_cio_id_where_one_spelling_is_refused(sandbox, sync, needs: str, lookup: bool) -> None:
    prefix, refuses = SPELLINGS[needs]
    sandbox.configure(track_refuses=refuses, lookup_allowed=lookup)
    persons = [sandbox.workspace.add_person(id=f"u-{n}") for n in range(5)]
    cohort_of(sandbox, *(person.cio_id for person in persons))
    sandbox.configure(cio_prefix=prefix)
    report = sync(id_type="cio_id", user_id_property="user_id", allow_no_match=True)
    assert (report["added"], report["rejected"]) == (5, 0)


def test_the_others_arrive_and_the_run_counts_who_was_rejected(sandbox, cohort, sync, caplog) -> None:
    cohort("a", "b", "c")
    spoils = bad(sandbox, 1, 2)
    cohort_of(sandbox, "a", "b", "c", "ghost", *spoils)
    with caplog.at_level(logging.INFO):
        report = sync()
    segment = sandbox.workspace.find_segment("Power users")
    assert {person.id for person in segment.members} == {"a", "b", "c"}
    assert (report["added"], report["segment_after"]) == (3, 3)
    assert (report["rejected"], report["unmatched"], report["match_rate"]) == (2, 1, 0.5)
    assert "Customer.io refuses 2 identifiers of the cohort" in caplog.text
    assert BAD not in caplog.text
    # The next run is as good, and no retry is asked for.
    again = sync()
    assert (again["to_add"], again["added"], again["rejected"], again["unmatched"]) == (3, 0, 2, 1)


def test_a_cohort_of_one_whom_customer_io_refuses(sandbox, cohort, sync) -> None:
    """Nothing can be written then, and so nothing proves the keys."""
    cohort_of(sandbox, *bad(sandbox, 1))
    report = sync()
    assert (report["added"], report["rejected"], report["unmatched"]) == (0, 1, 0)
    assert sync()["rejected"] == 1


@pytest.mark.parametrize("allowed", [True, False])
def test_keys_are_proven_by_somebody_who_is_not_refused(sandbox, cohort, sync, allowed: bool) -> None:
    cohort("a", "b")
    sandbox.configure(lookup_allowed=allowed)
    cohort_of(sandbox, *bad(sandbox, 1, 2, 3), "a", "b")
    report = sync()
    assert (report["added"], report["rejected"]) == (2, 3)


def test_a_mistake_of_the_mapping_is_an_error_and_nobody_is_named(sandbox, cohort, sync) -> None:
    cohort(*(f"u-{n}" for n in range(5)))
    cohort_of(sandbox, *(f"u-{n}" for n in range(5)), *bad(sandbox, *range(100)))
    with pytest.raises(exceptions.RequestRejectedError) as caught:
        sync()
    assert BAD not in str(caught.value)
    assert caught.value.segment_touched is not False


def test_a_removal_that_customer_io_refuses_is_an_error_that_no_retry_mends(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    spoils = bad(sandbox, 1)
    sandbox.configure(track_refuses="")
    cohort_of(sandbox, "a", "b", *spoils)
    sync()
    sandbox.configure(track_refuses=f"^{BAD}")
    cohort_of(sandbox, "a")
    with pytest.raises(exceptions.NotRemovableError) as caught:
        sync()
    segment = sandbox.workspace.find_segment("Power users")
    assert {person.id for person in segment.members} == {"a", *spoils}
    assert caught.value.headline == f"Customer.io refuses to remove 1 people from segment {segment.id}."
    assert BAD not in str(caught.value)
    segment.by_hand_remove([sandbox.workspace.person(spoils[0])])
    assert sync()["segment_after"] == 1


def test_who_is_refused_is_no_reason_to_run_again_where_nothing_has_changed(sandbox, cohort, sync) -> None:
    cohort("a")
    spoils = bad(sandbox, 1)
    cohort_of(sandbox, "a", *spoils)
    sync(skip_unchanged=True)
    report = sync(skip_unchanged=True)
    assert (report["unchanged"], report["rejected"]) == (True, 1)


def test_a_sync_whose_writes_are_answered_with_nothing(task) -> None:
    task.sandbox.faults.add("empty_after", api="track", path="_customers", times=0)
    task.assert_as_without_faults(task.run())
    assert task.errors == []
