"""What all packages know of a cohort: its id, how large its export can be, and which match rate is low."""

from __future__ import annotations

import re
import unicodedata

# ---- the id: one rule for the YAML file, the operators, and the requests of a run

#: Amplitude makes 7 or 8 lowercase letters and digits; no more than this is relied on.
ID_PATTERN = r"[A-Za-z0-9_-]+"
_USUAL = re.compile(r"[a-z0-9]{7,8}")
_IN_AN_ADDRESS = re.compile(rf"/cohorts?/({ID_PATTERN})")
_PLACEHOLDER = re.compile(r"\$|%\w+%|\{[{%]")
_AROUND = re.compile(r"^[^A-Za-z0-9_-]+|[^A-Za-z0-9_-]+$")
_LONGEST = 40


def is_cohort_id(text: str) -> bool:
    """
    Return whether a text is a cohort id.

    :param text: the text.
    """
    return re.fullmatch(ID_PATTERN, text) is not None


def describe_wrong_id(text: str) -> tuple[str, str]:
    """
    Return what is wrong with a text that is not a cohort id, and what to do.

    :param text: the text; invisible characters are shown as escapes.
    """
    shown = ascii(text) if any(unicodedata.category(c) == "Cf" for c in text) else repr(text)
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…'"
    problem = f"{shown} is not a cohort id, which is letters and digits, such as a1b2c3d."
    if _PLACEHOLDER.search(text):
        return problem, "Placeholders are not replaced here: write the id itself."
    meant = _meant(text)
    if meant:
        return problem, f"Did you mean {meant}?"
    return problem, "It is the last part of the cohort's address in Amplitude."


def _meant(text: str) -> str:
    """Return the id in the address of a cohort, or within quotes or invisible characters; empty if none."""
    if found := _IN_AN_ADDRESS.search(text):
        return found[1]
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf")
    if "/" in visible:
        parts = re.split(r"[/?#&=]", visible)
        return next((part for part in reversed(parts) if _USUAL.fullmatch(part)), "")
    bare = _AROUND.sub("", visible)
    return bare if is_cohort_id(bare) else ""


# ---- how large an export can be

#: Members of the largest cohort that Amplitude exports. Source: "Behavioral Cohorts API".
MOST_MEMBERS = 2_000_000
#: A cohort may have grown since its size was announced, to ten times as much and these rows.
GROWTH_ROWS = 100_000
#: Bytes of a row on average: an identifier has tens of bytes, a property seldom hundreds.
BYTES_OF_ROW = 1024


def most_rows(announced: int | None) -> int:
    """
    Return how many rows an export can have.

    :param announced: members that Amplitude's list says the cohort has; ``None`` if it says nothing.
    """
    if announced is None:
        return 2 * MOST_MEMBERS
    return min(10 * announced + GROWTH_ROWS, 2 * max(announced, MOST_MEMBERS))


def most_bytes(announced: int | None) -> int:
    """
    Return how many bytes the file of an export can have, decompressed.

    :param announced: members that Amplitude's list says the cohort has; ``None`` if it says nothing.
    """
    return most_rows(announced) * BYTES_OF_ROW


# ---- which match rate is low: for the log of a run, the page, and the alerts

#: Below this share of matched identifiers something is wrong with the mapping, or the people come to
#: Customer.io by no other way.
LOW_MATCH_RATE = 0.5
#: A cohort of up to so many identifiers says nothing, for a handful decides.
FEW_IDENTIFIERS = 20


def is_low_match_rate(rate: float | None, identifiers: int | None) -> bool:
    """
    Say whether a match rate is low.

    :param rate: the share of the cohort's identifiers that exist in Customer.io, 0 to 1; ``None`` if that is
        not known.
    :param identifiers: how many there are; ``None`` if that is not known.
    """
    is_telling = identifiers is None or identifiers > FEW_IDENTIFIERS
    return rate is not None and rate < LOW_MATCH_RATE and is_telling
