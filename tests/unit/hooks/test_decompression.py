from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.exceptions import IncompleteExportError
from airflow_provider_cio_cohort.hooks.export_download import BLOCK, decompressed


def read(content: bytes, encoding: str = "gzip", size: int = 7) -> bytes:
    return b"".join(decompressed(io.BufferedReader(io.BytesIO(content), size), encoding))


@given(st.binary(min_size=0, max_size=5000), st.integers(2, 3000))
def test_gzip_is_undone_whatever_the_blocks(content: bytes, size: int) -> None:
    assume(not content.startswith(b"\x1f\x8b"))  # that would be another layer
    assert read(gzip.compress(content), size=size) == content


def test_much_from_little_comes_in_small_blocks() -> None:
    content = b"a" * 3_000_000  # a block of 3 KiB that holds more than one output block
    body = io.BufferedReader(io.BytesIO(gzip.compress(content)), 100_000)
    blocks = list(decompressed(body, "gzip"))
    assert b"".join(blocks) == content
    assert max(map(len, blocks)) <= BLOCK


@pytest.mark.parametrize("rest", [b"\x1f", b"rows", b"\x1f\x8b", gzip.compress(b"two", mtime=0)[:-1]])
def test_what_follows_a_gzip_member_must_be_one_that_is_whole(rest: bytes) -> None:
    with pytest.raises(IncompleteExportError):
        read(gzip.compress(b"one") + rest)


def test_a_deflate_stream_that_is_damaged_is_found() -> None:
    content = bytearray(gzip.compress(b"rows" * 1000))
    content[10:14] = b"\xff\xff\xff\xff"
    with pytest.raises(IncompleteExportError, match="damaged"):
        read(bytes(content))


def test_gzip_without_its_header_and_plain_with_it() -> None:
    assert read(gzip.compress(b"rows"), encoding="") == b"rows"
    assert read(b"rows", encoding="gzip") == b"rows"


ODD_LABELS = ["UTF-8", "aws-chunked", "none", "binary", "gzip, gzip", "gzip,aws-chunked", "br", " "]


@pytest.mark.parametrize("label", ODD_LABELS)
def test_the_content_decides_and_not_its_label(label: str) -> None:
    header = '"amplitude_id","user_id","größe"\n'.encode()
    for content in (header, b"\xef\xbb\xbf" + header, b"", b"\n", header + b'"1","\xff"\n', b"\t" + header):
        assert read(content, label) == content
        assert read(gzip.compress(content), label) == content
        assert read(gzip.compress(gzip.compress(content)), label) == content


@pytest.mark.parametrize("missing", [1, 4, 8, 12])
def test_a_cut_is_found_in_both_layers(missing: int) -> None:
    for packed in (
        gzip.compress(gzip.compress(b"rows" * 1000)[:-missing]),
        gzip.compress(gzip.compress(b"rows" * 1000))[:-missing],
    ):
        with pytest.raises(IncompleteExportError, match="ends before"):
            read(packed)


def test_there_are_no_more_layers_than_two() -> None:
    innermost = gzip.compress(b"rows")
    assert read(gzip.compress(gzip.compress(innermost))) == innermost


def test_several_gzip_members_in_a_row() -> None:
    assert read(gzip.compress(b"one,") + gzip.compress(b"two")) == b"one,two"


@pytest.mark.parametrize("missing", [1, 4, 8, 12])
def test_a_gzip_stream_that_ends_early_is_not_a_whole_file(missing: int) -> None:
    with pytest.raises(IncompleteExportError, match="ends before"):
        read(gzip.compress(b"rows" * 1000)[:-missing])


def test_a_wrong_checksum_is_found() -> None:
    content = bytearray(gzip.compress(b"rows" * 1000))
    content[-6] ^= 1
    with pytest.raises(IncompleteExportError, match="damaged"):
        read(bytes(content))


def test_an_unknown_encoding_is_named() -> None:
    for content in (b"\x0b\x02rows", b"\x28\xb5\x2f\xfdrows", b"\x78\x9crows"):
        with pytest.raises(IncompleteExportError, match="br"):
            read(content, encoding="br")
