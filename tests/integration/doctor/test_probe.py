"""A probe touches nobody but the test person, and never tells who that is."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest

from airflow_provider_cio_cohort.doctor.probe_writes import NOBODY
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from tests.integration.doctor.conftest import EMAIL, ID, dump, facts_of, line


def sent(world) -> list[tuple[str, list[str]]]:
    """Collect the identifiers of each request to the Track API."""
    found: list[tuple[str, list[str]]] = []

    def note(request: Any) -> None:
        found.append((request.query["id_type"][0], json.loads(request.body)["ids"]))

    world.at_request(note, api="track", path="_customers$", times=0)
    return found


def test_nobody_else_is_ever_named(world, ask) -> None:
    batches = sent(world)
    before = dump(world)
    computed = world.workspace.find_segment("Computed").id
    ask(dynamic_segment=computed, rounds=3)
    ann = world.workspace.person(ID)
    named = {ID, ID.swapcase(), f" {ID} ", EMAIL, EMAIL.swapcase(), ann.cio_id, f"cio_{ann.cio_id}"}
    values = {value for _, batch in batches for value in batch}
    assert {value for value in values if not value.startswith(NOBODY)} == named
    assert not [value for value in values if value.startswith(NOBODY) and value in world.workspace.people]
    assert dump(world) == before


def test_whose_identifier_looks_like_the_test_persons_is_left_alone(world, ask) -> None:
    others = [
        world.workspace.add_person(id=ID.swapcase(), email="a@x.test"),
        world.workspace.add_person(id=f" {ID} ", email="b@x.test"),
    ]
    world.configure(email_identifies=False, track_takes_email=True)
    others.append(world.workspace.add_person(id="namesake", email=EMAIL))
    batches = sent(world)
    findings = ask()
    values = {value for _, batch in batches for value in batch}
    assert not values & {person.id for person in others}
    assert EMAIL.lower() not in {value.lower() for value in values}
    for name in ("probe.email", "probe.white_space", "probe.case"):
        assert line(findings, name).status == "unknown"


def test_without_the_right_to_look_people_up_only_what_is_certain_is_sent(world, ask) -> None:
    world.configure(lookup_allowed=False)
    world.workspace.add_person(id=ID.swapcase())
    batches = sent(world)
    findings = ask()
    values = {value for _, batch in batches for value in batch}
    assert ID.swapcase() not in values
    assert f" {ID} " not in values
    assert line(findings, "probe.person").status == "warning"
    assert facts_of(findings)["customer_io.cio_id_form"] == "bare"


def test_somebody_else_in_the_throwaway_segment_ends_the_probe(world, ask) -> None:
    before = dump(world)

    def join(_: Any) -> None:
        newest = list(world.workspace.segments.values())[-1]
        newest.by_hand_add([world.workspace.person("u-1")])

    world.at_request(join, api="track", path="add_customers$", after=2)
    findings = ask()
    assert findings[-2].status == "wrong"
    assert "Somebody else" in findings[-2].seen
    assert dump(world) == before


def test_ids_that_become_people_end_the_probe(world, ask) -> None:
    def make(request: Any) -> None:
        for value in json.loads(request.body)["ids"]:
            if value.startswith(NOBODY):
                world.workspace.add_person(id=value)

    world.at_request(make, api="track", path="add_customers$", times=0)
    findings = ask()
    assert facts_of(findings)["customer_io.unknown_id"] == "makes a person"
    made = [person for person in world.workspace.people.values() if (person.id or "").startswith(NOBODY)]
    assert len(made) == 1
    assert [finding.status for finding in findings[-3:]] == ["wrong", "wrong", "ok"]


@pytest.mark.parametrize(
    ("person", "id_type", "setting"),
    [
        ("nobody", "id", {}),
        ("nobody", "id", {"lookup_allowed": False}),
        ("nobody@x.test", "email", {}),
        (EMAIL, "email", {"email_identifies": False}),
        ("nobody@x.test", "email", {"lookup_allowed": False}),
    ],
)
def test_a_person_who_cannot_be_used(world, ask, person: str, id_type: str, setting: dict[str, Any]) -> None:
    world.configure(**setting)
    before = dump(world)
    findings = ask(person, id_type=id_type)
    assert [finding.status for finding in findings[-2:]] == ["wrong", "ok"]
    assert person not in findings[-2].seen
    assert dump(world) == before


@pytest.mark.parametrize("id_type", ["id", "email", "cio_id"])
@pytest.mark.parametrize("allowed", [True, False])
def test_the_person_may_be_named_by_any_identifier(world, ask, id_type: str, allowed: bool) -> None:
    world.configure(lookup_allowed=allowed)
    person = getattr(world.workspace.person(ID), id_type)
    findings = ask(person, id_type=id_type)
    assert facts_of(findings)["customer_io.adds_by_email"] is True
    assert facts_of(findings)["customer_io.cio_id_form"] == "bare"


def test_a_write_that_is_dropped_once_is_no_answer(world, ask) -> None:
    """Of a write without an effect, the second one counts."""
    email_write = {"api": "track", "path": "add_customers$"}
    count = 0

    def drop(request: Any) -> None:
        nonlocal count
        if request.query["id_type"] == ["email"]:
            count += 1
            if count == 1:
                world.faults.add("drop", **email_write)

    world.at_request(drop, **email_write, times=0)
    assert facts_of(ask())["customer_io.adds_by_email"] is True
    assert count == 3  # and one for the address in the other case


@pytest.mark.parametrize("after", [0, 1])
def test_a_removal_that_is_dropped_once_makes_nobody_unremovable(world, ask, after: int) -> None:
    world.workspace.add_person(email="no-id@x.test")
    world.faults.add("drop", api="track", path="remove_customers$", after=after)
    facts = facts_of(ask("no-id@x.test", id_type="email", rounds=3))
    assert facts["customer_io.removes_without_id"] is True


@pytest.mark.parametrize("name", ["email", "cio_id"])
def test_one_identifier_that_removes_a_person_without_an_id_is_enough(world, ask, name: str) -> None:
    """The person is named by the other one, by which nobody is removed."""
    person = world.workspace.add_person(email="no-id@x.test")
    other = {"email": "cio_id", "cio_id": "email"}[name]

    def ignore(request: Any) -> None:
        if request.query["id_type"] == [other]:
            world.faults.add("drop", api="track", path="remove_customers$")

    world.at_request(ignore, api="track", path="remove_customers$", times=0)
    facts = facts_of(ask(getattr(person, other), id_type=other))
    assert facts["customer_io.removes_without_id"] is True


@pytest.mark.parametrize(
    ("refused", "limit"),
    [
        ("", None),
        ("^.{151,}$", "characters"),
        ("^(.{151,}|(?=.*é).{150})$", "bytes"),
        (f"^{NOBODY}", None),
    ],
)
def test_the_limit_of_an_id_shows_where_longer_ones_are_refused(world, ask, refused: str, limit) -> None:
    world.configure(track_refuses=refused)
    findings = ask()
    assert facts_of(findings)["customer_io.id_limit"] == limit
    assert line(findings, "probe.long_ids").status == ("warning" if NOBODY in refused else "ok")


def test_a_data_driven_segment_that_takes_people_is_put_right(world, ask) -> None:
    computed = world.workspace.find_segment("Computed")
    before = dump(world)
    world.configure(dynamic_status=200)
    findings = ask(dynamic_segment=computed.id)
    assert line(findings, "probe.data_driven").status == "warning"
    assert dump(world) == before
    computed.by_hand_add([world.workspace.person(ID)])
    before = dump(world)
    ask(dynamic_segment=computed.id)
    assert dump(world) == before


def test_a_data_driven_segment_that_shows_people_late_is_put_right(world, ask) -> None:
    computed = world.workspace.find_segment("Computed")
    before = dump(world)
    world.configure(dynamic_status=200, count_after=2)
    ask(dynamic_segment=computed.id)
    assert dump(world) == before


def test_a_person_who_stays_in_a_data_driven_segment_is_told_of(world, ask) -> None:
    computed = world.workspace.find_segment("Computed")
    world.configure(dynamic_status=200)
    world.faults.add("drop", api="track", path=f"/{computed.id}/remove_customers$", times=0)
    found = line(ask(dynamic_segment=computed.id), "probe.data_driven")
    assert world.workspace.person(ID) in computed.members
    assert found.status == "wrong"
    assert f"segment {computed.id}" in found.advice


def test_keys_of_two_workspaces_are_named_as_a_cause(world, ask, connect) -> None:
    """The namesake there cannot be told from the test person: that is what the line must say."""
    other = world.add_workspace(site_id="o-site", tracking_key="o-track", app_key="o-app")
    namesake = other.add_person(id=ID)
    theirs = [other.add_segment(name=f"Unrelated {n}") for n in range(3)][-1]
    conn_id = connect("customer_io_default", "mixed", login="o-site", password="o-track")
    findings = ask(hook=CustomerIOHook(conn_id))
    assert namesake in theirs.members
    assert findings[-2].name == "probe.lag"
    assert "two workspaces" in findings[-2].advice
    assert f"segment {theirs.id}" in findings[-2].advice


def test_a_manual_segment_is_not_taken_for_a_data_driven_one(world, ask) -> None:
    batches = sent(world)
    users = world.workspace.find_segment("Power users")
    findings = ask(dynamic_segment=users.id)
    assert line(findings, "probe.data_driven").status == "unknown"
    assert batches
    assert world.count("track", rf"/{users.id}/") == 0


def test_an_attribute_that_changes_meanwhile_is_noticed(world, ask) -> None:
    rename = world.workspace.rename_person
    world.at_request(lambda _: rename(ID, email="new@x.test"), method="POST", path="/v1/segments$", after=1)
    assert line(ask(), "probe.attributes").status == "warning"


def test_no_more_than_a_few_requests_a_second(world, ask) -> None:
    world.configure(unique_names=True)
    began = time.monotonic()
    ask(requests_per_second=60)
    elapsed = time.monotonic() - began
    assert elapsed >= (len(world.requests) - 1) / 60


def test_the_hook_has_its_own_pace_again(world, ask) -> None:
    hook = CustomerIOHook()
    paces = (hook.app_client.rate_limiter, hook.track_client.rate_limiter)
    ask(hook=hook)
    assert (hook.app_client.rate_limiter, hook.track_client.rate_limiter) == paces


@pytest.mark.parametrize("status", [None, 400, 401, 404, 500])
def test_nothing_tells_who_the_person_is(world, ask, caplog, status: int | None) -> None:
    caplog.set_level(logging.DEBUG)
    quoted = {"errors": [{"detail": f"{ID} {EMAIL}"}], "meta": {"errors": [f"'{ID}' {EMAIL}"]}}
    if status:
        for after in range(3, 60, 9):
            world.faults.add("status", status=status, body=quoted, after=after)
    findings = ask(dynamic_segment=world.workspace.find_segment("Computed").id)
    ann, workspace = world.workspace.person(ID), world.workspace
    told = json.dumps([[finding.row(), finding.facts] for finding in findings]) + caplog.text
    for secret in (
        ID,
        EMAIL,
        ann.cio_id,
        workspace.tracking_key,
        workspace.app_key,
        workspace.site_id,
        "Power",
    ):
        assert secret.lower() not in told.lower()
