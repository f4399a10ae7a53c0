"""The bodies of recorded responses: their form and compression, without their values."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from airflow_provider_cio_cohort.hooks.allow_list import COLUMNS, STORAGE_ERRORS
from airflow_provider_cio_cohort.hooks.anonymization import Anonymizer
from airflow_provider_cio_cohort.hooks.placeholders import MOST_BYTES, white_space

#: Rows of an export that are recorded one by one; the others are counted by their form.
MOST_ROWS = 1_000
#: Forms of the other rows that are told apart.
MOST_FORMS = 200
#: Bytes of a decompressed body that are looked at.
MOST_DECOMPRESSED = 512 * 2**20
#: How often a body may be compressed, as a download of the hook accepts it.
MOST_LAYERS = 2
_GZIP_MAGIC = b"\x1f\x8b"
_BLANK = b" \t\r\n"
_MOST_BLANK = 16
_TOKEN = re.compile(r'(?P<field>"(?:[^"]++|"")*+"|[^",\r\n]++|")|(?P<comma>,)|(?P<end>\r\n|\n|\r)')
_BYTE_ORDER_MARK = "\ufeff"
_STORAGE_ERROR = re.compile(rb"<Code>(\w{1,60})</Code>")

#: A row: its fields as they were written, between them commas, at its end the end of the line.
_Row = list[str]


def recorded_body(body: bytes, decoded: list[str], anonymizer: Anonymizer) -> dict[str, Any]:
    """
    Return a body in the form of a recording.

    :param body: the body as it was read.
    :param decoded: the encodings that the HTTP client has removed by the label, as they were applied.
    """
    layers = [name for name in decoded if name in ("gzip", "deflate")]
    found = 0
    while found < MOST_LAYERS and body.startswith(_GZIP_MAGIC):
        inner = _decompressed(body)
        if inner is None:
            break
        body, found = inner, found + 1
    layers = ["gzip"] * found + layers
    recorded = _content(body, anonymizer)
    return {**recorded, "compressed": layers} if layers else recorded


def _decompressed(body: bytes) -> bytes | None:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            return file.read(MOST_DECOMPRESSED)
    except (OSError, EOFError, zlib.error):
        return None


def _content(body: bytes, anonymizer: Anonymizer) -> dict[str, Any]:
    if not body.strip(_BLANK):
        return {"text": body[:_MOST_BLANK].decode()}
    text = body.decode("utf-8", "surrogateescape")
    if _is_export(text):
        return _export(text, anonymizer)
    try:
        return {"json": anonymizer.json(json.loads(body))}
    except (ValueError, RecursionError):
        pass
    if body.lstrip().startswith(b"<"):
        code = _STORAGE_ERROR.search(body)
        known = code[1].decode() if code else ""
        return {"storage_error": known if known in STORAGE_ERRORS else "Other"} if code else {"page": "HTML"}
    kind = "bytes" if "\0" in text or any("\udc80" <= c <= "\udcff" for c in text[:1000]) else "words"
    return {"other": kind, "length": 2 ** len(body).bit_length()}


# ---- exports


def _is_export(text: str) -> bool:
    first = next(_rows(text.removeprefix(_BYTE_ORDER_MARK)), [])
    return any(_value(field).strip() in COLUMNS for field in first)


def _rows(text: str) -> Iterator[_Row]:
    row: _Row = []
    for token in _TOKEN.finditer(text):
        row.append(token[0])
        if token.lastgroup == "end":
            yield row
            row = []
    if row:
        yield row


def _is_field(token: str) -> bool:
    return token not in (",", "\r\n", "\n", "\r", '"')


def _value(token: str) -> str:
    return token[1:-1].replace('""', '"') if token.startswith('"') else token


def _export(text: str, anonymizer: Anonymizer) -> dict[str, Any]:
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    rows = _rows(text.removeprefix(mark))
    head = mark + _named(next(rows), anonymizer)
    forms: Counter[str] = Counter()
    last: deque[_Row] = deque(maxlen=2)
    parts = [head]
    for number, row in enumerate(rows):
        if number < MOST_ROWS:
            parts.append(_anonymous(row, anonymizer))
            continue
        if len(last) == last.maxlen:
            form = _form(last[0])
            forms[form if form in forms or len(forms) < MOST_FORMS else next(iter(forms))] += 1
        last.append(row)
    recorded: dict[str, Any] = {"csv": "".join(parts)}
    if last:
        recorded["more"] = [list(pair) for pair in forms.items()]
        recorded["end"] = "".join(_anonymous(row, anonymizer) for row in last)
    return recorded


def _named(row: _Row, anonymizer: Anonymizer) -> str:
    return "".join(
        _written(token, anonymizer.column(_value(token))) if _is_field(token) else token for token in row
    )


def _anonymous(row: _Row, anonymizer: Anonymizer) -> str:
    def replaced(token: str) -> str:
        if not _is_field(token):
            return token
        return _written(token, anonymizer.placeholders.text(_value(token), "id"))

    return "".join(map(replaced, row))


def _form(row: _Row) -> str:
    """Return a row with the same form: empty and long values, and white space before them, remain so."""

    def formed(token: str) -> str:
        if not _is_field(token):
            return token
        value = _value(token)
        core = value.strip()
        start = white_space(value[: len(value) - len(value.lstrip())][:1])
        length = min(len(core), 1) if len(core) <= MOST_BYTES else MOST_BYTES + 1
        return _written(token, f"{start}{'x' * length}")

    return "".join(map(formed, row))


def _written(token: str, value: str) -> str:
    """Return a value as a field that is written like another one."""
    return f'"{value}"' if token.startswith('"') else value
