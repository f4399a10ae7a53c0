"""The files that the double of Amplitude hands out, and where."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
import requests

from airflow_provider_cio_cohort.sandbox.server import API_KEY, SECRET_KEY

REQUEST = "/api/5/cohorts/request"


def lines(answer: requests.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode(), newline="")))


def packed_bytes(answer: requests.Response) -> bytes:
    return answer.raw.read(decode_content=False)


def test_what_is_no_text_is_written_as_text(sandbox, export) -> None:
    rows = [{"amplitude_id": 101, "user_id": None, "age": 7}]  # as JSON over HTTP may say it
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    assert lines(export("?props=1&propKeys=age"))[1] == ["101", "", "7"]


# ---- where the file is


def test_a_small_file_comes_inline_and_a_large_one_behind_a_redirect(sandbox, export, http) -> None:
    sandbox.configure(inline_rows=3)
    assert (export().status_code, sandbox.count("storage")) == (200, 0)
    sandbox.configure(inline_rows=2)
    answer = export()
    assert (answer.status_code, answer.content) == (302, b"")
    location = answer.headers["Location"]
    assert location.startswith(f"{sandbox.urls['storage']}/")
    assert len(lines(http.get(location))) == 4


def test_a_signed_url_refuses_credentials(sandbox, export, http) -> None:
    sandbox.configure(inline_rows=0)
    answer = http.get(export().headers["Location"], auth=(API_KEY, SECRET_KEY))
    assert answer.status_code == 400
    assert "Only one auth mechanism allowed" in answer.text


def test_a_signed_url_expires_and_is_had_anew_without_another_export(
    sandbox, amplitude, request_export, http
) -> None:
    sandbox.configure(inline_rows=0, signed_url_seconds=0)
    path = f"{REQUEST}/{request_export()}/file"
    answer = http.get(amplitude(path).headers["Location"])
    assert (answer.status_code, "Request has expired" in answer.text) == (403, True)
    sandbox.configure(signed_url_seconds=60)
    assert http.get(amplitude(path).headers["Location"]).status_code == 200
    assert sandbox.project.used == 1


def test_a_signature_opens_its_own_file_only(sandbox, amplitude, cohort, request_export, http) -> None:
    sandbox.configure(inline_rows=0)
    one, other = request_export(), request_export()
    location = amplitude(f"{REQUEST}/{one}/file").headers["Location"]
    assert http.get(location.replace(f"/{one}.csv", f"/{other}.csv")).status_code == 403
    assert http.get(location.replace("Signature=", "Signature=0")).status_code == 403
    assert http.get(location.partition("?")[0]).status_code == 403


def test_the_link_of_a_file_expires_after_its_days(sandbox, amplitude, request_export) -> None:
    path = f"{REQUEST}/{request_export()}/file"
    assert amplitude(path).status_code == 200
    sandbox.configure(file_days=0)
    assert amplitude(path).json() == {"details": "Cohort download not found"}


# ---- the file


def test_the_file_is_quoted_csv_with_every_member(export) -> None:
    expected = b'"amplitude_id","user_id"\n"101","u-1"\n"102",""\n"103","u-1"\n'
    assert export().content == expected
    assert export("?props=0&propKeys=mail").content == expected
    assert export("?propKeys=mail").content == expected


def test_properties_come_as_they_were_asked_for(export) -> None:
    answer = export("?props=1&propKeys=plan&propKeys=mail")
    assert lines(answer)[0] == ["amplitude_id", "user_id", "plan", "mail"]
    assert lines(answer)[2] == ["102", "", "free", 'say "hi",\nthere é']
    assert b'"say ""hi"",\nthere \xc3\xa9"\n' in answer.content
    assert lines(export("?props=1&propKeys=mail"))[0] == ["amplitude_id", "user_id", "mail"]


def test_properties_without_names_are_all(export) -> None:
    assert lines(export("?props=1"))[0] == ["amplitude_id", "user_id", "mail", "plan"]


def test_a_property_that_nobody_has_is_empty(export) -> None:
    assert [row[2] for row in lines(export("?props=1&propKeys=nothing"))] == ["nothing", "", "", ""]


def test_nobody_is_a_header(sandbox, amplitude, request_export) -> None:
    sandbox.project.add_cohort(id="mty3d8k", name="Nobody", rows=[])
    answer = amplitude(f"{REQUEST}/{request_export(cohort_id='mty3d8k')}/file")
    assert answer.content == b'"amplitude_id","user_id"\n'


@pytest.mark.parametrize(
    ("settings", "header", "second"),
    [
        ({"crlf": True}, b'"amplitude_id","user_id","plan"\r\n', b'"102","","free"\r\n'),
        ({"property_prefix": "gp:"}, b'"amplitude_id","user_id","gp:plan"\n', b'"102","","free"\n'),
        (
            {"duplicate_column": True},
            b'"amplitude_id","amplitude_id","user_id","plan"\n',
            b'"102","102","","free"\n',
        ),
        (
            {"leading_tab": True},
            b'"\tamplitude_id","\tuser_id","\tplan"\n',
            b'"\t102","\t","\tfree"\n',
        ),
        ({"missing_columns": True}, b'"amplitude_id","user_id"\n', b'"102",""\n'),
    ],
)
def test_oddities_of_the_file(sandbox, export, settings, header: bytes, second: bytes) -> None:
    sandbox.configure(**settings)
    found = export("?props=1&propKeys=plan").content.splitlines(keepends=True)
    assert [found[0], found[2], len(found)] == [header, second, 4]


def test_the_file_is_compressed_and_says_so(sandbox, export) -> None:
    answer = export(stream=True)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed_bytes(answer)).startswith(b'"amplitude_id"')


def test_the_file_may_be_compressed_without_saying_so_or_plain(sandbox, export) -> None:
    sandbox.configure(encoding_header=False)
    answer = export()
    assert "Content-Encoding" not in answer.headers
    assert gzip.decompress(answer.content).startswith(b'"amplitude_id"')
    sandbox.configure(compressed=False, encoding_header=True)
    answer = export()
    assert "Content-Encoding" not in answer.headers
    assert answer.content.startswith(b'"amplitude_id"')


def test_the_file_may_be_compressed_twice(sandbox, export) -> None:
    plain = export().content
    sandbox.configure(compressed_twice=True)
    answer = export(stream=True)
    assert answer.headers["Content-Encoding"] == "gzip, gzip"
    assert gzip.decompress(gzip.decompress(packed_bytes(answer))) == plain


def test_the_file_may_have_more_in_it_than_the_cohort(sandbox, export) -> None:
    whole = export().content
    sandbox.configure(surplus_rows=2, long_value=5, blank_last_line=True)
    assert export().content == whole + b'"0","0"\n"0","0"\n"0","xxxxx"\n\n'


@pytest.mark.parametrize("crlf", [False, True])
def test_the_last_line_may_have_no_end(sandbox, export, crlf: bool) -> None:
    sandbox.configure(crlf=crlf)
    whole = export().content
    sandbox.configure(last_line_end=False)
    assert export().content == whole.rstrip()


def test_a_value_need_not_be_utf8(sandbox, export) -> None:
    sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=[{"amplitude_id": "1", "user_id": "u\udcff"}])
    assert export().content.endswith(b'"1","u\xff"\n')


@pytest.mark.parametrize(("prefix", "title"), [("", "user_id"), ("gp:", "gp:user_id")])
def test_a_user_property_may_be_named_like_a_column(sandbox, export, prefix: str, title: str) -> None:
    rows = [{"amplitude_id": "1", "user_id": "a", "gp:user_id": "b", "age": "7"}]
    sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=rows)
    sandbox.configure(property_prefix=prefix)
    answer = export("?props=1&propKeys=gp:user_id&propKeys=gp:age")
    assert lines(answer) == [["amplitude_id", "user_id", title, f"{prefix}age"], ["1", "a", "b", "7"]]


@pytest.mark.parametrize("inline_rows", [0, 1000])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_file_without_a_length_ends_with_the_connection(
    sandbox, export, http, inline_rows: int, compressed: bool
) -> None:
    def download() -> requests.Response:
        answer = export()
        return http.get(answer.headers["Location"]) if inline_rows == 0 else answer

    sandbox.configure(compressed=compressed, inline_rows=inline_rows)
    announced = download()
    sandbox.configure(content_length=False)
    whole = download()
    assert "Content-Length" in announced.headers
    assert not {"Content-Length", "Transfer-Encoding"} & set(whole.headers)
    assert whole.content == announced.content
    # What is cut between two rows tells nobody; only what is compressed has a trailer that it cannot lack.
    sandbox.faults.add("cut_rows", path=r"(/file|\.csv)$", after=int(inline_rows == 0), keep=0.5)
    short = download()
    assert (short.status_code, set(short.headers)) == (200, set(whole.headers))
    assert short.content == b'"amplitude_id","user_id"\n"101","u-1"\n'
    assert download().content == announced.content


def test_a_cut_without_a_length_breaks_no_connection(sandbox, export) -> None:
    sandbox.configure(content_length=False, compressed=False)
    whole = export().content
    sandbox.faults.add("cut", path="/file$", keep=0.7)
    assert export().content == whole[: int(len(whole) * 0.7)]
    sandbox.configure(compressed=True)
    sandbox.faults.add("cut", path="/file$", keep=0.7)
    packed = packed_bytes(export(stream=True))
    with pytest.raises(EOFError):
        gzip.decompress(packed)
