"""Two sorted streams in, what to add and what to remove out; flat memory at any size."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_cio_cohort.sync.identifiers import IdType, can_exist
from airflow_provider_cio_cohort.sync.lines import open_text, read_lines, unescape
from airflow_provider_cio_cohort.sync.members import key_of


@dataclass(frozen=True)
class Change:
    """
    What it takes to make a segment equal to a cohort.

    :param add_path: sorted identifiers of people to add, one a line.
    :param remove_path: sorted lines of members that are not in the cohort.
    :param to_add: how many identifiers to add.
    :param to_remove: how many members to remove; 0 when nobody is ever removed.
    :param impossible: identifiers of the cohort that no person can have, so they are not sent.
    """

    add_path: Path
    remove_path: Path
    to_add: int
    to_remove: int
    impossible: int


def compare(
    cohort_path: Path, members_path: Path, directory: Path, *, id_type: IdType, remove: bool
) -> Change:
    """
    Compare a cohort with a segment.

    :param cohort_path: sorted identifiers, see :mod:`.identifiers`.
    :param members_path: sorted members, see :mod:`.members`.
    :param directory: where the two parts of the change are written.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :param remove: whether members outside the cohort are to be removed.
    """
    directory.mkdir(exist_ok=True)
    add_path, remove_path = directory / "add", directory / "remove"
    to_add = to_remove = impossible = 0
    with open_text(add_path, "w") as adds, open_text(remove_path, "w") as removes:
        for identifier, member in pair_up(read_lines(cohort_path), read_lines(members_path)):
            if identifier is None:
                if remove:
                    removes.write(f"{member}\n")
                    to_remove += 1
            elif member is None:
                if can_exist(unescape(identifier), id_type):
                    adds.write(f"{identifier}\n")
                    to_add += 1
                else:
                    impossible += 1
    return Change(add_path, remove_path, to_add, to_remove, impossible)


def common_lines(left: Path, right: Path) -> Iterator[str]:
    """Yield the lines that two sorted files of distinct lines have in common."""
    previous = None
    for line in heapq.merge(read_lines(left), read_lines(right)):
        if line == previous:
            yield line
        previous = line


def pair_up(identifiers: Iterator[str], members: Iterator[str]) -> Iterator[tuple[str | None, str | None]]:
    """
    Pair identifiers with the members that have them; what has no partner comes with ``None``.

    :param identifiers: sorted and distinct.
    :param members: sorted lines, see :mod:`.members`.
    """
    identifier, member = next(identifiers, None), next(members, None)
    while identifier is not None and member is not None:
        key = key_of(member)
        if key == identifier:
            while member is not None and key_of(member) == identifier:
                yield identifier, member
                member = next(members, None)
            identifier = next(identifiers, None)
        elif identifier < key:
            yield identifier, None
            identifier = next(identifiers, None)
        else:
            yield None, member
            member = next(members, None)
    while identifier is not None:
        yield identifier, None
        identifier = next(identifiers, None)
    while member is not None:
        yield None, member
        member = next(members, None)
