"""
From a finished export to the people of a cohort: its identifiers, checked against the size that Amplitude
reports; and the people whom several identifiers a row lead to.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import TextIO

from airflow_provider_cio_cohort.cohorts import most_rows
from airflow_provider_cio_cohort.engine.customer_io import FoundPeople, SegmentStore
from airflow_provider_cio_cohort.engine.diff import reason_of
from airflow_provider_cio_cohort.engine.export_csv import read_properties
from airflow_provider_cio_cohort.engine.identifiers import (
    CohortIdentifiers,
    CohortRows,
    Identifier,
    IdType,
    Tally,
    can_exist,
    collect,
    collect_rows,
    matcher_of,
    normaliser,
    why_unknown,
)
from airflow_provider_cio_cohort.engine.members import key_of
from airflow_provider_cio_cohort.engine.sorted_file import (
    Block,
    escape,
    open_text,
    read_blocks,
    read_lines,
    sort_distinct,
    unescape,
    write_block,
    write_blocks,
)
from airflow_provider_cio_cohort.exceptions import (
    ExportEncodingError,
    IncompleteExportError,
    MappingError,
)
from airflow_provider_cio_cohort.sync.ports import Amplitude

log = logging.getLogger(__name__)

#: An export may differ a little from the list: by this many rows, or by one in a hundred.
TOLERATED_ROWS = 20
DOWNLOADS = 3

_Downloaded = CohortIdentifiers | CohortRows


@dataclass(frozen=True)
class CohortDownload:
    """
    How a cohort is fetched.

    :param amplitude: the project.
    :param request_id: the finished export.
    :param mapping: the identifiers, in order of preference.
    :param directory: where the file is written, and the identifiers after it.
    """

    amplitude: Amplitude
    request_id: str
    mapping: Sequence[Identifier]
    directory: Path

    def run(self, announced: int | None) -> CohortIdentifiers | CohortRows:
        """
        Download the cohort, and again where something of it may be missing: downloads are free.

        A file that a proxy cut off at the end of a line looks complete, but hardly any two of them end at the
        same line; and a byte that was damaged on the way is seldom damaged twice. So a small cohort, or one
        of which something cannot be read, is accepted when two downloads agree.

        :param announced: members that Amplitude's list says the cohort has; ``None`` if it says nothing.
        :raises IncompleteExportError: if no two downloads agree.
        :raises ExportEncodingError: if too many identifiers cannot be read.
        """
        before: _Downloaded | str | None = None
        for _ in range(DOWNLOADS):
            try:
                found: _Downloaded | ExportEncodingError = self._once(announced)
            except ExportEncodingError as error:
                found = error
            now = str(found) if isinstance(found, ExportEncodingError) else found
            doubt = _doubt(found, announced)
            if not doubt or now == before:
                if isinstance(found, ExportEncodingError):
                    raise found
                return found
            if before is None:
                log.warning("%s: downloading the export again to compare.", doubt)
            before = now
        raise IncompleteExportError(
            f"No two of {DOWNLOADS} downloads of the same Amplitude export were equal.\n"
            f"The last one was not believed: {doubt}. A retry downloads it again."
        )

    def _once(self, announced: int | None) -> _Downloaded:
        file = self.directory / "export.csv"
        size = self.amplitude.download_export(self.request_id, file, announced=announced)
        log.info("Downloaded the export: %s bytes.", f"{size:,}")
        blocks: Iterable[list[Block]] = ()
        if size:  # otherwise, it is that of an empty cohort
            names = [identifier.property for identifier in self.mapping]
            blocks = read_properties(file, names, most_rows(announced))
        id_types = [identifier.id_type for identifier in self.mapping]
        found: _Downloaded
        if len(self.mapping) == 1:
            found = collect((values for [values] in blocks), id_types[0], self.directory / "cohort")
        else:
            found = collect_rows(blocks, id_types, self.directory / "rows")
        file.unlink()
        return found


def _doubt(found: _Downloaded | ExportEncodingError, announced: int | None) -> str:
    """Return why something of a download may be missing; empty if nothing says so."""
    if isinstance(found, ExportEncodingError):
        return found.headline.rstrip(".")
    if found.unreadable:
        return f"{found.unreadable_rows:,} rows of the export cannot be read"
    if _is_short(found.cohort_rows, announced):
        return f"The export has {found.cohort_rows:,} rows, but Amplitude reports {announced:,} members"
    return ""


def _is_short(rows: int, announced: int | None) -> bool:
    shortfall = (announced or 0) - rows
    return shortfall > TOLERATED_ROWS and shortfall * 100 > (announced or 0)


# ---- several identifiers a row

#: How a row's person is known, beside the number of the identifier that has found them: not at all yet, or
#: only from the segment, because an identifier before that could not be read or looked up.
_OPEN, _REFUSED = "", "r"
#: Sorts after the number of an identifier: a member who stays only because a row may be about them.
_KEPT = "~"
_CONFLICTS = "c"
#: Why a row is kept apart; if nobody has one of its identifiers, what may be wrong with its first.
_REJECTED, _CONFLICTING, _OTHERS = "rejected", "conflicting", ("unknown", "too_long", "mistyped")


class RowMatching:
    """
    Finds the people of a cohort whose rows have several identifiers each.

    A row leads to the person who has the first of its identifiers that exists in Customer.io. Members are
    found in the segment; of all others, a look-up tells whether they exist. So a later identifier of a row
    counts only once it is certain that nobody has the ones before it. A row of which that is not certain adds
    nobody, and members who may be meant by it stay.

    A row that matches nobody, or two people, is named by its first identifier; by the one that Customer.io
    refuses to look up, where there is one.

    People are compared by their ``cio_id``, which everybody has. Rows are sorted by one identifier after the
    other, and joined with the members sorted likewise, so the memory is flat.

    :param store: Customer.io.
    :param mapping: the identifiers, in order of preference.
    :param members_path: sorted members of the segment, by ``cio_id``; no file for an empty one.
    """

    def __init__(self, store: SegmentStore, mapping: Sequence[Identifier], members_path: Path) -> None:
        self.store = store
        self.mapping = mapping
        self.members_path = members_path
        self.directory = members_path.parent
        self._same, self._looked_up, self._exist = ([0] * len(mapping) for _ in range(3))

    def run(self, rows: CohortRows) -> CohortIdentifiers:
        """
        Return the people, by their ``cio_id``; the file of rows is used up.

        :param rows: the cohort's rows.
        :raises MappingError: if Customer.io does not show everybody's ``cio_id``.
        :raises AuthenticationError: if the App API key may not look people up.
        """
        found_path, path = self.directory / "found", rows.path
        ended_path = self.directory / "ended"
        with open_text(found_path, "w") as found, open_text(ended_path, "w") as ended:
            for place, identifier in enumerate(self.mapping):
                index_path = self.directory / "index"
                sort_distinct(_index(self.members_path, identifier.id_type), index_path)
                unreadable = [value for at, value in rows.unreadable if at == place]
                if unreadable:
                    write_block(found, _possibly(unreadable, index_path, identifier.id_type))
                path = _Step(self, place, index_path, found, ended).run(path)
        path.unlink()
        index_path.unlink()
        return self._people(rows, found_path, ended_path)

    def _people(self, rows: CohortRows, found_path: Path, ended_path: Path) -> CohortIdentifiers:
        sorted_path, path = self.directory / "found.sorted", self.directory / "cohort"
        sort_distinct(read_blocks(found_path), sorted_path)
        found_path.unlink()
        by: Counter[str] = Counter()

        def people() -> Iterator[Block]:
            before = ""
            for block in read_blocks(sorted_path):
                new = []
                for line in block:
                    person, _, how = line.partition("\t")
                    if person != before:  # otherwise, an identifier of higher preference has found them
                        by[how] += 1
                        new.append(person)
                        before = person
                yield new

        count = write_blocks(path, people())
        sorted_path.unlink()
        rows_path = self.directory / "unmatched_rows"
        sort_distinct(read_blocks(ended_path), rows_path)
        ended_path.unlink()
        why = Counter(chain.from_iterable(map(reason_of, block) for block in read_blocks(rows_path)))
        unmatched = sum(why[reason] for reason in _OTHERS)
        facts = zip(self.mapping, rows.present, self._same, self._looked_up, self._exist, strict=True)
        return CohortIdentifiers(
            path,
            rows.cohort_rows,
            rows.without_identifier,
            count + unmatched + why[_REJECTED],
            rows.mistyped,
            unreadable_rows=rows.unreadable_rows,
            kept=by[_KEPT],
            unmatched=unmatched,
            undecided=why[_REJECTED],
            conflicting=why[_CONFLICTING],
            rows_path=rows_path,
            tallies=tuple(Tally(*each, by[str(place)]) for place, each in enumerate(facts)),
        )

    def note_members(self, place: int) -> None:
        """Count a row that an identifier has led to a member."""
        self._same[place] += 1

    def note_lookup(self, place: int, asked: int, exist: int) -> None:
        """Count identifiers that were looked up, and those that exist."""
        self._looked_up[place] += asked
        self._exist[place] += exist


class _Step:
    """
    Matches rows by one of their identifiers.

    :param matching: the whole, which counts.
    :param place: the position of the identifier.
    :param index_path: the members by this identifier: its value and the person, sorted.
    :param found: takes the people who are found, and by which identifier.
    :param ended: takes the rows without a further identifier that match nobody, or two people.
    """

    def __init__(
        self, matching: RowMatching, place: int, index_path: Path, found: TextIO, ended: TextIO
    ) -> None:
        self.matching = matching
        self.place = place
        self.id_type = matching.mapping[place].id_type
        self.index = _Members(index_path)
        self.found = found
        self.ended = ended
        self._ahead: Block = []
        self._hits: Block = []
        self._ends: Block = []

    def run(self, path: Path) -> Path:
        """Return a file of the rows that have further identifiers, sorted by the next."""
        directory = path.parent
        unsorted, asked_path = directory / "rows.ahead", directory / "rows.asked"
        total, before = 0, None
        with open_text(unsorted, "w") as ahead:
            with open_text(asked_path, "w") as asked:
                for block in read_blocks(path):
                    unknown = list(filter(None, map(self._in_segment, block)))
                    for value in map(key_of, unknown):
                        total += value != before
                        before = value
                    write_block(asked, unknown)
                    self._flush(ahead)
            path.unlink()
            for _ in self._look_up(asked_path, total):
                self._flush(ahead)
        asked_path.unlink()
        path = directory / f"rows.{self.place}"
        sort_distinct(read_blocks(unsorted), path)
        unsorted.unlink()
        return path

    def _flush(self, ahead: TextIO) -> None:
        write_block(ahead, self._ahead)
        write_block(self.found, self._hits)
        write_block(self.ended, self._ends)
        self._ahead, self._hits, self._ends = [], [], []

    def _in_segment(self, line: str) -> str | None:
        """Match a row with the members, and return it if it must be looked up."""
        value, *rest, state, person, note, name = line.split("\t")
        people = self.index.at(value) if value else ()
        if people:
            if state == _OPEN:
                self.matching.note_members(self.place)
                state, person = self._hit(people)
            elif not person:
                self._hits += (f"{each}\t{_KEPT}" for each in people)
            elif person not in people:
                note = _CONFLICTS
        elif value and state == _OPEN and can_exist(unescape(value), self.id_type):
            return line
        self._pass_on(rest, state, person, note, name or self._name(value))
        return None

    def _look_up(self, path: Path, total: int) -> Iterator[None]:
        """Look up the rows' identifiers in blocks, all of them."""
        if not total:
            return
        normalise = normaliser(self.id_type)
        values = (unescape(value) for value, _ in groupby(read_lines(path), key_of))
        rows = groupby(read_lines(path), key_of)
        for asked, answer in self.matching.store.find_people_in_blocks(values, self.id_type, total=total):
            known, refused = _people_by(answer, self.id_type), set(answer.rejected)
            self.matching.note_lookup(self.place, len(asked), len(known))
            for value, (_, lines) in zip(asked, rows, strict=False):
                person = known.get(normalise(value), "")
                for line in lines:
                    field, *rest, state, _, note, name = line.split("\t")
                    if person:
                        state, _ = self._hit([person])
                    elif value in refused:
                        state, name = _REFUSED, ""
                    self._pass_on(rest, state, person, note, name or self._name(field))
            yield

    def _hit(self, people: Sequence[str]) -> tuple[str, str]:
        how = str(self.place)
        self._hits += (f"{each}\t{how}" for each in people)
        return how, people[0]

    def _name(self, field: str) -> str:
        return f"{self.place}={field}" if field else ""

    def _pass_on(self, rest: Block, state: str, person: str, note: str, name: str) -> None:
        if any(rest):
            self._ahead.append("\t".join((*rest, state, person, note, name)))
        elif note or state in (_OPEN, _REFUSED):
            place, _, field = name.partition("=")
            id_type = self.matching.mapping[int(place)].id_type
            reason = _CONFLICTING if note else _REJECTED if state else why_unknown(unescape(field), id_type)
            self._ends.append(f"{field}\t{reason}\t{id_type}")


