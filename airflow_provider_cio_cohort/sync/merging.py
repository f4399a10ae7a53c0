"""
Walks along several sorted streams at once, a stretch of all of them at a time.

Each stream comes in blocks. The smallest of the blocks' last lines is a border: up to it, everything of
every stream is in memory, and can be handled by sorting and by sets, which costs a tenth of what it takes to
compare line by line.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator


class Cursor:
    """
    A sorted stream, and what of it is in memory.

    :param blocks: its lines, sorted, in blocks that are not empty.
    :param key: what of a line it is sorted by; the whole line by default.
    """

    def __init__(self, blocks: Iterable[list[str]], key: Callable[[str], str] | None = None) -> None:
        self._blocks = iter(blocks)
        self._key = key
        self._lines: list[str] = []
        self._start = 0
        self._enough = 1

    def fill(self) -> bool:
        """
        Have half a block in memory, if there is as much, and say whether anything is left.

        A stream that is down to its last lines would make the next stretch of all the others as short.
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
        Return what is in memory up to a border, and go on behind it.

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
    Yield two sorted streams in stretches: what both have up to one border after another.

    A key that ends a stretch may go on in the right stream's next one.

    :param left: sorted and without repetitions.
    :param right: sorted by ``key``, of which there may be repetitions.
    :param key: what of a line on the right is held against a line on the left; the whole line by default.
    """
    one, other = Cursor(left), Cursor(right, key)
    while there := [cursor for cursor in (one, other) if cursor.fill()]:
        border = min(cursor.last for cursor in there)
        yield one.take(border), other.take(border)
