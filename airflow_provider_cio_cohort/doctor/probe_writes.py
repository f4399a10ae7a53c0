"""What a probe asks about identifiers: which of them Customer.io takes, and which writes have an effect."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from airflow_provider_cio_cohort.doctor.asking import ProbeStoppedError
from airflow_provider_cio_cohort.doctor.lines import Finding, Status
from airflow_provider_cio_cohort.doctor.person import (
    Person,
    cio_id_of,
    look_up,
    people_with_email,
)
from airflow_provider_cio_cohort.doctor.stage import ACCEPTED, Stage
from airflow_provider_cio_cohort.hooks.customer_io_api import CIO_PREFIX

#: What an identifier that no person has begins with, so that it is recognised wherever it shows up.
NOBODY = "cohort-sync-doctor-"
#: Bytes, or characters, of the longest ``id``.
MOST_ID = 150
#: Identifiers of a full batch.
BATCH = 1_000


def unknown_id() -> str:
    """Return an ``id`` that surely no person has."""
    return f"{NOBODY}{secrets.token_hex(16)}"


def known(stage: Stage) -> Person:
    """Return the test person, whom Customer.io has shown."""
    if stage.person is None:
        stage.place(True)
    assert stage.person is not None  # noqa: S101
    return stage.person


def ask_again(stage: Stage) -> Iterator[Finding]:
    """Add a member again, twice in one request, and remove a person twice."""
    stage.place(True)
    value, id_type = stage.surest
    statuses = [stage.write("add", [value], id_type), stage.write("add", [value, value], id_type)]
    stays = stage.shows(True) and stage.count() <= 1
    facts: dict[str, Any] = {}
    if stage.removes:
        stage.place(False)
        statuses.append(stage.write("remove", [value], id_type))
        stays = stays and stage.shows(False)
    is_fine = stays and set(statuses) == {ACCEPTED}
    facts["customer_io.repeated_writes"] = "no effect" if is_fine else f"HTTP {max(statuses)}"
    yield Finding(
        "probe.again",
        Status.OK if is_fine else Status.WARNING,
        "To add a member again, or to remove a person again, is accepted and has no effect."
        if is_fine
        else f"To add a member again, or to remove a person again, is answered with HTTP {max(statuses)}.",
        "Retries may send the same people twice." if is_fine else "Retries that send people twice may fail.",
        facts=facts,
    )


def ask_batch(stage: Stage) -> Iterator[Finding]:
    """Send a full batch: the test person a thousand times."""
    value, id_type = stage.surest
    status = stage.write("add", [value] * BATCH, id_type)
    is_fine = status == ACCEPTED
    yield Finding(
        "probe.batch",
        Status.OK if is_fine else Status.WARNING,
        f"A batch of {BATCH:,} identifiers is answered with HTTP {status}.",
        "" if is_fine else "Syncs halve a batch that is refused, which takes many more requests.",
        facts={"customer_io.full_batch_status": status},
    )


def ask_email(stage: Stage) -> Iterator[Finding]:
    """Add and remove the test person by the e-mail address."""
    person, name = known(stage), "probe.email"
    if person.email is None:
        yield _not_asked(name, "Customer.io shows no e-mail address of the test person")
        return
    if people_with_email(stage.hook, person.email) != {person.cio_id}:
        yield _not_asked(name, "it is not certain that nobody else has the e-mail address")
        return
    added_status, adds = stage.has_effect("add", person.email, "email")
    removed_status, removes = stage.has_effect("remove", person.email, "email")
    facts: dict[str, Any] = {"customer_io.adds_by_email": adds, "customer_io.removes_by_email": removes}
    yield Finding(
        name,
        Status.OK if adds and removes else Status.WARNING,
        f"By e-mail address, adding {_effect(added_status, adds)}, "
        f"removing {_effect(removed_status, removes)}.",
        _meaning_of_email(adds, removes),
        facts=facts | _removed_without_id(person, removes),
    )


def ask_cio_id(stage: Stage) -> Iterator[Finding]:
    """Add and remove the test person by ``cio_id``, with and without ``cio_``."""
    person = known(stage)
    forms = {"bare": person.cio_id, "prefixed": f"{CIO_PREFIX}{person.cio_id}"}
    adds = [form for form, value in forms.items() if stage.has_effect("add", value, "cio_id")[1]]
    removes = [form for form, value in forms.items() if stage.has_effect("remove", value, "cio_id")[1]]
    accepted, removed = _either(adds), _either(removes)
    facts = {"customer_io.cio_id_form": accepted, "customer_io.removes_by_cio_id": removed}
    yield Finding(
        "probe.cio_id",
        Status.OK if adds and removes else Status.WARNING,
        f"By cio_id, adding works with the form: {accepted}; removing with: {removed}.",
        "" if adds and removes else "Syncs with id_type cio_id cannot change everybody.",
        facts=facts | _removed_without_id(person, bool(removes)),
    )


def ask_unknown_id(stage: Stage) -> Iterator[Finding]:
    """Add an ``id`` that no person has."""
    stage.place(False)
    value = unknown_id()
    status = stage.write("add", [value], "id")
    if look_up(stage.hook, value, "id").people:
        yield Finding(
            "probe.unknown_id",
            Status.WRONG,
            "An id that no person has: Customer.io makes a person of it.",
            "Syncs would make people of everybody in the cohort who does not exist in Customer.io.",
            f"Delete the person in Customer.io whose id begins with {NOBODY}.",
            {"customer_io.unknown_id": "makes a person"},
        )
        raise ProbeStoppedError("Made-up identifiers are not harmless here.")
    stage.shows(True)  # waits, and stops the probe if anybody is in the segment
    answer = "ignored" if status == ACCEPTED else f"refused with HTTP {status}"
    yield Finding(
        "probe.unknown_id",
        Status.OK if status == ACCEPTED else Status.WARNING,
        f"An id that no person has: {answer}.",
        "Syncs send everybody of the cohort, also people who do not exist in Customer.io.",
        facts={"customer_io.unknown_id": answer},
    )


def ask_case(stage: Stage) -> Iterator[Finding]:
    """Add the test person by identifiers in the other case."""
    person, facts, seen = known(stage), {}, []
    expected = {"id": False, "email": True}
    for id_type, value in (("id", person.id), ("email", person.email)):
        if value is None or value.swapcase() == value:
            continue
        outcome = _variant(stage, value.swapcase(), id_type)
        if outcome is None:
            continue
        status, ignores_case = outcome
        facts[f"customer_io.{id_type}_ignores_case"] = ignores_case
        seen.append(f"{id_type}: {_effect(status, ignores_case)}")
    is_fine = all(
        facts.get(f"customer_io.{kind}_ignores_case", value) == value for kind, value in expected.items()
    )
    if not facts:
        yield _not_asked("probe.case", "no identifier of the test person has a safe form in the other case")
        return
    yield Finding(
        "probe.case",
        Status.OK if is_fine else Status.WARNING,
        f"In the other case, adding by {'; by '.join(seen)}.",
        "" if is_fine else "Syncs compare ids with regard to case, e-mail addresses without.",
        facts=facts,
    )


def ask_white_space(stage: Stage) -> Iterator[Finding]:
    """Add the test person by identifiers with blanks around them."""
    person, name = known(stage), "probe.white_space"
    # With a cio_id, nobody else can be meant, so that this can be asked without the right to look people up.
    value, id_type = (person.id, "id") if person.id else (person.cio_id, "cio_id")
    found = look_up(stage.hook, f" {value} ", id_type)
    facts: dict[str, Any] = {"customer_io.look_up_of_white_space": found.status}
    outcome = _variant(stage, f" {value} ", id_type)
    if outcome is None:
        yield _not_asked(name, "it is not certain that nobody else has the identifier with blanks", facts)
        return
    status, trims = outcome
    facts["customer_io.ignores_white_space"] = trims
    facts["customer_io.odd_identifier_status"] = status
    yield Finding(
        name,
        Status.WARNING if trims or status != ACCEPTED else Status.OK,
        f"With blanks around it, adding by {id_type} {_effect(status, trims)}.",
        "Syncs take blanks as a part of the identifier.",
        facts=facts,
    )


def ask_long_ids(stage: Stage) -> Iterator[Finding]:
    """Add made-up ids of 150 and 151 bytes, and one of 150 characters in 151 bytes."""
    start = unknown_id()
    made = {
        "150 bytes": start.ljust(MOST_ID, "x"),
        "151 bytes": start.ljust(MOST_ID + 1, "x"),
        "150 characters in 151 bytes": start.ljust(MOST_ID - 1, "x") + "é",
    }
    statuses = {words: stage.write("add", [value], "id") for words, value in made.items()}
    refused = {words for words, status in statuses.items() if status != ACCEPTED}
    own = known(stage).id or ""
    limit = {frozenset(list(made)[1:]): "bytes", frozenset([list(made)[1]]): "characters"}.get(
        frozenset(refused)
    )
    if len(own.encode()) > MOST_ID >= len(own):
        limit = "characters"  # the test person has such an id, and was added by it
    answers = ", ".join(f"{words}: HTTP {status}" for words, status in statuses.items())
    yield Finding(
        "probe.long_ids",
        Status.WARNING if "150 bytes" in refused else Status.OK,
        f"Ids that no person has are answered by length: {answers}.",
        "Syncs leave out ids of more than 150 characters.",
        facts={"customer_io.long_ids": answers, "customer_io.id_limit": limit},
    )


def _variant(stage: Stage, value: str, id_type: str) -> tuple[int, bool] | None:
    """Add the test person by an unusual form of an identifier; ``None`` if it could be somebody else's."""
    person = known(stage)
    if id_type != "cio_id":
        found = look_up(stage.hook, value, id_type)
        owners = {cio_id_of(profile) for profile in found.profiles}
        if found.status != ACCEPTED or owners - {person.cio_id}:
            return None
        if id_type == "email" and (people_with_email(stage.hook, value) or {person.cio_id}) != {
            person.cio_id
        }:
            return None
    return stage.has_effect("add", value, id_type)


def _removed_without_id(person: Person, removes: bool) -> dict[str, Any]:
    """Return the fact that one identifier removes a person without an ``id``, whatever another one does."""
    return {"customer_io.removes_without_id": True} if removes and not person.id else {}


def _effect(status: int, works: bool) -> str:
    if status != ACCEPTED:
        return f"is refused with HTTP {status}"
    return "works" if works else "is accepted and ignored"


def _either(forms: list[str]) -> str:
    return {0: "neither", 1: "".join(forms)}.get(len(forms), "both")


def _meaning_of_email(adds: bool, removes: bool) -> str:
    if not adds:
        return "Syncs with id_type email add nobody."
    return "" if removes else "Syncs with id_type email remove by id where a member has one."


def _not_asked(name: str, reason: str, facts: dict[str, Any] | None = None) -> Finding:
    return Finding(
        name,
        Status.UNKNOWN,
        f"Not asked: {reason}.",
        advice="Name a test person with an id and an e-mail address, and let the App API key look people up.",
        facts=facts or {},
    )
