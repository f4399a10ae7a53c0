"""A segment that must lose one person and win another, and tries as Airflow would make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.transfers.ownership import describe
from tests.operator.conftest import assets, cohort, no_pace, store, sync, xcoms  # noqa: F401 (they are fixtures)


@pytest.fixture(autouse=True)
def impatient(sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait longer than a test must."""
    settings = {
        "READ_TIMEOUT": "0.3",
        "RETRY_BUDGET": "0.4",
        "VERIFY_SETTLE": "0.02",
        "VERIFY_INTERVAL": "0.01",
        "VERIFY_TIMEOUT": "0.5",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__CIO_COHORT__{name}", value)
    sandbox.configure(limits=False)


@dataclass
class Task:
    """
    The sync, tried as Airflow tries a task.

    :param sandbox: both vendors.
    :param attempt: makes one try.
    :param errors: what the tries that failed have raised.
    """

    sandbox: Any
    attempt: Callable[..., dict[str, Any]]
    errors: list[exceptions.CohortSyncError] = field(default_factory=list)

    def run(self, tries: int = 4, **parameters: Any) -> dict[str, Any]:
        """Try until it succeeds; what no retry can mend ends it."""
        for _ in range(tries - 1):
            try:
                return self.attempt(**parameters)
            except exceptions.RetryableError as error:
                self.errors.append(error)
        return self.attempt(**parameters)

    def fail(self, **parameters: Any) -> exceptions.CohortSyncError:
        """Make a try that fails, and return its error."""
        with pytest.raises(exceptions.CohortSyncError) as caught:
            self.attempt(**parameters)
        return caught.value

    @property
    def members(self) -> set[str | None]:
        segment = self.sandbox.workspace.find_segment("Power users")
        return set() if segment is None else {person.id for person in segment.members}

    @property
    def exports(self) -> int:
        """Exports that the vendor has counted."""
        return int(self.sandbox.project.used)

    def assert_as_without_faults(self, report: dict[str, Any], exports: int = 1) -> None:
        """Hold the end against that of an untroubled run."""
        assert self.members == {"stays", "joins"}
        assert (report["segment_after"], report["unmatched"], report["identifiers"]) == (2, 1, 3)
        assert self.exports == exports


@pytest.fixture
def task(sandbox, cohort, sync) -> Task:  # noqa: F811
    """A segment with two people, of whom one must leave; a cohort with one who joins, and one unknown."""
    people = [sandbox.workspace.add_person(id=name) for name in ("stays", "leaves")]
    description = describe("a1b2c3d", None, "mirror")
    sandbox.workspace.add_segment(name="Power users", description=description, members=people)
    sandbox.workspace.add_person(id="joins")
    cohort("stays", "joins", "unknown", known=False)
    return Task(sandbox, sync.attempt)
