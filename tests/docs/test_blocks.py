"""Every block of every page is run, or else checked as far as that can be done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import check_data
from tests.docs.check_python import check_python
from tests.docs.check_yaml import check_yaml
from tests.docs.pages import PAGES, Block, blocks, blocks_of

CHECKERS: dict[str, Callable[[Block, Path], None]] = {
    "bash": check_data.check_shell,
    "console": check_data.check_console,
    "dockerfile": check_data.check_dockerfile,
    "ini": check_data.check_ini,
    "json": check_data.check_json,
    "python": check_python,
    "text": check_data.check_text,
    "yaml": check_yaml,
}


def test_every_block_has_a_language_that_is_checked() -> None:
    unknown = [str(block) for page in PAGES for block in blocks_of(page) if block.language not in CHECKERS]
    assert unknown == []


@pytest.mark.parametrize("language", CHECKERS)
def test_the_blocks_of_a_language_are_right(language: str, tmp_path: Path) -> None:
    found = blocks(language)
    assert found
    problems = []
    for number, block in enumerate(found):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            CHECKERS[language](block, folder)
        except Exception as error:  # each checker's reader has errors of its own
            problems.append(f"{block}: {type(error).__name__}: {error}")
    assert not problems, "\n\n".join(problems)
