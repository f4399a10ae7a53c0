from __future__ import annotations

import logging

import pytest

from airflow_provider_cio_cohort.hooks.redaction import queries_hidden, scrub, words_only


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key s3cret is wrong", "key *** is wrong"),
        ("see https://s3.test/file?X-Amz-Signature=abc now", "see https://s3.test/file?*** now"),
        ("no person ann.lee+x@example.com here", "no person *** here"),
        ("header Basic a2V5OnMzY3JldA== refused", "header Basic *** refused"),
        ("'authorization: bearer abc.def-ghi_jkl0'", "'authorization: bearer ***'"),
        ("Basic authentication failed", "Basic authentication failed"),
        ("two\n  lines", "two lines"),
        ("x" * 400, "x" * 300 + "…"),
    ],
)
def test_scrub(text: str, expected: str) -> None:
    assert scrub(text, ["s3cret", ""]) == expected


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("id 'bad-1' is not valid (bad-1)", "bad-1", "id *** is not valid ***"),
        ("ann.lee@x.test is no valid email", "ann.lee@x.test", "*** is no valid email"),
        ("Ann is not valid, ANN", "ann", "*** is not valid, ***"),
        ("id u-12… is cut", "u-1234", "id *** is cut"),
        ("Müller is not valid", "müller", "*** is not valid"),
        ("at most 150 bytes, not 48151623", "48151623", "at most 150 bytes, not ***"),
        ("id smith is not valid", "John Smith", "id *** is not valid"),
        ("it isn't `of Bob` but 'of Ann'", "x", "it isn't *** but ***"),
        ('id "A" is bad', "a", "id *** is bad"),
        ("", "a", ""),
    ],
)
def test_words_about_an_identifier_do_not_quote_it(text: str, value: str, expected: str) -> None:
    assert words_only(text, value) == expected


def test_urllib3_logs_no_query_of_ours_but_those_of_others(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("urllib3.connectionpool")
    with caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
        with queries_hidden():
            logger.debug('%s "%s %s"', "https://s3.test", "GET", "/file?X-Amz-Signature=abc")
        logger.debug('%s "%s %s"', "https://other.test", "GET", "/path?page=2")
    assert "abc" not in caplog.text
    assert "/file?***" in caplog.text
    assert "/path?page=2" in caplog.text


def test_urllib3_quotes_no_headers_of_answers_to_us(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("urllib3.connection")
    signed = "https://s3.test/file?X-Amz-Signature=abc"
    with queries_hidden():
        logger.warning("Failed to parse headers (url=%s): %s", signed, ValueError(f"Location: {signed}"))
    assert caplog.text == ""
    logger.warning("Failed to parse headers (url=%s): %s", "https://other.test", ValueError("X"))
    assert "https://other.test" in caplog.text
