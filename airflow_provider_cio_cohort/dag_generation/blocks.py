"""
Turns a YAML mapping into a block of entries that remember their lines.

PyYAML's own loading would keep the last of two equal keys without a word, forget the lines, and give up
the whole file for one value that it cannot make (``2026-13-45`` looks like a date). So each value of a
block is made on its own, from the composed nodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from airflow_provider_cio_cohort.dag_generation.errors import show

_TAG = "tag:yaml.org,2002:"
TARGETS = "targets"
_MOST_COLLECTIONS = 1_000
_Pairs = dict[str, tuple[yaml.Node, yaml.Node]]


@dataclass(frozen=True)
class Entry:
    """
    The value of a key.

    :param value: what YAML makes of it.
    :param line: where it is, from 1.
    :param text: how it is written, for anything but a list or a mapping: YAML makes 7 of ``007``.
    """

    value: Any
    line: int
    text: str | None = None


@dataclass(frozen=True)
class Flaw:
    """
    Something that is wrong.

    :param line: where, from 1.
    :param key: the key that it is about, ``None`` where it is about more than one.
    :param message: what is wrong and what to do.
    """

    line: int
    key: str | None
    message: str


@dataclass(frozen=True)
class Block:
    """
    A mapping: a sync, or the defaults.

    :param line: where it starts, from 1.
    :param entries: its keys.
    :param flaws: the keys that cannot be read.
    :param targets: the mappings under the key ``targets``; ``None`` if there is no such key.
    """

    line: int
    entries: Mapping[str, Entry]
    flaws: tuple[Flaw, ...] = ()
    targets: tuple[Block, ...] | None = None


class _UnreadableError(Exception):
    """A value that YAML cannot make; the message says why."""


def read_block(node: yaml.Node, *, is_target: bool = False) -> Block:
    """
    Read a mapping; whatever is wrong with it becomes a flaw, never an exception.

    :param node: the composed node.
    :param is_target: whether it is one of a sync's targets, which has none itself.
    """
    line = line_of(node)
    if not isinstance(node, yaml.MappingNode):
        message = f"it must be a mapping with the keys name, cohort_id and so on, but it is {kind(node)}."
        return Block(line, {}, (Flaw(line, None, message),))
    flaws = _twice(node)
    try:
        pairs = _merged(node, {})
    except _UnreadableError as error:
        return Block(line, {}, (*flaws, Flaw(line, "<<", str(error))))
    targets = None
    if TARGETS in pairs and not is_target:
        key_node, value_node = pairs.pop(TARGETS)
        if isinstance(value_node, yaml.SequenceNode) and value_node.value:
            targets = tuple(read_block(item, is_target=True) for item in value_node.value)
        else:
            message = "it must be a list of targets, each of which starts with a dash (- name: eu)."
            flaws.append(Flaw(line_of(key_node), TARGETS, message))
    entries: dict[str, Entry] = {}
    for key, (key_node, value_node) in pairs.items():
        try:
            entries[key] = _entry(key_node, value_node)
        except _UnreadableError as error:
            flaws.append(Flaw(line_of(key_node), key, str(error)))
    return Block(line, entries, tuple(flaws), targets)


def read_limits(node: yaml.Node) -> tuple[dict[str | None, int], list[tuple[int, str]]]:
    """
    Read one whole number for all connections, or a mapping from connections to whole numbers.

    :param node: the composed node.
    :return: the numbers by connection (``None`` for all that are not named), and lines with what is wrong.
    """
    pairs = node.value if isinstance(node, yaml.MappingNode) else [(None, node)]
    limits: dict[str | None, int] = {}
    wrong = []
    for key_node, value_node in pairs:
        entry = _entry_or_none(value_node)
        if isinstance(entry, int) and not isinstance(entry, bool) and entry >= 0:
            limits[None if key_node is None else key_of(key_node)] = entry
        else:
            message = f"it must be a whole number, or one for each connection, but it is {kind(value_node)}."
            wrong.append((line_of(value_node), message))
    return limits, wrong


def _entry_or_none(node: yaml.Node) -> Any:
    try:
        return _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    except _UnreadableError:
        return None


def key_of(node: yaml.Node) -> str:
    """
    Return a key as it is written: of ``on``, YAML itself would make ``True``.

    :param node: the key's node.
    """
    return str(node.value) if isinstance(node, yaml.ScalarNode) else kind(node)


def kind(node: yaml.Node) -> str:
    """
    Say what a value is.

    :param node: the value's node.
    """
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "empty" if is_null(node) else show(node.value)


def is_null(node: yaml.Node) -> bool:
    """
    Say whether nothing is written, or ``null``.

    :param node: the value's node.
    """
    return bool(node.tag == f"{_TAG}null")


def line_of(node: yaml.Node) -> int:
    """
    Return the line on which something starts, from 1.

    :param node: its node.
    """
    return int(node.start_mark.line) + 1


def _twice(node: yaml.MappingNode) -> list[Flaw]:
    first: dict[str, int] = {}
    flaws = []
    for key_node, _ in node.value:
        key, line = key_of(key_node), line_of(key_node)
        if key in first:
            flaws.append(Flaw(line, key, f"it is there twice, first on line {first[key]}. Keep one."))
        first.setdefault(key, line)
    return flaws


def _merged(node: yaml.MappingNode, done: dict[int, _Pairs | None]) -> _Pairs:
    """Follow the merge keys (``<<: *anchor``); each node once, so that no file can make it explode."""
    if id(node) in done:
        known = done[id(node)]
        if known is None:
            raise _UnreadableError("it leads back to itself.")
        return known
    done[id(node)] = None
    pairs: _Pairs = {}
    for key_node, value_node in node.value:
        if key_node.tag == f"{_TAG}merge":
            sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for source in reversed(sources):  # the first one wins
                if not isinstance(source, yaml.MappingNode):
                    raise _UnreadableError(f"it must lead to a mapping, but it is {kind(source)}.")
                pairs.update(_merged(source, done))
    own = {key_of(key): (key, value) for key, value in node.value if key.tag != f"{_TAG}merge"}
    done[id(node)] = {**pairs, **own}
    return {**pairs, **own}


def _entry(key_node: yaml.Node, node: yaml.Node) -> Entry:
    line = line_of(key_node)
    if isinstance(node, yaml.ScalarNode):
        return Entry(_scalar(node), line, node.value)
    if node.tag not in (f"{_TAG}seq", f"{_TAG}map"):
        raise _UnreadableError(f"the tag {show(node.tag)} is not supported. Leave it out.")
    return Entry(_whole(node, frozenset(), itertools.count(1)), line)


def _whole(node: yaml.Node, above: frozenset[int], count: Iterator[int]) -> Any:
    """Make a value with all that is in it, but not one that aliases have made endless or huge."""
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if id(node) in above:
        raise _UnreadableError("it leads back to itself.")
    if next(count) > _MOST_COLLECTIONS:
        raise _UnreadableError(f"it holds more than {_MOST_COLLECTIONS:,} lists and mappings.")
    above |= {id(node)}
    if not isinstance(node, yaml.MappingNode):
        return [_whole(item, above, count) for item in node.value]
    if flaws := _twice(node):
        raise _UnreadableError(f"its key {show(flaws[0].key)}: {flaws[0].message}")
    return {key: _whole(value, above, count) for key, (_, value) in _merged(node, {}).items()}


def _scalar(node: yaml.ScalarNode) -> Any:
    if node.tag == f"{_TAG}str":  # most are, and a constructor for each of thousands takes its time
        return node.value
    try:
        return SafeConstructor().construct_document(node)
    # PyYAML raises whatever the text makes Python raise: ValueError for 2026-13-45, AttributeError for
    # !!timestamp x, and its own ConstructorError for an unknown tag.
    except Exception as error:
        reason = str(getattr(error, "problem", None) or error or type(error).__name__)[:120]
        raise _UnreadableError(
            f"{show(node.value)} cannot be read: {reason}. If it is text, put it in quotes."
        ) from None
