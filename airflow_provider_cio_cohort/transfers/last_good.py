"""
Remembers the last good sync of a segment across runs: its counts, in the state store of the segment's asset.

A change of anything that decides who belongs into the segment makes the memory void.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

log = logging.getLogger(__name__)

KEY = "last_good_sync"


class LastGood:
    """
    The last good sync into a segment.

    :param context: the task's context.
    :param asset: the segment, one of the task's inlets or outlets; ``None`` remembers nothing.
    :param of: what decides who belongs into the segment: cohort, property, mode, connections.
    :param snapshot_path: where syncs keep snapshots, if they do.
    """

    def __init__(
        self,
        context: Mapping[str, Any],
        asset: Asset | None,
        of: dict[str, str],
        snapshot_path: str | None = None,
    ) -> None:
        self._asset = asset
        self._stores = context.get("asset_state_store") if asset is not None else None
        self._of = of
        self._snapshot_path = snapshot_path

    def load(self) -> dict[str, Any] | None:
        """Return what :meth:`save` has kept of the last good sync; ``None`` if there is none."""
        if self._stores is None:
            return None
        kept = self._stores[self._asset].get(KEY)
        return kept if isinstance(kept, dict) and kept.get("of") == self._of else None

    def save(self, report: dict[str, Any], computed_at: int | None) -> None:
        """
        Keep a sync that went well.

        :param report: its counts.
        :param computed_at: when Amplitude had computed the cohort, epoch seconds; if it is ``None``, no later
            run takes the cohort for unchanged.
        """
        if self._stores is None:
            return
        try:
            self._stores[self._asset].set(
                KEY,
                {
                    "of": self._of,
                    "computed_at": computed_at,
                    "report": report,
                    "snapshot_path": self._snapshot_path,
                },
            )
        except Exception as error:
            # The segment is right, whether the next run knows it or not.
            log.warning("This sync could not be kept for the next one (%s).", type(error).__name__)

    def unchanged(self, computed_at: int | None, members: int) -> dict[str, Any] | None:
        """
        Return the report of a sync that has nothing to do; ``None`` if there may be something to do.

        :param computed_at: when Amplitude last computed the cohort, epoch seconds.
        :param members: in the segment.
        """
        kept = self.load()
        if kept is None or computed_at is None or kept.get("computed_at") != computed_at:
            return None
        if self._snapshot_path is not None and kept.get("snapshot_path") != self._snapshot_path:
            return None  # of what the segment holds there is no snapshot yet
        report = kept["report"]
        if report.get("segment_after") != members:
            return None
        log.info(
            "Unchanged: Amplitude has not computed the cohort anew since the last good sync, and the segment "
            "still has %s members. No export was requested, and nothing was written.",
            f"{members:,}",
        )
        nothing = dict.fromkeys(("to_add", "to_remove", "added", "removed"), 0)
        return {**report, **nothing, "segment_before": members, "unchanged": True}
