from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.engine.sorted_file import Cursor, merge, side_by_side

words = st.text("abc", min_size=1, max_size=3)


@st.composite
def streams(draw: st.DrawFn) -> list[list[str]]:
    """Sorted, distinct lines, cut into blocks of any lengths."""
    lines = sorted(draw(st.sets(words, max_size=30)))
    blocks = []
    while lines:
        length = draw(st.integers(1, len(lines)))
        blocks.append(lines[:length])
        lines = lines[length:]
    return blocks


def flat(blocks: list[list[str]]) -> list[str]:
    return list(chain.from_iterable(blocks))


@given(st.lists(streams(), max_size=5))
def test_merged_is_sorted_and_equal_lines_come_in_one_block(several: list[list[list[str]]]) -> None:
    merged = list(merge(several))
    assert flat(merged) == sorted(chain.from_iterable(map(flat, several)))
    assert all(merged)
    assert all(one[-1] < other[0] for one, other in pairwise(merged))


@given(streams(), streams())
def test_stretches_hold_all_and_have_the_same_borders(left: list[list[str]], right: list[list[str]]) -> None:
    pairs = list(side_by_side(left, right))
    assert flat([one for one, _ in pairs]) == flat(left)
    assert flat([other for _, other in pairs]) == flat(right)
    assert all(one or other for one, other in pairs)
    assert all(max(chain(*one)) < min(chain(*other)) for one, other in pairwise(pairs))


def test_a_stream_that_is_down_to_its_last_lines_does_not_make_all_stretches_short() -> None:
    size, count = 100, 8
    # Line n belongs to stream n % count, and each stream begins its blocks elsewhere.
    lines = [[f"{number:05}" for number in range(start, 8_000, count)] for start in range(count)]
    cut = [
        [line[:ahead], *(line[at : at + size] for at in range(ahead, len(line), size))]
        for line, ahead in zip(lines, range(size, 0, -size // count), strict=True)
    ]
    stretches = list(merge(cut))
    assert flat(stretches) == flat([[f"{number:05}" for number in range(8_000)]])
    assert len(stretches) <= 8_000 / (count * size / 2) + count


def test_no_more_than_needed_is_in_memory() -> None:
    read = 0

    def blocks() -> Iterator[list[str]]:
        nonlocal read
        for start in range(0, 1_000, 10):
            read += 10
            yield [f"{number:04}" for number in range(start, start + 10)]

    cursor = Cursor(blocks())
    taken = 0
    while cursor.fill():
        taken += len(cursor.take(f"{taken + 2:04}"))
        assert read - taken <= 15
    assert taken == read == 1_000
