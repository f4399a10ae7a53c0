"""Puts a sync and the defaults of its file together, and checks the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pydantic import ValidationError

from airflow_provider_cio_cohort.dag_generation.blocks import Block, Entry, Flaw
from airflow_provider_cio_cohort.dag_generation.errors import did_you_mean, show
from airflow_provider_cio_cohort.dag_generation.spec import SEGMENT_KEYS, Sync
from airflow_provider_cio_cohort.dag_generation.wording import explain

_KEYS = tuple(Sync.model_fields)
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
    :param spec: what it says, ``None`` if anything is wrong.
    """

    name: str
    lines: Mapping[str, int]
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
    return Draft(
        name,
        {"name": block.line, **{key: entry.line for key, entry in entries.items()}},
        frozenset(inherited) | unread_defaults,
        tuple(flaws),
        None if flaws else spec,
    )


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
        entry = entries.get(place or key)
        yield Flaw(entry.line if entry else line, key, message)
