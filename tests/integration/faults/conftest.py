"""A segment that must lose one person and win another, and tries as Airflow would make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.sync.target import describe
from tests.integration.operator.conftest import (  # noqa: F401 (most are fixtures)
    assets,
    cohort,
    no_pace,
    prove_keys,
    store,
    sync,
    xcoms,
)


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set options of Airflow's section ``[cio_cohort]``."""

    def change(**options: str) -> None:
        for name, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__CIO_COHORT__{name}", value)

    return change


@pytest.fixture(autouse=True)
def impatient(sandbox, configure: Callable[..., None]) -> None:
    """Let nothing wait longer than a test must."""
    configure(VERIFY_STABLE_SECONDS="0.01", VERIFY_INTERVAL="0.002", VERIFY_TIMEOUT="0.5")
    sandbox.configure(limits=False)


@dataclass
class Task:
    """
    The sync, tried as Airflow tries a task.

    :param sandbox: both vendors.
    :param attempt: makes one try.
    :param configure: sets options of Airflow's section ``[cio_cohort]``.
    :param forget: lets nothing be remembered from earlier runs.
    :param parameters: what every try is told.
    :param errors: what the tries that failed have raised.
    """

    sandbox: Any
    attempt: Callable[..., dict[str, Any]]
    configure: Callable[..., None]
    forget: Callable[[], None]
    parameters: dict[str, Any] = field(default_factory=dict)
    errors: list[exceptions.CohortSyncError] = field(default_factory=list)

    def run(self, tries: int = 4, **parameters: Any) -> dict[str, Any]:
        """Try until it succeeds; what no retry can mend ends it."""
        for _ in range(tries - 1):
            try:
                return self.attempt(**{**self.parameters, **parameters})
            except exceptions.RetryableError as error:
                self.errors.append(error)
        return self.attempt(**{**self.parameters, **parameters})

    def fail(self, patience: float = 0.05, **parameters: Any) -> exceptions.CohortSyncError:
        """Make a try that fails, within some seconds if its requests are retried, and return its error."""
        self.configure(RETRY_TIMEOUT=str(patience))
        with pytest.raises(exceptions.CohortSyncError) as caught:
            self.attempt(**{**self.parameters, **parameters})
        self.configure(RETRY_TIMEOUT="10")
        return caught.value

    @property
    def members(self) -> set[str | None]:
        """The ids of those who are in the segment."""
        name = self.parameters.get("segment_name") or "Power users"
        segment = self.sandbox.workspace.find_segment(name)
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
def task(sandbox, cohort, sync, assets, configure: Callable[..., None]) -> Task:  # noqa: F811
    """
    A segment with two people, of whom one must leave; a cohort with one who joins, and one unknown.

    An earlier run has filled it, so the keys of the connection are known to belong together.
    """
    people = [sandbox.workspace.add_person(id=name) for name in ("stays", "leaves")]
    description = describe("a1b2c3d", None, "mirror")
    segment = sandbox.workspace.add_segment(name="Power users", description=description, members=people)
    sandbox.workspace.add_person(id="joins")
    prove_keys(assets, segment)
    sandbox.reset_requests()
    cohort("stays", "joins", "unknown", known=False)
    return Task(sandbox, sync.attempt, configure, assets.clear)