class _Members:
    """
    The members by one identifier, in order.

    :param path: lines of a value and a person, sorted.
    """

    def __init__(self, path: Path) -> None:
        self._groups = groupby(read_lines(path), key_of)
        self._value: str | None = ""
        self._people: Block = []

    def at(self, value: str) -> Block:
        """Return the people who have an identifier; it must not be smaller than the one before."""
        while self._value is not None and self._value < value:
            self._value, lines = next(self._groups, (None, iter(())))
            self._people = [line.partition("\t")[2] for line in lines]
        return self._people if self._value == value else []


def _index(members_path: Path, id_type: IdType) -> Iterator[Block]:
    """Yield a line for each member who has an identifier of a kind: the identifier, and the person."""
    if not members_path.exists():
        return
    prefix, normalise = f"{id_type}=", normaliser(id_type)
    for block in read_blocks(members_path):
        lines = []
        for line in block:
            person, *fields = line.split("\t")
            if not person:
                raise _without_cio_id()
            value = next((each.removeprefix(prefix) for each in fields if each.startswith(prefix)), "")
            if value:
                lines.append(f"{escape(normalise(unescape(value)))}\t{person}")
        yield lines


def _possibly(unreadable: Sequence[str], index_path: Path, id_type: IdType) -> Block:
    """Return the members who may be those whose identifiers cannot be read, as found."""
    may_be = matcher_of((value.lstrip("\t") for value in unreadable), normaliser(id_type))
    pairs = (line.partition("\t") for line in read_lines(index_path))
    return [f"{person}\t{_KEPT}" for value, _, person in pairs if may_be(unescape(value))]


def _people_by(found: FoundPeople, id_type: IdType) -> dict[str, str]:
    """Return the people of a look-up by their identifier."""
    if found.count > len(found.identifiers) or not all(found.cio_ids):
        raise _without_cio_id()
    normalise, bare = normaliser(id_type), normaliser("cio_id")
    people: dict[str, str] = {}
    for identifier, cio_id in sorted(zip(found.identifiers, found.cio_ids, strict=True), reverse=True):
        people[normalise(identifier)] = escape(bare(cio_id))
    return people


def _without_cio_id() -> MappingError:
    return MappingError(
        "Customer.io does not show everybody's cio_id, so people cannot be told apart.\n"
        "A sync with several identifiers compares people by it. Nothing was written. Use one identifier: "
        "user_id_property and id_type instead of identifiers."
    )
