"""From a YAML file to its syncs, each of them either sound or with what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from airflow_provider_cio_cohort.dag_generation.blocks import Block, Flaw
from airflow_provider_cio_cohort.dag_generation.conflicts import find_conflicts
from airflow_provider_cio_cohort.dag_generation.document import Document, read_document
from airflow_provider_cio_cohort.dag_generation.merge import Draft, draft
from airflow_provider_cio_cohort.dag_generation.spec import SEGMENT_KEYS, Name, Sync

_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True)
class LoadedSync:
    """
    A sync of the file.

    :param name: its name, or one by its position where it has no usable one.
    :param spec: what it says, ``None`` if something is wrong.
    :param problems: what is wrong, each with file, line, sync and key.
    """

    name: str
    spec: Sync | None
    problems: tuple[str, ...] = ()


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
    alone = {name: group[0].spec for name, group in groups.items() if len(group) == 1}
    conflicts = find_conflicts({name: spec for name, spec in alone.items() if spec is not None})
    return [_loaded(document, group, conflicts.get(name)) for name, group in groups.items()]


def _names(syncs: tuple[Block, ...]) -> list[str]:
    own = [_usable_name(block) for block in syncs]
    names = []
    for position, name in enumerate(own, start=1):
        substitute = f"sync_{position}"
        while substitute in own:
            substitute += "_"
        names.append(name or substitute)
    return names


def _usable_name(block: Block) -> str | None:
    try:
        return _NAME.validate_python(block.entries["name"].value, strict=True)
    except (KeyError, ValidationError):
        return None


def _loaded(document: Document, group: list[Draft], conflict: str | None) -> LoadedSync:
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
        key = next(key for key in SEGMENT_KEYS if key in first.lines)
        problems.append(_locate(document, first, Flaw(first.lines[key], key, conflict)))
    unique = tuple(dict.fromkeys(problems))
    return LoadedSync(first.name, None if unique else first.spec, unique)


def _locate(document: Document, one: Draft, flaw: Flaw) -> str:
    key = f", key {flaw.key}" if flaw.key else ""
    origin = " (from defaults)" if flaw.key and flaw.key.split(" ")[0] in one.inherited else ""
    return f"{document.name}, line {flaw.line}, sync {one.name}{key}{origin}: {flaw.message}"
