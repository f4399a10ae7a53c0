"""
Whatever the vendors answer, over real HTTP: our own errors, no key and no person in any message, and an end.

``FUZZ_ANSWERS=100000 pytest tests/fuzz/test_vendor_answers.py`` looks longer, with another seed each time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from hypothesis import HealthCheck, Phase, currently_in_test_context, given, note, settings
from hypothesis import strategies as st

from airflow_provider_cio_cohort.exceptions import CohortSyncError, PermanentError
from airflow_provider_cio_cohort.hooks import customer_io
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.client import HttpTransport
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.recording import Recorder
from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sync import download
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from airflow_provider_cio_cohort.triggers.amplitude import AmplitudeExportTrigger
from tests.fuzz.answers import ANY_BODY, MARK, NO_LIE, Answer, Between, Odd, plans
from tests.integration.operator.conftest import AssetStores, Store, Xcoms, resume

#: How many odd answers are served at least; 0 for a few hundred examples, always the same.
LONG = int(os.environ.get("FUZZ_ANSWERS", "0"))
#: Seconds after which something does not end: far more than any time-out here.
FOR_EVER = 60
COHORT = "a1b2c3d"
IDS = [f"{MARK}{number}" for number in range(30)]
IN_COHORT, IN_SEGMENT = IDS[:20], IDS[10:25]
#: What an answer may cost another export: those with which the vendor says that it has not taken the request.
#: Keys that have worked in the run are tried once more after a 401 or 403.
REFUSED = (401, 403, 429, 503)


def bounded(examples: int) -> settings:
    return settings(
        max_examples=500 if LONG else examples,
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
    )


class Logged(logging.Handler):
    """Keeps what is logged, with tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("airflow_provider_cio_cohort.sandbox"):
            self.lines.append(self.format(record))


@dataclass
class Vendors:
    """Both vendors, with a server of odd answers before them."""

    between: Between
    logged: Logged
    folder: Path
    segment: Any = None
    job: Any = None
    calls: dict[str, Callable[[], object]] = field(default_factory=dict)

    @property
    def sandbox(self) -> Sandbox:
        return self.between.sandbox

    def begin(self) -> None:
        """Put everything back to where it was."""
        self.between.plan([])
        project, workspace = self.sandbox.project, self.sandbox.workspace
        workspace.segments.clear()
        self.segment = workspace.add_segment("Power users", members=IN_SEGMENT)
        self.sandbox.reset_requests()
        project.jobs.clear()
        project.links.clear()
        project.used = 0
        self.job = project.request(COHORT, [])
        self.logged.lines.clear()

    def check_told(self, *more: object) -> None:
        """Nothing that is said holds a key or a person."""
        told = "\n".join([*self.logged.lines, *map(str, more)])
        found = [secret for secret in (MARK, *self.between.secrets) if secret.lower() in told.lower()]
        assert not found, f"{found} in: {told[:5000]}"


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendors]:
    logged = Logged()
    ours, root = logging.getLogger("airflow_provider_cio_cohort"), logging.getLogger()
    levels = ours.level, root.level
    with (
        pytest.MonkeyPatch.context() as patch,
        Sandbox(people=0, export_seconds=0, limits=False, app_per_second=0, inline_rows=0) as sandbox,
        Between(sandbox) as between,
    ):
        for name, value in {
            "VERIFY_TIMEOUT": "0.2",
            "VERIFY_STABLE_SECONDS": "0.005",
            "VERIFY_INTERVAL": "0.005",
            "RETRY_TIMEOUT": "0.05",
            "RETRY_WAIT_INITIAL": "0.001",
            "RETRY_WAIT_MAX": "0.01",
            "READ_TIMEOUT": "0.2",
            "CONNECT_TIMEOUT": "0.5",
        }.items():
            patch.setenv(f"AIRFLOW__CIO_COHORT__{name}", value)
        for conn_id, connection in sandbox.connections().items():
            patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        patch.setattr(customer_io, "APP_REQUESTS_PER_SECOND", 10_000)
        patch.setattr(download, "TOLERATED_ROWS", 0)
        for each in IDS:
            sandbox.workspace.add_person(id=each, email=f"{each}@example.com")
        rows = [{"amplitude_id": str(n), "user_id": each} for n, each in enumerate(IN_COHORT)]
        sandbox.project.add_cohort(id=COHORT, name="Power users", rows=rows)
        root.addHandler(logged)
        root.setLevel(logging.INFO)
        ours.setLevel(logging.DEBUG)
        yield Vendors(between, logged, tmp_path_factory.mktemp("answers"))
    root.removeHandler(logged)
    ours.setLevel(levels[0])
    root.setLevel(levels[1])


