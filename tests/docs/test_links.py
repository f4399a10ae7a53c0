"""Every link leads somewhere, and every page can be found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.docs.pages import DOCS, PAGES, ROOT, anchors_of, links_of, name_of, undefined_references


def local_links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of every link of a page that stays in the repository."""
    for link in links_of(page):
        address = urlsplit(link)
        if not address.scheme:
            yield (page.parent / unquote(address.path) if address.path else page), address.fragment


def test_every_link_and_picture_leads_somewhere() -> None:
    broken = [f"{name_of(page)}: {reference}" for page in PAGES for reference in undefined_references(page)]
    for page in PAGES:
        for path, anchor in local_links(page):
            if not path.exists() or (anchor and anchor not in anchors_of(path)):
                broken.append(f"{name_of(page)}: {path.name}#{anchor}")
    assert broken == []


def test_every_page_is_linked_from_the_index() -> None:
    linked = {path.name for path, _ in local_links(DOCS / "README.md")}
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} - linked == set()


def test_every_picture_of_the_docs_is_shown() -> None:
    shown = {path.resolve() for page in PAGES for path, _ in local_links(page)}
    pictures = {path.resolve() for path in (DOCS / "images").iterdir()}
    assert {path.relative_to(ROOT).as_posix() for path in pictures - shown} == set()
