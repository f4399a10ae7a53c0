"""
Files of sorted, distinct lines: how a run holds memberships of millions in flat memory.

A membership never lives in a Python set. It is sorted in chunks on disk and read back as a stream; two such
streams can be compared in one pass. Lines are handled in blocks, so that the work for each line is done
inside the interpreter's own list, string and sorting code.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from operator import eq
from pathlib import Path
from typing import TextIO

Block = list[str]

#: Memory that the lines of a chunk may take while they are sorted.
CHUNK_BYTES = 4 * 2**20
#: What a short string takes in addition to its characters, with its place in a list.
_BYTES_A_LINE = 57
#: Characters that are read from a file at once, and from all the chunks of a file together. Sets of more than
#: a few thousand lines would not fit the processor's cache.
READ_CHARACTERS = 32 * 2**10
MERGE_CHARACTERS = 2**20
#: Chunks that are merged at once: each is an open file, of which a process may usually have 1,024.
MOST_CHUNKS = 256

# Every control character is escaped, so that the tab between two fields sorts before any character of a
# field: a file sorted by line is then sorted by its first field as well.
_ESCAPES = {code: f"\\{code:02x}" for code in (*range(0x20), ord("\\"))}
_ESCAPED = re.compile(r"\\([0-9a-f]{2})")


def escape(value: str) -> str:
    """Make ``value`` fit for a field of a line: no newline, no tab."""
    if value.isprintable() and "\\" not in value:
        return value
    return value.translate(_ESCAPES)


def escape_all(values: Block) -> Block:
    """Escape each of ``values``; where none needs it, they are returned as they are."""
    together = "".join(values)
    if together.isprintable() and "\\" not in together:
        return values
    return [escape(value) for value in values]


def unescape(field: str) -> str:
    """Undo :func:`escape`."""
    if "\\" not in field:
        return field
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), field)


def unescape_all(fields: Block) -> Block:
    """Undo :func:`escape_all`."""
    return list(map(unescape, fields)) if "\\" in "".join(fields) else fields


def open_text(path: Path, mode: str = "r") -> TextIO:
    """Open a file of lines; lone surrogates survive, and only LF ends a line."""
    return path.open(mode, encoding="utf-8", errors="surrogatepass", newline="\n")  # type: ignore[return-value]


def read_blocks(path: Path, characters: int = READ_CHARACTERS) -> Iterator[Block]:
    """
    Yield the lines of ``path`` without their line ends, in blocks that are never empty.

    :param path: a file of lines.
    :param characters: how many are read at once.
    """
    rest = ""
    with open_text(path) as file:
        while text := file.read(characters):
            whole, end, left = text.rpartition("\n")
            if end:
                yield (rest + whole).split("\n")
                rest = left
            else:
                rest += text


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of ``path`` without their line ends."""
    return chain.from_iterable(read_blocks(path))


def read_values(path: Path) -> Iterator[str]:
    """Yield the lines of ``path``, each of them one field, unescaped."""
    return chain.from_iterable(map(unescape_all, read_blocks(path)))


def write_block(file: TextIO, lines: Block) -> int:
    """Write ``lines`` to ``file`` and return how many there were."""
    if lines:
        file.write("\n".join(lines))
        file.write("\n")
    return len(lines)


def write_blocks(path: Path, blocks: Iterable[Block]) -> int:
    """Write all lines of ``blocks`` to ``path`` and return how many there were."""
    with open_text(path, "w") as file:
        return sum(write_block(file, lines) for lines in blocks)


def sort_distinct(blocks: Iterable[Block], path: Path, *, chunk_bytes: int = CHUNK_BYTES) -> int:
    """
    Write the distinct lines of ``blocks`` to ``path`` in sorted order and return how many there are.

    :param blocks: any number of lines without line ends, in any order.
    :param path: the file to write; sorted chunks stand beside it meanwhile.
    :param chunk_bytes: memory that the lines of one chunk may take.
    """
    chunks: list[Path] = []
    count = 0
    for chunk in _chunks(blocks, chunk_bytes):
        chunk.sort()
        chunks.append(path.with_name(f"{path.name}.{len(chunks)}"))
        count = write_blocks(chunks[-1], [distinct(chunk)])
    if len(chunks) == 1:
        chunks[0].replace(path)
        return count
    made = len(chunks)
    while len(chunks) > MOST_CHUNKS:
        chunks.append(path.with_name(f"{path.name}.{made}"))
        _merge_files(chunks[:MOST_CHUNKS], chunks[-1])
        chunks, made = chunks[MOST_CHUNKS:], made + 1
    return _merge_files(chunks, path)


