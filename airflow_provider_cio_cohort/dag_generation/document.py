"""Reads a YAML file: its defaults, its syncs, and what is wrong around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_cio_cohort.dag_generation.blocks import (
    Block,
    Flaw,
    is_null,
    key_of,
    kind,
    line_of,
    read_block,
    read_limits,
)
from airflow_provider_cio_cohort.dag_generation.errors import CohortSyncConfigError, did_you_mean, show

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is some ten times faster
_BUDGET = "max_exports_per_month"
_TOP_LEVEL = ("defaults", "syncs", _BUDGET)
_DEEPEST = 100  # a file of syncs needs four levels


@dataclass(frozen=True)
class Document:
    """
    A YAML file.

    :param name: the file's name; without its folder, which differs from host to host.
    :param defaults: what holds for every sync that does not say otherwise.
    :param syncs: the syncs, in the order of the file.
    :param max_exports: the most exports that the syncs of each Amplitude connection may cost a month; the key
        ``None`` stands for every connection that is not named.
    :param flaws: what is wrong outside of the syncs, and so may concern any of them.
    """

    name: str
    defaults: Block
    syncs: tuple[Block, ...]
    max_exports: Mapping[str | None, int]
    flaws: tuple[Flaw, ...]


def read_document(path: Path) -> Document:
    """
    Read a YAML file of syncs.

    :param path: the file.
    :raises CohortSyncConfigError: if it cannot be read, is no YAML, or has no list of ``syncs``.
    """
    top = _top_level(_compose(path), path)
    flaws = [
        Flaw(
            line_of(key_node),
            None,
            f"the file has the unknown key {show(key)}.{did_you_mean(key, _TOP_LEVEL)} "
            f"The keys of a file are {', '.join(_TOP_LEVEL)}.",
        )
        for key, (key_node, _) in top.items()
        if key not in _TOP_LEVEL
    ]
    syncs = _syncs(top, path)
    defaults = Block(1, {})
    if "defaults" in top and not is_null(top["defaults"][1]):
        node = top["defaults"][1]
        if isinstance(node, yaml.MappingNode):
            defaults = read_block(node)
        else:
            message = f"defaults must be a mapping of keys to values, but it is {kind(node)}."
            flaws.append(Flaw(line_of(node), None, message))
    max_exports: dict[str | None, int] = {}
    if _BUDGET in top:
        max_exports, wrong = read_limits(top[_BUDGET][1])
        flaws += [Flaw(line, _BUDGET, message) for line, message in wrong]
    return Document(path.name, defaults, syncs, max_exports, tuple(flaws))


def _compose(path: Path) -> yaml.MappingNode:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CohortSyncConfigError(
            f"{path}: the file of cohort syncs cannot be read ({error.strerror}). "
            'Give its path relative to the DAG file: Path(__file__).with_name("cohort_syncs.yaml").'
        ) from None
    try:
        if _is_deep(content):
            raise RecursionError
        root: yaml.Node | None = yaml.compose(content, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise CohortSyncConfigError(_not_yaml(path, content, error)) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = getattr(error, "reason", None) or "it is nested too deeply, or is no text"
        raise CohortSyncConfigError(f"{path}: the file is not valid YAML: {reason}.") from None
    if not isinstance(root, yaml.MappingNode):
        what = "is empty" if root is None or is_null(root) else f"holds {kind(root)}"
        raise CohortSyncConfigError(
            f"{path}, line 1: the file {what}; it must be a mapping with the key syncs, a list of syncs."
        )
    return root


def _is_deep(content: bytes) -> bool:
    """Find nesting so deep that libyaml would crash the process instead of raising."""
    brackets = content.count(b"[") + content.count(b"{")
    longest_line = max(map(len, content.splitlines()), default=0)
    if brackets < 1_000 and longest_line < 1_000:
        return False  # each level takes a bracket, or another column
    depth = 0
    for event in yaml.parse(content, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            return True
    return False


def _not_yaml(path: Path, content: bytes, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    lines = content.decode("utf-8", "replace").splitlines()
    hint = ""
    if line < len(lines) and "cadence" in lines[line] and "*" in lines[line]:
        hint = ' A cron expression needs quotes: cadence: "0 6 * * 1".'
    reason = " ".join(part for part in (error.context, error.problem) if part)
    return f"{path}, line {line + 1}: the file is not valid YAML: {reason}.{hint}"


def _top_level(root: yaml.MappingNode, path: Path) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for key_node, node in root.value:
        key = key_of(key_node)
        if key in pairs:
            raise CohortSyncConfigError(
                f"{path}, line {line_of(key_node)}: the key {show(key)} is there twice, first on line "
                f"{line_of(pairs[key][0])}, so it is not clear what is meant. Keep one."
            )
        pairs[key] = (key_node, node)
    return pairs


def _syncs(top: dict[str, tuple[yaml.Node, yaml.Node]], path: Path) -> tuple[Block, ...]:
    if "syncs" not in top:
        near = next((key for key in top if did_you_mean(key, ["syncs"])), None)
        meant = f" Is {show(near)} meant to be it?" if near else ""
        raise CohortSyncConfigError(
            f"{path}, line 1: the file has no key syncs; it holds the list of syncs.{meant}"
        )
    node = top["syncs"][1]
    if is_null(node):
        return ()
    if not isinstance(node, yaml.SequenceNode):
        raise CohortSyncConfigError(
            f"{path}, line {line_of(node)}: syncs must be a list, each item of which starts with a dash "
            f"(- name: power_users), but it is {kind(node)}."
        )
    return tuple(read_block(item) for item in node.value)
