"""How the doctor asks: slowly, with the hooks' own clients, and an error becomes a line of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_cio_cohort.doctor.lines import Finding, Status
from airflow_provider_cio_cohort.exceptions import (
    AuthenticationError,
    CohortSyncError,
    RetryableError,
    SyncStoppedError,
)
from airflow_provider_cio_cohort.hooks.client import ApiClient
from airflow_provider_cio_cohort.hooks.rate_limit import RateLimiter

#: The pace of the questions that write or cost something, over all APIs of a vendor.
REQUESTS_PER_SECOND = 3.0

Ask = Callable[[], Iterator[Finding]]


class ProbeStoppedError(Exception):
    """Nothing further may be asked; the text says why."""

    def __init__(self, seen: str, advice: str = "") -> None:
        super().__init__(seen)
        self.advice = advice


class NoEffectError(Exception):
    """A write that worked before had no effect, so a question cannot be asked; the text says which."""


@contextmanager
def paced(requests_per_second: float, *clients: ApiClient[Any]) -> Iterator[None]:
    """Let several clients send no more than this together, their retries included."""
    limiter = RateLimiter(requests_per_second)
    before = [client.rate_limiter for client in clients]
    for client in clients:
        client.rate_limiter = limiter
    try:
        yield
    finally:
        for client, usual in zip(clients, before, strict=True):
            client.rate_limiter = usual


def ask_each(questions: list[tuple[str, Ask]], needed: tuple[str, ...]) -> Iterator[Finding]:
    """
    Ask questions one by one, and yield their lines; one that fails is reported, and the next one is asked.

    :param questions: the name of each question's line, and what asks it.
    :param needed: the names of those without whose answer nothing further can be asked.
    """
    for name, ask in questions:
        try:
            yield from ask()
        except ProbeStoppedError as error:
            yield Finding(name, Status.WRONG, str(error), "Nothing further was asked.", error.advice)
            return
        except (AuthenticationError, SyncStoppedError) as error:
            yield failed(name, error)
            return
        except CohortSyncError as error:
            yield failed(name, error)
            if name in needed:
                return
        except NoEffectError as error:
            yield Finding(name, Status.UNKNOWN, str(error), advice="Run the doctor again.")


def failed(name: str, error: CohortSyncError) -> Finding:
    """Return the line of a question that got no answer."""
    headline, _, advice = error.own_words.partition("\n")
    if isinstance(error, RetryableError) or not advice:
        advice = "Run the doctor again; if this stays, ask the support of the vendor."
    return Finding(
        name,
        Status.UNKNOWN,
        f"There is no answer: {headline}",
        advice=advice,
    )
