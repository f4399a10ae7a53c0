"""What snapshots are of, and the folder in which those of one segment lie."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import sha256

_LONGEST_SLUG = 60
_HASH = 12


def short_hash(*parts: object) -> str:
    """
    Return a name for some parts that is the same each time, and that nothing else has.

    :param parts: plain values.
    """
    return sha256(json.dumps(parts).encode()).hexdigest()[:_HASH]


def slug(text: str) -> str:
    """
    Return a text so that any storage takes it as the name of a folder.

    :param text: such as a segment's name.
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:_LONGEST_SLUG].strip("-") or "x"


@dataclass(frozen=True)
class Subject:
    """
    A segment as one sync fills it.

    :param customer_io_conn_id: the connection to its workspace.
    :param segment: what the sync calls it: ``name`` or ``id``, and which.
    :param id_type: which of Customer.io's identifiers the snapshots hold.
    :param mode: ``mirror`` or ``add_only``.
    :param cohort_id: the cohort.
    """

    customer_io_conn_id: str
    segment: tuple[str, str]
    id_type: str
    mode: str
    cohort_id: str

    @property
    def identity(self) -> list[str]:
        """
        What tells the snapshots of one segment from all others.

        A mirror is its segment's only writer, whatever cohort it follows by now. Several syncs may add to one
        segment, and what one of them has added is not what another has.
        """
        whose = [self.cohort_id] if self.mode == "add_only" else []
        return [self.customer_io_conn_id, *self.segment, *whose]

    @property
    def folder(self) -> str:
        """Where the snapshots lie: readable, and safe for whatever the segment is called."""
        return f"{slug(self.customer_io_conn_id)}/{slug(self.segment[1])}.{short_hash(*self.identity)}"
