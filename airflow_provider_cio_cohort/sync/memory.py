"""
What runs remember in the state stores of assets: a segment, and what was seen of its workspace.

The asset of a segment keeps which segment it is, and its last good sync. That holds for one segment of one
workspace. A segment that was deleted and recreated, another workspace behind the same connection, and another
sync of the same segment have nothing to do with it.

The Track API's keys show which workspace it is; the App API key, by which a segment is found, may belong to
another one. So what a run finds is remembered for its three keys, and for the workspace only once a write has
proven that all of them belong to it.

The asset of a connection keeps what ``airflow cohort-sync doctor --save`` has seen of the workspace. Without
it, a run copes with any answer, in more steps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from airflow_provider_cio_cohort.engine.guards import Baseline
from airflow_provider_cio_cohort.engine.verify import VerifyTimeouts
from airflow_provider_cio_cohort.exceptions import StateStoreError
from airflow_provider_cio_cohort.state import (
    KEYS_PROVEN,
    LAST_SYNC,
    SEGMENT,
    UNKNOWN,
    VENDOR_FACTS,
    WRITES,
    StateStore,
    fingerprint,
)

log = logging.getLogger(__name__)

#: Seconds by which the clocks of two workers may differ.
_CLOCK_SKEW = 300.0
#: Seconds for which a segment's growth is measured from the same good sync: about a day, for a daily sync may
#: begin some hours early.
_BASELINE_LASTS = 20 * 3600.0


class Remembered(NamedTuple):
    """
    A segment that an earlier run has filled.

    :param segment_id: its id.
    :param name: what it was called then, if other keys have found it; it is the same segment only if it still
        is. ``None`` if these keys have.
    """

    segment_id: int
    name: str | None


class SegmentMemory:
    """
    What is remembered of the segment that a task fills.

    :param store: of the segment's asset.
    :param workspace: the workspace of the Track API's keys: its number, or where that is not known a
        fingerprint of the keys.
    :param keys: a fingerprint of all three keys.
    :param of: what decides who belongs in the segment: cohort, mapping, mode, connections, and the DAG.
    :param snapshot_path: where syncs keep snapshots, if they do.
    :param unmatched_path: where syncs keep whom they did not match, if they do.
    :param run_store: keeps whether the keys are proven where ``store`` does not exist.
    """

    def __init__(
        self,
        store: StateStore,
        workspace: str,
        keys: str,
        of: Mapping[str, str],
        snapshot_path: str | None = None,
        run_store: StateStore | None = None,
        unmatched_path: str | None = None,
    ) -> None:
        self._store = store
        self._run_store = run_store or StateStore(None)
        self._workspace = workspace
        self._keys = keys
        self._of = dict(of)
        self._snapshot_path = snapshot_path
        self._unmatched_path = unmatched_path
        self._segment_id: int | None = None
        self._segment_name = ""
        #: Whether something could not be read, so that a decision may have been made without it.
        self._is_incomplete = False
        #: What was read since :meth:`refresh`: each read is a request to Airflow's API server.
        self._read: dict[str, Any] = {}

    @property
    def exists(self) -> bool:
        """Whether anything can be remembered; needs Airflow 3.3."""
        return self._store.exists

    def refresh(self) -> None:
        """Read everything anew from now on: another sync may have filled the segment meanwhile."""
        self._read.clear()

    # ---- which segment it is

    @property
    def remembered(self) -> Remembered | None:
        """The segment that was filled last, whatever its name is now."""
        mine = self._kept(self._segment_key).get("segment_id")
        if isinstance(mine, int):
            return Remembered(mine, None)
        proven = self._kept(self._proven_key)
        segment_id, name = proven.get("segment_id"), proven.get("name")
        if isinstance(segment_id, int) and isinstance(name, str):
            return Remembered(segment_id, name)
        return None

    def attach(self, segment_id: int | None, name: str = "") -> None:
        """
        Set which segment it is; what is remembered of another one is ignored.

        :param segment_id: the segment; ``None`` where there is none yet.
        :param name: what Customer.io calls it.
        """
        self._segment_id, self._segment_name = segment_id, name

    def is_made_for(self, cohort_id: str) -> bool:
        """
        Say whether a sync of this cohort has made the segment, with these keys.

        :param cohort_id: the cohort.
        """
        return self._segment().get("made_for") == cohort_id

    def note_segment(self, made_for: str | None = None) -> None:
        """
        Remember which segment it is.

        :param made_for: the cohort for which it was just made, if it was.
        """
        kept = self._segment()
        if not kept or made_for is not None:
            self._note(made_for=made_for or kept.get("made_for"))

    @property
    def keys_are_proven(self) -> bool:
        """Whether a write to the segment with these keys has become visible in a read with them."""
        if self._store.exists:
            return self._segment().get("proven") is True
        kept: str | None = self._run_store.get(KEYS_PROVEN)
        return kept == self._proof

    def note_proof(self) -> None:
        """Remember that a write to the segment with these keys has become visible in a read with them."""
        self._read.pop(self._segment_key, None)
        if not self._note(proven=True):
            self._run_store.set(KEYS_PROVEN, self._proof)

    @property
    def synced_from(self) -> float | None:
        """When the export was requested from which the segment was synced last, in epoch seconds."""
        value = self._kept(self._writes_key).get("synced_from")
        if not isinstance(value, (int, float)) or value > time.time() + _CLOCK_SKEW:
            return None
        return float(value)

    @property
    def baseline(self) -> Baseline | None:
        """The segment at the good sync from which its growth is measured; ``None`` if none is known."""
        kept = self._kept(self._writes_key).get("growth")
        if not isinstance(kept, Mapping):
            return None
        if (kept.get("tracked") is True) is not self._tracks:
            return None  # of all members, or only of those whom the sync had added
        members, sent, at = (kept.get(name) for name in ("members", "sent", "at"))
        if not (isinstance(members, int) and isinstance(sent, int) and isinstance(at, (int, float))):
            return None
        if not 0 <= at <= time.time() + _CLOCK_SKEW:
            return None
        return Baseline(members, sent, f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC")

    @property
    def has_unverified_writes(self) -> bool:
        """Whether writes to the segment were never read back, as after a run that failed or was killed."""
        kept = self._kept(self._writes_key)
        return kept.get("change") != kept.get("verified")

    @property
    def visible_after(self) -> float | None:
        """Seconds after which the slowest write of earlier runs was visible; ``None`` if unknown."""
        value = self._kept(self._writes_key).get("visible_after")
        return float(value or 0) if _is_seconds(value) else None

    # ---- the last good sync

    def load(self) -> dict[str, Any] | None:
        """Return what :meth:`save` has kept of the last good sync; ``None`` if there is none."""
        kept = self._kept(self._key)
        return kept if kept.get("of") == self._of else None

    @property
    def snapshot(self) -> str | None:
        """
        Which snapshot holds the identifiers of the last good sync.

        ``None`` if there is none where snapshots are kept now, or if a run has written to the segment since.
        """
        kept = self.load() or {}
        if self._has_changed(kept) or kept.get("snapshot_path") != self._snapshot_path:
            return None
        snapshot = kept.get("snapshot")
        return snapshot if isinstance(snapshot, str) else None

    @property
    def last_tracked(self) -> tuple[str | None, int]:
        """Which snapshot the last good sync has taken, and how many members the sync had added then."""
        kept = self.load() or {}
        snapshot = kept.get("snapshot") if kept.get("snapshot_path") == self._snapshot_path else None
        return snapshot, (kept.get("report") or {}).get("tracked") or 0

    def _has_changed(self, kept: Mapping[str, Any]) -> bool:
        return bool(self._kept(self._writes_key).get("change") != kept.get("change"))

    def check_read(self) -> None:
        """
        Refuse to go on where something could not be read, because :meth:`void` would refuse it later.

        :raises StateStoreError: if that is so.
        """
        if self._store.exists and self._is_incomplete:
            raise StateStoreError(
                "Airflow's state store cannot be read, so nothing was exported and nothing was sent.\n"
                "What is remembered of the segment is needed before its members are changed: an older export "
                "could be in use. A retry tries again."
            )

    def void(self, joiners: int = 0) -> None:
        """
        Mark what all syncs remember of the segment as outdated, before the first write.

        :param joiners: people who are about to join.
        :raises StateStoreError: if that cannot be stored, so that a later run would treat the segment as
            unchanged; or if something could not be read, so that an older export may be in use.
        """
        if not self._store.exists:
            return
        self._read.pop(self._writes_key, None)
        growth = self._kept(self._writes_key).get("growth")
        if self.baseline is not None and isinstance(growth, Mapping):
            growth = {**growth, "sent": growth["sent"] + joiners}
        is_kept = self._note_writes(change=uuid4().hex, growth=growth)
        # Airflow deletes what it keeps of an asset that no DAG has any more, so nothing can mislead then.
        if self._store.exists and (not is_kept or self._is_incomplete):
            raise StateStoreError(
                "Airflow's state store cannot be reached, so nothing was sent to Customer.io.\n"
                "What is remembered of the segment could not be read or marked as outdated: an older "
                "export could be used, or a later run could wrongly treat the segment as unchanged. A "
                "retry tries again."
            )

    def save(
        self,
        report: dict[str, Any],
        computed_at: int | None,
        synced_from: float | None,
        visible_after: float | None = None,
        *,
        growth_allowed: bool = False,
        snapshot: str | None = None,
    ) -> None:
        """
        Store a successful sync.

        :param report: its counts.
        :param computed_at: when Amplitude had computed the cohort, in epoch seconds; if it is ``None``, no
            later run treats the cohort as unchanged.
        :param synced_from: when the export was requested, in epoch seconds; ``None`` for a snapshot.
        :param visible_after: seconds after which its slowest write was visible; ``None`` if unknown.
        :param growth_allowed: whether a person has allowed the segment's growth, so that later runs measure
            theirs from here.
        :param snapshot: which snapshot holds the identifiers that were synced; ``None`` for none.
        """
        if not self._store.exists:
            if self.keys_are_proven:
                self._run_store.set(KEYS_PROVEN, self._proof)  # the earlier run may be cleared or deleted
            return
        self._read.pop(self._writes_key, None)
        before = self.synced_from or 0.0
        dated, now = synced_from or 0.0, time.time()
        if dated > now + _CLOCK_SKEW:  # it would tell nothing until then, and older exports would pass
            dated = now
        lag = visible_after
        if lag is not None:  # a slow run counts for some more
            lag = max(lag, (self.visible_after or 0.0) / 2)
        growth: Any = self._kept(self._writes_key).get("growth")
        is_due = self.baseline is None or now - growth["at"] >= _BASELINE_LASTS
        if growth_allowed or is_due:
            members = report["tracked" if self._tracks else "segment_after"]
            growth = {"members": members, "sent": 0, "at": now, "tracked": self._tracks}
        self._note_writes(
            synced_from=max(dated, before) or None,
            growth=growth,
            verified=self._kept(self._writes_key).get("change"),
            visible_after=self.visible_after if lag is None else lag,
        )
        if self.keys_are_proven:
            named = {"segment_id": self._segment_id, "name": self._segment_name}
            self._store.set(self._proven_key, named)
        kept = {
            "of": self._of,
            "keys": self._keys,
            "change": self._kept(self._writes_key).get("change"),
            "computed_at": computed_at,
            "report": report,
            "snapshot_path": self._snapshot_path,
            "unmatched_path": self._unmatched_path,
            "snapshot": snapshot,
        }
        # The segment is right even if this cannot be stored: what was marked as outdated stays so.
        self._store.set(self._key, kept)
        self.refresh()

    def unchanged(self, computed_at: int | None, members: int) -> dict[str, Any] | None:
        """
        Return the report of a sync that has nothing to do; ``None`` if there may be something to do.

        :param computed_at: when Amplitude last computed the cohort, in epoch seconds.
        :param members: in the segment.
        """
        kept = self.load()
        if kept is None or computed_at is None or kept.get("computed_at") != computed_at:
            return None
        if kept.get("keys") != self._keys:
            return None  # which segment other keys have read is not known
        if self._has_changed(kept):
            return None  # a run that failed, or another sync, has written to the segment since
        if self._snapshot_path is not None and kept.get("snapshot_path") != self._snapshot_path:
            return None  # there is no snapshot yet of what the segment holds
        if self._unmatched_path is not None and kept.get("unmatched_path") != self._unmatched_path:
            return None
        report = kept["report"]
        if report.get("segment_after") != members:
            return None
        log.info(
            "Unchanged: Amplitude has not recomputed the cohort since the last good sync, and the segment "
            "still has %s members. No export was requested, and nothing was written.",
            f"{members:,}",
        )
        nothing = dict.fromkeys(("to_add", "to_remove", "added", "removed"), 0)
        drift = dict.fromkeys(("joined_elsewhere", "left_elsewhere"))  # nobody has looked
        return {**report, **nothing, **drift, "segment_before": members, "unchanged": True}

    # ---- inside

    @property
    def _tracks(self) -> bool:
        """Whether the sync removes only those whom it has added, so that its growth is measured by them."""
        return self._of.get("mode") == "tracked"

    @property
    def _key(self) -> str:
        return f"{LAST_SYNC}.{fingerprint(self._workspace, self._segment_id, sorted(self._of.items()))}"

    @property
    def _segment_key(self) -> str:
        return f"{SEGMENT}.{self._keys}"

    @property
    def _proven_key(self) -> str:
        return f"{SEGMENT}.{fingerprint(self._workspace)}"

    @property
    def _proof(self) -> str:
        return fingerprint(self._keys, self._segment_id)

    @property
    def _writes_key(self) -> str:
        return f"{WRITES}.{fingerprint(self._workspace, self._segment_id)}"

    def _segment(self) -> dict[str, Any]:
        kept = self._kept(self._segment_key)
        return kept if kept.get("segment_id") == self._segment_id else {}

    def _note(self, **facts: Any) -> bool:
        return self._add(self._segment_key, {**self._segment(), "segment_id": self._segment_id, **facts})

    def _note_writes(self, **facts: Any) -> bool:
        return self._add(self._writes_key, {**self._kept(self._writes_key), **facts})

    def _add(self, key: str, kept: dict[str, Any]) -> bool:
        if self._segment_id is None:
            return True
        self._kept(key)
        if key not in self._read:
            return False  # what is there must not be overwritten unread
        is_kept = self._store.set(key, kept)
        if is_kept:
            self._read[key] = kept
        else:
            self.refresh()
        return is_kept

    def _kept(self, key: str) -> dict[str, Any]:
        if key not in self._read:
            kept = self._store.get(key)
            if kept is not UNKNOWN:
                self._read[key] = kept
            elif self._store.exists:
                self._is_incomplete = True
        kept = self._read.get(key)
        return kept if isinstance(kept, dict) else {}


# ---- the workspace

#: The facts that runs use, by their keys: the form of a ``cio_id`` that adds people and the one that removes
#: them (``prefixed`` or ``bare``; anything else leaves it open);
CIO_FORMS = ("customer_io.cio_id_form", "customer_io.removes_by_cio_id")
#: whether the Track API removes people who have no ``id``;
REMOVES_WITHOUT_ID = "customer_io.removes_without_id"
#: the seconds after which the slowest write was visible in the members and in the count;
LAGS = ("customer_io.membership_lag_longest", "customer_io.count_lag_longest")
#: whether the App API key may look people up: only then does a run see that a write has not shown yet;
LOOKS_UP = "customer_io.look_up_allowed"
#: whether a second segment of the same name is refused.
UNIQUE_NAMES = "customer_io.names_are_unique"


@dataclass(frozen=True)
class VendorFacts:
    """
    What was seen of a workspace; ``None`` for what was not.

    :param cio_prefix: whether the Track API takes a ``cio_id`` only with its prefix, or only without it.
    :param removes_without_id: whether it removes people who have no ``id``.
    :param visible_after: seconds until the slowest write was visible in a read.
    :param looks_up: whether the App API key may look people up.
    :param unique_names: whether it refuses a second segment of the same name.
    """

    cio_prefix: bool | None = None
    removes_without_id: bool | None = None
    visible_after: float | None = None
    looks_up: bool | None = None
    unique_names: bool | None = None

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
        removes, unique = values.get(REMOVES_WITHOUT_ID), values.get(UNIQUE_NAMES)
        lags = [float(values[key] or 0) for key in LAGS if _is_seconds(values.get(key))]
        facts = cls(
            cio_prefix=forms == {"prefixed"} if len(forms) == 1 else None,
            removes_without_id=removes if isinstance(removes, bool) else None,
            visible_after=max(lags, default=None),
            looks_up=values.get(LOOKS_UP) is True or None,
            unique_names=unique if isinstance(unique, bool) else None,
        )
        if facts != cls():
            log.info("Using what airflow cohort-sync doctor has saved of the workspace: %s", facts)
        return facts

    def timeouts(self, configured: VerifyTimeouts) -> VerifyTimeouts:
        """
        Return the time-outs of a run: a measured lag replaces the default, but no other value.

        :param configured: the time-outs of the settings.
        """
        return configured.after_lag(self.visible_after, looks_up=bool(self.looks_up))


def merged_facts(kept: Any, seen: Mapping[str, Any], seen_at: str, version: str, keys: str) -> dict[str, Any]:
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
