"""How patient the hooks are, and how talkative: from Airflow's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tenacity import RetryCallState, stop_before_delay, wait_random_exponential
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from airflow_provider_cio_cohort.compatibility import conf
from airflow_provider_cio_cohort.hooks.api import Answer
from airflow_provider_cio_cohort.hooks.pace import Pacer

SECTION = "cio_cohort"


def settings(defaults: Mapping[str, float], prefix: str = "") -> dict[str, float]:
    """
    Read numbers from Airflow's section ``[cio_cohort]``.

    :param defaults: the names, with what each is where the configuration is silent.
    :param prefix: what the options' names have in front of these.
    """
    return {
        name: conf.getfloat(SECTION, f"{prefix}{name}", fallback=default)
        for name, default in defaults.items()
    }


@dataclass(frozen=True)
class Policy:
    """
    Time-outs and retries of every request to either vendor, and what the log hears of long work.

    :param connect_timeout: seconds to wait for a connection.
    :param read_timeout: seconds to wait for the next bytes of an answer.
    :param retry_budget: seconds that one call may take with all its retries; what fails longer is left to
        the retries of the task.
    :param retry_first_wait: seconds; the wait before the n-th retry is drawn from 0 to this times 2 to the n.
    :param retry_longest_wait: seconds, the most that one such wait may be.
    :param progress_interval: seconds between two messages about long work; 0 for none.
    """

    connect_timeout: float = 10
    read_timeout: float = 60
    retry_budget: float = 300
    retry_first_wait: float = 1
    retry_longest_wait: float = 60
    progress_interval: float = 30

    @classmethod
    def from_config(cls) -> Policy:
        """Read the policy from Airflow's section ``[cio_cohort]``."""
        return cls(**settings(cls().__dict__))

    def for_a_click(self) -> Policy:
        """Return the policy for somebody who waits before a test button."""
        return replace(self, connect_timeout=min(self.connect_timeout, 5), retry_budget=5)

    @property
    def timeouts(self) -> tuple[float, float]:
        """Time-outs as ``requests`` takes them."""
        return self.connect_timeout, self.read_timeout

    def slow_down(self, pacer: Pacer, answer: Answer) -> None:
        """
        Let nobody send for as long as a 429 asks; a wait that is too long is for the task's retry.

        :param pacer: the pace that all keep.
        :param answer: what came.
        """
        if answer.status == 429 and (answer.retry_after or 0) <= self.retry_budget:
            pacer.hold(answer.retry_after or 0)

    @property
    def stop(self) -> stop_base:
        """When to give up: before a wait that would overdraw the budget."""
        return stop_before_delay(self.retry_budget)

    @property
    def wait(self) -> wait_base:
        """How long to wait: what the vendor asked for, else exponential with full jitter."""
        return _WaitAsAsked(multiplier=self.retry_first_wait, max=self.retry_longest_wait)


class _WaitAsAsked(wait_random_exponential):
    """Honours Retry-After, plus a little jitter so that requests that were told the same do not collide."""

    def __call__(self, retry_state: RetryCallState) -> float:
        jitter = super().__call__(retry_state)
        outcome: Any = retry_state.outcome
        asked = getattr(outcome.exception(), "retry_after", None)
        return jitter if asked is None else asked + min(jitter, 1.0)
