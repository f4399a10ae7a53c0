"""
What ``airflow cohort-sync doctor --save`` has seen of a workspace, as far as a run can use it.

Kept in the state store of the connection's asset. Without it, a run copes with any answer, in more steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_cio_cohort.engine.verify import VerifyTimeouts
from airflow_provider_cio_cohort.state import VENDOR_FACTS, StateStore

log = logging.getLogger(__name__)

#: The facts that runs use, by their keys: the form of a ``cio_id`` that adds people and the one that removes
#: them (``prefixed`` or ``bare``; anything else leaves it open);
CIO_FORMS = ("customer_io.cio_id_form", "customer_io.removes_by_cio_id")
#: whether the Track API removes people who have no ``id``;
REMOVES_WITHOUT_ID = "customer_io.removes_without_id"
#: the seconds after which the slowest write was visible in the members and in the count;
LAGS = ("customer_io.membership_lag_longest", "customer_io.count_lag_longest")
#: whether the App API key may look people up: only then does a run see that a write has not shown yet.
LOOKS_UP = "customer_io.look_up_allowed"
#: Seconds; a measured lag is doubled, and never counts as less than this.
LEAST_STABLE_SECONDS = 1.0


@dataclass(frozen=True)
class VendorFacts:
    """
    What was seen of a workspace; ``None`` for what was not.

    :param cio_prefix: whether the Track API takes a ``cio_id`` only with its prefix, or only without it.
    :param removes_without_id: whether it removes people who have no ``id``.
    :param visible_after: seconds until the slowest write was visible in a read.
    :param looks_up: whether the App API key may look people up.
    """

    cio_prefix: bool | None = None
    removes_without_id: bool | None = None
    visible_after: float | None = None
    looks_up: bool | None = None

    @classmethod
    def read(cls, store: StateStore, keys: Callable[[], str]) -> VendorFacts:
        """
        Return what was saved; nothing where that cannot be read, or was seen with other keys.

        :param store: of the connection's asset.
        :param keys: returns a fingerprint of the connection's keys: others may be of another workspace.
        """
        kept = store.get(VENDOR_FACTS) if store.exists else None
        if not isinstance(kept, Mapping) or not kept:
            return cls()
        mine = keys()
        values = {
            key: fact.get("value")
            for key, fact in kept.items()
            if isinstance(fact, Mapping) and fact.get("keys") == mine
        }
        forms = {str(values.get(key)) for key in CIO_FORMS} & {"prefixed", "bare"}
        removes = values.get(REMOVES_WITHOUT_ID)
        lags = [float(values[key] or 0) for key in LAGS if _is_seconds(values.get(key))]
        facts = cls(
            cio_prefix=forms == {"prefixed"} if len(forms) == 1 else None,
            removes_without_id=removes if isinstance(removes, bool) else None,
            visible_after=max(lags, default=None),
            looks_up=values.get(LOOKS_UP) is True or None,
        )
        if facts != cls():
            log.info("Using what airflow cohort-sync doctor has saved of the workspace: %s", facts)
        return facts

    def timeouts(self, configured: VerifyTimeouts) -> VerifyTimeouts:
        """
        Return the time-outs of a run: a measured lag replaces the default, but no other value.

        :param configured: the time-outs of the settings.
        """
        if self.visible_after is None or configured.stable_seconds != VerifyTimeouts().stable_seconds:
            return configured
        seconds = max(2 * self.visible_after, LEAST_STABLE_SECONDS)
        if not self.looks_up:  # people whose addition shows later would count as unknown
            seconds = max(seconds, configured.stable_seconds)
        return replace(configured, stable_seconds=seconds)


def merged(kept: Any, seen: Mapping[str, Any], seen_at: str, version: str, keys: str) -> dict[str, Any]:
    """
    Return what is to be kept: each fact with its value, when it was seen, by which version of ours, and with
    which keys.

    :param kept: what is kept so far; facts that were not asked for this time stay.
    :param seen: what was seen, by the facts' keys.
    :param seen_at: the time, in ISO 8601.
    :param version: of this package.
    :param keys: a fingerprint of the connection's keys.
    """
    before = kept if isinstance(kept, Mapping) else {}
    return {
        **before,
        **{
            key: {"value": value, "seen_at": seen_at, "version": version, "keys": keys}
            for key, value in seen.items()
        },
    }


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 86_400
