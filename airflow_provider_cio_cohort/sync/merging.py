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
    A sorted stream, and the block of it that is in memory.

    :param blocks: its lines, sorted, in blocks that are not empty.
    :param key: what of a line it is sorted by; the whole line by default.
    """

    def __init__(self, blocks: Iterable[list[str]], key: Callable[[str], str] | None = None) -> None:
        self._blocks = iter(blocks)
        self._key = key
        self._block: list[str] = []
        self._next()

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return bool(self._block)

    @property
    def last(self) -> str:
        """The key of the last line in memory."""
        line = self._block[-1]
        return line if self._key is None else self._key(line)

    def take(self, border: str) -> list[str]:
        """
        Return what is in memory up to a border, and go on behind it.

        :param border: no larger than :attr:`last` of any stream that is read along with this one.
        """
        end = bisect_right(self._block, border, key=self._key)
        if end < len(self._block):
            taken, self._block = self._block[:end], self._block[end:]
            return taken
        taken = self._block
        self._next()
        return taken

    def _next(self) -> None:
        self._block = next(self._blocks, [])


def merge(streams: Iterable[Iterable[list[str]]]) -> Iterator[list[str]]:
    """
    Yield the lines of sorted streams in order; equal ones come in one block, side by side.

    :param streams: each sorted and without repetitions, in blocks that are not empty.
    """
    cursors = [cursor for cursor in map(Cursor, streams) if cursor]
    while cursors:
        border = min(cursor.last for cursor in cursors)
        merged: list[str] = []
        for cursor in cursors:
            merged += cursor.take(border)
        merged.sort()  # finds the runs, and merges them
        yield merged
        cursors = [cursor for cursor in cursors if cursor]


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
    while one or other:
        border = min(cursor.last for cursor in (one, other) if cursor)
        yield one.take(border) if one else [], other.take(border) if other else []
