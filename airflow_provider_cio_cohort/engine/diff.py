"""Compares two sorted streams: what to add, what to remove; and digests that show whether two are equal."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from heapq import nsmallest
from itertools import compress, filterfalse
from operator import not_
from pathlib import Path
from typing import NamedTuple

from airflow_provider_cio_cohort.engine.identifiers import (
    MAX_ID_LENGTH,
    CohortIdentifiers,
    IdType,
    can_exist,
    matcher_of,
    normaliser,
)
from airflow_provider_cio_cohort.engine.members import key_of, keys_of, without_id
from airflow_provider_cio_cohort.engine.sorted_file import (
    Block,
    distinct,
    merge,
    open_text,
    read_blocks,
    side_by_side,
    sort_distinct,
    unescape,
    write_block,
    write_blocks,
)


@dataclass(frozen=True)
class Change:
    """
    What it takes to make a segment equal to a cohort.

    :param add_path: sorted identifiers of people to add, one a line.
    :param remove_path: sorted lines of members that are not in the cohort.
    :param to_add: how many identifiers to add.
    :param to_remove: how many members to remove; 0 when nobody is ever removed.
    :param same: identifiers of the cohort that some member has.
    :param impossible: identifiers of the cohort that no person can have, so they are not sent.
    :param without_id: how many of the members to remove have no ``id``: Customer.io's reference says that its
        API does not remove them.
    :param held_back: escaped identifiers that look mistyped, or may be too long, and are not known to exist:
        they are not sent.
    """

    add_path: Path
    remove_path: Path
    to_add: int
    to_remove: int
    same: int
    impossible: int
    without_id: int = 0
    held_back: tuple[str, ...] = ()

    @property
    def impossible_path(self) -> Path:
        """The file of the impossible identifiers: sorted, one a line."""
        return self.add_path.with_name("impossible")

    @property
    def not_sent(self) -> int:
        """Identifiers of the cohort that are not in the segment and are not sent."""
        return self.impossible + len(self.held_back)


class Difference(NamedTuple):
    """
    One stretch of identifiers, compared with the same stretch of members.

    :param missing: identifiers that no member has.
    :param others: lines of members who have none of the identifiers.
    :param same: how many identifiers some member has.
    """

    missing: Block
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
    to_add = to_remove = same = impossible = no_id = 0
    with (
        open_text(add_path, "w") as adds,
        open_text(remove_path, "w") as removes,
        open_text(directory / "impossible", "w") as impossibles,
    ):
        for missing, others, shared in differences(cohort_path, members_path):
            same += shared
            possible = _possible(missing, id_type)
            to_add += write_block(adds, possible)
            if len(possible) < len(missing):
                impossible += write_block(impossibles, sorted({*missing} - {*possible}))
            if remove:
                to_remove += write_block(removes, others)
                no_id += without_id(others)
    return Change(add_path, remove_path, to_add, to_remove, same, impossible, no_id)


def of_any(paths: Iterable[Path]) -> Iterator[Block]:
    """Yield the lines of sorted files of distinct lines in order, each of them once."""
    return map(distinct, merge(map(read_blocks, paths)))


def present(identifiers: Iterable[Block], members_path: Path) -> Iterator[Block]:
    """
    Yield those of some identifiers that a member has.

    :param identifiers: sorted and distinct, see :mod:`.identifiers`.
    :param members_path: sorted members, see :mod:`.members`.
    """
    for wanted, there in side_by_side(identifiers, read_blocks(members_path), key_of):
        have = set(keys_of(there))
        yield list(filter(have.__contains__, wanted))


def only_tracked(change: Change, tracked_path: Path) -> Change:
    """
    Return a change that removes only members whom the sync itself has added; its file of those is rewritten.

    :param change: the change.
    :param tracked_path: sorted identifiers of those whom the sync has added.
    """
    path, no_id = change.remove_path.with_name("remove_tracked"), 0

    def tracked() -> Iterator[Block]:
        nonlocal no_id
        last: set[str] = set()  # members of the next stretch may have this one, too
        blocks = side_by_side(read_blocks(tracked_path), read_blocks(change.remove_path), key_of)
        for wanted, others in blocks:
            known = {*wanted, *last}
            own = list(compress(others, map(known.__contains__, keys_of(others))))
            no_id += without_id(own)
            yield own
            last = set(wanted[-1:]) or last

    to_remove = write_blocks(path, tracked())
    path.replace(change.remove_path)
    return replace(change, to_remove=to_remove, without_id=no_id)


@dataclass(frozen=True)
class LastMembers:
    """
    A segment after the last good sync.

    :param path: the identifiers that were synced then, sorted and escaped, one a line.
    :param members: its members then.
    :param matched: how many of the identifiers some member had.
    """

    path: Path
    members: int
    matched: int


class Drift(NamedTuple):
    """
    How many members others have added and removed since the last good sync; ``None`` if that is unknown.

    :param joined: members of now who were not in the segment then.
    :param left: members of then who are no longer in the segment.
    """

    joined: int | None = None
    left: int | None = None


def drift(last: LastMembers, members_path: Path, members: int) -> Drift:
    """
    Compare the members with those after the last good sync.

    Of the members who had none of its identifiers, only the number is known.

    :param last: the segment after it.
    :param members_path: sorted members of now, see :mod:`.members`.
    :param members: how many they are.
    """
    still = sum(stretch.same for stretch in differences(last.path, members_path))
    others, others_then = members - still, last.members - last.matched
    return Drift(max(others - others_then, 0), max(last.matched - still, 0))


def keep_unreadable(cohort: CohortIdentifiers, members_path: Path, id_type: IdType) -> CohortIdentifiers:
    """
    Add to a cohort the members who may be those whose identifiers cannot be read, so that none is removed.

    :param cohort: the cohort; its file is rewritten.
    :param members_path: sorted members, see :mod:`.members`.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    """
    may_be = matcher_of((value.lstrip("\t") for value in cohort.unreadable), normaliser(id_type))
    kept = {
        key for block in read_blocks(members_path) for key in keys_of(block) if key and may_be(unescape(key))
    }
    if not kept:
        return cohort
    path = cohort.path.with_name("cohort_and_kept")
    identifiers = write_blocks(path, map(distinct, merge([read_blocks(cohort.path), [sorted(kept)]])))
    path.replace(cohort.path)
    return replace(cohort, identifiers=identifiers, kept=identifiers - cohort.identifiers)


def without(change: Change, lines: Sequence[str]) -> Change:
    """
    Return a change that leaves out some identifiers to add; its file of those is rewritten.

    :param change: the change.
    :param lines: escaped identifiers, few enough for memory; those that are not to be added do not matter.
    """
    left_out = set(lines)
    path = change.add_path.with_name("add_without")
    kept = ([line for line in block if line not in left_out] for block in read_blocks(change.add_path))
    to_add = write_blocks(path, kept)
    path.replace(change.add_path)
    return replace(change, to_add=to_add)


def without_removals(change: Change) -> Change:
    """
    Return a change that removes nobody.

    :param change: the change.
    """
    path = change.remove_path.with_name("remove_nobody")
    path.touch()
    return replace(change, remove_path=path, to_remove=0, without_id=0)


def limited(change: Change, most: int, key: bytes, cutoff: int | None = None) -> tuple[Change, int]:
    """
    Return a change that adds only some of the people and removes nobody, and the cutoff that chose them.

    The identifiers with the smallest digests are chosen, so the same ones each time, in no telling order.

    :param change: the change.
    :param most: add no more than this many.
    :param key: a secret that keys the digests.
    :param cutoff: of an earlier try, which may have added some of them: only those that it chose are added.
    """
    rank = _ranking(key)
    if cutoff is None:
        ranks = (rank(line) for block in read_blocks(change.add_path) for line in block)
        smallest = nsmallest(most, ranks)
        cutoff = smallest[-1] if smallest else 0
    path = change.add_path.with_name("add_limited")
    chosen = ([line for line in block if rank(line) <= cutoff] for block in read_blocks(change.add_path))
    to_add = write_blocks(path, _first(chosen, most))
    return replace(without_removals(change), add_path=path, to_add=to_add), cutoff


def _ranking(key: bytes) -> Callable[[str], int]:
    secret = sha256(key).digest()

    def rank(line: str) -> int:
        digest = blake2b(line.encode("utf-8", "surrogatepass"), key=secret, digest_size=8).digest()
        return int.from_bytes(digest, "big")

    return rank


def _first(blocks: Iterator[Block], most: int) -> Iterator[Block]:
    for block in blocks:
        yield block[:most]
        most -= len(block[:most])


def _possible(identifiers: Block, id_type: IdType) -> Block:
    # Escaping never makes an identifier shorter.
    if max(map(len, identifiers), default=0) <= MAX_ID_LENGTH:
        return identifiers
    return [identifier for identifier in identifiers if can_exist(unescape(identifier), id_type)]


def differences(identifiers_path: Path, members_path: Path) -> Iterator[Difference]:
    """
    Yield the differences between identifiers and members, stretch by stretch.

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
            missing = list(filterfalse(have.__contains__, wanted))
            others = list(compress(present, map(not_, map(known.__contains__, keys))))
            yield Difference(missing, others, len(wanted) - len(missing))
        before = set(wanted[-1:]) or before


