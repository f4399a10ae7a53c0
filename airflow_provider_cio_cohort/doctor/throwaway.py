"""The doctor's throwaway segments: made, recognised, and removed again whatever happens."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Set

from airflow_provider_cio_cohort.exceptions import CohortSyncError, UnknownSegmentError
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.customer_io_api import Segment, segment_in

log = logging.getLogger(__name__)

#: What the name and the description of every throwaway segment begin with.
MARK = "cohort-sync doctor: may be deleted"
DESCRIPTION = (
    f"{MARK}. Made by airflow cohort-sync doctor --probe, which has one test person in it and removes it "
    "when it ends."
)
#: How often the segments are listed and removed until the list has none.
SWEEPS = 5

_NAME = re.compile(re.escape(MARK) + r" [0-9a-f]{8}(?![^\s])")


def new_name() -> str:
    """Return the name of a new throwaway segment, which no other segment has."""
    return f"{MARK} {secrets.token_hex(4)}"


def is_throwaway(segment: Segment) -> bool:
    """
    Say whether a segment is one of the doctor's, from its name and its description.

    Customer.io may cut or rewrite one of them, so one must be whole and the other must not contradict it.
    """
    name, description = (" ".join(text.split()) for text in (segment.name, segment.description))
    if not segment.is_manual:
        return False
    if _NAME.match(name):
        return description.startswith(MARK) or MARK.startswith(description)
    return bool(name) and MARK.startswith(name) and description.startswith(MARK)


class Throwaways:
    """The throwaway segments of one probe."""

    def __init__(self, hook: CustomerIOHook) -> None:
        self.hook = hook
        self._made: set[int] = set()
        self._before: frozenset[int] = frozenset()

    def remove_left_overs(self) -> tuple[int, int]:
        """
        Remove what an earlier probe has left behind, and return how many were found and how many remain.

        Must be called before :meth:`make`.

        :raises CohortSyncError: if the segments cannot be listed.
        """
        found = {segment.id for segment in self.hook.list_segments() if is_throwaway(segment)}
        remain = self._sweep(is_throwaway, found) if found else 0
        self._before = self.hook.segment_ids or frozenset()
        return len(found), remain

    def make(self, name: str = "", description: str = DESCRIPTION) -> Segment:
        """
        Make a throwaway segment.

        :param name: its name, which begins like :func:`new_name`; a new one by default.
        :param description: its description, which begins with :data:`MARK`.
        """
        segment = self.hook.create_segment(name or new_name(), description)
        self._made.add(segment.id)
        return segment

    def make_again(self, name: str) -> Segment:
        """
        Make a throwaway segment of a name that another one has already; the request is not repeated.

        :param name: the name of another throwaway segment.
        :raises RequestRejectedError: if Customer.io refuses it.
        """
        segment = self.hook.app_client.request(
            "POST",
            "/v1/segments",
            what="making a second segment of the same name",
            read=segment_in,
            json={"segment": {"name": name, "description": DESCRIPTION}},
            idempotent=False,
        )
        self._made.add(segment.id)
        return segment

    def discard(self, segment: Segment) -> None:
        """Remove a throwaway segment before the end."""
        try:
            self.hook.delete_segment(segment.id)
        except UnknownSegmentError:
            log.debug("The throwaway segment is gone already.")

    def remove(self) -> int:
        """
        Remove every throwaway segment of this probe, and return how many remain; raises no error of a vendor.

        The list of segments decides, not the responses: it also shows a segment whose creation got no answer.
        Ctrl-C is obeyed after the removal, unless it comes twice.
        """
        try:
            return self._sweep(self._is_mine, self._made)
        except KeyboardInterrupt:
            self._sweep(self._is_mine, self._made)
            raise

    def _is_mine(self, segment: Segment) -> bool:
        return segment.id in self._made or (segment.id not in self._before and is_throwaway(segment))

    def _sweep(self, is_wanted: Callable[[Segment], bool], known: Set[int]) -> int:
        hook = self.able_hook()
        for _ in range(SWEEPS):
            try:
                known = {segment.id for segment in hook.list_segments() if is_wanted(segment)}
                if not known:
                    return 0
            except CohortSyncError as error:
                log.warning("%s", error.headline)
            for segment_id in known:
                try:
                    hook.delete_segment(segment_id)
                except UnknownSegmentError:
                    continue
                except CohortSyncError as error:
                    log.warning("%s", error.headline)
            hook.cancel_token.wait(hook.policy.retry_wait_initial)
        return len(known)

    def able_hook(self) -> CustomerIOHook:
        """Return a hook that can send: Ctrl-C may have stopped the probe's own."""
        if not self.hook.cancel_token.is_cancelled():
            return self.hook
        other = CustomerIOHook(self.hook.customer_io_conn_id)
        other.policy = self.hook.policy
        other.transport.recorder = self.hook.transport.recorder
        other.app_client.rate_limiter = self.hook.app_client.rate_limiter
        return other
