"""Every block of every page is executed, or else checked as far as that can be done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import check_data
from tests.docs.check_python import check_python
from tests.docs.check_yaml import check_yaml
from tests.docs.pages import Block, blocks

CHECKERS: dict[str, Callable[[Block, Path], None]] = {
    "bash": check_data.check_shell,
    "console": check_data.check_console,
    "dockerfile": check_data.check_dockerfile,
    "dotenv": check_data.check_dotenv,
    "ini": check_data.check_ini,
    "json": check_data.check_json,
    "mermaid": check_data.check_mermaid,
    "python": check_python,
    "text": check_data.check_text,
    "toml": check_data.check_toml,
    "yaml": check_yaml,
}


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_block_is_right(block: Block, tmp_path: Path) -> None:
    assert block.language in CHECKERS, (
        f"{block}: there is nothing that checks {block.language or 'no language'}"
    )
    CHECKERS[block.language](block, tmp_path)
