"""
Reads a YAML file into a tree with line numbers and a list of problems.

PyYAML's own loaders silently keep the last of two equal keys, drop the line numbers, and reject the whole
file for one value that cannot be constructed (``2026-13-45`` looks like a date). So each value of a block is
constructed on its own, from the composed nodes.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from airflow_provider_cio_cohort.dag_generation.line_mistakes import explain_line
from airflow_provider_cio_cohort.dag_generation.messages import (
    CohortSyncConfigError,
    NoSyncsError,
    Place,
    Problem,
    did_you_mean,
    show,
)

TARGETS = "targets"
#: The key of a file's limit of exports.
BUDGET = "max_exports_per_month"
_TOP_LEVEL = ("defaults", "syncs", BUDGET)
#: The prefix of keys at the top of a file that may hold anything, such as anchors for merge keys.
OWN_KEYS = "x-"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is about ten times faster
_TAG = "tag:yaml.org,2002:"
#: Errors of libyaml whose mark is behind the mistake: a key without a colon, brackets or quotes not closed.
_ENDS_TOO_LATE = (
    "could not find expected ':'",
    "did not find expected ','",
    "found unexpected end of stream",
)
_MOST_COLLECTIONS = 1_000
_DEEPEST = 100  # a file of syncs needs four levels
#: The lines of the defaults, or of a key that may have an anchor for them: up to the next key of the file, or
#: its end. A list and the brackets of a value may stand at the beginning of a line, too.
_DEFAULTS = re.compile(
    rb"""^(["']?)(?:defaults|x-[^\n:"']*)\1[ \t]*:.*?(?=^(?!-\s)[^\s#\[\]{}]|\Z)""", re.MULTILINE | re.DOTALL
)
_Pairs = dict[str, tuple[yaml.Node, yaml.Node]]


@dataclass(frozen=True)
class Entry:
    """
    The value of a key.

    :param value: the parsed value.
    :param line: the line of its key, from 1.
    :param path: where it is in the tree.
    :param text: its text in the file, except for a list or a mapping: YAML parses ``007`` as 7.
    """

    value: Any
    line: int
    path: Place
    text: str | None = None


@dataclass(frozen=True)
class Block:
    """
    A mapping: a sync, or the defaults.

    :param line: its first line, from 1.
    :param path: where it is in the tree.
    :param entries: its keys.
    :param problems: the problems that were found in it.
    :param targets: the mappings under the key ``targets``; ``None`` if there is no such key.
    :param readable: the items that can be read of each list that cannot be read as a whole.
    """

    line: int
    path: Place
    entries: Mapping[str, Entry]
    problems: tuple[Problem, ...] = ()
    targets: tuple[Block, ...] | None = None
    readable: Mapping[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """
    A YAML file.

    :param name: the file's name, without the folder, which differs between hosts.
    :param defaults: the defaults of every sync.
    :param syncs: the syncs, in the order of the file.
    :param max_exports: the most exports a month that the syncs of each Amplitude connection may cost; the key
        ``None`` is for every connection that is not named.
    :param problems: the problems outside of the syncs, which may concern any of them.
    """

    name: str
    defaults: Block
    syncs: tuple[Block, ...]
    max_exports: Mapping[str | None, int]
    problems: tuple[Problem, ...]


class _UnreadableError(Exception):
    """A value that cannot be read; the message is the reason."""


def read_document(path: Path) -> Document:
    """
    Read a YAML file of syncs.

    :raises CohortSyncConfigError: if it cannot be read, is not YAML, or has no list of ``syncs``.
    """
    top = _top_level(_compose(path), path)
    problems = [
        Problem(
            _line_of(key_node),
            (key,),
            f"the file has the unknown key {show(key)}.{did_you_mean(key, _TOP_LEVEL)} "
            f"The keys of a file are {', '.join(_TOP_LEVEL)}, and those that begin with {OWN_KEYS}.",
        )
        for key, (key_node, _) in top.items()
        if key not in _TOP_LEVEL and not key.startswith(OWN_KEYS)
    ]
    syncs = _syncs(top, path)
    defaults = Block(1, ("defaults",), {})
    if "defaults" in top and not _is_null(top["defaults"][1]):
        node = top["defaults"][1]
        if isinstance(node, yaml.MappingNode):
            defaults = _block(node, ("defaults",))
        else:
            message = f"defaults must be a mapping of keys to values, but it is {_kind(node)}."
            problems.append(Problem(_line_of(node), ("defaults",), message))
    max_exports: dict[str | None, int] = {}
    if BUDGET in top:
        max_exports, wrong = _limits(top[BUDGET][1])
        problems += wrong
    return Document(path.name, defaults, syncs, max_exports, tuple(problems))


def read_defaults(path: Path) -> Block | None:
    """
    Read the defaults of a file that cannot be read as a whole, if the mistake is elsewhere in it.

    :returns: the defaults; ``None`` if there are none that can be read with the file's ``x-`` keys alone.
    """
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError:
        return None
    sound = b""
    pairs: list[tuple[yaml.Node, yaml.Node]] = []
    for found in _DEFAULTS.finditer(content):
        try:
            if _is_deep(sound + found[0]):
                continue
            root: yaml.Node | None = yaml.compose(sound + found[0], Loader=_LOADER)
        except (yaml.YAMLError, RecursionError, ValueError):
            continue
        sound += found[0]
        pairs = root.value if isinstance(root, yaml.MappingNode) else []
    node = next((value for key, value in pairs if _key_of(key) == "defaults"), None)
    return _block(node, ("defaults",)) if isinstance(node, yaml.MappingNode) else None


def _compose(path: Path) -> yaml.MappingNode:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CohortSyncConfigError(
            f"the file of cohort syncs cannot be read ({error.strerror}). "
            'Give its path relative to the DAG file: Path(__file__).with_name("cohort_syncs.yaml").',
            path,
        ) from None
    try:
        if _is_deep(content):
            raise RecursionError
        root: yaml.Node | None = yaml.compose(content, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(path, content, error) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = getattr(error, "reason", None) or "it is nested too deeply, or is not text"
        raise CohortSyncConfigError(f"the file is not valid YAML: {reason}.", path) from None
    if not isinstance(root, yaml.MappingNode):
        what = "is empty" if root is None or _is_null(root) else f"holds {_kind(root)}"
        raise CohortSyncConfigError(
            f"the file {what}; it must be a mapping with the key syncs, a list of syncs.", path
        )
    return root


def _is_deep(content: bytes) -> bool:
    """Return whether the nesting is so deep that libyaml would crash the process instead of raising."""
    brackets = content.count(b"[") + content.count(b"{")
    longest_line = max(map(len, content.splitlines()), default=0)
    if brackets < 1_000 and longest_line < 1_000:
        return False  # each level needs a bracket, or another column
    depth = 0
    for event in yaml.parse(content, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            return True
    return False


def _not_yaml(path: Path, content: bytes, error: yaml.MarkedYAMLError) -> CohortSyncConfigError:
    mark = error.problem_mark or error.context_mark
    if error.problem and error.problem.startswith(_ENDS_TOO_LATE):
        mark = error.context_mark or mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = content.decode("utf-8", "replace").rstrip().splitlines()
    if line >= len(lines) > 0:  # the end of the file
        line, column = len(lines) - 1, len(lines[-1])
    reason = " ".join(part for part in (error.context, error.problem) if part)
    usual = explain_line(lines[line], column, error.problem or "") if line < len(lines) else ""
    return CohortSyncConfigError(f"the file is not valid YAML: {usual or f'{reason}.'}", path, line + 1)


def _top_level(root: yaml.MappingNode, path: Path) -> _Pairs:
    pairs: _Pairs = {}
    for key_node, node in root.value:
        key = _key_of(key_node)
        if key in pairs:
            raise CohortSyncConfigError(
                f"the key {show(key)} appears twice, first on line {_line_of(pairs[key][0])}. Keep one.",
                path,
                _line_of(key_node),
            )
        pairs[key] = (key_node, node)
    return pairs


def _syncs(top: _Pairs, path: Path) -> tuple[Block, ...]:
    if "syncs" not in top:
        near = next((key for key in top if did_you_mean(key, ["syncs"])), None)
        meant = f" Is {show(near)} a misspelling of it?" if near else ""
        raise CohortSyncConfigError(
            f"the file has no key syncs, which must hold the list of syncs.{meant}",
            path,
            _line_of(top[near][0]) if near else 1,
        )
    key_node, node = top["syncs"]
    if _is_null(node):
        raise NoSyncsError(
            "the key syncs is empty. Add a sync below it (- name: power_users), or write syncs: [] for a "
            "file without syncs.",
            path,
            _line_of(key_node),
        )
    if not isinstance(node, yaml.SequenceNode):
        raise CohortSyncConfigError(
            "syncs must be a list whose items start with a dash (- name: power_users), but it is "
            f"{_kind(node)}.",
            path,
            _line_of(node),
        )
    return tuple(_block(item, ("syncs", index)) for index, item in enumerate(node.value))


def _block(node: yaml.Node, path: Place) -> Block:
    """Read a mapping; its mistakes become problems, never exceptions."""
    line = _line_of(node)
    if not isinstance(node, yaml.MappingNode):
        message = f"it must be a mapping with the keys name, cohort_id and so on, but it is {_kind(node)}."
        return Block(line, path, {}, (Problem(line, path, message),))
    problems = _twice(node, path)
    try:
        pairs = _merged(node, {})
    except _UnreadableError as error:
        return Block(line, path, {}, (*problems, Problem(line, (*path, "<<"), str(error))))
    targets = None
    if TARGETS in pairs and TARGETS not in path:  # a target has no targets
        key_node, value_node = pairs.pop(TARGETS)
        place = (*path, TARGETS)
        if isinstance(value_node, yaml.SequenceNode) and value_node.value:
            targets = tuple(_block(item, (*place, index)) for index, item in enumerate(value_node.value))
        else:
            message = "it must be a list of targets whose items start with a dash (- name: eu)."
            problems.append(Problem(_line_of(key_node), place, message))
    entries: dict[str, Entry] = {}
    readable: dict[str, list[Any]] = {}
    for key, (key_node, value_node) in pairs.items():
        place = (*path, key)
        try:
            entries[key] = _entry(key_node, value_node, place)
        except _UnreadableError as error:
            problems.append(Problem(_line_of(key_node), place, str(error)))
            readable[key] = _readable_items(value_node)
    return Block(line, path, entries, tuple(problems), targets, readable)


def _limits(node: yaml.Node) -> tuple[dict[str | None, int], list[Problem]]:
    """Read one whole number for all connections, or a mapping from connections to whole numbers."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else [(None, node)]
    limits: dict[str | None, int] = {}
    twice = _twice(node) if isinstance(node, yaml.MappingNode) else []
    wrong = [Problem(each.line, (BUDGET,), f"{show(each.path[0])[1:-1]}: {each.message}") for each in twice]
    for key_node, value_node in pairs:
        limit = _scalar_or_none(value_node)
        if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
            limits[None if key_node is None else _key_of(key_node)] = limit
        else:
            message = f"it must be a whole number, or one for each connection, but it is {_kind(value_node)}."
            wrong.append(Problem(_line_of(value_node), (BUDGET,), message))
    return limits, wrong


def _scalar_or_none(node: yaml.Node) -> Any:
    try:
        return _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    except _UnreadableError:
        return None


def _key_of(node: yaml.Node) -> str:
    """Return a key as it is written: YAML would parse ``on`` as ``True``."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else _kind(node)


def _kind(node: yaml.Node) -> str:
    """Return the kind of a value for messages."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "empty" if _is_null(node) else show(node.value)


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == f"{_TAG}null")


def _line_of(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _twice(node: yaml.MappingNode, path: Place = ()) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for key_node, _ in node.value:
        key, line = _key_of(key_node), _line_of(key_node)
        if key in first:
            message = f"it appears twice, first on line {first[key]}. Keep one."
            problems.append(Problem(line, (*path, key), message))
        first.setdefault(key, line)
    return problems


def _merged(node: yaml.MappingNode, done: dict[int, _Pairs | None]) -> _Pairs:
    """Apply the merge keys (``<<: *anchor``); each node once, so that the work stays bounded."""
    if id(node) in done:
        known = done[id(node)]
        if known is None:
            raise _UnreadableError("it refers to itself.")
        return known
    done[id(node)] = None
    pairs: _Pairs = {}
    for key_node, value_node in node.value:
        if key_node.tag == f"{_TAG}merge":
            sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for source in reversed(sources):  # the first one wins
                if not isinstance(source, yaml.MappingNode):
                    raise _UnreadableError(f"it must refer to a mapping, but it is {_kind(source)}.")
                pairs.update(_merged(source, done))
    own = {_key_of(key): (key, value) for key, value in node.value if key.tag != f"{_TAG}merge"}
    done[id(node)] = {**pairs, **own}
    return {**pairs, **own}


def _entry(key_node: yaml.Node, node: yaml.Node, path: Place) -> Entry:
    line = _line_of(key_node)
    if isinstance(node, yaml.ScalarNode):
        return Entry(_scalar(node), line, path, node.value)
    if node.tag not in (f"{_TAG}seq", f"{_TAG}map"):
        raise _UnreadableError(f"the tag {show(node.tag)} is not supported. Leave it out.")
    return Entry(_whole(node, frozenset(), itertools.count(1)), line, path)


def _whole(node: yaml.Node, above: frozenset[int], count: Iterator[int]) -> Any:
    """Construct a value with its content, unless aliases have made it endless or huge."""
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if id(node) in above:
        raise _UnreadableError("it refers to itself.")
    if next(count) > _MOST_COLLECTIONS:
        raise _UnreadableError(f"it contains more than {_MOST_COLLECTIONS:,} lists and mappings.")
    above |= {id(node)}
    if not isinstance(node, yaml.MappingNode):
        return [_whole(item, above, count) for item in node.value]
    if twice := _twice(node):
        raise _UnreadableError(f"its key {show(twice[0].path[-1])}: {twice[0].message}")
    return {key: _whole(value, above, count) for key, (_, value) in _merged(node, {}).items()}


def _readable_items(node: yaml.Node) -> list[Any]:
    """Construct the items of a list that can be read; together they are as bounded as a value is."""
    items, count = [], itertools.count(1)
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        try:
            items.append(_whole(item, frozenset({id(node)}), count))
        except _UnreadableError:
            continue
    return items


def _scalar(node: yaml.ScalarNode) -> Any:
    if node.tag == f"{_TAG}str":  # most values are text, and a constructor for each of thousands is slow
        return node.value
    try:
        return SafeConstructor().construct_document(node)
    # PyYAML passes on any error of Python: ValueError for 2026-13-45, AttributeError for
    # !!timestamp x, and its own ConstructorError for an unknown tag.
    except Exception as error:
        reason = str(getattr(error, "problem", None) or error or type(error).__name__)[:120]
        raise _UnreadableError(
            f"{show(node.value)} cannot be read: {reason}. If it is text, put it in quotes."
        ) from None
