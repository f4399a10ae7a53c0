"""Which identifiers exist in Customer.io, whatever shape the answers have."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks import people
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

LOOKUP = "/v1/customers/attributes$"


@pytest.fixture
def hook(sandbox) -> CustomerIOHook:
    sandbox.configure(app_per_second=0)
    hook = CustomerIOHook()
    hook.app_client.rate_limiter.gap = 0  # thousands of requests need not take minutes
    return hook


def add(sandbox, count: int) -> list[str]:
    ids = [f"u-{number:05}" for number in range(count)]
    for each in ids:
        sandbox.workspace.add_person(id=each, email=f"{each}@Example.com")
    return ids


def asked(sandbox) -> list[int]:
    return [record.ids for record in sandbox.requests if record.path.endswith("/attributes")]


def answer(sandbox, customers: Any, times: int = 1) -> Any:
    return sandbox.faults.add("status", path=LOOKUP, status=200, body={"customers": customers}, times=times)


@pytest.mark.parametrize("wrapped", [True, False])
def test_those_who_exist_are_counted_and_listed(sandbox, hook: CustomerIOHook, wrapped: bool) -> None:
    sandbox.configure(lookup_wrapped=wrapped)
    ids = add(sandbox, 250)
    found = hook.find_people(value for each in ids for value in (each, f"no-{each}"))
    assert (found.count, found.refused) == (250, 0)
    assert sorted(found.identifiers) == ids
    assert asked(sandbox) == [100] * 5
    assert "u-0" not in repr(found)
    assert hook.find_people([]).count == 0


def test_an_address_is_listed_as_customer_io_writes_it(sandbox, hook: CustomerIOHook) -> None:
    add(sandbox, 1)
    found = hook.find_people(["U-00000@example.COM", "other@example.com"], "email")
    assert (found.count, found.identifiers) == (1, ["u-00000@Example.com"])


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize(
    ("id_type", "customer", "identifiers"),
    [
        ("id", {"id": "", "identifiers": {"id": "u-1", "cio_id": "a1"}}, ["u-1"]),
        ("id", {"id": "u-1"}, ["u-1"]),
        ("id", {"id": 17, "identifiers": None}, ["17"]),
        ("cio_id", {"id": "u-1", "identifiers": {"id": "u-1", "cio_id": "a1"}}, ["a1"]),
        ("email", {"id": "u-1", "identifiers": {"email": "A@x.io"}}, ["A@x.io"]),
        ("email", {"id": "u-1", "attributes": {"email": "a@x.io"}}, ["a@x.io"]),
        ("email", {"id": "u-1", "identifiers": {"email": None}, "attributes": None}, []),
        ("id", {}, []),
    ],
)
def test_a_person_is_read_in_either_shape(sandbox, hook, wrapped, id_type, customer, identifiers) -> None:
    answer(sandbox, [{"customer": customer} if wrapped else customer])
    found = hook.find_people(["x"], id_type)
    assert (found.count, found.identifiers) == (1, identifiers)


def test_a_person_counts_once_and_no_more_than_were_asked_for(sandbox, hook: CustomerIOHook) -> None:
    one, other = ({"identifiers": {"id": f"u-{n}", "cio_id": f"a{n}"}} for n in (1, 2))
    answer(sandbox, [one, one])
    assert hook.find_people(["u-1", "U-1"]).count == 1
    answer(sandbox, [one, other])
    assert hook.find_people(["u-1"]).count == 1
    answer(sandbox, [one], times=0)
    found = hook.find_people(f"u-{number}" for number in range(300))
    assert (found.count, found.identifiers) == (1, ["u-1"])


@pytest.mark.parametrize("body", [{}, {"customers": {}}, {"customers": ["u-1"]}, []])
def test_an_answer_without_people_is_no_answer(sandbox, hook: CustomerIOHook, body: object) -> None:
    add(sandbox, 1)
    met = sandbox.faults.add("status", path=LOOKUP, status=200, body=body)
    assert hook.find_people(["u-00000"]).count == 1
    assert met.met == 1


def test_null_is_nobody(sandbox, hook: CustomerIOHook) -> None:
    answer(sandbox, None)
    assert hook.find_people(["u-1"]).count == 0


@pytest.mark.parametrize(
    ("needs_prefix", "refuses"), [(True, ""), (True, "^(?!cio_)"), (False, ""), (False, "^cio_")]
)
@pytest.mark.parametrize("given", ["", "cio_"])
def test_a_cio_id_is_looked_up_in_each_spelling(
    sandbox, hook, needs_prefix: bool, refuses: str, given: str
) -> None:
    known = [sandbox.workspace.add_person(id=f"u-{number}").cio_id for number in range(150)]
    sandbox.configure(cio_prefix=needs_prefix, lookup_refuses=refuses)
    found = hook.find_people([f"{given}{cio_id}" for cio_id in [*known, "abc"]], "cio_id")
    assert (found.count, sorted(found.identifiers)) == (150, sorted(known))


def test_what_is_refused_does_not_hide_the_others(sandbox, hook: CustomerIOHook) -> None:
    ids = add(sandbox, 300)
    sandbox.configure(lookup_refuses="^bad")
    values = [*ids[:150], "bad-1", *ids[150:], "bad-2", "bad-3", "unknown"]
    found = hook.find_people(values)
    assert (found.count, found.refused) == (300, 3)
    assert sorted(found.identifiers) == ids


def test_a_single_identifier_may_be_refused(sandbox, hook: CustomerIOHook) -> None:
    sandbox.configure(lookup_refuses="^bad")
    assert hook.find_people(["bad-1"]) == people.FoundPeople(0, [], 1, 1, [], ["bad-1"])


def test_a_batch_that_is_too_large_is_halved(sandbox, hook: CustomerIOHook) -> None:
    ids = add(sandbox, 100)
    sandbox.faults.add("status", path=LOOKUP, status=413)
    assert hook.find_people(ids).count == 100
    assert asked(sandbox) == [100, 1, 50, 50]


def test_batches_are_not_halved_without_end(sandbox, hook: CustomerIOHook, monkeypatch) -> None:
    monkeypatch.setattr(people, "MOST_HALVINGS", 3)
    sandbox.configure(lookup_refuses="^bad")
    found = hook.find_people(f"bad-{number}" for number in range(300))
    assert (found.count, found.refused) == (0, 300)
    assert asked(sandbox) == [100, 1, 50, 25, 12, 13, 25, 50, 100, 100]


@pytest.mark.parametrize("count", [1, 50])
def test_a_kind_that_the_workspace_has_not_enabled_is_an_error(sandbox, hook, count: int) -> None:
    sandbox.configure(email_identifies=False)
    values = [f"person-{number}@example.com" for number in range(count)]
    with pytest.raises(exceptions.RequestRejectedError, match="looking people up: HTTP 400") as caught:
        hook.find_people(values, "email")
    assert "person-" not in str(caught.value)
    assert asked(sandbox) == [count, 1]


def test_whether_a_kind_is_accepted_is_asked_with_one_plain_value(sandbox, hook: CustomerIOHook) -> None:
    assert [hook.accepts_identifier(kind) for kind in ("id", "email", "cio_id")] == [True] * 3
    sandbox.configure(email_identifies=False)
    assert [hook.accepts_identifier(kind) for kind in ("id", "email", "cio_id")] == [True, False, True]
    sandbox.configure(lookup_allowed=False)
    assert hook.accepts_identifier("email") is None
    sandbox.faults.add("status", path=LOOKUP, status=404)
    assert hook.accepts_identifier("email") is None
    assert set(asked(sandbox)) <= {0, 1}


def test_a_key_that_may_not_look_people_up_says_so(sandbox, hook: CustomerIOHook) -> None:
    sandbox.configure(lookup_allowed=False)
    with pytest.raises(exceptions.AuthenticationError, match="looking people up"):
        hook.find_people(["u-1"])


def test_no_batch_is_looked_up_after_a_child_was_cancelled(sandbox, hook: CustomerIOHook) -> None:
    cancel = CancelToken()

    def values():
        for number in range(1000):
            if number == 250:
                cancel.cancel()
            yield f"u-{number}"

    with pytest.raises(exceptions.SyncStoppedError, match="stopped before looking people up"):
        hook.find_people(values(), "id", cancel)
    assert asked(sandbox) == [100, 100]


def test_many_are_looked_up_in_blocks_and_the_log_tells_how_far(sandbox, hook, caplog) -> None:
    ids = add(sandbox, 450)
    hook.policy = replace(hook.policy, progress_interval=1e-9)
    values = [*ids, "unknown"]
    with caplog.at_level(logging.INFO):
        blocks = list(hook.find_people_in_blocks(values, total=451, size=200))
    assert [value for block, _ in blocks for value in block] == values
    assert [found.count for _, found in blocks] == [200, 200, 50]
    told = [record.getMessage() for record in caplog.records if "Looking people up" in record.getMessage()]
    assert len(told) == 5
    assert told[-1].startswith("Looking people up: 451 of 451 identifiers, ")
    assert not any(each in caplog.text for each in ids)


def test_a_look_up_in_blocks_ends_where_its_caller_ends(sandbox, hook) -> None:
    ids = add(sandbox, 450)
    next(hook.find_people_in_blocks(ids, total=450, size=200))
    assert sum(asked(sandbox)) == 200
