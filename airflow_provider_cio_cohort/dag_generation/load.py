"""From a YAML file to its syncs, each of them either sound or with what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_cio_cohort.dag_generation.blocks import TARGETS, Block, Flaw
from airflow_provider_cio_cohort.dag_generation.budget import within_budget
from airflow_provider_cio_cohort.dag_generation.conflicts import find_conflicts
from airflow_provider_cio_cohort.dag_generation.document import Document, read_document
from airflow_provider_cio_cohort.dag_generation.merge import Draft, draft
from airflow_provider_cio_cohort.dag_generation.spec import SEGMENT_KEYS, Sync, usable_name


@dataclass(frozen=True)
class LoadedSync:
    """
    A sync of the file.

    :param name: its name, or one by its position where it has no usable one.
    :param spec: what it says, ``None`` if something is wrong; with targets, what the first of them says.
    :param problems: what is wrong, each with file, line, sync and key.
    :param targets: what it says for each of its targets; empty if it has none.
    :param over_grant: whether the syncs of its Amplitude connection cost more exports than Amplitude grants.
    :param cadence_line: where its cadence is, from 1, or the sync itself if it has none.
    """

    name: str
    spec: Sync | None
    problems: tuple[str, ...] = ()
    targets: Mapping[str, Sync] = field(default_factory=dict)
    over_grant: bool = False
    cadence_line: int = 1


def load(path: Path) -> list[LoadedSync]:
    """
    Load and check every sync of a file.

    :param path: the YAML file.
    :raises CohortSyncConfigError: if the file as a whole cannot be understood.
    """
    document = read_document(path)
    groups: dict[str, list[Draft]] = {}
    for name, block in zip(_names(document.syncs), document.syncs, strict=True):
        groups.setdefault(name, []).append(draft(name, block, document.defaults))
    alone = [group[0] for group in groups.values() if len(group) == 1 and group[0].spec is not None]
    conflicts = find_conflicts({label: spec for one in alone for label, spec in _labelled(one)})
    loaded = [_loaded(document, group, _conflict_of(group[0], conflicts)) for group in groups.values()]
    return within_budget(document, loaded)


def _labelled(one: Draft) -> Iterable[tuple[tuple[str, str], Sync]]:
    if one.targets:
        return [((one.name, target), spec) for target, spec in one.targets.items()]
    return [((one.name, ""), one.spec)] if one.spec is not None else []


def _conflict_of(one: Draft, conflicts: Mapping[tuple[str, str], str]) -> tuple[str, str] | None:
    """Return the first target of a sync (an empty name for a sync without) that collides, and the message."""
    return next(((label[1], conflicts[label]) for label, _ in _labelled(one) if label in conflicts), None)


def _names(syncs: tuple[Block, ...]) -> list[str]:
    own = [usable_name(block.entries["name"].value) if "name" in block.entries else None for block in syncs]
    taken = set(own)
    return [name or _substitute(position, taken) for position, name in enumerate(own, start=1)]


def _substitute(position: int, taken: Set[str | None]) -> str:
    name = f"sync_{position}"
    while name in taken:
        name += "_"
    return name


def _loaded(document: Document, group: list[Draft], conflict: tuple[str, str] | None) -> LoadedSync:
    first = group[0]
    problems = [
        _locate(document, one, flaw)
        for one in group
        for flaw in sorted((*document.flaws, *one.flaws), key=lambda flaw: flaw.line)
    ]
    for other in group[1:]:
        message = (
            f"line {first.lines['name']} has a sync of the same name. Which one is meant is not clear, so "
            "neither runs. Rename one."
        )
        problems.append(_locate(document, other, Flaw(other.lines["name"], "name", message)))
    if conflict:
        problems.append(_locate(document, first, _collision(first, *conflict)))
    unique = tuple(dict.fromkeys(problems))
    return LoadedSync(
        first.name,
        None if unique else first.spec,
        unique,
        {} if unique else first.targets,
        cadence_line=first.lines.get("cadence", first.lines["name"]),
    )


def _collision(one: Draft, target: str, message: str) -> Flaw:
    if not target:
        key = next(key for key in SEGMENT_KEYS if key in one.lines)
        return Flaw(one.lines[key], key, message)
    key = "segment_id" if one.targets[target].segment_name is None else "segment_name"
    place = f"{TARGETS} {target}"
    return Flaw(one.lines[place], f"{place}: {key}", message)


def _locate(document: Document, one: Draft, flaw: Flaw) -> str:
    key = f", key {flaw.key}" if flaw.key else ""
    origin = " (from defaults)" if flaw.key and flaw.key.split(" ")[0] in one.inherited else ""
    return f"{document.name}, line {flaw.line}, sync {one.name}{key}{origin}: {flaw.message}"
