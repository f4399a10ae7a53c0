"""
The doctor's probe: asks Customer.io what only a write shows, in a throwaway segment with one test person.

Nobody but the test person is ever written, apart from made-up identifiers that no person has; no attribute of
anybody is written at all.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from airflow_provider_cio_cohort.doctor.asking import (
    REQUESTS_PER_SECOND,
    Ask,
    ProbeStoppedError,
    ask_each,
    failed,
    paced,
)
from airflow_provider_cio_cohort.doctor.lines import Finding, Status
from airflow_provider_cio_cohort.doctor.person import (
    LookUp,
    Person,
    cio_id_of,
    look_up,
    people_with_email,
)
from airflow_provider_cio_cohort.doctor.probe_segments import (
    ask_data_driven,
    ask_long_name,
    ask_page,
    ask_same_name,
)
from airflow_provider_cio_cohort.doctor.probe_writes import (
    ask_again,
    ask_batch,
    ask_case,
    ask_cio_id,
    ask_email,
    ask_long_ids,
    ask_unknown_id,
    ask_white_space,
    known,
)
from airflow_provider_cio_cohort.doctor.stage import ACCEPTED, Stage
from airflow_provider_cio_cohort.doctor.throwaway import Throwaways
from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.people import identifiers_in

#: How often the time until a write shows is measured.
ROUNDS = 5
#: Seconds for which the first write may take to show.
TIMEOUT = 120.0
#: Seconds after which a write without an effect has none, at least.
SETTLE = 5.0


def probe(
    hook: CustomerIOHook,
    person: str,
    *,
    id_type: str = "id",
    rounds: int = ROUNDS,
    dynamic_segment: int | None = None,
    requests_per_second: float = REQUESTS_PER_SECOND,
    timeout: float = TIMEOUT,
    settle: float = SETTLE,
) -> Iterator[Finding]:
    """
    Ask with writes, and yield the lines one by one.

    Every segment that is made is removed again, whatever happens: at the end, when the generator is closed or
    interrupted, and at the start of the next probe if the process was killed. Close the generator (see
    :func:`contextlib.closing`): otherwise, an error between two lines may leave the segment until the end of
    the process.

    :param person: the identifier of the one test person.
    :param id_type: its kind: ``id``, ``email`` or ``cio_id``.
    :param rounds: how often the time until a write shows is measured.
    :param dynamic_segment: a data-driven segment to which adding the test person is tried; ``None`` for none.
    :param requests_per_second: the pace of all requests together.
    :param timeout: seconds for which the first write may take to show.
    :param settle: seconds after which a write without an effect has none, at least.
    """
    with paced(requests_per_second, hook.app_client, hook.track_client):
        throwaways = Throwaways(hook)
        try:
            found, remain = throwaways.remove_left_overs()
        except CohortSyncError as error:
            yield failed("probe.left_overs", error)
            return
        yield _left_overs(found, remain)
        stage = Stage(hook, throwaways, person, id_type, timeout, settle)
        remain = 0
        try:
            yield from ask_each(
                _questions(stage, person, id_type, rounds, dynamic_segment), ("probe.person", "probe.lag")
            )
        finally:
            remain = throwaways.remove()
        yield _removed(remain)


def _questions(
    stage: Stage, person: str, id_type: str, rounds: int, dynamic_segment: int | None
) -> list[tuple[str, Ask]]:
    before: list[LookUp] = []
    questions: dict[str, Callable[[Stage], Iterator[Finding]]] = {
        "probe.person": partial(_ask_person, person=person, id_type=id_type, before=before),
        "probe.lag": partial(_ask_lag, rounds=rounds),
        "probe.page": ask_page,
        "probe.again": ask_again,
        "probe.batch": ask_batch,
        "probe.email": ask_email,
        "probe.cio_id": ask_cio_id,
        "probe.unknown_id": ask_unknown_id,
        "probe.case": ask_case,
        "probe.white_space": ask_white_space,
        "probe.long_ids": ask_long_ids,
        "probe.same_name": ask_same_name,
        "probe.long_name": ask_long_name,
        "probe.data_driven": partial(ask_data_driven, segment_id=dynamic_segment),
        "probe.attributes": partial(_ask_attributes, before=before),
        "probe.latency": _ask_latency,
    }
    return [(name, partial(ask, stage)) for name, ask in questions.items()]


def _ask_person(stage: Stage, person: str, id_type: str, before: list[LookUp]) -> Iterator[Finding]:
    """Look the test person up, and make sure that the identifier names one person only."""
    found = look_up(stage.hook, person, id_type)
    name, advice = (
        "probe.person",
        "Name a test person who exists in the workspace, and the kind of identifier.",
    )
    if found.status == ACCEPTED and len(found.people) != 1:
        raise ProbeStoppedError(
            f"The identifier of the test person names {len(found.people)} people.", advice
        )
    if found.status not in (ACCEPTED, 403):
        raise ProbeStoppedError(
            f"To look up an identifier of this kind is refused with HTTP {found.status}.", advice
        )
    facts: dict[str, Any] = {"customer_io.look_up_allowed": found.status == ACCEPTED}
    if found.people:
        facts["customer_io.look_up_wrapped"] = found.is_wrapped
        shown = identifiers_in(found.profiles[0])
        if cio_id := cio_id_of(found.profiles[0]):
            stage.person = Person(shown["id"], shown["email"], cio_id)
        before.append(look_up(stage.hook, *stage.surest))
    elif id_type == "email" and len(people_with_email(stage.hook, person) or ()) != 1:
        raise ProbeStoppedError("It is not certain that one person alone has the e-mail address.", advice)
    yield Finding(
        name,
        Status.OK if found.people else Status.WARNING,
        "The test person was looked up." if found.people else "The App API key may not look people up.",
        "" if found.people else "The membership shows who the test person is; some questions are not asked.",
        facts=facts,
    )


def _ask_lag(stage: Stage, rounds: int) -> Iterator[Finding]:
    """Measure how long writes take to show, and whether the test person can be removed."""
    status = stage.measure(True)
    if status == ACCEPTED and stage.membership_lags[-1] is None:
        status = stage.measure(True)  # Customer.io drops writes now and then
    if stage.membership_lags[-1] is None:
        how = f"within {stage.timeout:g} s" if status == ACCEPTED else f"HTTP {status}"
        raise ProbeStoppedError(
            f"The test person could not be added to the throwaway segment ({how}).",
            _why_not_added(stage, status),
        )
    person = known(stage)
    for number in range(max(rounds, 1)):
        if number and (stage.measure(True) != ACCEPTED or stage.membership_lags[-1] is None):
            break  # to remove nobody shows nothing
        if stage.measure(False) == ACCEPTED and stage.membership_lags[-1] is None:
            stage.measure(False)
        is_removed = stage.membership_lags[-1] is not None
        stage.removes = stage.removes or is_removed
        if not is_removed:
            break
    membership, count = _seen(stage.membership_lags), _seen(stage.count_lags)
    facts: dict[str, Any] = {
        "customer_io.membership_lag_median": round(statistics.median(membership), 2),
        "customer_io.membership_lag_longest": round(max(membership), 2),
    }
    if count:
        facts["customer_io.count_lag_median"] = round(statistics.median(count), 2)
        facts["customer_io.count_lag_longest"] = round(max(count), 2)
    if not person.id:
        facts["customer_io.removes_without_id"] = stage.removes
    yield Finding(
        "probe.lag",
        Status.OK if stage.removes else Status.WARNING,
        f"{len(membership)} of {len(stage.membership_lags)} writes showed in the membership: "
        f"{_spread(membership)}; {len(count)} in the count: {_spread(count)}.",
        "" if stage.removes else "The test person cannot be removed: syncs report such members.",
        facts=facts,
    )


def _why_not_added(stage: Stage, status: int) -> str:
    if status not in (ACCEPTED, 404):
        return "Name another test person, or another kind of identifier."
    advice = (
        "The keys may belong to two workspaces: check that Site ID, Tracking API key and App API key are of "
        "one workspace."
    )
    if status != ACCEPTED:
        return advice
    return (
        f"{advice} If they are not, whoever has the test person's identifier in the other workspace may have "
        f"been added to its segment {stage.segment.id}: look there."
    )


def _seen(lags: list[float | None]) -> list[float]:
    return sorted(lag for lag in lags if lag is not None)


def _spread(lags: list[float]) -> str:
    if not lags:
        return "none in time"
    return (
        f"{lags[0]:.2f} s at least, {statistics.median(lags):.2f} s in the middle, {lags[-1]:.2f} s at most"
    )


def _ask_attributes(stage: Stage, before: list[LookUp]) -> Iterator[Finding]:
    """Compare the test person's attributes with those at the start."""
    if not before or not before[0].people:
        return
    after = look_up(stage.hook, *stage.surest)
    old, new = (
        [(profile.get("attributes"), identifiers_in(profile)) for profile in found.profiles]
        for found in (before[0], after)
    )
    yield Finding(
        "probe.attributes",
        Status.OK if old == new else Status.WARNING,
        f"The test person's attributes are {'as before' if old == new else 'not as before'}.",
        "" if old == new else "The doctor writes none: something else has changed them meanwhile.",
    )


def _ask_latency(stage: Stage) -> Iterator[Finding]:
    latencies = [client.latency or 0 for client in (stage.hook.app_client, stage.hook.track_client)]
    yield Finding(
        "probe.latency",
        Status.OK,
        f"The quickest responses took {latencies[0]:.3f} s (App API) and {latencies[1]:.3f} s (Track API).",
        facts={"customer_io.quickest_response": round(max(latencies), 3)},
    )


def _left_overs(found: int, remain: int) -> Finding:
    if remain:
        return _removed(remain, "probe.left_overs")
    seen = f"{found} throwaway segments of an earlier probe were removed." if found else "There are none."
    return Finding("probe.left_overs", Status.OK, seen)


def _removed(remain: int, name: str = "probe.removed") -> Finding:
    if not remain:
        return Finding(name, Status.OK, "Every throwaway segment was removed.")
    return Finding(
        name,
        Status.WARNING,
        f"{remain} throwaway segments may remain in the workspace.",
        "No sync uses them.",
        "Run the doctor with --probe again, or delete them in Customer.io: their names begin with "
        "'cohort-sync doctor: may be deleted'.",
    )
