"""The vendors' own state, the syncs and their runs: what a model of them looks at."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.amplitude import Job
from airflow_provider_cio_cohort.sandbox.customer_io import Workspace
from airflow_provider_cio_cohort.sandbox.faults import Fault
from airflow_provider_cio_cohort.sandbox.segments import Person
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
    PLAN_KEY,
    AmplitudeCohortToCustomerIOOperator,
)
from tests.integration.operator.conftest import AssetStores, Store, Xcoms, resume
from tests.model import matching

COHORTS = ("aaaaaaa", "bbbbbbb")
#: Stand in every identifier, and nowhere else: no message, report or store may hold them. In lower case.
MARKS = ("zqz", "4815162342")
IDS = [
    *(f"zqz{n}" for n in range(10)),
    "zqz1 ",
    "\u00a0zqz2",
    "ZQZ3",
    "zqz" + "é" * 73,
    "zqz" + "y" * 147,
    "4815162342",
    "04815162342",
]
#: Identifiers in exports that no person has; some people have one that is nearly the same.
NOBODY = ["zqzunknown", "zqz2 ", "zqz4\u3000", "Zqz5", "zqz6\u200b", "zqz" + "y" * 148, "zqz" + "é" * 74]
EMAILS = [f"Zqz{n}@x.Test" for n in range(8)]
#: Rows of an id and an address that are not one person's: of two people, or of a person by the second only.
PAIRS = [
    ("zqz1", EMAILS[2]),
    ("zqz3", EMAILS[1].upper()),
    ("zqznew1", EMAILS[5]),
    ("zqznew2", EMAILS[6].upper()),
    ("zqznew3", EMAILS[0]),
    ("zqznew3", "zqznobody@x.test"),
    ("", EMAILS[4]),
    ("zqz2", ""),
    ("", EMAILS[7]),
]
SEGMENTS = ("Power users", "By mail", "By both", "Beside others")
#: The number of a segment whose members are computed from time to time.
EVERYBODY = 11
#: The places of the sync with several identifiers, of the one that removes only whom it has added, and of
#: those that keep snapshots of all.
BOTH, TRACKED = 3, 4
KEEPING = (0, BOTH)

#: Something that happens to the vendors: its name, and what it is about.
Event = tuple[Any, ...]
Place = tuple[str, int]
Everybody = dict[Place, set[str]]


@dataclass
class Away:
    """
    What of Airflow's state stores is out of reach.

    :param which: ``task``, ``asset``, or neither.
    :param reads: whether reads fail as well as writes.
    :param after: how many operations go well first.
    :param failed: whether any has failed.
    """

    which: str = ""
    reads: bool = False
    after: int = 0
    failed: bool = False

    def meet(self, kind: str, *, reads: bool) -> None:
        if kind != self.which or (reads and not self.reads):
            return
        if self.after > 0:
            self.after -= 1
            return
        self.failed = True
        raise RuntimeError("the API server is away")


class FailingStore(Store):
    """A state store that can be out of reach."""

    def __init__(self, away: Away, kind: str) -> None:
        super().__init__()
        self.away = away
        self.kind = kind

    def get(self, key: str, default: Any = None) -> Any:
        self.away.meet(self.kind, reads=True)
        return super().get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.away.meet(self.kind, reads=False)
        super().set(key, json.loads(json.dumps(value)), retention=retention)

    def delete(self, key: str) -> None:
        self.away.meet(self.kind, reads=False)
        super().delete(key)


class FailingAssetStores(AssetStores):
    """The stores of all assets, which can be out of reach."""

    def __init__(self, away: Away) -> None:
        super().__init__()
        self.default_factory = lambda: FailingStore(away, "asset")


@dataclass
class Sync:
    """A sync as its file describes it by now."""

    name: str
    parameters: dict[str, Any]


@dataclass
class Run:
    """A run of a sync: what its tries share, and what became of it."""

    sync: Sync
    flags: dict[str, Any]
    store: Store
    tries: int = 0
    export: dict[str, Any] | None = None
    failed: bool = False
    #: Exports that it has spent, and that it may spend.
    spent: int = 0
    may_spend: int = 1
    #: The export that it has downloaded last, by its number.
    last_job: int = 0
    #: Whether a try since the last success has changed a segment.
    wrote: bool = False
    #: Who was added by a limited run, by the export that it was from.
    limited: dict[str, set[Any]] = field(default_factory=dict)
    #: Whether anything has happened to the world, or to the run's memory, since its first try.
    disturbed: bool = False
    began: int | None = None


@dataclass
class Snapshot:
    """What a run has kept: until when it is the newest, which identifiers, and of which segment."""

    moment: datetime
    values: set[str]
    segment: str
    site: str


@dataclass
class Try:
    """One try of a run, and what was to be seen before and after it."""

    run: Run
    parameters: dict[str, Any]
    before: Everybody
    began: int
    report: dict[str, Any] | None = None
    error: CohortSyncError | None = None
    plan: dict[str, Any] | None = None
    told: str = ""
    used_before: int = 0
    #: World changes that came while it was under way.
    events: int = 0
    killed_at: int | None = None
    after: Everybody = field(default_factory=dict)

    def __str__(self) -> str:
        if self.error is not None:
            return f"{type(self.error).__name__}: {self.error.headline}"
        names = ("segment_id", "unchanged", "dry_run", "to_add", "to_remove", "added", "segment_after")
        return str({name: (self.report or {}).get(name) for name in names})

    @property
    def is_mirror(self) -> bool:
        return bool(self.parameters.get("mode", "mirror") == "mirror")

    @property
    def is_tracked(self) -> bool:
        return bool(self.parameters.get("mode") == "tracked")

    @property
    def is_green(self) -> bool:
        """Whether it has written, or says that there was nothing to write."""
        return self.report is not None and not self.report["dry_run"]


class Logged(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "sandbox" not in record.name and not record.name.startswith(("aiohttp", "asyncio")):
            self.lines.append(record.getMessage())


class World:
    """
    Both vendors, and what was done to them.

    :param folder: where one of the syncs keeps snapshots.
    """

    def __init__(self, folder: str) -> None:
        self.sandbox = Sandbox(people=0, export_seconds=0, limits=False, app_per_second=0)
        self.sandbox.__enter__()
        self.away = Away()
        self.assets = FailingAssetStores(self.away)
        self.dates = count(1)
        self.runs: list[Run] = []
        self.others = self.sandbox.add_workspace(site_id="o-site", tracking_key="o-track", app_key="o-app")
        #: Who was changed by others than the syncs, oldest first: a workspace and a person.
        self.changes: list[tuple[str, str]] = []
        #: People whose identifiers have changed, or are those of somebody who was there before.
        self.renamed: set[str] = set()
        self.now: Try | None = None
        self.operator: AmplitudeCohortToCustomerIOOperator | None = None
        self.cut: Fault | None = None
        self.mixed = False
        #: Where reads and writes of the first connection go.
        self.reads = self.writes = self.sandbox.workspace
        self._make_people()
        self.folder = Path(folder)
        keep = {"snapshot_path": f"file://{folder}"}
        keep_all = {**keep, "unmatched_path": f"file://{folder}"}
        mail = {"user_id_property": "mail", "id_type": "email"}
        both = [{"property": "user_id", "id_type": "id"}, {"property": "mail", "id_type": "email"}]
        by_both = {"segment_name": SEGMENTS[2], "identifiers": both, **keep_all}
        self.syncs = [
            Sync("mirror", {"cohort_id": COHORTS[0], "segment_name": SEGMENTS[0], **keep}),
            Sync("adds", {"cohort_id": COHORTS[1], "segment_name": SEGMENTS[0], "mode": "add_only"}),
            Sync("mail", {"cohort_id": COHORTS[1], "segment_name": SEGMENTS[1], **mail}),
            Sync("both", {"cohort_id": COHORTS[0], **by_both}),
            Sync(
                "tracked", {"cohort_id": COHORTS[0], "segment_name": SEGMENTS[3], "mode": "tracked", **keep}
            ),
        ]
        #: What was done, for whoever reads of a failure.
        self.history: list[str] = []
        self.connect()
        self.logged = Logged()
        logging.getLogger().addHandler(self.logged)

    def close(self) -> None:
        logging.getLogger().removeHandler(self.logged)
        self.sandbox.__exit__(None, None, None)

    def _make_people(self) -> None:
        for workspace in (self.sandbox.workspace, self.others):
            for number, each in enumerate(IDS):
                workspace.add_person(id=each, email=EMAILS[number] if number < 5 else None)
        for each in EMAILS[5:7]:
            self.sandbox.workspace.add_person(id=None, email=each)
        everybody = self.sandbox.workspace.add_segment(name="Everybody", type="dynamic")
        assert everybody.id == EVERYBODY
        by_hand = [self.sandbox.workspace._by_id[each] for each in IDS[:2]]
        self.sandbox.workspace.add_segment(name=SEGMENTS[3], members=by_hand)
        self.others.add_segment(name="Unrelated", members=[self.others.person(each) for each in IDS[:3]])
        for cohort_id in COHORTS:
            self.set_cohort(cohort_id, range(4))

    def connect(self, reads: Workspace | None = None, writes: Workspace | None = None) -> None:
        """Let the connection lead to a workspace, or its two halves to one each."""
        self.reads, self.writes = reads or self.sandbox.workspace, writes or self.sandbox.workspace
        self.mixed = self.reads is not self.writes
        connection = self.sandbox.connection_to(self.writes)
        connection["extra"]["app_api_key"] = self.reads.app_key
        os.environ["AIRFLOW_CONN_CUSTOMER_IO_DEFAULT"] = json.dumps(connection)
        amplitude = self.sandbox.connection_to(self.sandbox.project)
        os.environ["AIRFLOW_CONN_AMPLITUDE_DEFAULT"] = json.dumps(amplitude)

    # ---- the world changes

    def set_cohort(self, cohort_id: str, people: Iterable[int], *, listed: bool = True) -> None:
        """Let a cohort hold people, by their places in ``IDS`` and, after it, ``NOBODY`` and ``PAIRS``."""
        rows = []
        ids = [*IDS, *NOBODY]
        for number in people:
            if number >= len(ids):
                each, mail = PAIRS[number - len(ids)]
                rows.append({"amplitude_id": str(number), "user_id": each, "mail": mail, "empty": ""})
                continue
            each = ids[number]
            person = self.sandbox.workspace._by_id.get(each)
            mail = person.email if person and person.email else f"zqznobody{number}@x.test"
            if each in NOBODY:
                mail = f"{EMAILS[number % len(EMAILS)]} "
            mail = mail.upper() if number % 2 else mail
            rows.append({"amplitude_id": str(number), "user_id": each, "mail": mail, "empty": ""})
        if len(rows) % 3 == 2:
            rows.append({"amplitude_id": "99", "user_id": "", "mail": "", "empty": ""})
        made = self.sandbox.project.add_cohort(id=cohort_id, name=cohort_id, rows=rows, listed=listed)
        made.last_computed = next(self.dates) + (int(time.time()) if self.runs else 1_700_000_000)

    def happen(self, event: Event) -> None:
        """Let something happen to the vendors; it is noted whom it is about."""
        if self.now is not None:
            self.now.events += 1
        self.history.append(f"{'during it ' if self.now else ''}{event}")
        name, *about = event
        getattr(self, f"_{name}")(*about)

    def _changed(self, *people: Person, is_renamed: bool = False) -> None:
        self.changes += [(self.sandbox.workspace.site_id, person.cio_id) for person in people]
        if is_renamed:
            self.renamed |= {person.cio_id for person in people}

    def _person(self, number: int) -> Person | None:
        """Return the person who has an id or, behind these, an address."""
        workspace = self.sandbox.workspace
        if number < len(IDS):
            return workspace._by_id.get(IDS[number])
        return workspace._by_email.get(EMAILS[number - len(IDS)].lower())

    def _cohort(self, cohort_id: str, people: Iterable[int], listed: bool) -> None:
        self.set_cohort(cohort_id, people, listed=listed)

    def _by_hand(self, name: str, number: int, joins: bool) -> None:
        segment, person = self.sandbox.workspace.find_segment(name), self._person(number)
        if segment and person:
            self._changed(person)
            (segment.by_hand_add if joins else segment.by_hand_remove)([person])

    def _takes_a_place(self, name: str, number: int) -> None:
        """Let a person into a segment for another, so that the count stays."""
        segment, person = self.sandbox.workspace.find_segment(name), self._person(number)
        if segment and segment.members and person and person not in segment.members:
            other = segment.members[0]
            self._changed(person, other)
            segment.by_hand_remove([other])
            segment.by_hand_add([person])

    def _comes_or_goes(self, number: int) -> None:
        workspace, person = self.sandbox.workspace, self._person(number)
        if person is not None:
            self._changed(person, is_renamed=True)
            workspace.delete_person(person)
        elif number < len(IDS):
            self._changed(workspace.add_person(id=IDS[number]), is_renamed=True)
        else:
            self._changed(workspace.add_person(email=EMAILS[number - len(IDS)]), is_renamed=True)

    def _merge(self, first: int, second: int) -> None:
        primary, secondary = self._person(first), self._person(second)
        if primary and secondary and primary is not secondary:
            self._changed(primary, secondary, is_renamed=True)
            self.sandbox.workspace.merge_people(primary, secondary)

    def _rename(self, number: int, what: str, to: int) -> None:
        """Give a person another id or address that is free, or none."""
        person, free = self._person(number), self._person(to) is None
        if person is None:
            return
        new: Any = None
        if what == "id" and to < len(IDS) and free:
            new = IDS[to]
        if what == "email" and to >= len(IDS) and free:
            new = EMAILS[to - len(IDS)]
        self._changed(person, is_renamed=True)
        self.sandbox.workspace.rename_person(person, **{what: new})

    def _segment(self, name: str, how: str) -> None:
        workspace = self.sandbox.workspace
        segment = workspace.find_segment(name)
        if segment is None:
            return
        if how == "renamed":
            workspace.rename_segment(segment, f"{name} of old")
            return
        size = len(segment.members)
        workspace.delete_segment(segment)
        if how == "anew":
            members = list(workspace.people.values())[-size:] if size else []
            self._changed(*members)
            workspace.add_segment(name=name, members=members)

    def _compute(self) -> None:
        """Let Customer.io compute who is in the segment of everybody."""
        people = self.sandbox.workspace.people.values()
        self.sandbox.workspace.segments[EVERYBODY].by_hand_add(people)

    def everywhere(self) -> Everybody:
        """Return who is in each segment of each workspace, by the identifiers that never change."""
        return {
            (workspace.site_id, segment.id): {person.cio_id for person in segment.members}
            for workspace in self.sandbox.workspaces
            for segment in workspace.segments.values()
            if segment.type == "manual"
        }

    def changed_since(self, began: int, site: str) -> set[str]:
        """Return who of a workspace was changed by others since then."""
        return {cio_id for where, cio_id in self.changes[began:] if where == site}

    # ---- runs

    def new_run(self, which: int, flags: dict[str, Any] | None = None) -> Run:
        run = Run(self.syncs[which], dict(flags or {}), FailingStore(self.away, "task"))
        self.runs.append(run)
        return run

    def attempt(
        self,
        run: Run,
        *,
        edit: dict[str, Any] | None = None,
        meanwhile: Callable[[], object] | None = None,
        stores: bool = True,
        **flags: Any,
    ) -> Try:
        """
        Make a try of a run.

        :param run: the run.
        :param edit: what somebody changes in the sync while its export is awaited.
        :param meanwhile: what happens while its export is awaited.
        :param stores: whether this Airflow has state stores.
        :param flags: what this try is told beside the run's own flags.
        """
        self._let_writes_show()
        run.tries += 1
        run.began = len(self.history) if run.began is None else run.began
        happened = [each for each in self.history[run.began :] if not each.startswith("try ")]
        run.disturbed = run.disturbed or bool(happened) or edit is not None
        xcoms = Xcoms()
        xcoms.try_number = run.tries  # type: ignore[attr-defined]
        context: Any = {"ti": xcoms}
        if stores:
            context |= {"task_state_store": run.store, "asset_state_store": self.assets}
        parameters = {**run.sync.parameters, **run.flags, **flags}
        if run.export is not None:
            parameters["export"] = run.export
        self._begin(run, parameters)
        assert self.now is not None
        try:
            self.now.report = self._operator(parameters).execute(context)
        except TaskDeferred as deferral:
            self.now.told += repr((deferral.trigger.serialize(), deferral.kwargs))
            before = self.now
            if meanwhile is not None:
                self.now = None
                meanwhile()
            self._let_writes_show()
            parameters = {**parameters, **(edit or {})}
            self._begin(run, parameters, told=before.told, used_before=before.used_before)
            self._resume(self._operator(parameters), deferral, context)
        except CohortSyncError as error:
            self.now.error = error
        done, self.now = self.now, None
        self.history.append(
            f"try {run.tries} of {run.sync.name}-{self.runs.index(run)} {parameters} → {done}"
        )
        done.after = self.everywhere()
        done.plan = xcoms.pushed.get(PLAN_KEY)
        kept = [run.store.kept, *(store.kept for store in self.assets.values()), xcoms.pushed, done.report]
        done.told += f"{json.dumps(kept, ensure_ascii=False)} {done.error} {self.logged.lines}"
        self.logged.lines.clear()
        return done

    def _let_writes_show(self) -> None:
        """A task does not run on the heels of another: what was written before it shows."""
        settings = self.sandbox.settings
        if late := max(settings.visible_after, settings.count_after, 0):
            time.sleep(late + 0.01)

    def _begin(
        self, run: Run, parameters: dict[str, Any], told: str = "", used_before: int | None = None
    ) -> None:
        self.sandbox.reset_requests()
        self.now = Try(run, parameters, self.everywhere(), len(self.changes), told=told)
        used = self.sandbox.project.used
        self.now.used_before = used if used_before is None else used_before

    def _operator(self, parameters: dict[str, Any]) -> AmplitudeCohortToCustomerIOOperator:
        self.operator = AmplitudeCohortToCustomerIOOperator(task_id="sync", poll_interval=0.01, **parameters)
        return self.operator

    def _resume(self, operator: Any, deferral: TaskDeferred, context: Any) -> None:
        assert self.now is not None
        for _ in range(3):
            try:
                self.now.report = resume(operator, deferral, context)
                return
            except TaskDeferred as again:
                deferral = again
            except CohortSyncError as error:
                self.now.error = error
                return
        raise AssertionError("the task is deferred for ever")

    def shared_export(self, cohort_id: str) -> dict[str, Any]:
        """Export a cohort for others, as a task of its own does."""
        export: dict[str, Any] = AmplitudeCohortExportOperator(
            task_id="export", cohort_id=cohort_id, properties=["user_id", "mail"], poll_interval=0.01
        ).execute({"task_state_store": Store()})
        return export

    # ---- what is right, by the vendors' own state

    def job_used(self) -> Job | None:
        """Return the export that the last try has downloaded, ``None`` if it has downloaded none."""
        files = [each.path for each in self.sandbox.requests if each.path.endswith("/file")]
        return self.sandbox.project.jobs.get(files[-1].split("/")[-2]) if files else None

    def rows_of(self, job: Job) -> list[Mapping[str, str]]:
        """Return the rows of an export as they came: of a file that ends too early, less."""
        rows = list(job.rows)
        if self.cut is None or not self.cut.met:
            return rows
        downloads = self.sandbox.count("amplitude", "/file$")
        cohort = self.sandbox.project.cohorts[job.cohort_id]
        # A file that ends early once is noticed where the list tells how large the cohort is.
        if self.cut.times and (downloads > 1 or cohort.listed):
            return rows
        return rows[: max(1, int((len(rows) + 1) * self.cut.keep)) - 1]

    def values_of(self, rows: Iterable[Mapping[str, str]], parameters: Mapping[str, Any]) -> set[Any]:
        """
        Return the identifiers in some rows; a tab before one is an artefact of exports.

        With several identifiers, what a row leads to depends on the vendors, so these are the rows.
        """
        if matching.mapping_of(parameters):
            return matching.rows_of(rows, parameters)
        column = parameters.get("user_id_property", "user_id")
        values = {row.get(column, "").lstrip("\t") for row in rows} - {""}
        return {value.lower() for value in values} if parameters.get("id_type") == "email" else values

    def matches(
        self, values: set[str], parameters: Mapping[str, Any], workspace: Workspace, *, once: bool = False
    ) -> set[str]:
        """
        Return who has exactly one of these identifiers; but for the case of an address.

        :param once: whether an address counts that the workspace no longer takes for an identifier.
        """
        people = workspace.people.values()
        if parameters.get("id_type") == "email":
            if not self.sandbox.settings.email_identifies and not once:
                return set()
            return {person.cio_id for person in people if person.email and person.email.lower() in values}
        return {person.cio_id for person in people if person.id in values}

    def out_of_reach(self, workspace: Workspace) -> set[str]:
        """
        Return people whom a run need not be able to add.

        Where Customer.io ignores white space around identifiers, nobody is found by one that has some; and an
        identifier that looks mistyped is sent only after a look-up has found exactly this one.
        """
        settings = self.sandbox.settings
        odd = [p for p in workspace.people.values() if p.id and p.id != p.id.strip()]
        if settings.identifiers_trimmed or not settings.lookup_allowed:
            return {person.cio_id for person in odd}
        refused = settings.lookup_refuses
        return {person.cio_id for person in odd if refused and re.search(refused, str(person.id))}

    def refused(self, parameters: Mapping[str, Any], workspace: Workspace) -> set[str]:
        """Return people by whose identifiers Customer.io refuses to add anybody."""
        pattern, by_mail = self.sandbox.settings.track_refuses, parameters.get("id_type") == "email"
        if not pattern:
            return set()
        known = [
            (p.cio_id, p.email and p.email.lower() if by_mail else p.id) for p in workspace.people.values()
        ]
        return {cio_id for cio_id, value in known if value and re.search(pattern, value)}

    def kept(self, segment: str, kind: str) -> tuple[dict[str, Any], list[str]]:
        """Return the manifest and the lines of the last ``snapshot`` or ``unmatched`` of a segment."""
        manifests = [
            (json.loads(path.read_text(encoding="utf-8")), path)
            for path in self.folder.rglob("manifest.json")
            if (path.parent.parent.name == "unmatched") == (kind == "unmatched")
        ]
        mine = [each for each in manifests if segment in each[0]["identity"]]
        manifest, path = max(mine, key=lambda each: str(each[0]["taken_at"]))
        packed = path.with_name(manifest["content"]).read_bytes()
        return manifest, gzip.decompress(packed).decode().splitlines()

    def without_id(self, workspace: Workspace) -> set[str]:
        """Return people who have no id."""
        return {person.cio_id for person in workspace.people.values() if person.id is None}


def moment_now() -> datetime:
    return datetime.now(UTC)
