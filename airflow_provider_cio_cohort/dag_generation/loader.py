"""
Loads the syncs of a YAML file; each is either valid or has a list of problems.

Each sync, or each of its targets, is merged with the defaults and checked; then the syncs are compared with
each other, and their exports are added up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airflow.sdk import get_parsing_context
from pydantic import ValidationError

from airflow_provider_cio_cohort.dag_generation.alert_keys import usable_alerts
from airflow_provider_cio_cohort.dag_generation.conflicts import Label, find_conflicts
from airflow_provider_cio_cohort.dag_generation.messages import Place, Problem, did_you_mean, show
from airflow_provider_cio_cohort.dag_generation.reader import (
    BUDGET,
    TARGETS,
    Block,
    Document,
    Entry,
    read_document,
)
from airflow_provider_cio_cohort.dag_generation.spec import SEGMENT_KEYS, TARGET_KEYS, Sync, usable_name
from airflow_provider_cio_cohort.dag_generation.validation_messages import explain
from airflow_provider_cio_cohort.exports import AMPLITUDE_GRANTS, exports_a_month
from airflow_provider_cio_cohort.sync.parameters import ONE_IDENTIFIER

log = logging.getLogger(__name__)

_KEYS = (*Sync.model_fields, TARGETS)
_OTHER_WORDS = {"schedule": "cadence", "schedule_interval": "cadence", "cron": "cadence"}
_MERGE = "<<"


@dataclass(frozen=True)
class LoadedSync:
    """
    A sync of the file.

    :param name: its name, or one from its position if it has no valid name.
    :param spec: its keys; ``None`` if there are problems; with targets, the keys of the first one.
    :param problems: the problems, each with file, line, sync and key.
    :param targets: the keys of each target; empty if it has none.
    :param over_grant: whether the syncs of its Amplitude connection cost more exports than Amplitude grants.
    :param lines: the line of each key, from 1, by the target (an empty name for the sync) and the key.
    :param path: the path of the sync in the file's tree.
    :param watched: the target (an empty name without targets) and the keys of each of its segments, as far as
        they can be read, also if there are problems; those of all syncs of its name.
    """

    name: str
    spec: Sync | None
    problems: tuple[Problem, ...] = ()
    targets: Mapping[str, Sync] = field(default_factory=dict)
    over_grant: bool = False
    lines: Mapping[tuple[str, str], int] = field(default_factory=dict)
    path: Place = ()
    watched: Sequence[tuple[str, Sync]] = ()

    def line(self, key: str, target: str = "") -> int:
        """Return the line of a key, or of the sync's name if it has no such key."""
        places = ((target, key), ("", key), ("", "name"))
        return next((self.lines[place] for place in places if place in self.lines), 1)


@dataclass(frozen=True)
class _Draft:
    """A sync, or one of its targets, with its defaults, before the syncs are compared with each other."""

    name: str
    block: Block
    entries: Mapping[str, Entry]
    problems: tuple[Problem, ...]
    spec: Sync | None
    targets: Mapping[str, Sync] = field(default_factory=dict)
    target_names: Sequence[str] = ()
    watched: Mapping[str, Sync] = field(default_factory=dict)

    def line(self, key: str) -> int:
        """Return the line of a key, or of the sync if it has no such key."""
        return self.entries[key].line if key in self.entries else self.block.line


def load(path: Path) -> list[LoadedSync]:
    """
    Load and check every sync of a file.

    :raises CohortSyncConfigError: if the file as a whole cannot be understood.
    """
    document = read_document(path)
    groups: dict[str, list[_Draft]] = {}
    for name, block in zip(_names(document.syncs), document.syncs, strict=True):
        groups.setdefault(name, []).append(_draft(name, block, document.defaults))
    alone = [group[0] for group in groups.values() if len(group) == 1 and group[0].spec is not None]
    conflicts = find_conflicts({label: spec for one in alone for label, spec in _labelled(one)})
    loaded = [_loaded(document, group, _conflict_of(group[0], conflicts)) for group in groups.values()]
    return _within_budget(document, loaded)


def by_label(loaded: Iterable[LoadedSync]) -> dict[Label, Sync]:
    """Return every valid sync or target by its label."""
    return {label: spec for one in loaded for label, spec in _labelled(one)}


def _labelled(one: _Draft | LoadedSync) -> Iterable[tuple[Label, Sync]]:
    if one.targets:
        return [((one.name, target), spec) for target, spec in one.targets.items()]
    return [((one.name, ""), one.spec)] if one.spec is not None else []


def _conflict_of(one: _Draft, conflicts: Mapping[Label, str]) -> tuple[str, str] | None:
    """Return the first target of a sync (an empty name without targets) with a conflict, and its message."""
    return next(((label[1], conflicts[label]) for label, _ in _labelled(one) if label in conflicts), None)


