"""The pages, as markdown-it reads them: their fenced blocks, code spans, links, pictures and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md"))]
_PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """
    A fenced block.

    :param page: the page that it stands on.
    :param line: of its opening fence, from 1.
    :param language: what follows the fence; empty if nothing does.
    :param text: the content, without the fence's indentation.
    """

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def _tokens(page: Path) -> tuple[Token, ...]:
    return tuple(_PARSER.parse(page.read_text(encoding="utf-8")))


def _inline(page: Path) -> Iterator[Token]:
    for token in _tokens(page):
        yield from token.children or ()


@cache
def blocks_of(page: Path) -> tuple[Block, ...]:
    return tuple(
        Block(page, token.map[0] + 1, token.info.strip(), token.content)
        for token in _tokens(page)
        if token.type == "fence" and token.map
    )


def blocks(language: str) -> list[Block]:
    """Return the blocks of all pages that are written in a language."""
    return [block for page in PAGES for block in blocks_of(page) if block.language == language]


@cache
def spans_of(page: Path) -> tuple[str, ...]:
    """Return the code spans outside of the blocks, each on one line."""
    return tuple(" ".join(each.content.split()) for each in _inline(page) if each.type == "code_inline")


@cache
def code_of(page: Path) -> str:
    """Return all that a page shows as code."""
    return "\n".join([*spans_of(page), *(block.text for block in blocks_of(page))])


def names_in(page: Path) -> set[str]:
    """Return every word of a page's code, and every part of a dotted or hyphenated one."""
    code = code_of(page)
    return {*re.findall(r"\w+", code), *re.findall(r"--?[a-z][\w-]*", code), *re.findall(r"[\w.]+", code)}


def links_of(page: Path) -> list[str]:
    """Return where the links of a page lead, and the files of its pictures."""
    found = [str(each.attrs["href"]) for each in _inline(page) if each.type == "link_open"]
    found += [str(each.attrs["src"]) for each in _inline(page) if each.type == "image"]
    for token in (*_tokens(page), *_inline(page)):
        if token.type in ("html_block", "html_inline"):
            found += re.findall(r"<(?:img|a)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"", token.content)
    return found


def undefined_references(page: Path) -> list[str]:
    """Return the references ``[text][name]`` that stay text because the page does not define the name."""
    texts = " ".join(each.content for each in _inline(page) if each.type == "text")
    return re.findall(r"\]\[[^\]]*\]", texts)


@cache
def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    titles = [
        "".join(each.content for each in below.children or ())
        for opened, below in pairwise(_tokens(page))
        if opened.type == "heading_open"
    ]
    anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    numbered = (f"{anchor}-{anchors[:place].count(anchor)}" for place, anchor in enumerate(anchors))
    return {anchor.removesuffix("-0") for anchor in numbered}
