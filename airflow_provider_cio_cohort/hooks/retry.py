"""When a failed request is tried again, and for how long, by either HTTP client."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import tenacity
from tenacity import RetryCallState, stop_before_delay, wait_random_exponential

from airflow_provider_cio_cohort.compatibility import conf
from airflow_provider_cio_cohort.exceptions import (
    AuthenticationError,
    CohortSyncError,
    IncompleteExportError,
    RateLimitedError,
    VendorUnavailableError,
)
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken

log = logging.getLogger(__name__)

SECTION = "cio_cohort"
#: Errors after which a request is sent again; the task may retry others.
RETRYABLE = (VendorUnavailableError, RateLimitedError, IncompleteExportError)
#: Seconds; a shorter wait before a retry is not logged.
MIN_LOGGED_WAIT = 3.0
#: Seconds by which the clocks of two machines may differ.
_CLOCK_SKEW = 300.0

Result = TypeVar("Result")


def settings(defaults: Mapping[str, float], prefix: str = "") -> dict[str, float]:
    """
    Read numbers from Airflow's section ``[cio_cohort]``.

    :param defaults: the names, with the value of each that is not configured.
    """
    return {
        name: conf.getfloat(SECTION, f"{prefix}{name}", fallback=default)
        for name, default in defaults.items()
    }


@dataclass(frozen=True)
class Policy:
    """
    Time-outs and retries of every request to either vendor, and how often progress is logged.

    :param connect_timeout: seconds to wait for a connection.
    :param read_timeout: seconds to wait for the next bytes of a response.
    :param retry_timeout: seconds that one call may take with all its retries; after that, the task is
        retried.
    :param retry_wait_initial: seconds; the wait before a retry is random, from 0 to this, which doubles with
        each retry.
    :param retry_wait_max: seconds, the longest such wait.
    :param progress_interval: seconds between two messages about long work; 0 for none.
    :param export_grace: seconds for which an export that Amplitude does not know counts as not ready yet.
    """

    connect_timeout: float = 10
    read_timeout: float = 60
    retry_timeout: float = 300
    retry_wait_initial: float = 1
    retry_wait_max: float = 60
    progress_interval: float = 30
    export_grace: float = 120

    @classmethod
    def from_config(cls) -> Policy:
        """Read the policy from Airflow's section ``[cio_cohort]``."""
        return cls(**settings(cls().__dict__))

    def for_interactive_use(self) -> Policy:
        """Return the policy for interactive use: short time-outs, few retries."""
        return replace(self, connect_timeout=min(self.connect_timeout, 5), retry_timeout=5)

    def is_young(self, requested_at: float | None) -> bool:
        """
        Return whether an export is so young that Amplitude may not know it yet.

        :param requested_at: when it was requested, in epoch seconds; ``None`` if that is unknown.
        """
        return requested_at is not None and -_CLOCK_SKEW < time.time() - requested_at < self.export_grace

    def by_this_clock(self, requested_at: float | None) -> float | None:
        """
        Return when an export that another machine has requested is to count as requested.

        The clocks of the two may differ by minutes: an export that may still be young counts as requested
        just now, so that it is not given up for lost.

        :param requested_at: when it was requested by the clock of that machine, in epoch seconds; ``None`` if
            that is unknown.
        """
        now = time.time()
        if requested_at is not None and -_CLOCK_SKEW < now - requested_at < self.export_grace + _CLOCK_SKEW:
            return now
        return requested_at


class Retrying:
    """
    Calls a function until it succeeds, fails permanently, or has taken ``retry_timeout``.

    :param policy: the policy; it may be replaced at any time.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._logged_at = float("-inf")

    def call(self, function: Callable[[], Result], cancel: CancelToken, *, idempotent: bool = True) -> Result:
        """
        Call a function, and again after a transient error.

        :param cancel: once cancelled, it is not repeated.
        :param idempotent: whether to repeat what may have taken effect already.
        """
        return tenacity.Retrying(sleep=cancel.wait, **self._rules(cancel, idempotent))(function)

    async def call_async(self, function: Callable[[], Awaitable[Result]], cancel: CancelToken) -> Result:
        """
        Do the same in an event loop, with a function that may be repeated.

        :param cancel: once cancelled, it is not repeated.
        """
        rules = self._rules(cancel, idempotent=True)
        return await tenacity.AsyncRetrying(sleep=cancel.sleep, **rules)(function)

    def _rules(self, cancel: CancelToken, idempotent: bool) -> dict[str, Any]:
        refusals = 0

        def is_retryable(error: BaseException) -> bool:
            nonlocal refusals
            if cancel.is_cancelled():
                return False
            if isinstance(error, AuthenticationError) and error.keys_worked:
                refusals += 1
                return refusals == 1
            return isinstance(error, RETRYABLE) and (idempotent or not error.maybe_applied)

        policy = self.policy
        return {
            # Stops before a wait that would end too late.
            "stop": stop_before_delay(policy.retry_timeout),
            "wait": _WaitAsAsked(multiplier=policy.retry_wait_initial, max=policy.retry_wait_max),
            "retry": tenacity.retry_if_exception(is_retryable),
            "before_sleep": self._log_wait,
            "reraise": True,
        }

    def _log_wait(self, state: RetryCallState) -> None:
        """Log a long wait, but not for each of many requests."""
        interval, now = self.policy.progress_interval, time.monotonic()
        error = state.outcome.exception() if state.outcome else None
        if not interval or state.upcoming_sleep < MIN_LOGGED_WAIT or now < self._logged_at + interval:
            return
        self._logged_at = now
        why = error.headline if isinstance(error, CohortSyncError) else type(error).__name__
        log.warning("%s Trying again in %.0f s.", why, state.upcoming_sleep)


class _WaitAsAsked(wait_random_exponential):
    """Waits for Retry-After plus a little jitter, so that requests with the same header do not collide."""

    def __call__(self, retry_state: RetryCallState) -> float:
        jitter = super().__call__(retry_state)
        outcome: Any = retry_state.outcome
        asked = getattr(outcome.exception(), "retry_after", None)
        return jitter if asked is None else asked + min(jitter, 1.0)
