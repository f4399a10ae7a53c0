"""Every link leads somewhere, and every page can be found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, blocks_of, name_of, prose_of

LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
IMAGE = re.compile(r"<img [^>]*?src=\"([^\"]+)\"")


def headings(path: Path) -> set[str]:
    """All anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose_of(path), re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    numbered = (f"{anchor}-{anchors[:place].count(anchor)}" for place, anchor in enumerate(anchors))
    return {anchor.removesuffix("-0") for anchor in numbered}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(prose_of(page)):
        path = (page.parent / target) if target else page
        assert path.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in headings(path), f"{name_of(page)} links to {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_reference_is_defined_and_used(page: Path) -> None:
    text = prose_of(page)
    defined = set(re.findall(r"^\[([^\]]+)\]: ", text, re.MULTILINE))
    used = set(re.findall(r"\]\[([^\]]+)\]", re.sub(r"`[^`]*`", "", text)))
    assert used == defined


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_picture_is_there(page: Path) -> None:
    for target in IMAGE.findall(prose_of(page)):
        assert (page.parent / target).is_file(), f"{name_of(page)} shows {target}"


def test_every_page_is_linked_from_the_index() -> None:
    index = DOCS / "README.md"
    linked = {target for target, _ in LINK.findall(prose_of(index))}
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} <= linked


def test_every_picture_of_the_docs_is_shown() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in [*IMAGE.findall(prose_of(page)), *(each for each, _ in LINK.findall(prose_of(page)))]
    }
    pictures = {path.resolve() for path in (DOCS / "images").iterdir()}
    assert {path.relative_to(ROOT).as_posix() for path in pictures - shown} == set()


def test_the_pages_have_been_read() -> None:
    assert len(PAGES) > 10
    assert sum(len(blocks_of(page)) for page in PAGES) > 80
