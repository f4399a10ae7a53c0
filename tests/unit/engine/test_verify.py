"""What a read of a segment proves, and for how long a run waits where it proves too little."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.engine import customer_io, verify
from airflow_provider_cio_cohort.engine.customer_io import SegmentWriter
from airflow_provider_cio_cohort.engine.diff import compare
from airflow_provider_cio_cohort.engine.members import Reader, collect
from airflow_provider_cio_cohort.engine.report import Outcome
from airflow_provider_cio_cohort.engine.sorted_file import write_blocks
from airflow_provider_cio_cohort.engine.verify import Verification, VerifyTimeouts
from airflow_provider_cio_cohort.exceptions import AuthenticationError, VerificationError

TIMEOUTS = VerifyTimeouts(timeout=60, stable_seconds=5, interval=1)


@dataclass
class Clock:
    """A clock that moves only when somebody waits."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


@dataclass
class Page:
    """A page of members who have an ``id`` alone, or a ``cio_id`` alone."""

    ids: Sequence[str | None]

    @property
    def emails(self) -> Sequence[str | None]:
        return [None] * len(self.ids)

    @property
    def cio_ids(self) -> Sequence[str | None]:
        return [f"c{number}" for number, _ in enumerate(self.ids)]


@dataclass
class Found:
    """The answer to a look-up."""

    identifiers: list[str]
    asked: int
    refused: int = 0

    @property
    def count(self) -> int:
        return len(self.identifiers)


@dataclass
class Sent:
    """The answer to a write."""

    count: int
    rejected: tuple[str, ...] = ()


@dataclass
class Read:
    """What a read shows: pages of members, and the counts before and after, by default their number."""

    pages: Sequence[Sequence[str]]
    before: int | None = None
    after: int | None = None

    def count(self, given: int | None) -> int:
        return len({member for page in self.pages for member in page}) if given is None else given