def write_unmatched(
    path: Path, found: Mapping[tuple[str, IdType], Iterable[Block]], rows: Path | None = None
) -> dict[str, int]:
    """
    Write identifiers with the reasons why nobody was matched, and return how many have each reason.

    :param path: the file to write: sorted lines of an escaped identifier, its reason, and which of
        Customer.io's identifiers it is, with tabs between.
    :param found: escaped identifiers, by the reason and by which they are.
    :param rows: a file of more such lines; ``None`` if there are none.
    """
    counts = Counter({reason: 0 for reason, _ in found})

    def lines() -> Iterator[Block]:
        for (reason, id_type), blocks in found.items():
            for block in blocks:
                counts[reason] += len(block)
                yield [f"{identifier}\t{reason}\t{id_type}" for identifier in block]
        for block in read_blocks(rows) if rows else ():
            counts.update(map(reason_of, block))
            yield block

    sort_distinct(lines(), path)
    return dict(counts)


def reason_of(line: str) -> str:
    """Return the reason in a line of :func:`write_unmatched`."""
    return line.split("\t", 2)[1]


def common_lines(left: Path, right: Path) -> Iterator[Block]:
    """Yield the lines that two sorted files of distinct lines have in common, in blocks."""
    for one, other in side_by_side(read_blocks(left), read_blocks(right)):
        if one == other:
            yield one
        else:
            there = set(other)
            yield [line for line in one if line in there]


_BLOCK = 2**20


def digest_of(path: Path, key: bytes) -> str:
    """
    Return a digest of a file's lines.

    :param path: sorted, distinct lines.
    :param key: a secret that is the same each time.
    """
    digest = hmac.new(key, digestmod=sha256)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
