"""What an editor with the language server of YAML makes of our JSON Schema (``make test-editor``)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dev.yaml_reference import SCHEMA
from tests.editor.client import Editor

INSTALLED = Path(__file__).parents[2] / ".demo/editor/node_modules/.bin/yaml-language-server"
SERVER = os.environ.get("YAML_LANGUAGE_SERVER") or shutil.which(
    "yaml-language-server", path=f"{os.environ['PATH']}:{INSTALLED.parent}"
)

pytestmark = pytest.mark.skipif(
    not SERVER,
    reason="no yaml-language-server on the PATH or in $YAML_LANGUAGE_SERVER; make test-editor installs it",
)


@pytest.fixture
def open_file(tmp_path: Path) -> Callable[[str], Editor]:
    """Open a file with the first line that the README and ``init`` give it."""
    schema = f"# yaml-language-server: $schema={SCHEMA.as_uri()}\n"
    return lambda text: Editor(SERVER, tmp_path / "team_syncs.yaml", schema + text)


def test_keys_and_values_are_offered(open_file: Callable[[str], Editor]) -> None:
    text = "syncs:\n  - name: one\n    cohort_id: a1b2c3d\n    segment_name: One\n    mode: \n    ca\n"
    with open_file(text) as editor:
        assert {"mirror", "add_only"} <= editor.completions("mode: ")
        offered = editor.completions("\n    ca")
        assert {"cadence", "timezone", "targets", "alerts", "max_age"} <= offered
        assert "mode" not in offered


def test_a_key_says_what_it_means(open_file: Callable[[str], Editor]) -> None:
    text = (
        "syncs:\n  - name: one\n    cohort_id: a1b2c3d\n    segment_name: One\n    max_removal_percent: 10\n"
    )
    with open_file(text) as editor:
        assert "Refuse to remove more than this percentage" in editor.hover("max_removal_percent")


def test_mistakes_are_underlined(open_file: Callable[[str], Editor]) -> None:
    text = (
        "syncs:\n  - name: one\n    cohort_id: 123\n    segment_name: One\n    cadense: daily\n"
        "    mode: miror\n    alerts:\n      - notifier: a.B\n        on: [falure]\n"
    )
    with open_file(text) as editor:
        problems = editor.problems()
    assert [problem.split(":")[0] for problem in problems] == ["4", "6", "7", "10"]
    assert "Incorrect type" in problems[0]
    assert "Property cadense is not allowed" in problems[1]
    assert '"mirror"' in problems[2]
    assert '"failure"' in problems[3]


def test_a_sound_file_is_not_underlined(open_file: Callable[[str], Editor]) -> None:
    text = (
        "defaults:\n  timezone: Europe/Berlin\n"
        "syncs:\n  - name: one\n    cohort_id: a1b2c3d\n    segment_name: One\n"
        '    cadence: "0 6 * * 1"\n    max_age: 8d\n    start_date: 2026-01-31\n'
    )
    with open_file(text) as editor:
        assert editor.problems() == []
