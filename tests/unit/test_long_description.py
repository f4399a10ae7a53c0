"""What PyPI shows of the README leads somewhere."""

from __future__ import annotations

import re

from dev import long_description
from dev.wheels import ROOT


def test_on_pypi_links_and_pictures_lead_into_the_repository() -> None:
    page = '[a](docs/a.md#b) ![c](docs/c.png) <img src="docs/d.png"> [e](#e) [f](https://example.com/f)'
    assert long_description.absolute(page, "https://example.com/repository/", "1.0.0") == (
        "[a](https://example.com/repository/blob/v1.0.0/docs/a.md#b) "
        "![c](https://example.com/repository/raw/v1.0.0/docs/c.png) "
        '<img src="https://example.com/repository/raw/v1.0.0/docs/d.png"> [e](#e) [f](https://example.com/f)'
    )


def test_no_link_of_the_readme_is_left_behind() -> None:
    page = long_description.absolute(
        (ROOT / "README.md").read_text(encoding="utf-8"), "https://example.com", "1"
    )
    assert long_description.relative(page) == []
    assert not re.search(r"\]\((?!https?:|#)|=\"docs/", page)