@dataclass
class Store:
    """
    A segment that shows what it is told to.

    :param clock: the clock.
    :param reads: what it shows from which second on.
    :param exist: who exists.
    :param refused: how many identifiers a look-up refuses; -1 if the key may not look people up at all.
    :param answers_a_resend: what it shows from then on when people are added again.
    """

    clock: Clock
    reads: dict[float, Read]
    exist: set[str]
    refused: int = 0
    looked_up: list[list[str]] = field(default_factory=list)
    sent: list[list[str]] = field(default_factory=list)
    readings: int = 0
    answers_a_resend: Read | None = None
    _counted: bool = False

    @property
    def now(self) -> Read:
        return self.reads[max(start for start in self.reads if 1000 + start <= self.clock.now)]

    def count_members(self, segment_id: int) -> int:
        self._counted = not self._counted
        return self.now.count(self.now.before if self._counted else self.now.after)

    def stream_member_pages(self, segment_id: int, *, total: int | None = None) -> Iterator[Page]:
        self.readings += 1
        yield from map(Page, self.now.pages)

    def find_people(self, values: Iterable[str], id_type: str, *, until_found: bool = False) -> Found:
        values = list(values)
        if values and self.refused < 0:
            raise AuthenticationError("no")
        if values:
            self.looked_up.append(values)
        return Found([value for value in values if value in self.exist], len(values), self.refused)

    def find_people_in_blocks(
        self, values: Iterable[str], id_type: str, *, total: int
    ) -> Iterator[tuple[list[str], Found]]:
        block = list(values)
        yield block, self.find_people(block, id_type)

    def add_members(self, segment_id: int, values: Iterable[str], id_type: str, total: int = 0) -> Sent:
        self.sent.append(list(values))
        if self.answers_a_resend is not None:
            self.reads = {0: self.answers_a_resend}
        return Sent(len(self.sent[-1]))

    def remove_members(self, segment_id: int, values: Iterable[str], id_type: str, total: int = 0) -> Sent:
        return Sent(len(list(values)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(verify, "time", made)
    return made


@pytest.fixture
def read_back(clock: Clock, tmp_path: Path) -> Any:
    """
    Read a segment back that had ``a`` and ``b``; the cohort has ``b``, ``c`` and ``ghost``, who is unknown.

    So ``c`` was added, and ``a`` removed.
    """

    def run(reads: dict[float, Read], **more: Any) -> tuple[Outcome, Store]:
        store = Store(clock, reads, exist={"a", "b", "c", "x"}, refused=more.pop("refused", 0))
        store.answers_a_resend = more.pop("answers_a_resend", None)
        before, cohort = tmp_path / "before", tmp_path / "cohort"
        write_blocks(cohort, [more.pop("cohort", ["b", "c", "ghost"])])
        collect([Page(["a", "b"])], "id", before)
        change = compare(cohort, before, tmp_path / "change", id_type="id", remove=True)
        reader = Reader(
            pages=lambda total: store.stream_member_pages(17),
            count=lambda: store.count_members(17),
            segment_id=17,
            id_type="id",
            sleep=clock.sleep,
        )
        made: Any = store
        verification = Verification(
            store=made,
            writer=SegmentWriter(made, 17, "id"),
            reader=reader,
            mirror=True,
            cohort_path=cohort,
            change=change,
            before=2,
            directory=tmp_path,
            timeouts=more.pop("timeouts", TIMEOUTS),
            **more,
        )
        return verification.read_back(), store

    return run


BEFORE, AFTER = Read([["a", "b"]]), Read([["b", "c"]])


def test_one_read_that_shows_every_write_ends_the_run(clock: Clock, read_back: Any) -> None:
    outcome, store = read_back({0: AFTER})
    assert (outcome.added, outcome.removed, outcome.unmatched, outcome.segment_after) == (1, 1, 1, 2)
    assert (clock.pauses, store.readings, store.looked_up, store.sent) == ([], 1, [["ghost"]], [])
    assert outcome.visible_after == 0


def test_who_was_looked_up_before_the_writes_is_not_looked_up_again(clock: Clock, read_back: Any) -> None:
    outcome, store = read_back({0: AFTER}, unknown={"ghost"})
    assert (outcome.unmatched, store.looked_up, clock.pauses) == (1, [], [])


@pytest.mark.parametrize("lag", [0.1, 0.7, 3.0])
def test_late_writes_are_waited_for_in_growing_pauses(clock: Clock, read_back: Any, lag: float) -> None:
    outcome, store = read_back({0: BEFORE, lag: AFTER})
    assert (outcome.added, outcome.removed) == (1, 1)
    assert lag <= outcome.visible_after <= 2 * lag + 0.125
    assert all(later <= 2 * sooner for sooner, later in zip(clock.pauses, clock.pauses[1:], strict=False))
    assert store.sent == []


#: Reads that show the wanted members, or as good as, and yet prove less than everything.
NO_PROOF = {
    "the count before says otherwise": Read([["b", "c"]], before=3, after=3),
    "the count before two pages says otherwise": Read([["b"], ["c"]], before=3),
    "the count after two pages says otherwise": Read([["b"], ["c"]], after=3),
    "a member comes twice, so that another may have been passed over": Read([["b", "c"], ["c"]]),
    "somebody added is not in yet": Read([["b"]]),
    "somebody removed is still in": Read([["a", "b", "c"]]),
    "somebody who was in is not shown": Read([["c"]]),
    "somebody else is in": Read([["b", "c", "x"]]),
}


@pytest.mark.parametrize("read", NO_PROOF.values(), ids=NO_PROOF.keys())
def test_what_proves_too_little_is_read_again_until_it_does(clock: Clock, read_back: Any, read: Read) -> None:
    outcome, store = read_back({0: read, 2: AFTER})
    assert clock.now >= 1002
    assert (outcome.added, outcome.removed, outcome.segment_after, store.sent) == (1, 1, 2, [])


@pytest.mark.parametrize(
    "read", [read for why, read in NO_PROOF.items() if "twice" not in why], ids=lambda read: str(read.pages)
)
def test_what_never_proves_enough_is_no_success(clock: Clock, read_back: Any, read: Read) -> None:
    with pytest.raises(VerificationError):
        read_back({0: read})
    assert clock.now >= 1000 + TIMEOUTS.timeout


def test_members_who_always_come_twice_count_once_the_writes_had_their_time(
    clock: Clock, read_back: Any
) -> None:
    outcome, _ = read_back({0: Read([["b", "c"], ["c"]])})
    assert (outcome.added, outcome.removed) == (1, 1)
    assert clock.now >= 1000 + TIMEOUTS.stable_seconds


@pytest.mark.parametrize("refused", [1, -1])
def test_without_a_look_up_nothing_is_certain_before_the_count_stands_still(
    clock: Clock, read_back: Any, refused: int
) -> None:
    outcome, store = read_back({0: AFTER}, refused=refused)
    assert clock.now >= 1000 + TIMEOUTS.stable_seconds
    assert (outcome.added, outcome.unmatched) == (1, 1)
    assert store.sent == ([["ghost"]] if refused < 0 else [])


def test_without_a_look_up_a_member_list_that_lacks_nobody_is_proof(clock: Clock, read_back: Any) -> None:
    outcome, _ = read_back({0: AFTER}, refused=-1, cohort=["b", "c"])
    assert (outcome.added, outcome.unmatched, clock.pauses) == (1, 0, [])


def test_writes_of_an_earlier_try_may_still_come(clock: Clock, read_back: Any) -> None:
    with pytest.raises(VerificationError):
        read_back({0: AFTER, 3: Read([["b", "c", "x"]])}, unverified_writes=True)


def test_a_lost_write_is_sent_again_once_it_had_its_time(clock: Clock, read_back: Any) -> None:
    outcome, store = read_back({0: Read([["b"]])}, answers_a_resend=AFTER)
    assert (outcome.added, outcome.unmatched, store.sent) == (1, 1, [["c", "ghost"]])
    assert clock.now >= 1000 + TIMEOUTS.stable_seconds


# ---- more missing than are looked up one by one


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A cohort of whom more are unknown than are looked up."""
    for module in (customer_io, verify):
        monkeypatch.setattr(module, "MOST_LOOKUPS", 20)
    return ["b", "c", *(f"ghost-{number:03}" for number in range(100))]


def test_a_sample_counts_once_the_count_has_stood_still(clock: Clock, read_back: Any, many) -> None:
    outcome, store = read_back({0: AFTER}, cohort=many)
    assert clock.now == 1000 + TIMEOUTS.stable_seconds
    assert (outcome.added, outcome.unmatched, store.readings) == (1, 100, 1)
    assert [len(values) for values in store.looked_up] == [10]
    assert "ghost-099" in store.looked_up[0]


def test_who_arrives_meanwhile_is_read(clock: Clock, read_back: Any, many) -> None:
    outcome, store = read_back({0: AFTER, 2: Read([["b", "c", "ghost-050"]])}, cohort=many)
    assert (outcome.added, outcome.unmatched, outcome.segment_after) == (2, 99, 3)
    assert store.readings == 2


def test_a_known_lag_takes_the_place_of_the_default(clock: Clock, read_back: Any, many) -> None:
    read_back({0: AFTER}, cohort=many, lag=0.8)
    assert clock.now == pytest.approx(1001.6)


@pytest.mark.parametrize(
    ("timeouts", "lag", "looks_up", "seconds"),
    [
        (VerifyTimeouts(), None, True, 5.0),
        (VerifyTimeouts(), 0.1, True, 1.0),
        (VerifyTimeouts(), 4.0, True, 8.0),
        (VerifyTimeouts(), 0.1, False, 5.0),
        (VerifyTimeouts(), 4.0, False, 8.0),
        (VerifyTimeouts(stable_seconds=7), 0.1, True, 7.0),
    ],
)
def test_a_measured_lag_replaces_the_default_alone(
    timeouts: VerifyTimeouts, lag: float | None, looks_up: bool, seconds: float
) -> None:
    assert timeouts.after_lag(lag, looks_up=looks_up).stable_seconds == seconds
