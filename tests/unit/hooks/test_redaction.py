from __future__ import annotations

import logging

import pytest

from airflow_provider_cio_cohort.hooks.redaction import queries_hidden, scrub


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
