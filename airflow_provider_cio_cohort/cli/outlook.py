"""What is known of one task of a plan, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_cio_cohort.cli.finding import Found
from airflow_provider_cio_cohort.cli.output import as_time, named
from airflow_provider_cio_cohort.cli.running import FINE, NO, NOT_FOUND_OUT, CommandError
from airflow_provider_cio_cohort.exceptions import (
    AmbiguousSegmentError,
    ArchivedCohortError,
    CohortSyncError,
    DataDrivenSegmentError,
    GroupCohortError,
    MissingPropertyError,
    QuotaReachedError,
    UnknownCohortError,
    UnknownSegmentError,
)
from airflow_provider_cio_cohort.hooks.amplitude import Cohort
from airflow_provider_cio_cohort.sync.guards import Trip
from airflow_provider_cio_cohort.sync.store import Target
from airflow_provider_cio_cohort.transfers.rendered import RunParameters

#: A run would end with one of these as well; any other error means that the plan could not be made.
_ANSWERS = (
    AmbiguousSegmentError,
    ArchivedCohortError,
    DataDrivenSegmentError,
    GroupCohortError,
    MissingPropertyError,
    QuotaReachedError,
    UnknownCohortError,
    UnknownSegmentError,
)
T = TypeVar("T")


@dataclass
class Outlook:
    """
    One row of a plan.

    :param found: the task.
    :param run: its parameters; ``None`` if they cannot be known.
    :param asks: whether somebody is asked where a guard trips.
    :param cohort: as Amplitude's list shows it.
    :param target: the segment; its id is ``None`` where a run would create it.
    :param members: in the segment now; 0 where a run would create it.
    :param exports_left: of the month.
    :param refusals: what a run would end with.
    :param unknowns: why the plan could not be made.
    :param trips: the guards that would refuse the change.
    :param notes: what else there is to say.
    :param report: of the exact comparison.
    """

    found: Found
    run: RunParameters | None = None
    asks: bool = False
    cohort: Cohort | None = None
    target: Target | None = None
    members: int | None = None
    exports_left: int | None = None
    refusals: list[str] = field(default_factory=list)
    unknowns: list[str] = field(default_factory=list)
    trips: list[Trip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    report: dict[str, Any] | None = None

    def attempt(self, step: Callable[..., T], *arguments: Any) -> T | None:
        """
        Take a step, and note what stands in its way.

        :param step: what to do.
        :param arguments: what with.
        """
        try:
            return step(*arguments)
        except _ANSWERS as error:
            self._note(self.refusals, error)
        except (CohortSyncError, CommandError) as error:
            self._note(self.unknowns, error)
        return None

    def _note(self, problems: list[str], error: Exception) -> None:
        if str(error) not in problems:
            problems.append(str(error))

    @property
    def blocked(self) -> bool:
        """Whether no run could come so far as to compare anything."""
        return bool(self.found.problem or self.refusals or self.unknowns)

    @property
    def status(self) -> str:
        """The verdict in a word."""
        if self.found.problem:
            return self.found.status
        if self.refusals:
            return "refused"
        if self.unknowns:
            return "unknown"
        if self.trips:
            return "asks" if self.asks else "refused"
        return "ok"

    @property
    def verdict(self) -> str:
        """The verdict in sentences."""
        if self.found.problem:
            return self.found.problem
        if self.blocked:
            return "\n".join((*self.refusals, *self.unknowns))
        said = list(self.notes)
        if self.trips:
            reasons = "; ".join(f"[{trip.guard}] {trip.reason}" for trip in self.trips)
            start = "Somebody would be asked first" if self.asks else "Nothing would be written"
            said.insert(0, f"{start}: {reasons}.")
        return " ".join(said)

    @property
    def difference(self) -> int | None:
        """How many more members the cohort has than the segment."""
        if self.cohort is None or self.cohort.size is None or self.members is None:
            return None
        return self.cohort.size - self.members

    def row(self, *, exact: bool) -> dict[str, Any]:
        """
        Return the row as programs read it.

        :param exact: whether the cohort was compared with the segment.
        """
        run, cohort, target = self.run, self.cohort, self.target
        choice = run.segment if run else None
        facts: dict[str, Any] = {
            "sync": self.found.sync,
            "target": self.found.target,
            "dag_id": self.found.dag.dag_id,
            "task_id": self.found.task_id,
            "status": self.status,
            "verdict": self.verdict,
            "cohort_id": run.cohort_id if run else None,
            "cohort_name": cohort.name if cohort else None,
            "cohort_size": cohort.size if cohort else None,
            "cohort_computed_at": as_time(cohort.last_computed) if cohort else None,
            "segment_id": target.id if target else choice and choice.id,
            "segment_name": target.name if target else choice and choice.name,
            "segment_exists": target.id is not None if target else None,
            "segment_owned": target.owned if target else None,
            "members": self.members,
            "difference": self.difference,
            "exports_left": self.exports_left,
        }
        if exact:
            report = self.report or {}
            counts = ("identifiers", "to_add", "to_remove", "unmatched", "match_rate")
            facts |= {count: report.get(count) for count in counts}
            facts["guards"] = [trip.guard for trip in self.trips]
        return facts


def as_table(row: dict[str, Any]) -> dict[str, Any]:
    """
    Return a row as a table shows it, which has less room.

    :param row: of :meth:`Outlook.row`.
    """
    made = {None: "", True: "", False: ", new"}[row["segment_exists"]]
    owned = ", foreign" if row["segment_owned"] is False else ""
    compared = {}
    if "guards" in row:
        rate = row["match_rate"]
        compared = {
            "to_add": row["to_add"],
            "to_remove": row["to_remove"],
            "matched": None if rate is None else f"{rate:.1%}",
        }
    return {
        "sync": _name(row),
        "status": row["status"],
        "cohort": named(row["cohort_name"], row["cohort_id"]),
        "size": row["cohort_size"],
        "computed": (row["cohort_computed_at"] or "")[:16].replace("T", " "),
        "segment": named(row["segment_name"], row["segment_id"]) + made + owned,
        "members": row["members"],
        "difference": row["difference"],
        "exports_left": row["exports_left"],
        **compared,
    }


def as_sentence(row: dict[str, Any]) -> str:
    """
    Return the verdict on a row, as it stands below the table.

    :param row: of :meth:`Outlook.row`.
    """
    return f"{_name(row)}: {row['verdict']}"


def _name(row: dict[str, Any]) -> str:
    return f"{row['sync']}, {row['target']}" if row["target"] else str(row["sync"])


def exit_code(outlooks: Iterable[Outlook]) -> int:
    """
    Return what a plan comes to: one refusal is a refusal, whatever else could not be found out.

    :param outlooks: the rows.
    """
    seen = {outlook.status for outlook in outlooks}
    if seen & {"refused", "asks"}:
        return NO
    return NOT_FOUND_OUT if "unknown" in seen else FINE