def _merge_files(chunks: list[Path], path: Path) -> int:
    """Merge sorted files into one, remove them, and return how many lines it has."""
    characters = max(MERGE_CHARACTERS // (len(chunks) or 1), 2**12)
    merged = merge([read_blocks(chunk_path, characters) for chunk_path in chunks])
    count = write_blocks(path, map(distinct, merged))
    for chunk_path in chunks:
        chunk_path.unlink()
    return count


def _chunks(blocks: Iterable[Block], chunk_bytes: int) -> Iterator[Block]:
    chunk: Block = []
    size = 0
    for block in blocks:
        chunk += block
        size += sum(map(len, block)) + len(block) * _BYTES_A_LINE
        if size >= chunk_bytes:
            yield chunk
            # Not cleared: the receiver may still hold it.
            chunk, size = [], 0
    if chunk:
        yield chunk


def distinct(lines: Block) -> Block:
    """Drop the repetitions from sorted ``lines``."""
    if any(map(eq, lines, islice(lines, 1, None))):
        return list(dict.fromkeys(lines))
    return lines


class Cursor:
    """
    A sorted stream, and the part of it that is in memory.

    :param blocks: its lines, sorted, in blocks that are not empty.
    :param key: the part of a line that it is sorted by; the whole line by default.
    """

    def __init__(self, blocks: Iterable[list[str]], key: Callable[[str], str] | None = None) -> None:
        self._blocks = iter(blocks)
        self._key = key
        self._lines: list[str] = []
        self._start = 0
        self._enough = 1

    def fill(self) -> bool:
        """
        Read until half a block is in memory or the stream ends, and say whether anything is left.

        With only a few lines of one stream in memory, the next stretch of all streams would be as short.
        """
        while len(self._lines) - self._start < self._enough and (block := next(self._blocks, None)):
            self._lines = self._lines[self._start :] + block
            self._start = 0
            self._enough = max(self._enough, len(block) // 2)
        return self._start < len(self._lines)

    @property
    def last(self) -> str:
        """The key of the last line in memory."""
        line = self._lines[-1]
        return line if self._key is None else self._key(line)

    def take(self, border: str) -> list[str]:
        """
        Return what is in memory up to a border, and continue after it.

        :param border: no larger than :attr:`last` of any stream that is read along with this one.
        """
        start = self._start
        self._start = bisect_right(self._lines, border, start, key=self._key)
        return self._lines[start : self._start]


def merge(streams: Iterable[Iterable[list[str]]]) -> Iterator[list[str]]:
    """
    Yield the lines of sorted streams in order; equal ones come in one block, side by side.

    :param streams: each sorted and without repetitions, in blocks that are not empty.
    """
    cursors = list(map(Cursor, streams))
    while cursors := [cursor for cursor in cursors if cursor.fill()]:
        border = min(cursor.last for cursor in cursors)
        merged: list[str] = []
        for cursor in cursors:
            merged += cursor.take(border)
        merged.sort()  # finds the runs, and merges them
        yield merged


def side_by_side(
    left: Iterable[list[str]], right: Iterable[list[str]], key: Callable[[str], str] | None = None
) -> Iterator[tuple[list[str], list[str]]]:
    """
    Yield two sorted streams in stretches, each of which ends at the same border in both.

    A key that ends a stretch may continue in the right stream's next one.

    :param left: sorted and without repetitions.
    :param right: sorted by ``key``, of which there may be repetitions.
    :param key: the part of a line on the right that is compared with a line on the left; the whole line by
        default.
    """
    one, other = Cursor(left), Cursor(right, key)
    while there := [cursor for cursor in (one, other) if cursor.fill()]:
        border = min(cursor.last for cursor in there)
        yield one.take(border), other.take(border)
