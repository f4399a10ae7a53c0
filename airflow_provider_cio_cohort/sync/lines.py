"""
Files of sorted, distinct lines: how a run holds memberships of millions in flat memory.

A membership never lives in a Python set. It is sorted in chunks on disk and read back as a stream; two
such streams can be compared in one pass.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

CHUNK_LINES = 100_000  # about 10 MiB of identifiers

# Every control character is escaped, so that the tab between two fields sorts before any character of a
# field: a file sorted by line is then sorted by its first field as well.
_ESCAPES = {code: f"\\{code:02x}" for code in (*range(0x20), ord("\\"))}
_ESCAPED = re.compile(r"\\([0-9a-f]{2})")


def escape(value: str) -> str:
    """Make ``value`` fit for a field of a line: no newline, no tab."""
    if value.isprintable() and "\\" not in value:
        return value
    return value.translate(_ESCAPES)


def unescape(field: str) -> str:
    """Undo :func:`escape`."""
    if "\\" not in field:
        return field
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), field)


def open_text(path: Path, mode: str = "r") -> TextIO:
    """Open a file of lines; lone surrogates survive, and only LF ends a line."""
    return path.open(mode, encoding="utf-8", errors="surrogatepass", newline="\n")  # type: ignore[return-value]


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of ``path`` without their line ends."""
    with open_text(path) as file:
        for line in file:
            yield line[:-1]


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """Write ``lines`` to ``path`` and return how many there were."""
    count = 0
    with open_text(path, "w") as file:
        for line in lines:
            file.write(line)
            file.write("\n")
            count += 1
    return count


def sort_distinct(lines: Iterable[str], path: Path, *, chunk_lines: int = CHUNK_LINES) -> int:
    """
    Write the distinct ``lines`` to ``path`` in sorted order and return how many there are.

    :param lines: any number of lines without line ends, in any order.
    :param path: the file to write; sorted chunks stand beside it meanwhile.
    :param chunk_lines: how many lines are held in memory at once.
    """
    chunks: list[Path] = []
    iterator = iter(lines)
    while chunk := list(islice(iterator, chunk_lines)):
        chunk.sort()
        chunks.append(path.with_name(f"{path.name}.{len(chunks)}"))
        write_lines(chunks[-1], distinct(chunk))
    if len(chunks) == 1:
        chunks[0].replace(path)
        with open_text(path) as file:
            return sum(1 for _ in file)
    count = write_lines(path, distinct(heapq.merge(*map(read_lines, chunks))))
    for chunk_path in chunks:
        chunk_path.unlink()
    return count


def distinct(lines: Iterable[str]) -> Iterator[str]:
    """Drop the repetitions from sorted ``lines``."""
    previous = None
    for line in lines:
        if line != previous:
            yield line
            previous = line
