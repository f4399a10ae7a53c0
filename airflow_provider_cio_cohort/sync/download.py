"""
From a finished export to the people of a cohort: its identifiers, checked against the size that Amplitude
reports; and the people whom several identifiers a row lead to.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TextIO

from airflow_provider_cio_cohort.cohorts import most_rows
from airflow_provider_cio_cohort.engine.customer_io import (
    MOST_LOOKUPS,
    FoundPeople,
    SegmentStore,
    find,
    look_for_one,
    sample,
)
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
from airflow_provider_cio_cohort.engine.members import key_of, to_lines
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
    DiskFullError,
    ExportEncodingError,
    IncompleteExportError,
    MappingError,
    UnknownSegmentError,
)
from airflow_provider_cio_cohort.sync.ports import Amplitude
from airflow_provider_cio_cohort.sync.workdir import check_space_for_people

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

#: How a row's person is known, beside the number of the identifier that has found them: not at all yet; not
#: yet, and that nobody has an identifier before that is known only from the segment of everybody; or only
#: from the segment that is filled, because an identifier before that could not be read or looked up. Of a
#: doubtful row, the person's field has the doubtful identifiers; once it has led to a member, the note's.
_OPEN, _DOUBTED, _REFUSED = "", "?", "r"
#: Between such doubtful identifiers of a row, and between people. Fields have no control characters.
_NEXT = "\x1f"
#: Sorts after the number of an identifier: a member who stays only because a row may be about them.
_KEPT = "~"
_CONFLICTS = "c"
#: Why a row is kept apart; if nobody has one of its identifiers, what may be wrong with its first.
_REJECTED, _CONFLICTING, _OTHERS = "rejected", "conflicting", ("unknown", "too_long", "mistyped")


#: No more identifiers than these are looked up, all of them.
FEW_PEOPLE = MOST_LOOKUPS
#: So many people of a segment are read, and sorted by two identifiers, while one identifier is looked up.
PEOPLE_A_LOOKUP = 100
#: Rows that are in memory at once, with what a look-up says of them.
ROWS_A_BLOCK = 2_000
#: Of a hundred identifiers that a segment of everybody lacks, how many may exist: people created meanwhile.
TOLERATED_PERCENT = 1


class PeopleSegment:
    """
    A data-driven segment of everybody in the workspace, which tells faster who exists than look-ups do.

    It is read at most once, and only where that is faster; a run can do without. That somebody is not in it
    proves nothing: Customer.io may not have computed it yet, or its conditions may leave people out.

    :param store: Customer.io.
    :param segment_id: the segment.
    :param directory: where its people are kept during the run.
    """

    def __init__(self, store: SegmentStore, segment_id: int, directory: Path) -> None:
        self.store = store
        self.segment_id = segment_id
        self.path = directory / "everybody"

    def index(self, id_type: IdType, asked: int) -> Path | None:
        """
        Return the people by an identifier: its value and the person, sorted; ``None`` to look them up.

        :param id_type: which identifier.
        :param asked: how many would be looked up.
        """
        if asked <= FEW_PEOPLE or not (self.path.exists() or self._read(asked)):
            return None
        path = self.path.with_name("everybody.index")
        sort_distinct(_index(self.path, id_type), path)
        return path

    def _read(self, asked: int) -> bool:
        try:
            return self._read_if_faster(asked)
        except (UnknownSegmentError, DiskFullError) as error:  # deleted after the checks; or too large
            self.path.unlink(missing_ok=True)
            what = "Looking up %s identifiers instead of reading segment %s (people_segment_id). %s"
            log.warning(what, f"{asked:,}", self.segment_id, error.headline)
            return False

    def _read_if_faster(self, asked: int) -> bool:
        people = self.store.count_members(self.segment_id)
        if people > asked * PEOPLE_A_LOOKUP:
            what = "Segment %s has %s people: looking up %s identifiers is faster."
            log.info(what, self.segment_id, f"{people:,}", f"{asked:,}")
            return False
        check_space_for_people(self.path.parent, people)
        pages = self.store.stream_member_pages(self.segment_id, total=people)
        read = write_blocks(self.path, (to_lines(page, "cio_id") for page in pages))
        log.info("Read the %s people of segment %s.", f"{read:,}", self.segment_id)
        return True


class RowMatching:
    """
    Finds the people of a cohort whose rows have several identifiers each.

    A row leads to the person who has the first of its identifiers that exists in Customer.io. Members are
    found in the segment; of all others, a look-up tells whether they exist, or a segment of everybody. So a
    later identifier of a row counts only once it is certain that nobody has the ones before it. A row of
    which that is not certain adds nobody, and members who may be meant by it stay.

    Where nobody in the segment of everybody has an identifier, a later one still finds members; before it
    adds anybody else, or a row is found to lead to two members, the identifier is looked up.

    A row that matches nobody, or two people, is named by its first identifier; by the one that Customer.io
    refuses to look up, where there is one.

    People are compared by their ``cio_id``, which everybody has. Rows are sorted by one identifier after the
    other, and joined with the members sorted likewise, so the memory is flat.

    :param store: Customer.io.
    :param mapping: the identifiers, in order of preference.
    :param members_path: sorted members of the segment, by ``cio_id``; no file for an empty one.
    :param everybody: a segment of everybody; ``None`` to look up all who are not members.
    """

    def __init__(
        self,
        store: SegmentStore,
        mapping: Sequence[Identifier],
        members_path: Path,
        everybody: PeopleSegment | None = None,
    ) -> None:
        self.store = store
        self.mapping = mapping
        self.members_path = members_path
        self.everybody = everybody
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
        if self.everybody is not None:
            self.everybody.path.unlink(missing_ok=True)
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

    def has_matched(self, place: int) -> bool:
        """Say whether anybody is known to have an identifier."""
        return bool(self._same[place] or self._exist[place])

    def note_lookup(self, place: int, asked: int, exist: int) -> None:
        """Count identifiers of whose people it was asked whether they exist, and those that do."""
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
        self.directory = index_path.parent
        self._ahead: Block = []
        self._hits: Block = []
        self._ends: Block = []
        self._doubts: Block = []

    def run(self, path: Path) -> Path:
        """Return a file of the rows that have further identifiers, sorted by the next."""
        unsorted, asked_path = self.directory / "rows.ahead", self.directory / "rows.asked"
        total, before = 0, None
        with open_text(unsorted, "w") as ahead:
            with open_text(asked_path, "w") as asked:
                for block in read_blocks(path):
                    unknown = list(filter(None, map(self._in_segment, block)))
                    values = _new_values(unknown, before)
                    total, before = total + len(values), values[-1] if values else before
                    write_block(asked, unknown)
                    self._flush(ahead)
            path.unlink()
            for _ in self._find(asked_path, total):
                self._flush(ahead)
        path = self.directory / f"rows.{self.place}"
        sort_distinct(read_blocks(unsorted), path)
        unsorted.unlink()
        return path

    def _flush(self, ahead: TextIO) -> None:
        write_block(ahead, self._ahead)
        write_block(self.found, self._hits)
        write_block(self.ended, self._ends)
        if self._doubts:
            with open_text(self.directory / "rows.doubted", "a") as doubted:
                write_block(doubted, self._doubts)
        self._ahead, self._hits, self._ends, self._doubts = [], [], [], []

    def _in_segment(self, line: str) -> str | None:
        """Match a row with the members, and return it if somebody else may have its identifier."""
        value, *rest, state, person, note, name = line.split("\t")
        people = self.index.at(value) if value else ()
        if people:
            if state in (_OPEN, _DOUBTED):
                self.matching.note_members(self.place)
                note = person  # the doubts
                state, person = self._hit(people)
            elif not person:
                self._hits += (f"{each}\t{_KEPT}" for each in people)
            elif person not in people and note not in ("", _CONFLICTS):
                self._doubt(note, rest, _NEXT.join((person, *people)), _CONFLICTS, name)
                return None
            elif person not in people:
                note = _CONFLICTS
        elif value and state in (_OPEN, _DOUBTED) and can_exist(unescape(value), self.id_type):
            return line
        self._pass_on(rest, state, person, note, name or self._name(value))
        return None

    def _find(self, path: Path, total: int) -> Iterator[None]:
        """Find out who has the rows' identifiers, in blocks."""
        everybody = self.matching.everybody
        index = everybody.index(self.id_type, total) if everybody is not None else None
        if index is not None:
            total = yield from self._in_everybody(path, index, total)
            index.unlink()
        for asked, known, answers in self._look_up(path, total, self.place):
            self.matching.note_lookup(self.place, asked, known)
            for line, person, is_refused in answers:
                if person:
                    self._exists(line, person)
                    continue
                field, *rest, state, doubts, note, name = line.split("\t")
                if is_refused:
                    state, doubts, name = _REFUSED, "", ""
                self._pass_on(rest, state, doubts, note, name or self._name(field))
            yield
        path.unlink()
        yield from self._settle_doubts()

    def _in_everybody(self, path: Path, index: Path, total: int) -> Generator[None, None, int]:
        """
        Match rows with the segment of everybody.

        :param path: the rows; those that must be looked up all the same take their place.
        :param index: everybody by this identifier.
        :param total: how many identifiers the rows have.
        :return: how many identifiers must be looked up all the same.
        """
        people = _Members(index)
        missing_path, values_path = self.directory / "rows.missing", self.directory / "rows.values"
        missing, before = 0, None
        with open_text(missing_path, "w") as rows, open_text(values_path, "w") as values:
            for block in read_blocks(path):
                unknown: Block = []
                for line in block:
                    found = people.at(key_of(line))
                    if len(found) == 1:  # two, if an identifier changed hands while they were read
                        self._exists(line, found[0])
                    else:
                        unknown.append(line)
                write_block(rows, unknown)
                new = _new_values(unknown, before)
                before = new[-1] if new else before
                missing += write_block(values, new)
                yield
        self.matching.note_lookup(self.place, total - missing, total - missing)
        missing_path.replace(path)
        refused = self._refused_if_unknown(values_path, missing)
        if refused is not None:
            for block in read_blocks(path):
                for line in block:
                    field, *rest, _, doubts, note, name = line.split("\t")
                    state, doubts = _DOUBTED, _NEXT.join(filter(None, (doubts, self._name(field))))
                    if field in refused:
                        state, doubts, name = _REFUSED, "", ""
                    self._pass_on(rest, state, doubts, note, name or self._name(field))
                yield
            missing = 0
        values_path.unlink()
        return missing

    def _refused_if_unknown(self, path: Path, total: int) -> frozenset[str] | None:
        """
        Look up a sample of the identifiers that nobody in the segment of everybody has.

        :return: those that Customer.io refuses to look up; ``None`` to look up all, because too many exist.
        """
        everybody, store = self.matching.everybody, self.matching.store
        if everybody is None or total <= FEW_PEOPLE:
            return None
        values = sample(path, total, MOST_LOOKUPS)
        found = find(store, values, self.id_type)
        asked = found.asked - found.refused if found is not None else 0
        if found is None or not asked:
            return None
        known, normalise = _people_by(found, self.id_type), normaliser(self.id_type)
        exist = sum(normalise(value) in known for value in values)
        if not exist and self.place == 0 and not self.matching.has_matched(0):
            # If nobody has the first identifier, the run is refused, so that must be certain.
            one = look_for_one(store, path, total, self.id_type)
            if one is None or one.people:
                return None
            asked = one.asked
        are_unknown = exist * 100 <= asked * TOLERATED_PERCENT
        if exist:
            log.warning(
                "Segment %s (people_segment_id) does not contain everybody: of %s identifiers that nobody in "
                "it has, %s exist in Customer.io. %s",
                everybody.segment_id,
                f"{asked:,}",
                f"{exist:,}",
                f"So about {exist * total // asked:,} people are left out until they are in it. Unless they "
                "are new in Customer.io, correct the segment's conditions."
                if are_unknown
                else f"Looking up all {total:,}: correct the segment's conditions.",
            )
        if not are_unknown:
            return None
        self.matching.note_lookup(self.place, asked, exist)
        return frozenset(map(escape, found.rejected))

    def _look_up(
        self, path: Path, total: int, place: int
    ) -> Iterator[tuple[int, int, list[tuple[str, str, bool]]]]:
        """
        Look up the identifiers of rows, all of them.

        :return: in blocks of rows, how many more were asked for, and how many of these exist; and for each
            row its line, the person, empty if there is none, and whether Customer.io refuses the identifier.
        """
        if not total:
            return
        id_type = self.matching.mapping[place].id_type
        normalise = normaliser(id_type)
        values = (unescape(value) for value, _ in groupby(read_lines(path), key_of))
        rows = groupby(read_lines(path), key_of)
        for asked, answer in self.matching.store.find_people_in_blocks(values, id_type, total=total):
            known, refused = _people_by(answer, id_type), set(answer.rejected)
            answers = (
                (line, known.get(normalise(value), ""), value in refused)
                for value, (_, lines) in zip(asked, rows, strict=False)
                for line in lines
            )
            counts = len(asked), len(known)
            while some := list(islice(answers, ROWS_A_BLOCK)):  # many rows may have one identifier
                yield *counts, some
                counts = 0, 0

    def _exists(self, line: str, person: str) -> None:
        """Note that somebody who is not a member has a row's identifier."""
        field, *rest, state, doubts, note, name = line.split("\t")
        name = name or self._name(field)
        if state == _DOUBTED:
            self._doubt(doubts, rest, person, note, name)
        else:
            state, _ = self._hit([person])
            self._pass_on(rest, state, person, note, name)

    def _doubt(self, doubts: str, rest: Block, people: str, note: str, name: str) -> None:
        first, _, others = doubts.partition(_NEXT)
        self._doubts.append("\t".join((first, *rest, others, people, note, name)))

    def _settle_doubts(self) -> Iterator[None]:
        """Look up the doubtful identifiers of rows that would add somebody, or that lead to two members."""
        unsorted, sorted_path = self.directory / "rows.doubted", self.directory / "rows.doubts"
        path = self.directory / "rows.asked"
        for place in range(self.place):
            if not unsorted.exists():
                return
            sort_distinct(read_blocks(unsorted), sorted_path)
            unsorted.unlink()
            start, total, before = f"{place}=", 0, None
            with open_text(path, "w") as asked:
                for block in read_blocks(sorted_path):
                    self._doubts = [line for line in block if not line.startswith(start)]
                    lines = [line.removeprefix(start) for line in block if line.startswith(start)]
                    values = _new_values(lines, before)
                    total, before = total + len(values), values[-1] if values else before
                    write_block(asked, lines)
                    yield
            sorted_path.unlink()
            for _, known, answers in self._look_up(path, total, place):
                self.matching.note_lookup(place, 0, known)
                for line, earlier, is_refused in answers:
                    self._settle(place, line, earlier, is_refused=is_refused)
                yield
            path.unlink()

    def _settle(self, place: int, line: str, earlier: str, *, is_refused: bool) -> None:
        field, *rest, doubts, people, note, name = line.split("\t")
        person, *conflicting = people.split(_NEXT)
        if is_refused:
            self._hits += (f"{each}\t{_KEPT}" for each in conflicting)
            self._pass_on(rest, _REFUSED, "", "", f"{place}={field}")
        elif doubts and not earlier:
            self._doubt(doubts, rest, people, note, name)
        else:
            found_at = place if earlier else self.place
            self._hits.append(f"{earlier or person}\t{found_at}")
            self._pass_on(rest, str(found_at), earlier or person, note, name)

    def _hit(self, people: Sequence[str]) -> tuple[str, str]:
        how = str(self.place)
        self._hits += (f"{each}\t{how}" for each in people)
        return how, people[0]

    def _name(self, field: str) -> str:
        return f"{self.place}={field}" if field else ""

    def _pass_on(self, rest: Block, state: str, person: str, note: str, name: str) -> None:
        if any(rest):
            self._ahead.append("\t".join((*rest, state, person, note, name)))
        elif note == _CONFLICTS or state in (_OPEN, _DOUBTED, _REFUSED):
            place, _, field = name.partition("=")
            id_type = self.matching.mapping[int(place)].id_type
            if note == _CONFLICTS:
                reason = _CONFLICTING
            elif state == _REFUSED:
                reason = _REJECTED
            else:
                reason = why_unknown(unescape(field), id_type)
            self._ends.append(f"{field}\t{reason}\t{id_type}")


def _new_values(lines: Block, before: str | None) -> Block:
    """Return the distinct first fields of sorted lines, without that of the line before them."""
    values = [value for value, _ in groupby(lines, key_of)]
    return values[1:] if values[:1] == [before] else values


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
