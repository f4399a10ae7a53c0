"""The rows of a plan: what is known about a task, and its verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_cio_cohort.cli.output import as_time, named
from airflow_provider_cio_cohort.cli.runtime import FINE, NO, NOT_FOUND_OUT, CommandError
from airflow_provider_cio_cohort.cli.select import Found
from airflow_provider_cio_cohort.engine.customer_io import Target
from airflow_provider_cio_cohort.engine.guards import OF_REMOVALS, Trip
from airflow_provider_cio_cohort.exceptions import (
    AmbiguousSegmentError,
    ArchivedCohortError,
    CohortSyncError,
    DataDrivenSegmentError,
    GroupCohortError,
    MappingError,
    MissingPropertyError,
    QuotaReachedError,
    SegmentConflictError,
    UnknownCohortError,
    UnknownSegmentError,
)
from airflow_provider_cio_cohort.sync.ports import Cohort
from airflow_provider_cio_cohort.sync.run import CohortSync, Preflight

#: Errors that a run would end with as well; any other error means that the plan could not be made.
_ANSWERS = (
    AmbiguousSegmentError,
    ArchivedCohortError,
    DataDrivenSegmentError,
    GroupCohortError,
    MappingError,
    MissingPropertyError,
    QuotaReachedError,
    SegmentConflictError,
    UnknownCohortError,
    UnknownSegmentError,
)
T = TypeVar("T")


@dataclass
class Outlook:
    """
    One row of a plan.

    :param found: the task.
    :param sync: a run of it; ``None`` if its parameters are unknown.
    :param asks: whether a tripped guard asks for an approval.
    :param preflight: the results of its checks.
    :param members: the number of members now; 0 if a run would create the segment.
    :param exports_left: exports left this month.
    :param refusals: the errors that a run would end with.
    :param unknowns: why the plan could not be made.
    :param trips: the guards that would refuse the change.
    :param doubts: why the run would probably fail, which only an export can tell.
    :param notes: further remarks.
    :param report: the report of the exact comparison.
    """

    found: Found
    sync: CohortSync | None = None
    asks: bool = False
    preflight: Preflight = field(default_factory=Preflight)
    members: int | None = None
    exports_left: int | None = None
    refusals: list[str] = field(default_factory=list)
    unknowns: list[str] = field(default_factory=list)
    trips: list[Trip] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    report: dict[str, Any] | None = None

    @property
    def cohort(self) -> Cohort | None:
        """The cohort in Amplitude's list."""
        return self.preflight.cohort

    @property
    def target(self) -> Target | None:
        """The segment; its id is ``None`` if a run would create it."""
        return self.preflight.target

    def attempt(self, step: Callable[..., T], *arguments: Any) -> T | None:
        """
        Run a step, and note its error if it fails.

        :param step: the function to call.
        :param arguments: its arguments.
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
        """Whether a run would end before it compares anything."""
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
        return "unknown" if self.doubts and self.report is None else "ok"

    @property
    def adds_only(self) -> bool:
        """Whether nothing but the removals would be refused."""
        of_removals = OF_REMOVALS.issuperset(trip.guard for trip in self.trips)
        return of_removals and self.sync is not None and self.sync.parameters.on_guard == "add_only"

    @property
    def verdict(self) -> str:
        """The verdict in sentences."""
        if self.found.problem:
            return self.found.problem
        if self.blocked:
            return "\n".join((*self.refusals, *self.unknowns))
        said = [*(() if self.report else self.doubts), *self.notes]
        if self.trips:
            reasons = "; ".join(f"[{trip.guard}] {trip.reason}" for trip in self.trips)
            start = "Nothing would be written"
            if self.asks:
                start = "A run would ask for an approval first"
            elif self.adds_only:
                start = "A run would add people, remove nobody, and fail"
            said.insert(0, f"{start}: {reasons}.")
        return " ".join(said)

    @property
    def difference(self) -> int | None:
        """The size of the cohort minus that of the segment."""
        if self.cohort is None or self.cohort.size is None or self.members is None:
            return None
        return self.cohort.size - self.members

    def row(self, *, exact: bool) -> dict[str, Any]:
        """
        Return the row for JSON and YAML.

        :param exact: whether the cohort was compared with the segment.
        """
        cohort, target = self.cohort, self.target
        parameters = self.sync.parameters if self.sync else None
        facts: dict[str, Any] = {
            "sync": self.found.sync,
            "target": self.found.target,
            "dag_id": self.found.dag.dag_id,
            "task_id": self.found.task_id,
            "status": self.status,
            "verdict": self.verdict,
            "cohort_id": parameters.cohort_id if parameters else None,
            "cohort_name": cohort.name if cohort else None,
            "cohort_size": cohort.size if cohort else None,
            "cohort_computed_at": as_time(cohort.last_computed) if cohort else None,
            "segment_id": target.id if target else parameters and parameters.segment_id,
            "segment_name": target.name if target else parameters and parameters.segment_name,
            "segment_exists": target.id is not None if target else None,
            "segment_owned": target.owned if target else None,
            "members": self.members,
            "difference": self.difference,
            "exports_left": self.exports_left,
        }
        if exact:
            report = self.report or {}
            counts = (
                *("identifiers", "to_add", "to_remove", "left_to_add", "left_to_remove"),
                *("not_removable", "unmatched", "match_rate"),
            )
            facts |= {count: report.get(count) for count in counts}
            facts["guards"] = [trip.guard for trip in self.trips]
        return facts


def as_table(row: dict[str, Any]) -> dict[str, Any]:
    """
    Return a row for the table, with fewer columns.

    :param row: a row of :meth:`Outlook.row`.
    """
    made = {None: "", True: "", False: ", new"}[row["segment_exists"]]
    owned = ", unmanaged" if row["segment_owned"] is False else ""
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
    Return the verdict of a row, which is printed below the table.

    :param row: a row of :meth:`Outlook.row`.
    """
    return f"{_name(row)}: {row['verdict']}"


def _name(row: dict[str, Any]) -> str:
    return f"{row['sync']}, {row['target']}" if row["target"] else str(row["sync"])


def exit_code(outlooks: Iterable[Outlook]) -> int:
    """
    Return the exit code of a plan: a refusal takes precedence over an unknown.

    :param outlooks: the rows.
    """
    seen = {outlook.status for outlook in outlooks}
    if seen & {"refused", "asks"}:
        return NO
    return NOT_FOUND_OUT if "unknown" in seen else FINE
