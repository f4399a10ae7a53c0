"""The main paths of the operator, in each position of each switch for what the vendors leave open."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks import membership
from airflow_provider_cio_cohort.sandbox.settings import Settings
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import PLAN_KEY
from tests.integration.operator.test_sync import members

#: Positions of switches; the one that is usual goes without saying.
SWITCHES: dict[str, tuple[Any, ...]] = {
    "answers_cohort_id": (True, False),
    "archived_listed": (True, False),
    "blank_last_line": (False, True),
    "cio_prefix": (True, False),
    "completed_text": ("JOB COMPLETED", "JOB_COMPLETED"),
    "compressed": (True, False),
    "compressed_twice": (False, True),
    "content_length": (True, False),
    "count_after": (-1, 0.05),
    "crlf": (True, False),
    "description_limit": (0, 20, 110),
    "duplicate_column": (True, False),
    "email_identifies": (True, False),
    "empty_export": ("header", "nothing", "newline", "list", "no_content", "not_found"),
    "encoding": ("", "UTF-8", "aws-chunked", "gzip, gzip", "br"),
    "encoding_header": (True, False),
    "fresh_share": (0, 0.5),
    "id_limit": ("bytes", "characters"),
    "identifiers_trimmed": (True, False),
    "ids_as_numbers": (True, False),
    "inline_rows": (0, 1000),
    "last_line_end": (True, False),
    "last_next": ("empty", "null", "absent", "empty_page"),
    "leading_tab": (True, False),
    "lookup_allowed": (True, False),
    "lookup_refuses": ("", "^u-7$"),
    "lookup_wrapped": (True, False),
    "missing_columns": (True, False),
    "name_limit": (0, 4),
    "name_rewrite": ("", "trim", "collapse"),
    "null_when_empty": (True, False),
    "numbers_per_workspace": (True, False),
    "property_prefix": ("", "gp:"),
    "redirect_form": ("absolute", "scheme_relative", "relative", "unusual"),
    "redirect_hops": (1, 5),
    "removal_needs_id": (True, False),
    "retry_after": (True, False),
    "track_takes_email": (True, False),
    "unique_names": (True, False),
    "unknown_status": (400, 404),
    "visible_after": (0, 0.05),
    "wrong_region_track": ("401", "redirect", "success"),
}
USUAL = Settings()
POSITIONS = [
    ("limits", False),  # each switch in its usual position
    *(
        (name, value)
        for name, values in SWITCHES.items()
        for value in values
        if value != getattr(USUAL, name)
    ),
]
USERS = [f"u-{n}" for n in range(1, 10)] + ["17", "x" * 150]


@pytest.fixture(params=POSITIONS, ids=lambda position: f"{position[0]}-{position[1]}")
def world(request, sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Both vendors with a switch in one of its positions; people with and without an e-mail address."""
    name, value = request.param
    monkeypatch.setattr(membership, "MEMBERS_PER_PAGE", 4)
    for option, seconds in (
        ("VERIFY_TIMEOUT", "5"),
        ("VERIFY_STABLE_SECONDS", "0.06"),
        ("VERIFY_INTERVAL", "0.01"),
    ):
        monkeypatch.setenv(f"AIRFLOW__CIO_COHORT__{option}", seconds)
    sandbox.configure(**{"limits": False, name: value})
    if name.startswith("redirect"):
        sandbox.configure(inline_rows=0)
    if name == "fresh_share":  # the other servers are late
        sandbox.configure(visible_after=0.05)
    sandbox.add_workspace(site_id="o", tracking_key="o", app_key="o").add_segment(name="Power users")
    for user in USERS:
        sandbox.workspace.add_person(id=user, email=None if user == "17" else f"{user[:9]}@x.test")
    return sandbox


@pytest.fixture
def sync(sync, world) -> Any:
    """Run a sync, and wait until all servers show what it has written, as they do before the next run."""

    def run(**parameters: Any) -> Any:
        try:
            return sync(**parameters)
        finally:
            time.sleep(world.settings.visible_after)

    return run


