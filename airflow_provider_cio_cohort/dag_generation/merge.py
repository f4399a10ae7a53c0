"""Puts a sync, each of its targets and the defaults of its file together, and checks the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from airflow_provider_cio_cohort.dag_generation.blocks import TARGETS, Block, Entry, Flaw
from airflow_provider_cio_cohort.dag_generation.errors import did_you_mean, show
from airflow_provider_cio_cohort.dag_generation.spec import SEGMENT_KEYS, TARGET_KEYS, Sync, usable_name
from airflow_provider_cio_cohort.dag_generation.wording import explain

_KEYS = (*Sync.model_fields, TARGETS)
_OTHER_WORDS = {"schedule": "cadence", "schedule_interval": "cadence", "cron": "cadence"}
_MERGE = "<<"


@dataclass(frozen=True)
class Draft:
    """
    A sync with its defaults, before the syncs are compared with each other.

    :param name: its name, or a substitute.
    :param lines: where its keys are; those that it inherits are in the defaults.
    :param inherited: the keys that it has from the defaults.
    :param flaws: what is wrong with it.
    :param spec: what it says, ``None`` if anything is wrong; with targets, what the first of them says.
    :param targets: what it says for each of its targets; empty if it has none.
    """

    name: str
    lines: Mapping[str, int]
    inherited: frozenset[str]
    flaws: tuple[Flaw, ...]
    spec: Sync | None
    targets: Mapping[str, Sync] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    """A sync, or one of its targets, with all that it inherits."""

    entries: Mapping[str, Entry]
    inherited: frozenset[str]
    flaws: tuple[Flaw, ...]
    spec: Sync | None


def draft(name: str, block: Block, defaults: Block) -> Draft:
    """
    Put a sync and the defaults together.

    :param name: the sync's name, or a substitute.
    :param block: what the file has for the sync.
    :param defaults: what the file has for all syncs.
    """
    if block.targets is None:
        part = _part(block, defaults)
        spec = None if part.flaws else part.spec
        return Draft(name, _lines(block, part), part.inherited, part.flaws, spec)
    return _with_targets(name, block, block.targets, defaults)


def _with_targets(name: str, block: Block, targets: Sequence[Block], defaults: Block) -> Draft:
    names, flaws = _target_names(targets)
    flaws += _not_of_the_sync(block, defaults)
    # A segment belongs to a target, so none is inherited.
    common = replace(block, entries=_without(block.entries, SEGMENT_KEYS), targets=None)
    defaults = replace(defaults, entries=_without(defaults.entries, SEGMENT_KEYS))
    specs: dict[str, Sync] = {}
    inherited: frozenset[str] = frozenset()
    lines: dict[str, int] = {}
    for target_name, target in zip(names, targets, strict=True):
        own = {key: entry for key, entry in target.entries.items() if key in TARGET_KEYS and key != "name"}
        part = _part(replace(common, entries={**common.entries, **own}), defaults)
        inherited |= part.inherited
        segment_line = next((own[key].line for key in SEGMENT_KEYS if key in own), target.line)
        lines = {**_lines(block, part), **lines, f"{TARGETS} {target_name}": segment_line}
        flaws += [_within(flaw, target_name) for flaw in (*target.flaws, *_foreign_to_a_target(target))]
        for flaw in part.flaws:
            if flaw.key in SEGMENT_KEYS and flaw.key not in own:
                flaws.append(_within(replace(flaw, line=target.line), target_name))
            else:
                flaws.append(_within(flaw, target_name) if flaw.key in own else flaw)
        if part.spec is not None:
            specs[target_name] = part.spec
    unique = tuple(dict.fromkeys(flaws))
    first = next(iter(specs.values()), None)
    return Draft(name, lines, inherited, unique, None if unique else first, specs)


def _target_names(targets: Sequence[Block]) -> tuple[list[str], list[Flaw]]:
    names: list[str] = []
    flaws: list[Flaw] = []
    for position, target in enumerate(targets, start=1):
        name = usable_name(target.entries["name"].value) if "name" in target.entries else None
        if name is None or name in names:
            told = f"{show(name)} is there twice" if name else "it has no usable name"
            message = f"{told}; each target has a name of its own, of letters, digits, _ and -."
            flaws.append(Flaw(target.line, f"{TARGETS}, item {position}", message))
        names.append(name if name and name not in names else f"item {position}")
    return names, flaws


def _not_of_the_sync(block: Block, defaults: Block) -> list[Flaw]:
    found = []
    for key in SEGMENT_KEYS:
        if key in block.entries and block.entries[key].value is not None:
            message = "the sync has targets, and each of them names its own segment. Move it into a target."
            found.append(Flaw(block.entries[key].line, key, message))
    skip = {**defaults.entries, **block.entries}.get("skip_unchanged")
    if skip is not None and skip.value is True:
        message = (
            "it does not go with targets: the cohort is exported before any of them is looked at. "
            "Give this sync skip_unchanged: false."
        )
        found.append(Flaw(skip.line, "skip_unchanged", message))
    return found


def _foreign_to_a_target(target: Block) -> Iterator[Flaw]:
    for key, entry in target.entries.items():
        if key not in TARGET_KEYS:
            where = " It belongs to the sync." if key in _KEYS else did_you_mean(key, TARGET_KEYS)
            keys = f" The keys of a target are {', '.join(TARGET_KEYS)}."
            yield Flaw(entry.line, show(key)[1:-1], f"a target has no such key.{where or keys}")


def _within(flaw: Flaw, target: str) -> Flaw:
    return replace(flaw, key=f"{TARGETS} {target}: {flaw.key}" if flaw.key else f"{TARGETS} {target}")


def _without(entries: Mapping[str, Entry], keys: Sequence[str]) -> dict[str, Entry]:
    return {key: entry for key, entry in entries.items() if key not in keys}


def _lines(block: Block, part: _Part) -> dict[str, int]:
    return {"name": block.line, **{key: entry.line for key, entry in part.entries.items()}}


def _part(block: Block, defaults: Block) -> _Part:
    taken = _taken(block)
    inherited = {k: e for k, e in defaults.entries.items() if k in _KEYS and k not in taken}
    entries = {**inherited, **{k: e for k, e in block.entries.items() if k in _KEYS}}
    flaws = [
        *_flaws_for_all(defaults),
        *(flaw for flaw in defaults.flaws if flaw.key != _MERGE and flaw.key not in taken),
        *block.flaws,
        *_unknown(block),
    ]
    spec = None
    try:
        spec = Sync(**{key: entry.value for key, entry in entries.items()})
    except ValidationError as error:
        unread = {flaw.key for flaw in (*defaults.flaws, *block.flaws)}
        flaws.extend(_explained(error, entries, block.line, unread))
    unread_defaults = {flaw.key for flaw in defaults.flaws if flaw.key} - taken
    return _Part(entries, frozenset(inherited) | unread_defaults, tuple(flaws), spec)


def _taken(block: Block) -> set[str | None]:
    """Return the keys that the sync does not take from the defaults; naming one segment drops the other."""
    own: set[str | None] = {*block.entries, *(flaw.key for flaw in block.flaws)}
    segment = any(key in block.entries and block.entries[key].value is not None for key in SEGMENT_KEYS)
    return own | {"name"} | (set(SEGMENT_KEYS) if segment else set())


def _flaws_for_all(defaults: Block) -> Iterator[Flaw]:
    """Yield what concerns every sync: what such a key of the defaults was meant to be, nobody knows."""
    yield from (replace(flaw, key=f"defaults.{flaw.key}") for flaw in _unknown(defaults))
    if "name" in defaults.entries:
        message = "a name belongs to one sync, so it cannot be a default. Take it out."
        yield Flaw(defaults.entries["name"].line, "defaults.name", message)
    if defaults.targets is not None:
        message = "targets belong to one sync, so they cannot be a default. Take them out."
        yield Flaw(defaults.line, f"defaults.{TARGETS}", message)
    yield from (replace(flaw, key="defaults.<<") for flaw in defaults.flaws if flaw.key == _MERGE)


def _unknown(block: Block) -> Iterator[Flaw]:
    for key, entry in block.entries.items():
        if key in _KEYS:
            continue
        near = f" Did you mean {_OTHER_WORDS[key]}?" if key in _OTHER_WORDS else did_you_mean(key, _KEYS)
        keys = f" The keys of a sync are {', '.join(_KEYS)}."
        yield Flaw(entry.line, show(key)[1:-1], f"there is no such key.{near or keys}")


def _explained(
    error: ValidationError, entries: Mapping[str, Entry], line: int, unread: set[str | None]
) -> Iterator[Flaw]:
    if unread & {None, _MERGE}:  # no mapping at all: what is missing in it is not worth a word
        return
    for details in error.errors(include_url=False):
        place = str(details["loc"][0]) if details["loc"] else ""
        key, message = explain(details, entries.get(place))
        if key in unread and details["type"] in ("missing", "sync"):
            continue  # it is there, but could not be read, which has been said
        if TARGETS in unread and key in SEGMENT_KEYS:
            continue  # the segments are in there
        entry = entries.get(place or key)
        yield Flaw(entry.line if entry else line, key, message)
