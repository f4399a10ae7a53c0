"""
The README for PyPI, with absolute links: PyPI has only the page, so links must point to the repository.

Hatch calls this while it builds (``[tool.hatch.metadata.hooks.custom]``). The address is ``Source`` of
``[project.urls]``; without it the page is not changed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

#: A link or an image in Markdown or HTML: the text before the address, and the address.
REFERENCE = re.compile(r"(?P<before>!?\[[^\]]*\]\(|(?:src|href)=\")(?P<address>[^)\s\"]+)")
_ELSEWHERE = re.compile(r"https?:|mailto:|#")


class LongDescription(MetadataHookInterface):
    """Sets ``readme``, which is dynamic in ``pyproject.toml``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """
        Add the description to the project's metadata.

        :param metadata: the table ``project``.
        """
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        if source := metadata.get("urls", {}).get("Source"):
            text = absolute(text, source, metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(markdown: str, source: str, version: str) -> str:
    """
    Make a page's links and images point to the repository at a version.

    :param markdown: the page.
    :param source: the repository's address.
    :param version: the version, whose tag is ``v<version>``.
    """

    def lead(found: re.Match[str]) -> str:
        before, address = found["before"], found["address"]
        if _ELSEWHERE.match(address):
            return found[0]
        kind = "raw" if before.startswith(("!", "src")) else "blob"
        return f"{before}{source.rstrip('/')}/{kind}/v{version}/{address}"

    return REFERENCE.sub(lead, markdown)


def relative(markdown: str) -> list[str]:
    """
    Return the relative addresses of a page's links and images.

    :param markdown: the page.
    """
    found = {each["address"] for each in REFERENCE.finditer(markdown)}
    return sorted(each for each in found if not _ELSEWHERE.match(each))