def _names(syncs: tuple[Block, ...]) -> list[str]:
    own = [_own_name(block) for block in syncs]
    taken = set(own)
    return [name or _substitute(position, taken) for position, name in enumerate(own, start=1)]


def _own_name(block: Block) -> str | None:
    return usable_name(block.entries["name"].value) if "name" in block.entries else None


def _substitute(position: int, taken: Set[str | None]) -> str:
    name = f"sync_{position}"
    while name in taken:
        name += "_"
    return name


def _loaded(document: Document, group: list[_Draft], conflict: tuple[str, str] | None) -> LoadedSync:
    first = group[0]
    problems = [
        _located(document, one, problem)
        for one in group
        for problem in sorted((*document.problems, *one.problems), key=lambda problem: problem.line)
    ]
    for other in group[1:]:
        message = (
            f"line {first.line('name')} has a sync of the same name. Neither runs, because it is not clear "
            "which one is meant. Rename one."
        )
        twice = Problem(other.line("name"), (*other.block.path, "name"), message)
        problems.append(_located(document, other, twice))
    if conflict:
        problems.append(_located(document, first, _collision(first, *conflict)))
    unique = tuple({str(problem): problem for problem in problems}.values())
    return LoadedSync(
        first.name,
        None if unique else first.spec,
        unique,
        {} if unique else first.targets,
        lines=_lines(first),
        path=first.block.path,
        watched=tuple(each for one in group for each in one.watched.items()),
    )


def _lines(one: _Draft) -> dict[tuple[str, str], int]:
    lines = {("", "name"): one.line("name")} | {("", key): each.line for key, each in one.entries.items()}
    for name, block in zip(one.target_names, one.block.targets or (), strict=False):
        lines |= {(name, key): each.line for key, each in block.entries.items()}
    return lines


def _collision(one: _Draft, target: str, message: str) -> Problem:
    spec = one.targets.get(target, one.spec)
    key = "segment_id" if spec is None or spec.segment_name is None else "segment_name"
    place = one.entries
    if target and one.block.targets is not None:
        place = one.block.targets[one.target_names.index(target)].entries
    return Problem(place[key].line, place[key].path, message)


# ---- the place of a problem in messages


def _located(document: Document, one: _Draft, problem: Problem) -> Problem:
    label = _label(problem.path, one.target_names)
    key = f", key {label}" if label else ""
    return replace(problem, where=f"sync {one.name}{key}", file=document.name)


def _label(path: Place, targets: Sequence[str]) -> str:
    """Return the name of a key in messages, such as ``targets eu: mode`` or ``mode (from defaults)``."""
    if path[0] == "defaults":
        if path[1:2] and path[1] in _KEYS and path[1] not in ("name", TARGETS):
            return f"{_in_words(path[1:])} (from defaults)"
        return f"defaults.{_in_words(path[1:])}" if path[1:] else ""
    if path[0] != "syncs":
        return BUDGET if path[0] == BUDGET else ""
    if path[2:3] == (TARGETS,) and len(path) > 3:
        name = targets[int(path[3])]
        of_target = f"{TARGETS} {name}" if name else f"{TARGETS}, item {int(path[3]) + 1}"
        return f"{of_target}: {_in_words(path[4:])}" if path[4:] else of_target
    return _in_words(path[2:])


def _in_words(path: Place) -> str:
    if not path:
        return ""
    key, *more = path
    parts = (f" (item {part + 1})" if isinstance(part, int) else f": {show(part)[1:-1]}" for part in more)
    return show(str(key))[1:-1] + "".join(parts)


# ---- a sync, its targets and the defaults


def _draft(name: str, block: Block, defaults: Block) -> _Draft:
    if block.targets is None:
        draft = _merged(name, block, defaults)
        return replace(draft, spec=None) if draft.problems else draft
    return _with_targets(name, block, block.targets, defaults)


def _with_targets(name: str, block: Block, targets: Sequence[Block], defaults: Block) -> _Draft:
    names, problems = _target_names(targets)
    problems += _not_of_the_sync(block, defaults)
    # A segment belongs to one target, so it is not inherited.
    common = replace(block, entries=_without(block.entries, SEGMENT_KEYS), targets=None)
    defaults = replace(defaults, entries=_without(defaults.entries, SEGMENT_KEYS))
    specs: dict[str, Sync] = {}
    watched: dict[str, Sync] = {}
    entries: dict[str, Entry] = {}
    for target_name, target in zip(names, targets, strict=True):
        own = {key: entry for key, entry in target.entries.items() if key in TARGET_KEYS and key != "name"}
        inherited = _without(common.entries, _other_mapping(own))
        part = _merged(name, replace(common, entries={**inherited, **own}), defaults)
        entries = {**part.entries, **entries}
        problems += [*target.problems, *_keys_of_no_target(target)]
        for problem in part.problems:
            if problem.key in SEGMENT_KEYS and problem.key not in own:  # it is missing
                place = (*target.path, problem.key)
                problem = replace(problem, line=target.line, path=place)
            problems.append(problem)
        if part.spec is not None:
            specs[target_name] = part.spec
        if target_name and part.watched:
            watched[target_name] = part.watched[""]
    unique = tuple(dict.fromkeys(problems))
    first = None if unique else next(iter(specs.values()), None)
    return _Draft(name, block, entries, unique, first, {} if unique else specs, names, watched)