def make_cohort(world, users: list[str], **more: Any) -> None:
    rows = [
        {"amplitude_id": str(n), "user_id": user, "mail": f"{user[:9]}@x.test"}
        for n, user in enumerate(users)
    ]
    world.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows, **more)


def segment_of(world) -> str:
    return next(each.name for each in world.workspace.segments.values())


def test_a_first_sync_churn_and_nothing_to_do(world, sync) -> None:
    make_cohort(world, [*USERS[:6], "ghost"])
    first = sync()
    name = segment_of(world)
    assert members(world, name) == set(USERS[:6])
    assert (first["added"], first["unmatched"]) == (6, 1)
    make_cohort(world, [*USERS[2:], "ghost"])
    second = sync()
    assert members(world, name) == set(USERS[2:])
    assert (second["removed"], second["segment_after"]) == (2, len(USERS) - 2)
    third = sync(skip_unchanged=True)
    assert (third["to_remove"], third["added"]) == (0, 0)
    assert members(world, name) == set(USERS[2:])
    assert len(world.workspace.segments) == 1


def test_only_adding(world, sync) -> None:
    guest = world.workspace.add_person(id="guest")
    world.workspace.add_segment(name="Power users", members=[guest])
    make_cohort(world, USERS[:3])
    assert sync(mode="add_only")["added"] == 3
    assert members(world) == {"guest", *USERS[:3]}


def test_by_email(world, sync) -> None:
    make_cohort(world, USERS[:6])
    mapping = {"user_id_property": "mail", "id_type": "email"}
    if not world.settings.email_identifies:
        with pytest.raises(exceptions.MappingError):
            sync(**mapping)
        assert world.workspace.segments == {}
        return
    if world.settings.missing_columns:
        with pytest.raises(exceptions.MissingPropertyError):
            sync(**mapping)
        return
    sync(**mapping)
    make_cohort(world, USERS[2:6])
    assert sync(**mapping)["removed"] == 2
    assert members(world, segment_of(world)) == set(USERS[2:6])


def test_back_to_a_snapshot(world, sync, tmp_path) -> None:
    keep = {"snapshot_path": f"file://{tmp_path}"}
    make_cohort(world, USERS[:5])
    sync(**keep)
    make_cohort(world, USERS[3:8])
    sync(**keep, allow_large_removal=True)
    oldest = min(each.name.partition("__")[0] for each in tmp_path.glob("*/*/*"))
    moment = f"{oldest[:4]}-{oldest[4:6]}-{oldest[6:11]}:{oldest[11:13]}:{oldest[13:-1]}+00:00"
    report = sync(**keep, source="snapshot", snapshot_at=moment, allow_large_removal=True)
    assert report["source"] == "snapshot"
    assert members(world, segment_of(world)) == set(USERS[:5])


def test_a_dry_run_and_its_approval(world, sync, xcoms) -> None:
    make_cohort(world, USERS)
    sync()
    make_cohort(world, USERS[:2])
    limits = {"max_removal_percent": 0}
    assert sync(dry_run=True, **limits)["to_remove"] == len(USERS) - 2
    plan = xcoms.pushed[PLAN_KEY]
    assert plan["guards"] == ["large_removal"]
    with pytest.raises(exceptions.GuardTrippedError):
        sync(**limits)
    assert sync(approved_plan=plan, **limits)["removed"] == len(USERS) - 2
    assert members(world, segment_of(world)) == set(USERS[:2])


def test_a_cohort_that_becomes_empty(world, sync) -> None:
    make_cohort(world, USERS[:6])
    sync()
    make_cohort(world, [])
    with pytest.raises(exceptions.GuardTrippedError):
        sync()
    assert members(world, segment_of(world)) == set(USERS[:6])
    assert sync(allow_empty_cohort=True)["removed"] == 6
    assert members(world, segment_of(world)) == set()


def test_an_address_that_is_none_of_the_workspace(world, sync) -> None:
    """Whatever the Track API makes of addresses: where they do not identify people, none is sent."""
    make_cohort(world, USERS[:6])
    sync()
    world.configure(email_identifies=False)
    before = members(world, segment_of(world))
    with pytest.raises(exceptions.PermanentError):
        sync(user_id_property="mail", id_type="email")
    assert members(world, segment_of(world)) == before
