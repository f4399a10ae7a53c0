"""
The names of a snapshot's files.

A snapshot is a folder ``<moment>__<run>`` with the identifiers and a manifest, which is written last and
makes it one. The file of the identifiers has the time at which it was written in its name: so a run that is
cleared never overwrites what the manifest still vouches for, and what a crash has left is told by its age.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

MANIFEST = "manifest.json"
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_STAMPED = r"\d{8}T\d{6}\.\d{6}Z"
_FOLDER = re.compile(rf"({_STAMPED})__([0-9a-f]+)")
_CONTENT = re.compile(rf"identifiers\.({_STAMPED})\.gz")


def stamp(moment: datetime) -> str:
    """
    Return a moment as names have it, which sort by it.

    :param moment: with a timezone.
    """
    utc = moment.astimezone(UTC)
    return f"{utc.year:04}{utc:%m%dT%H%M%S.%f}Z"  # of a year before 1000, strftime would lose the zeros


def content_name(taken_at: datetime) -> str:
    """
    Return the name of the file with the identifiers.

    :param taken_at: when it is written.
    """
    return f"identifiers.{stamp(taken_at)}.gz"


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)
    except ValueError:  # a month 13: nobody's but somebody's who plays with names
        return None


@dataclass(frozen=True)
class Entry:
    """
    A snapshot, or what is left of one, as a list of files shows it.

    :param name: its folder's.
    :param moment: what it is the state of.
    :param has_manifest: whether it is whole.
    :param contents: the files with identifiers, by their names, and when each was written.
    """

    name: str
    moment: datetime
    has_manifest: bool = False
    contents: dict[str, datetime] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether it counts as a snapshot."""
        return self.has_manifest and bool(self.contents)

    @property
    def taken_at(self) -> datetime:
        """When its identifiers were written last."""
        return max(self.contents.values())


def read_entries(files: Iterable[str]) -> list[Entry]:
    """
    Return the snapshots, and leftovers of some, that a list of files shows, oldest moment first.

    :param files: paths below the folder of a segment; what is not named as ours is not ours.
    """
    found: dict[str, Entry] = {}
    for path in files:
        folder, _, file = path.rpartition("/")
        named, content = _FOLDER.fullmatch(folder), _CONTENT.fullmatch(file)
        moment = _moment(named[1]) if named else None
        if moment is None or not (content or file == MANIFEST):
            continue
        entry = found.get(folder, Entry(folder, moment))
        taken_at = _moment(content[1]) if content else None
        contents = {**entry.contents, **({file: taken_at} if taken_at else {})}
        found[folder] = Entry(folder, moment, entry.has_manifest or file == MANIFEST, contents)
    return sorted(found.values(), key=_order)


def _order(entry: Entry) -> tuple[datetime, datetime, str]:
    taken_at = entry.taken_at if entry.contents else entry.moment
    return entry.moment, taken_at, entry.name