def _target_names(targets: Sequence[Block]) -> tuple[list[str], list[Problem]]:
    """Return the names of targets, empty where one is missing or repeated, and the problems with them."""
    names: list[str] = []
    problems: list[Problem] = []
    for target in targets:
        name = _own_name(target)
        if name is None or name in names:
            told = f"{show(name)} is used twice" if name else "it has no valid name"
            message = f"{told}; each target needs its own name, of letters, digits, _ and -."
            problems.append(Problem(target.line, target.path, message))
        names.append(name if name and name not in names else "")
    return names, problems


def _not_of_the_sync(block: Block, defaults: Block) -> list[Problem]:
    found = []
    for key in SEGMENT_KEYS:
        entry = block.entries.get(key)
        if entry is not None and entry.value is not None:
            message = "the sync has targets, and each of them names its own segment. Move it into a target."
            found.append(Problem(entry.line, entry.path, message))
    skip = {**defaults.entries, **block.entries}.get("skip_unchanged")
    if skip is not None and skip.value is True:
        message = (
            "it cannot be combined with targets: the cohort is exported before any of them is checked. "
            "Set skip_unchanged: false for this sync."
        )
        found.append(Problem(skip.line, skip.path, message))
    return found


def _keys_of_no_target(target: Block) -> Iterator[Problem]:
    for key, entry in target.entries.items():
        if key not in TARGET_KEYS:
            where = " It belongs to the sync." if key in _KEYS else did_you_mean(key, TARGET_KEYS)
            keys = f" The keys of a target are {', '.join(TARGET_KEYS)}."
            yield Problem(entry.line, entry.path, f"a target has no such key.{where or keys}")


def _without(entries: Mapping[str, Entry], keys: Sequence[str] | set[str]) -> dict[str, Entry]:
    return {key: entry for key, entry in entries.items() if key not in keys}


def _merged(name: str, block: Block, defaults: Block) -> _Draft:
    taken = _taken(block)
    inherited = {k: e for k, e in defaults.entries.items() if k in _KEYS and k not in taken}
    entries = {**inherited, **{k: e for k, e in block.entries.items() if k in _KEYS}}
    problems = [
        *_problems_for_all(defaults),
        *(each for each in defaults.problems if each.key != _MERGE and each.key not in taken),
        *block.problems,
        *_unknown(block),
    ]
    spec = None
    values = {key: entry.value for key, entry in entries.items()}
    parts = {k: v for k, v in defaults.readable.items() if k not in taken} | dict(block.readable)
    try:
        spec = Sync(**values)
    except ValidationError as error:
        unread = {problem.key for problem in (*defaults.problems, *block.problems)}
        problems.extend(_explained(error, entries, block, unread))
    readable = spec
    if spec is None or parts:
        readable = _without_mistakes(name, values | {k: v for k, v in parts.items() if k in _KEYS})
    watched = {} if readable is None else {"": readable}
    return _Draft(name, block, entries, tuple(problems), spec, watched=watched)


def _without_mistakes(name: str, values: Mapping[str, Any]) -> Sync | None:
    """Return a sync without the keys and alerts that have a mistake; ``None`` if it needs them."""
    values = {**values, "name": name}
    try:
        return Sync(**values)
    except ValidationError as error:
        details = error.errors(include_url=False)
    wrong = {each["loc"][0] if each["loc"] else each.get("ctx", {}).get("key") for each in details}
    rest = {key: value for key, value in values.items() if key == "name" or key not in wrong}
    if "alerts" in wrong:
        rest["alerts"] = usable_alerts(values["alerts"])
    if rest == values:  # what is wrong is missing
        return None
    return _without_mistakes(name, rest)  # keys are compared with each other once each is valid


def _taken(block: Block) -> set[str | None]:
    """Return the keys that are not taken from the defaults; a segment key of its own excludes the other."""
    own: set[str | None] = {*block.entries, *(problem.key for problem in block.problems)}
    segment = any(key in block.entries and block.entries[key].value is not None for key in SEGMENT_KEYS)
    return own | {"name"} | (set(SEGMENT_KEYS) if segment else set()) | _other_mapping(block.entries)


