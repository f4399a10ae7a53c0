"""What remains of a value in a recording, and what does not."""

from __future__ import annotations

import pytest

from airflow_provider_cio_cohort.hooks.anonymization import Anonymizer, known_words
from airflow_provider_cio_cohort.hooks.placeholders import Placeholders

MARK = "cohort-sync doctor: may be deleted"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ann", "id-1"),
        ("ANN", "ID-1"),
        ("Ann", "Id-1"),
        (" ann\t", " id-1\t"),
        ("cio_ab12", "cio_id-1"),
        ("Ann@x.test", "Person-1@example.com"),
        ("42", "900000001"),
        ("042", "0900000001"),
        ("12-34", "900000001-0"),
        ("", ""),
        ("é" * 80, "id-1".ljust(149, "x") + "·"),
        ("a" * 151, "id-1".ljust(151, "x")),
    ],
)
def test_the_class_of_a_value_remains(value: str, expected: str) -> None:
    assert Placeholders().text(value, "id") == expected


def test_a_value_in_another_case_has_the_placeholder_in_that_case() -> None:
    placeholders = Placeholders()
    assert placeholders.text("Ann@x.test", "id") == "Person-1@example.com"
    assert placeholders.text("aNN@X.TEST", "id") == "pERSON-1@EXAMPLE.COM"
    assert placeholders.text("ann@x.test", "id") == "person-1@example.com"
    assert placeholders.text("AnN@x.test", "id") == "Person-2@example.com"


def test_a_number_has_the_placeholder_of_its_digits() -> None:
    placeholders = Placeholders()
    assert placeholders.number(42) == int(placeholders.text("42", "id"))
    assert placeholders.number(-42) == -placeholders.number(42)
    assert placeholders.number(1.5) == placeholders.number(1.5) != placeholders.number(2.5)


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (f"{MARK} 0a1b2c3d", True),  # left over
        (f"{MARK} 0a1b2c3d <b>bold</b>  two", True),
        (f"{MARK} 0a1b2c3d <b>bold</b>", True),  # shortened
        (f"{MARK} 0a1b2c3d <b>bold</b> two", True),  # rewritten
        (MARK[:20], True),
        (MARK[:5], False),
        (f"{MARK} of Ann", False),
        (f"Ann's {MARK}", False),
    ],
)
def test_texts_of_our_own_are_kept(value: str, is_kept: bool) -> None:
    placeholders = Placeholders([MARK])
    placeholders.text(f" {MARK} 0a1b2c3d <b>bold</b>  two ", "name", is_sent=True)
    assert (placeholders.text(value, "name") == value) is is_kept


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Invalid API/Secret Key combination", "Invalid API/Secret Key combination"),
        ("No job exists with request_id: 4711", "No job exists with request_id: ***"),
        ("JOB_COMPLETED", "JOB_COMPLETED"),
        ("id 'ann' of Ann Lee is invalid (ann)", "id *** of *** is invalid (***)"),
        ("rate limited to 10 requests per 1s", "rate limited to *** requests per ***"),
    ],
)
def test_of_messages_the_known_words_remain(message: str, expected: str) -> None:
    assert known_words(message) == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (
            "https://bucket.s3.test/a/b.csv?X-Amz-Expires=60&X-Amz-Signature=abc&who=ann",
            "https://storage-1/path-1/path-2?X-Amz-Expires=60&X-Amz-Signature=key-1&field-1=text-1",
        ),
        ("//bucket.s3.test/a", "//storage-1/path-1"),
        ("/exports/a?k=v", "/path-1/path-2?field-1=text-1"),
        ("HTTPS://bucket.s3.test/a#top", "HTTPS://storage-1/path-1#fragment"),
        ("https://ann:secret@bucket.s3.test:8443/", "https://storage-1/"),
        (
            "https://eu.test/api/5/cohorts/request/77/file",
            "https://amplitude-2/api/5/cohorts/request/900000001/file",
        ),
        ("https://amplitude.test/x", "https://amplitude/path-1"),
        ("https://[", "//"),
        ("javascript:alert(1)", "other:"),
        ("", ""),
    ],
)
def test_the_form_of_a_redirect_remains(location: str, expected: str) -> None:
    anonymizer = Anonymizer()
    anonymizer.host("amplitude.test", "amplitude")
    assert anonymizer.location(location, "https://amplitude.test/api/3/cohorts") == expected


@pytest.mark.parametrize("where", ["attributes", "definition", "what the company has made up"])
def test_nothing_that_the_company_chose_counts_as_known(where: str) -> None:
    chosen = {
        "count": 42,
        "type": "manual",
        "status": "401",
        "detail": "key",
        "of": [{"size": 7, "state": "events"}],
    }
    ((name, found),) = Anonymizer().json({where: chosen}).items()
    assert name in (where, "field-1")
    assert list(found)[:4] == ["count", "type", "status", "detail"]
    (inner,) = found.pop(list(found)[4])
    values = [*found.values(), *inner.values()]
    assert not {42, 7, "manual", "401", "key", "events"} & set(values)
    assert Anonymizer().json({"count": 42, "type": "manual"}) == {"count": 42, "type": "manual"}
