"""What an Amplitude cohort id is: one rule for the YAML file, the operators, and the requests of a run."""

from __future__ import annotations

import re
import unicodedata

#: Amplitude makes 7 or 8 lowercase letters and digits; no more than this is relied on.
PATTERN = r"[A-Za-z0-9_-]+"
_USUAL = re.compile(r"[a-z0-9]{7,8}")
_IN_AN_ADDRESS = re.compile(rf"/cohorts?/({PATTERN})")
_PLACEHOLDER = re.compile(r"\$|%\w+%|\{[{%]")
_AROUND = re.compile(r"^[^A-Za-z0-9_-]+|[^A-Za-z0-9_-]+$")
_LONGEST = 40


def is_cohort_id(text: str) -> bool:
    """
    Return whether a text is a cohort id.

    :param text: the text.
    """
    return re.fullmatch(PATTERN, text) is not None


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