def _other_mapping(entries: Mapping[str, Entry]) -> set[str]:
    """Return the keys that map identifiers in the other way than these do: one way excludes the other."""
    if "identifiers" in entries:
        return set() if entries["identifiers"].value is None else set(ONE_IDENTIFIER)
    return {"identifiers"} if entries.keys() & set(ONE_IDENTIFIER) else set()


def _problems_for_all(defaults: Block) -> Iterator[Problem]:
    """Yield the problems of the defaults that concern every sync."""
    yield from _unknown(defaults)
    if "name" in defaults.entries:
        entry = defaults.entries["name"]
        message = "a name belongs to one sync, so it cannot be a default. Remove it."
        yield Problem(entry.line, entry.path, message)
    if defaults.targets is not None:
        message = "targets belong to one sync, so they cannot be a default. Remove them."
        yield Problem(defaults.line, (*defaults.path, TARGETS), message)
    yield from (problem for problem in defaults.problems if problem.key == _MERGE)


def _unknown(block: Block) -> Iterator[Problem]:
    for key, entry in block.entries.items():
        if key in _KEYS:
            continue
        near = f" Did you mean {_OTHER_WORDS[key]}?" if key in _OTHER_WORDS else did_you_mean(key, _KEYS)
        keys = f" The keys of a sync are {', '.join(_KEYS)}."
        yield Problem(entry.line, entry.path, f"there is no such key.{near or keys}")


def _explained(
    error: ValidationError, entries: Mapping[str, Entry], block: Block, unread: set[str | None]
) -> Iterator[Problem]:
    if unread & {None, _MERGE}:  # not a mapping, so its missing keys need no message
        return
    for details in error.errors(include_url=False):
        key = str(details["loc"][0]) if details["loc"] else ""
        text = entries[key].text if key in entries else None
        (first, *more), message = explain(details, text)
        if not more and first in unread and details["type"] in ("missing", "sync"):
            continue  # the key exists but could not be read, which has been reported
        if TARGETS in unread and first in SEGMENT_KEYS:
            continue  # the targets have the segments
        entry = entries.get(str(first))
        if entry is None:
            yield Problem(block.line, (*block.path, first, *more), message)
        else:
            yield Problem(entry.line, (*entry.path, *more), message)


# ---- what the syncs cost, for each Amplitude project


def _within_budget(document: Document, loaded: Sequence[LoadedSync]) -> list[LoadedSync]:
    """Refuse the syncs that exceed the limit of their connection; in file order, the first ones are kept."""
    spent: dict[str, int] = {}
    kept = []
    for one in loaded:
        if one.spec is None or not one.spec.enabled:
            kept.append(one)
            continue
        conn_id = one.spec.amplitude_conn_id
        limit = document.max_exports.get(conn_id, document.max_exports.get(None))
        cost = exports_a_month(one.spec.cadence)
        total = spent.get(conn_id, 0) + cost
        if limit is not None and total > limit:
            message = (
                f"the syncs before this one cost {total - cost:,} exports a month of connection {conn_id}, "
                f"and this one {cost:,} more: {total:,} in total, but max_exports_per_month is {limit:,}. "
                "Run some of them less often, or raise the limit."
            )
            where, path = f"sync {one.name}, key cadence", (*one.path, "cadence")
            problem = Problem(one.line("cadence"), path, message, where, document.name)
            kept.append(replace(one, spec=None, targets={}, problems=(problem,)))
            continue
        spent[conn_id] = total
        kept.append(one)
    if get_parsing_context().dag_id is None:  # otherwise every task's log would have the warnings
        _warn(document, spent, {_conn_of(one) for one in loaded})
    over = {conn_id for conn_id, total in spent.items() if total > AMPLITUDE_GRANTS}
    return [replace(one, over_grant=_conn_of(one) in over) for one in kept]


def _conn_of(one: LoadedSync) -> str | None:
    return one.spec.amplitude_conn_id if one.spec is not None and one.spec.enabled else None


def _warn(document: Document, spent: Mapping[str, int], used: set[str | None]) -> None:
    for conn_id in document.max_exports:
        if conn_id not in {None, *used}:
            log.warning(
                "%s: max_exports_per_month limits the connection %s, but no sync uses it.",
                document.name,
                conn_id,
            )
    for conn_id, total in spent.items():
        if total > AMPLITUDE_GRANTS:
            log.warning(
                "%s: the syncs of connection %s cost %s exports a month; Amplitude grants %s.",
                document.name,
                conn_id,
                f"{total:,}",
                f"{AMPLITUDE_GRANTS:,}",
            )
