"""
What PyPI shows of the README: it has the page alone, so links and pictures must lead into the repository.

Hatch calls this while it builds (``[tool.hatch.metadata.hooks.custom]``). The address is ``Source`` of
``[project.urls]``; without it the page stays as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

#: A link or a picture in Markdown or HTML: what is before the address, and the address.
REFERENCE = re.compile(r"(?P<before>!?\[[^\]]*\]\(|(?:src|href)=\")(?P<address>[^)\s\"]+)")
_ELSEWHERE = re.compile(r"https?:|mailto:|#")


class LongDescription(MetadataHookInterface):
    """Sets ``readme``, which ``pyproject.toml`` calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """
        Add the description to what is known of the project.

        :param metadata: the table ``project``.
        """
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        if source := metadata.get("urls", {}).get("Source"):
            text = absolute(text, source, metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(markdown: str, source: str, version: str) -> str:
    """
    Let a page's links and pictures lead into the repository, as it was at a version.

    :param markdown: the page.
    :param source: the repository's address.
    :param version: its tag is ``v`` and that.
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
    Return where a page leads within the repository, and what it shows from there.

    :param markdown: the page.
    """
    found = {each["address"] for each in REFERENCE.finditer(markdown)}
    return sorted(each for each in found if not _ELSEWHERE.match(each))
