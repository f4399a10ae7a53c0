"""Writes values of the YAML file into Markdown so that they are shown as they are."""

from __future__ import annotations

import re

# Names are full of underscores and brackets, so they are escaped only where they would mean something: an
# underscore at a word's edge, a bracket that a link would follow.
_MARKDOWN = re.compile(r"([\\`*#|~]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:]))")
_CODE = re.compile(r"[\w .@/\[\]-]+")


def escape(text: object) -> str:
    """
    Return a value of the YAML file so that Markdown shows it as it is, on one line.

    :param text: any value.
    """
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", line)


def code(text: object) -> str:
    """
    Return a name or an id set as code, or escaped where that would not do.

    :param text: any value.
    """
    return f"`{text}`" if _CODE.fullmatch(str(text)) else escape(text)
