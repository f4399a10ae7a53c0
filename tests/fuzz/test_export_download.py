"""Whatever bytes come as an export: values, or an error with a name; never a hang or a silent loss."""

from __future__ import annotations

import csv
import gzip
import io
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cio_cohort.engine.export_csv import read_property
from airflow_provider_cio_cohort.engine.identifiers import is_readable
from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.hooks.export_download import decompressed
from tests.summary import count_bad_input

#: More of them: FUZZ_EXAMPLES=100000 pytest tests/fuzz
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "400"))
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
NASTY = st.sampled_from(
    ['"', '""', ",", "\n", "\r", "\r\n", "\t", "\0", "\ufeff", "é", "e\u0301", "\U0001f600", "x" * 20_000]
)
VALUES = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12) | NASTY
ROWS = st.lists(st.tuples(VALUES, VALUES), max_size=8)
PIECES = st.lists(
    NASTY
    | st.sampled_from(
        ['"amplitude_id","user_id"\n', '"1","u-1"\n', '"1",\n', "{}", "<html>", '"1","', "\x1f\x8b"]
    ),
    max_size=10,
)


def written(rows: list[tuple[str, str]], line_end: str = "\n") -> bytes:
    """Write an export as Amplitude does: every field in quotes."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    writer.writerows([("amplitude_id", "user_id"), *rows])
    return text.getvalue().encode()


def read(content: bytes) -> list[str] | None:
    """Return the values, ``None`` where an error with a name says that there are none to be trusted."""
    count_bad_input()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "export.csv"
        path.write_bytes(content)
        try:
            return [value for block in read_property(path, "user_id") for value in block]
        except CohortSyncError as error:
            assert "Amplitude's export" in str(error)  # noqa: PT017
            return None


def inflate(content: bytes, encoding: str) -> bytes | None:
    count_bad_input()
    try:
        return b"".join(decompressed(io.BufferedReader(io.BytesIO(content)), encoding))
    except CohortSyncError:
        return None


@BOUNDED
@given(ROWS, st.sampled_from(["\n", "\r\n"]))
def test_what_was_written_is_read(rows: list[tuple[str, str]], line_end: str) -> None:
    assert read(written(rows, line_end)) == [user_id for _, user_id in rows]


@BOUNDED
@given(ROWS, st.floats(0, 1))
def test_a_file_that_ends_early_holds_the_first_rows_or_is_refused(
    rows: list[tuple[str, str]], where: float
) -> None:
    whole = written(rows)
    content = whole[: int(len(whole) * where)]
    found = read(content)
    if found is None:
        return
    expected = [user_id for _, user_id in rows]
    assert found == expected[: len(found)]


@BOUNDED
@given(ROWS, st.integers(0), st.sampled_from([b'"', b"\xff", b"\xed\xa0\x80", b'"\n"', b"\n"]))
def test_a_byte_that_does_not_belong_there_alters_no_other_row(
    rows: list[tuple[str, str]], where: int, intruder: bytes
) -> None:
    whole = written(rows)
    at = where % (len(whole) + 1)
    found = read(whole[:at] + intruder + whole[at:])
    before = whole[:at].count(b"\n")
    if found is not None and intruder != b"\n" and not any("\n" in a + b for a, b in rows):
        assert found[: max(0, before - 1)] == [user_id for _, user_id in rows][: max(0, before - 1)]
    if found is not None and intruder in (b"\xff", b"\xed\xa0\x80"):
        whole_rows = [user_id for _, user_id in rows]
        assert all(value in whole_rows for value in found if is_readable(value))


@BOUNDED
@given(st.binary(max_size=400))
def test_any_bytes(content: bytes) -> None:
    read(content)
    read(b'"amplitude_id","user_id"\n' + content)


@BOUNDED
@given(PIECES)
def test_pieces_of_exports_in_any_order(pieces: list[str]) -> None:
    read("".join(pieces).encode("utf-8", "surrogatepass"))


@BOUNDED
@given(st.binary(max_size=2000), st.floats(0, 1), st.binary(max_size=3))
def test_a_gzip_stream_that_is_cut_or_damaged_is_never_another_file(
    content: bytes, where: float, intruder: bytes
) -> None:
    packed = gzip.compress(content)
    at = int(len(packed) * where)
    assert inflate(packed[:at], "gzip") in (None, content, b"", packed[:at])
    damaged = packed[:at] + intruder + packed[at + len(intruder) :]
    found = inflate(damaged, "gzip")
    if damaged[:2] == b"\x1f\x8b":
        # Time, system and flags in the header are covered by no check sum, and concern no content.
        assert found in (None, content)


@BOUNDED
@given(st.binary(max_size=500), st.sampled_from(["", "gzip", "identity", "br", "deflate", "\0"]))
def test_any_bytes_in_any_encoding(content: bytes, encoding: str) -> None:
    found = inflate(content, encoding)
    assert found is None or content[:2] == b"\x1f\x8b" or found == content
