"""Explains the mistakes in a line of YAML that people make most, where libyaml's words do not help."""

from __future__ import annotations

import re

#: A key with a value on its line, which may begin an item of a list.
_KEY_AND_VALUE = re.compile(r"\s*(?:-\s+)*(?P<key>[\w-]+)\s*:\s+(?P<value>.*\S)\s*$")
#: What has a meaning of its own at the beginning of a value.
_SPECIAL = ("@", "`", "%", "[", "{", "]", "}", "*", "&", "!", "|", ">", "'", '"', ",", "- ")
_ABOUT_COLUMNS = ("mapping values are not allowed", "did not find expected key")


def explain_line(line: str, column: int, problem: str) -> str:
    """
    Return what is wrong with a line, and what to write instead; empty for a mistake that is not known.

    :param line: the line at which libyaml has stopped.
    :param column: where in it, from 0.
    :param problem: libyaml's own words.
    """
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation:
        return "tabs cannot indent: use spaces."
    if line[column : column + 1] == "\t":
        return "a tab cannot separate a key or a dash from its value: use a space."
    found = _KEY_AND_VALUE.match(line)
    if found is not None and column < found.start("value") and problem.startswith(_ABOUT_COLUMNS):
        return "the key begins in another column than the keys above it: indent the keys of a sync equally."
    if usual := _about_value(found["key"], found["value"], problem) if found else "":
        return usual
    if problem == "could not find expected ':'":
        return "the key has no colon and space after it: write key: value."
    if problem == "did not find expected node content":
        return "brackets are not closed, or lack a value between two commas."
    if problem.startswith("did not find expected ','"):
        return "between { } and [ ], text with a colon, a comma or a bracket must be in quotes."
    return ""


def _about_value(key: str, value: str, problem: str) -> str:
    if key == "cadence" and "*" in value:
        return 'a cron expression needs quotes: cadence: "0 6 * * 1".'
    if key == "cadence" and re.fullmatch(r"@\w+", value):
        return f"a cadence is written without @, or as a cron expression in quotes: cadence: {value[1:]}."
    text = re.sub(r"\s+#.*", "", value)
    if problem == "found unexpected end of stream":
        return f"the quotes of the value of {key} are not closed."
    if problem == "did not find expected node content":
        return ""
    if problem == "found undefined alias":
        return f"found undefined alias {text}. If it is text, put it in quotes: {key}: {_quoted(text)}."
    if value.startswith(_SPECIAL):
        return f"text that begins with {value[0]} must be put in quotes: {key}: {_quoted(text)}."
    if ": " in text or text.endswith(":"):
        return f"text with a colon must be put in quotes: {key}: {_quoted(text)}."
    return ""


def _quoted(text: str) -> str:
    """Return a text in double quotes, or in single ones if it has double quotes itself."""
    if len(text) > 1 and text[0] in "'\"" and text[0] == text[-1]:
        text = text[1:-1]  # its quotes were closed too early
    return "'" + text.replace("'", "''") + "'" if '"' in text or "\\" in text else f'"{text}"'
