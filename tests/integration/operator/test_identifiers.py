"""Identifiers that are easily mangled, on their whole way; docs/reliability.md shows them."""

from __future__ import annotations

import pytest

from tests.summary import count_bad_input

#: What stands in the export; the id that a person has who is to be found by it, ``None`` where nobody may be.
CASES = {
    "plain": ("u-1", "u-1"),
    "a tab before it is an artefact of the export": ("\tu-1", "u-1"),
    "white space around it is kept": (" u-1\n ", " u-1\n "),
    "white space around it makes another id": ("u-1 ", None),
    "a no-break space is kept": ("\u00a0u-1", "\u00a0u-1"),
    "a no-break space makes another id": ("\u00a0u-1", None),
    "an ideographic space makes another id": ("u-1\u3000", None),
    "a zero-width space is kept": ("u\u200b-1", "u\u200b-1"),
    "a zero-width space makes another id": ("u\u200b-1", None),
    "nothing but a blank": (" ", " "),
    "nothing but a blank, which no person has": (" ", None),
    "white space within it is kept": ("u 1", "u 1"),
    "case tells ids apart": ("U-1", "U-1"),
    "another case is another id": ("U-1", None),
    "a composed letter stays composed": ("caf\u00e9", "caf\u00e9"),
    "a decomposed letter stays decomposed": ("cafe\u0301", "cafe\u0301"),
    "normal forms are not mixed up": ("cafe\u0301", None),
    "NUL is kept": ("u\0-1", "u\0-1"),
    "other control characters are kept": ("u\x07\x1b-1", "u\x07\x1b-1"),
    "150 bytes": ("x" * 150, "x" * 150),
    "150 bytes of two each": ("é" * 75, "é" * 75),
    "151 bytes are nobody's": ("x" * 151, None),
    "152 bytes of two each are nobody's": ("é" * 76, None),
    "the word null is an id": ("null", "null"),
    "the word None is an id": ("None", "None"),
    "NaN is an id": ("NaN", "NaN"),
    "nought is an id": ("0", "0"),
    "leading zeros are kept": ("007", "007"),
    "an exponent is kept": ("1e5", "1e5"),
    "a decimal point is kept": ("1.0", "1.0"),
    "a large number is kept": ("12345678901234567890", "12345678901234567890"),
    "quotes are kept": ('say "hi"', 'say "hi"'),
    "commas are kept": ("a,b", "a,b"),
    "line breaks within it are kept": ("two\nlines", "two\nlines"),
    "a backslash is kept": ("a\\tb", "a\\tb"),
    "a template is text": ("{{ 7 * 7 }}", "{{ 7 * 7 }}"),
    "a formula is text": ("=1+1", "=1+1"),
    "an emoji is kept": ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
}
#: People who could be taken for those of the cases above if something were mangled on the way.
DOUBLES = ["u-1", "café", "7", "100000.0", "1", "49", "2", "None ", "x" * 149]


@pytest.mark.parametrize("trimmed", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_an_id(sandbox, sync, name: str, trimmed: bool) -> None:
    count_bad_input()
    sandbox.configure(identifiers_trimmed=trimmed)
    value, owner = CASES[name]
    doubles = [double for double in DOUBLES if double != owner]
    for person in {*doubles, *([owner] if owner else [])}:
        sandbox.workspace.add_person(id=person)
    rows = [{"amplitude_id": "1", "user_id": value}]
    sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=rows)
    report = sync()
    if trimmed and owner is not None and owner != owner.strip():
        owner = None  # where Customer.io ignores white space, nobody can be found by such an id
    members = [person.id for person in sandbox.workspace.find_segment("Power users").members]
    assert members == ([owner] if owner else [])
    assert (report["identifiers"], report["unmatched"]) == (1, 0 if owner else 1)
    again = sync()
    assert (again["to_remove"], again["segment_after"]) == (0, len(members))


@pytest.mark.parametrize("value", ["", "\t"])
def test_an_empty_id_is_none(sandbox, sync, value: str) -> None:
    count_bad_input()
    sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=[{"amplitude_id": "1", "user_id": value}])
    report = sync()
    assert (report["without_identifier"], report["identifiers"], report["to_add"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("value", "owner"),
    [
        ("Ann+x@Example.com", "ann+X@example.COM"),
        (" ann@example.com ", " ann@example.com "),
        (" ann@example.com", None),
        ("ann@\u200bexample.com", None),
        ("ann@\u200bexample.com", "ann@\u200bexample.com"),
        ("rene\u0301@example.com", "rene\u0301@example.com"),
        ("ren\u00e9@example.com", "ren\u00e9@example.com"),
        ("ann+x@example.com", None),  # a plus is part of the address
        ("JÖRG@example.com", "jörg@example.com"),
    ],
)
def test_an_email(sandbox, sync, value: str, owner: str | None) -> None:
    count_bad_input()
    for email in {"ann@example.com", owner or "ann@example.com"}:
        sandbox.workspace.add_person(id=None, email=email)
    rows = [{"amplitude_id": "1", "user_id": "", "mail": value}]
    sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=rows)
    report = sync(user_id_property="mail", id_type="email")
    members = [person.email for person in sandbox.workspace.find_segment("Power users").members]
    assert members == ([owner] if owner else [])
    assert report["unmatched"] == (0 if owner else 1)
