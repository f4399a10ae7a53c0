"""Tells how long a vendor takes to answer."""

from __future__ import annotations

import math
from collections import deque

#: Seconds: what the answers of the last ``WINDOW`` took counts, as the mean of each ``SLICE``; and how many
#: answers have a mean that tells something.
WINDOW = 10
SLICE = 0.1
ENOUGH = 32


class Latency:
    """
    The usual latency of the last seconds: how many requests are on their way at once, times the gap between.

    It is a mean, for answers take a short time and a long one by turns: the quick ones alone would tell of
    too few. But a halt of the vendor, which all feel that wait meanwhile, is not to raise it. So it is the
    mean of a slice of time, and of the slices a low one: three quarters of them may have met a halt.

    Before the first slice is full it is the shortest latency: the first answers come over connections that
    had to be opened, and take longer.

    :param gap: seconds between two requests, at the pace that is kept.
    :param known: seconds that an answer has taken before, if that is known.
    """

    def __init__(self, gap: float, known: float | None = None) -> None:
        self.usual = known
        self._slice: list[float] = []
        self._in_slice = max(math.ceil(SLICE / gap), ENOUGH)
        self._means: deque[float] = deque(maxlen=math.ceil(WINDOW / gap / self._in_slice))

    def learn(self, seconds: float) -> None:
        """
        Take in how long an answer has taken.

        :param seconds: from the sending to the last byte.
        """
        if not self._means:
            self.usual = min(seconds, self.usual or seconds)
        self._slice.append(seconds)
        if len(self._slice) >= self._in_slice:
            self._means.append(sum(self._slice) / len(self._slice))
            self._slice.clear()
            self.usual = sorted(self._means)[len(self._means) // 4]
