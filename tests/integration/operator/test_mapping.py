"""A key that one whole side lacks is no difference: the mapping is wrong, and nothing is written."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.engine.guards import FLOOR
from airflow_provider_cio_cohort.sync.target import describe
from tests.integration.operator.test_export import exports
from tests.integration.operator.test_sync import writes

OWNED = describe("a1b2c3d", None, "mirror")
BY_MAIL = {"user_id_property": "mail", "id_type": "email"}


def world(sandbox, count: int = 20, *, in_segment: bool = True) -> Any:
    """Make people, a cohort of all of them, and the segment with them in it, or empty."""
    people = [sandbox.workspace.add_person(id=f"u-{n}", email=f"u-{n}@x.test") for n in range(count)]
    rows = [
        {
            "amplitude_id": str(n),
            "user_id": person.id,
            "mail": person.email,
            "phone": f"+49{n}",
            "nickname": "",
        }
        for n, person in enumerate(people)
    ]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    members = people if in_segment else []
    return sandbox.workspace.add_segment(name="Power users", description=OWNED, members=members)


def refused(sync, sandbox, segment, **parameters: Any) -> str:
    """Make a try that must be refused with nothing written, and return what it says."""
    before = set(segment.members)
    sandbox.reset_requests()
    with pytest.raises(exceptions.MappingError) as caught:
        sync(**parameters)
    assert set(segment.members) == before
    assert writes(sandbox) == []
    assert "@x.test" not in str(caught.value)
    return str(caught.value)


def test_email_where_the_workspace_does_not_use_it_is_found_before_an_export_is_spent(sandbox, sync) -> None:
    sandbox.configure(email_identifies=False)
    segment = world(sandbox)
    words = refused(sync, sandbox, segment, **BY_MAIL)
    assert "does not identify people by email" in words
    assert exports(sandbox) == 0


@pytest.mark.parametrize("lookup_allowed", [True, False])
@pytest.mark.parametrize("track_takes_email", [True, False])
def test_email_where_the_workspace_does_not_use_it_removes_nobody(
    sandbox, sync, lookup_allowed: bool, track_takes_email: bool
) -> None:
    sandbox.configure(
        email_identifies=False, lookup_allowed=lookup_allowed, track_takes_email=track_takes_email
    )
    segment = world(sandbox)
    refused(sync, sandbox, segment, **BY_MAIL)


@pytest.mark.parametrize("count", [3, FLOOR, FLOOR + 1, 60])
@pytest.mark.parametrize(
    "mapping",
    [
        {"user_id_property": "mail", "id_type": "id"},
        {"user_id_property": "user_id", "id_type": "email"},
        {"user_id_property": "amplitude_id", "id_type": "id"},
        {"user_id_property": "user_id", "id_type": "cio_id"},
        {"user_id_property": "nickname", "id_type": "id"},
    ],
)
def test_a_wrong_mapping_removes_nobody_whatever_the_size(sandbox, sync, count: int, mapping) -> None:
    segment = world(sandbox, count)
    words = refused(sync, sandbox, segment, **mapping)
    assert repr(mapping["user_id_property"]) in words
    assert mapping["id_type"] in words
    assert f"{count:,} rows" in words
    assert f"the segment has {count:,} members" in words
    assert "allow_no_match" in words


@pytest.mark.parametrize("flags", [{}, {"allow_large_removal": True, "allow_empty_cohort": True}])
@pytest.mark.parametrize("mode", ["mirror", "add_only"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_no_other_permission_lets_it_pass_in_any_mode(sandbox, sync, flags, mode: str, dry_run: bool) -> None:
    segment = world(sandbox, 30)
    more = {"allow_short_cohort": True, "allow_low_match": True, "adopt_segment": True} if flags else {}
    parameters = {**flags, **more, "mode": mode, "dry_run": dry_run, "user_id_property": "nickname"}
    refused(sync, sandbox, segment, **parameters)


@pytest.mark.parametrize("mapping", [{"user_id_property": "phone"}, {"user_id_property": "nickname"}])
@pytest.mark.parametrize(("count", "is_refused"), [(FLOOR, False), (FLOOR + 1, True)])
def test_a_first_fill_may_match_nobody_up_to_a_floor(
    sandbox, sync, caplog, mapping, count: int, is_refused: bool
) -> None:
    segment = world(sandbox, count, in_segment=False)
    if is_refused:
        refused(sync, sandbox, segment, **mapping)
        return
    with caplog.at_level(logging.WARNING):
        report = sync(**mapping)
    assert segment.members == []
    assert report["match_rate"] in (None, 0.0)
    assert "None of the cohort's 20" in caplog.text


def test_its_own_permission_lets_it_pass(sandbox, sync) -> None:
    segment = world(sandbox, 30, in_segment=False)
    assert sync(user_id_property="phone", allow_no_match="True")["match_rate"] == 0.0
    other = sandbox.workspace.add_person(id="other")
    segment.by_hand_add([other])
    assert sync(user_id_property="phone", allow_no_match=True)["removed"] == 1


def test_a_complete_turnover_of_real_people_is_legitimate(sandbox, sync) -> None:
    segment = world(sandbox, 15)
    joining = [sandbox.workspace.add_person(id=f"new-{n}") for n in range(15)]
    rows = [{"amplitude_id": str(n), "user_id": person.id} for n, person in enumerate(joining)]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    report = sync()
    assert (report["added"], report["removed"]) == (15, 15)
    assert set(segment.members) == set(joining)


def test_members_without_the_key_are_not_removed_for_the_lack_of_it(sandbox, sync) -> None:
    strangers = [sandbox.workspace.add_person(id=f"only-id-{n}") for n in range(5)]
    sandbox.workspace.add_segment(name="Power users", description=OWNED, members=strangers)
    sandbox.workspace.add_person(id="1", email="ann@x.test")
    rows = [{"amplitude_id": "1", "mail": "ann@x.test"}]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    segment = sandbox.workspace.find_segment("Power users")
    assert "None of the segment's 5 members has the identifier email" in refused(
        sync, sandbox, segment, **BY_MAIL
    )
    # Nobody would be removed, and somebody matches: that is what add_only is for.
    assert sync(mode="add_only", **BY_MAIL)["added"] == 1


def test_where_nobody_may_look_people_up_a_turnover_is_refused(sandbox, sync) -> None:
    sandbox.configure(lookup_allowed=False)
    segment = world(sandbox, 5)
    sandbox.workspace.add_person(id="new")
    rows = [{"amplitude_id": "1", "user_id": "new"}]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    assert "does not say whether the cohort's identifiers" in refused(sync, sandbox, segment)
    assert sync(allow_no_match=True)["removed"] == 5


def test_where_nobody_may_look_people_up_a_fill_without_arrivals_fails(sandbox, sync) -> None:
    sandbox.configure(lookup_allowed=False)
    segment = world(sandbox, FLOOR + 1, in_segment=False)
    with pytest.raises(exceptions.CohortSyncError):
        sync(user_id_property="phone")
    assert segment.members == []


@pytest.mark.parametrize(("known", "is_said"), [(10, True), (25, False)])
def test_a_low_match_is_a_warning(sandbox, sync, caplog, known: int, is_said: bool) -> None:
    for n in range(known):
        sandbox.workspace.add_person(id=f"u-{n}")
    rows = [{"amplitude_id": str(n), "user_id": f"u-{n}"} for n in range(30)]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    assert sync()["added"] == known
    assert ("of the cohort exists in Customer.io" in caplog.text) is is_said