def ended(act: Callable[[], Any]) -> Any:
    """Do something that must end: return its result, or our error; any other error is passed on."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(act())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(FOR_EVER)
    if thread.is_alive():
        stack = sys._current_frames()[thread.ident or 0]
        raise AssertionError("it does not end:\n" + "".join(traceback.format_stack(stack)))
    (result,) = found
    if isinstance(result, BaseException) and not isinstance(result, CohortSyncError | TaskDeferred):
        raise AssertionError(f"not one of our errors: {result!r}") from result
    return result


def as_told(result: object) -> str:
    """Return what Airflow would log of a result."""
    if isinstance(result, BaseException):
        return f"{result!r} {''.join(traceback.format_exception(result))}"
    return ""


def again(vendors: Vendors, test: Callable[[], object], share: float) -> None:
    """Repeat a test, until it has served its share of the answers."""
    enough = vendors.between.served + LONG * share
    test()
    while vendors.between.served < enough:
        test()


# ---- each call of a hook


def download_to(vendors: Vendors) -> int:
    return AmplitudeHook().download_export(vendors.job.id, vendors.folder / "export")


def wait_in_triggerer(vendors: Vendors) -> dict[str, Any]:
    trigger = AmplitudeExportTrigger(
        "amplitude_default", vendors.job.id, 0.01, time.time() + 0.1, cohort_id=COHORT
    )

    async def first_event() -> Any:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(first_event())
    assert event["status"] != "broken", vendors.logged.lines
    return dict(event)


CALLS: dict[str, Callable[[Vendors], Any]] = {
    "list_cohorts": lambda _: AmplitudeHook().list_cohorts(),
    "check_amplitude": lambda _: AmplitudeHook().check(),
    "usage": lambda _: AmplitudeHook().usage(),
    "request_export": lambda _: AmplitudeHook().request_export(COHORT, "mail"),
    "export_finished": lambda v: AmplitudeHook().export_finished(v.job.id, COHORT),
    "download_export": download_to,
    "trigger": wait_in_triggerer,
    "test_amplitude": lambda _: AmplitudeHook().test_connection(),
    "run_amplitude": lambda _: AmplitudeHook().run("/api/3/cohorts"),
    "check_track": lambda _: CustomerIOHook().check_track(),
    "test_customer_io": lambda _: CustomerIOHook().test_connection(),
    "list_segments": lambda _: CustomerIOHook().list_segments(),
    "find_segment": lambda _: CustomerIOHook().find_segment("Power users"),
    "get_segment": lambda v: CustomerIOHook().get_segment(v.segment.id),
    "create_segment": lambda _: CustomerIOHook().create_segment("Another", "kept by a test"),
    "delete_segment": lambda v: CustomerIOHook().delete_segment(v.segment.id),
    "count_members": lambda v: CustomerIOHook().count_members(v.segment.id),
    "stream_members": lambda v: len(list(CustomerIOHook().stream_members(v.segment.id))),
    "add_members": lambda v: CustomerIOHook().add_members(v.segment.id, IDS),
    "remove_members": lambda v: CustomerIOHook().remove_members(v.segment.id, IDS),
    "find_people": lambda _: CustomerIOHook().find_people(IDS),
    "accepts_identifier": lambda _: CustomerIOHook().accepts_identifier("email"),
}


def test_hooks_and_trigger(vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
    @bounded(200)
    @given(st.sampled_from(sorted(CALLS)), plans(ANY_BODY, 4), st.booleans())
    def any_answers(name: str, odd: list[Odd], is_recorded: bool) -> None:
        vendors.begin()
        recorder = Recorder() if is_recorded else None
        monkeypatch.setattr(HttpTransport, "recorder", recorder)
        # At this call, an odd answer is met wherever it is for.
        vendors.between.plan([Odd(each.answer, after=min(each.after, 1), times=each.times) for each in odd])
        result = ended(lambda: CALLS[name](vendors))
        told = result if name in ("trigger", "test_amplitude", "test_customer_io") else ""
        vendors.check_told(as_told(result), told, recorder.as_text() if recorder else "")
        if name == "request_export":
            assert requested(vendors) <= 1

    again(vendors, any_answers, 0.8)


# ---- a sync


def requested(vendors: Vendors) -> int:
    """Return how many exports may have been spent since the answers were chosen."""
    asked = [each for each in vendors.between.seen if re.search("/cohorts/request/[^/]*$", each.path)]
    return sum(each.status not in REFUSED for each in asked)


def attempt(vendors: Vendors, store: Store, assets: AssetStores, parameters: dict[str, Any]) -> Any:
    """Make a try of a task; return its report, or its error."""
    xcoms = Xcoms()
    context: Any = {"task_state_store": store, "asset_state_store": assets, "ti": xcoms}
    usual = {"cohort_id": COHORT, "segment_name": "Power users", "poll_interval": 0.01, "export_timeout": 0.2}
    allowed = dict.fromkeys(("adopt_segment", "allow_large_removal", "allow_large_addition"), True)
    operator = AmplitudeCohortToCustomerIOOperator(task_id="sync", **{**usual, **allowed, **parameters})

    def run() -> Any:
        try:
            return operator.execute(context)
        except TaskDeferred as deferral:
            for _ in range(3):
                try:
                    return resume(operator, deferral, context)
                except TaskDeferred as another:
                    deferral = another
            raise AssertionError("the task is deferred for ever") from None

    result = ended(run)
    kept = [store.kept, *(each.kept for each in assets.values()), xcoms.pushed]
    report = result if isinstance(result, dict) else None
    vendors.check_told(as_told(result), json.dumps([kept, report], ensure_ascii=False))
    return result


def a_sync(vendors: Vendors, odd: list[Odd], parameters: dict[str, Any]) -> Any:
    """Make the tries of a run, as Airflow would; return what the last one came to."""
    with TemporaryDirectory() as folder:
        kept = {"snapshot_path": f"file://{folder}"} if parameters.get("mode") == "tracked" else {}
        return _tries(vendors, odd, {**parameters, **kept})


def _tries(vendors: Vendors, odd: list[Odd], parameters: dict[str, Any]) -> Any:
    vendors.begin()
    store, assets = Store(), AssetStores()
    vendors.between.plan(odd)
    for number in range(1, 3):
        result = attempt(vendors, store, assets, parameters)
        # What a try does not know to be lost, it does not ask for again; nor does the next one.
        assert requested(vendors) <= number
        if currently_in_test_context():
            note(f"try {number}: {as_told(result)[:1000] or result}")
        if isinstance(result, dict | PermanentError):
            break
    return result


PARAMETERS = st.fixed_dictionaries(
    {"deferrable": st.booleans(), "mode": st.sampled_from(["mirror", "mirror", "add_only", "tracked"])}
)


#: With these, a good run leaves out some of the people.
PARTLY = st.fixed_dictionaries({}, optional={"limit": st.integers(1, 3), "on_guard": st.just("add_only")})


def test_a_sync_is_right_or_fails(vendors: Vendors) -> None:
    """What is not the truth, but no convincing lie either, is never taken for a good sync."""

    @bounded(30)
    @given(plans(NO_LIE, 4), PARAMETERS)
    def spoilt_answers(odd: list[Odd], parameters: dict[str, Any]) -> None:
        result = a_sync(vendors, odd, parameters)
        if isinstance(result, dict):
            found = {person.id for person in vendors.segment.members}
            stay = set() if parameters["mode"] == "mirror" else {*IN_SEGMENT}
            assert found == {*IN_COHORT} | stay, f"a green run, of {len(found)}: {result}"

    again(vendors, spoilt_answers, 0.1)


def test_a_sync_survives_any_lie(vendors: Vendors) -> None:
    @bounded(30)
    @given(plans(ANY_BODY, 4), PARAMETERS, PARTLY)
    def any_answers(odd: list[Odd], parameters: dict[str, Any], partly: dict[str, Any]) -> None:
        a_sync(vendors, odd, {**parameters, **partly})

    again(vendors, any_answers, 0.1)


@pytest.mark.parametrize("path", ["add_customers", "remove_customers", "/customers/attributes"])
def test_an_informational_response_that_nothing_follows_is_not_waited_for(
    vendors: Vendors, path: str
) -> None:
    informational = Answer(done=True, status=199, line=None, headers=(), body=("same",), end="keep")
    result = a_sync(vendors, [Odd(informational, path=path, after=0, times=1)], {"deferrable": False})
    assert isinstance(result, dict), as_told(result)


def test_without_odd_answers_a_sync_is_good(vendors: Vendors) -> None:
    result = a_sync(vendors, [], {"deferrable": True})
    assert isinstance(result, dict), as_told(result)
    assert {person.id for person in vendors.segment.members} == {*IN_COHORT}
