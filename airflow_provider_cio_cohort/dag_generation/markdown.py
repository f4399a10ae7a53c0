"""Escapes values of the YAML file for Markdown."""

from __future__ import annotations

import re

# Names are full of underscores and brackets, so these are escaped only where Markdown interprets them: an
# underscore at a word boundary, a bracket that could end a link text.
_MARKDOWN = re.compile(r"([\\`*#|~]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:]))")
_CODE = re.compile(r"[\w .@/\[\]-]+")


def escape(text: object) -> str:
    """Escape a value of the YAML file for Markdown, on one line."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", line)


def code(text: object) -> str:
    """Return a name or an id as inline code, or escaped if it cannot be code."""
    return f"`{text}`" if _CODE.fullmatch(str(text)) else escape(text)
