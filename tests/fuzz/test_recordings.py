"""
Whatever the vendors answer, a recording holds nothing but what is on the allow-list, and placeholders.

``FUZZ_ANSWERS=100000 pytest tests/fuzz/test_recordings.py`` looks longer, with another seed each time.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
from typing import Any
from urllib.parse import quote, unquote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cio_cohort.hooks import allow_list
from airflow_provider_cio_cohort.hooks.placeholders import Placeholders
from airflow_provider_cio_cohort.hooks.recording import Recorder
from tests.fuzz.answers import HEADERS, MARK
from tests.summary import count_bad_input

LONG = int(os.environ.get("FUZZ_ANSWERS", "0"))
BOUNDED = settings(
    max_examples=LONG or 300,
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
KINDS = "cursor|field|id|key|name|path|person|property|text"
#: What stands for a value, without white space at its ends.
PLACEHOLDER = re.compile(
    rf"(?:cio_)?(?:(?:{KINDS})-\d+x*·?(?:@example\.com)?|0?9\d{{8}}0*|9\d{{8}}-0?-*·?)|0|nobody@example\.invalid",
    re.IGNORECASE,
)
MESSAGE = re.compile(r"[\s/.,:;()]+")

WORDS = st.sampled_from(
    [
        *(
            "manual",
            "User",
            "finished",
            "us",
            "JOB COMPLETED",
            "401",
            "id",
            "key",
            "2026-01-01",
            "gp:user_id",
        ),
        *("", " ", "0", "007", "-1", "12345", "A@x.io", "a@X.io", "cio_", "cio_ab", "\ud800", "é" * 80),
        *(MARK, f" {MARK}\t", f"{MARK}@x.io", f"cio_{MARK}", MARK.upper(), f"{MARK}: not found", "y" * 151),
        *("field-1", "id-1", "900000001", "null", "***", "http://h/p?k=v", "Basic abc=", "ann's key", "İß"),
    ]
)
TEXTS = WORDS | st.text(max_size=8)
NUMBERS = st.sampled_from([0, 1, -1, 471147114711, 10**30, 1.5, 4711.4711, float("nan")]) | st.integers()
NAMES = st.sampled_from(sorted(allow_list.FIELDS)) | TEXTS
JSONS = st.recursive(
    TEXTS | NUMBERS | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
ROWS = st.lists(
    st.lists(TEXTS.map(lambda text: re.sub("[\0\r]", "", text)), min_size=2, max_size=2), max_size=6
)


def recorded(
    url: str = "https://amplitude.com/api/3/cohorts",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    sent: bytes | None = None,
    status: int = 200,
) -> Any:
    """Return the only exchange of a recording."""
    count_bad_input()
    recorder = Recorder()
    exchange = recorder.begin("GET", url, f"Basic {MARK}", sent)
    exchange.answer(status, dict(headers))
    exchange.finish(body, is_decoded=False)
    text = recorder.as_text()
    assert MARK not in text.lower()
    assert "47114711" not in text
    (found,) = json.loads(text)["exchanges"]
    return found


def is_anonymous(value: str, field: str = "", parent: str = "", is_chosen: bool = False) -> bool:
    """Say whether a text is a placeholder, or known to be no secret in this field."""
    core = value.strip()
    if not core or PLACEHOLDER.fullmatch(core):
        return True
    if parent == "countGroup" and value in allow_list.ENUMERATIONS["countGroup"]:
        return True
    if is_chosen:
        return False
    if value in allow_list.ENUMERATIONS.get(field, ()):
        return True
    if field in allow_list.FORMS:
        return bool(allow_list.FORMS[field].fullmatch(value))
    known = {*allow_list.WORDS, "***"}
    return field in allow_list.MESSAGES and all(
        set(re.split("[-_]", word.lower())) <= known or word.lower() in known
        for word in MESSAGE.split(value)
        if word
    )


def check(value: Any, field: str = "", parent: str = "", is_chosen: bool = False) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            is_known = name in allow_list.FIELDS
            assert is_known or re.fullmatch(r"field-\d+", name), name
            check(item, name, field, is_chosen or not is_known or name in allow_list.CHOSEN)
    elif isinstance(value, list):
        for item in value:
            check(item, field, parent, is_chosen)
    elif isinstance(value, str):
        assert is_anonymous(value, field, parent, is_chosen), (field, value)
    elif (
        isinstance(value, int)
        and not isinstance(value, bool)
        and (is_chosen or field not in allow_list.COUNTS)
    ):
        assert str(abs(value)).startswith("9000") or value == 0, (field, value)


def shape(value: Any) -> Any:
    """Return what must remain of JSON: its structure, types, and what is empty."""
    if isinstance(value, dict):
        return [shape(item) for item in value.values()]
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, str):
        return bool(value.strip())
    return value if value is None or isinstance(value, bool) else type(value)


@BOUNDED
@given(JSONS, st.booleans())
def test_any_json(value: Any, is_compressed: bool) -> None:
    body = json.dumps(value).encode()
    exchange = recorded(body=gzip.compress(body) if is_compressed else body, sent=body)
    for found in (exchange["response"]["body"], exchange["request"]):
        if "json" in found:
            check(found["json"])
            assert shape(found["json"]) == shape(value)
    assert exchange["response"]["body"].get("compressed", []) == ["gzip"] * is_compressed


@BOUNDED
@given(
    ROWS, st.sampled_from(["\n", "\r\n"]), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.booleans()
)
def test_any_export(rows: list[list[str]], line_end: str, quoting: Any, is_marked: bool) -> None:
    file = io.StringIO()
    titles = ["amplitude_id", "user_id"]
    csv.writer(file, quoting=quoting, lineterminator=line_end).writerows([titles, *rows])
    text = ("\ufeff" if is_marked else "") + file.getvalue()
    found = recorded(body=text.encode("utf-8", "surrogatepass"))["response"]["body"]["csv"]
    assert found.startswith("\ufeff") == is_marked
    lines = list(csv.reader(io.StringIO(found.removeprefix("\ufeff"), newline="")))
    assert lines[0] == titles
    assert [[bool(value.strip()) for value in line] for line in lines[1:]] == [
        [bool(value.strip()) for value in row] for row in rows
    ]
    assert all(is_anonymous(value) for line in lines[1:] for value in line), lines
    assert found.endswith(line_end)


@BOUNDED
@given(st.lists(TEXTS | st.sampled_from(['"', '""', ",", "\n", "\r", "\t", "gp:", '"user_id"']), max_size=12))
def test_any_pieces_of_an_export(pieces: list[str]) -> None:
    body = ('"amplitude_id","user_id","gp:' + MARK + '"\n' + "".join(pieces)).encode("utf-8", "surrogatepass")
    found = recorded(body=body)["response"]["body"]["csv"]
    header, _, rest = found.partition("\n")
    assert re.fullmatch(r'"amplitude_id","user_id","gp:[a-z]+-1"', header)
    assert all(is_anonymous(value) for value in re.split(r'[",\r\n]', rest)), rest


@BOUNDED
@given(st.binary(max_size=60), HEADERS, st.integers(100, 999))
def test_any_bytes_and_headers(body: bytes, headers: tuple[tuple[str, str], ...], status: int) -> None:
    exchange = recorded(body=body + MARK.encode(), headers=(*headers, (MARK, MARK)), status=status)
    assert exchange["response"]["status"] == status
    assert exchange["response"]["headers"].keys() <= allow_list.HEADERS.keys()


@BOUNDED
@given(st.sampled_from(sorted(allow_list.HEADERS)), TEXTS)
def test_any_value_of_a_known_header(name: str, value: str) -> None:
    (found,) = recorded(headers=((name, value),))["response"]["headers"].values()
    form = allow_list.HEADERS[name]
    known = (
        re.fullmatch(form, found, re.IGNORECASE)
        if form
        else found in ("of the body", "other/other", "other:", "//")
    )
    assert known or is_anonymous(found) or name == "Location", found


PARTS = st.lists(
    TEXTS | st.sampled_from(["api", "3", "cohorts", "v1", "segments", "..", "%", "%zz"]), max_size=6
)
QUERIES = st.lists(st.tuples(st.sampled_from(sorted(allow_list.PARAMETERS)) | TEXTS, TEXTS), max_size=4)


@BOUNDED
@given(
    PARTS,
    QUERIES,
    st.sampled_from(["https://{}.test/", "//{}/", "/{}/", "HTTP://u:{}@h:80/", "{}", "?{}", "{}:x"]),
)
def test_any_address(parts: list[str], query: list[tuple[str, str]], form: str) -> None:
    def encoded(text: str) -> str:
        return quote(text.encode("utf-8", "surrogatepass"), safe="")

    path = "/".join(map(encoded, parts))
    text = "&".join(f"{encoded(name)}={encoded(value)}" for name, value in query)
    address = f"{form.format(MARK)}{path}?{text}#{MARK}"
    exchange = recorded(f"https://{MARK}.test/{path}?{text}", headers=(("Location", address),), status=302)
    request, location = exchange["request"], exchange["response"]["headers"]["Location"]
    known = {word for route in allow_list.ROUTES for word in route.split("/")}
    for part in request["path"].split("/"):
        assert part in known or is_anonymous(unquote(part)), request["path"]
    for name, value in request["query"]:
        assert name in allow_list.PARAMETERS or re.fullmatch(r"field-\d+", name)
        assert is_anonymous(value.removeprefix("gp:")) or re.fullmatch(allow_list.PARAMETERS[name][0], value)
    assert re.fullmatch(r"[A-Za-z0-9_:/?&=%@.#-]*", location), location


@BOUNDED
@given(st.lists(TEXTS, max_size=12))
def test_the_same_value_has_the_same_placeholder_and_no_other_value_has_it(values: list[str]) -> None:
    placeholders = Placeholders()
    cores = [value.strip() for value in values if value.strip()]
    found = [placeholders.text(core, "id") for core in cores]
    assert found == [placeholders.text(core, "name") for core in cores]
    assert len(set(found)) == len(set(cores))
    for core, placeholder in zip(cores, found, strict=True):
        assert (len(core) > 150) == (len(placeholder) > 150)
        assert (len(core.encode("utf-8", "surrogatepass")) > 150) == (len(placeholder.encode()) > 150)
        assert (core.isascii() and core.isdigit()) == placeholder.isdigit()
        assert placeholders.text(f" {core}\t", "id") == f" {placeholder}\t"
