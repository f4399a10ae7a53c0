"""Two sorted streams in, what to add and what to remove out; flat memory at any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress, filterfalse
from operator import not_
from pathlib import Path
from typing import NamedTuple

from airflow_provider_cio_cohort.sync.identifiers import MAX_ID_BYTES, IdType, can_exist
from airflow_provider_cio_cohort.sync.lines import Block, open_text, read_blocks, unescape, write_block
from airflow_provider_cio_cohort.sync.members import key_of, keys_of
from airflow_provider_cio_cohort.sync.merging import side_by_side


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


class Difference(NamedTuple):
    """
    One stretch of identifiers, held against the same stretch of members.

    :param absent: identifiers that no member has.
    :param others: lines of members who have none of the identifiers.
    :param same: how many identifiers some member has.
    """

    absent: Block
    others: Block
    same: int


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
        for absent, others, _ in differences(cohort_path, members_path):
            possible = _possible(absent, id_type)
            to_add += write_block(adds, possible)
            impossible += len(absent) - len(possible)
            to_remove += write_block(removes, others) if remove else 0
    return Change(add_path, remove_path, to_add, to_remove, impossible)


def _possible(identifiers: Block, id_type: IdType) -> Block:
    # Escaped they are no shorter than they are, and a character takes four bytes at most.
    if max(map(len, identifiers), default=0) * 4 <= MAX_ID_BYTES:
        return identifiers
    return [identifier for identifier in identifiers if can_exist(unescape(identifier), id_type)]


def differences(identifiers_path: Path, members_path: Path) -> Iterator[Difference]:
    """
    Yield in what identifiers and members differ, stretch by stretch.

    :param identifiers_path: sorted and distinct, see :mod:`.identifiers`.
    :param members_path: sorted, see :mod:`.members`; several may have one key.
    """
    before: set[str] = set()  # the last identifier: members of the next stretch may have it, too
    for wanted, present in side_by_side(read_blocks(identifiers_path), read_blocks(members_path), key_of):
        if wanted == present:
            yield Difference([], [], len(wanted))
        else:
            keys = keys_of(present)
            known, have = {*wanted, *before}, set(keys)
            absent = list(filterfalse(have.__contains__, wanted))
            others = list(compress(present, map(not_, map(known.__contains__, keys))))
            yield Difference(absent, others, len(wanted) - len(absent))
        before = set(wanted[-1:]) or before


def common_lines(left: Path, right: Path) -> Iterator[Block]:
    """Yield the lines that two sorted files of distinct lines have in common, in blocks."""
    for one, other in side_by_side(read_blocks(left), read_blocks(right)):
        if one == other:
            yield one
        else:
            there = set(other)
            yield [line for line in one if line in there]
