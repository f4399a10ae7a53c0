"""What the docs show of a program's answer has the names that the program gives today."""

from __future__ import annotations

import re

from airflow_provider_cio_cohort.engine.report import SyncReport
from airflow_provider_cio_cohort.sandbox.faults import ACTIONS
from airflow_provider_cio_cohort.sandbox.settings import Settings
from tests.docs.pages import DOCS, blocks, names_in


def test_every_shown_report_is_of_today() -> None:
    shown = [block for block in blocks("text") if "| match rate " in block.text]
    assert shown
    for block in shown:
        lines = [line for line in block.text.splitlines() if line.startswith("| ")]
        assert [line.split("|")[1].strip().replace(" ", "_") for line in lines] == list(
            SyncReport.__dataclass_fields__
        )


def test_the_sandbox_has_no_other_settings_and_faults() -> None:
    text = (DOCS / "sandbox.md").read_text(encoding="utf-8")
    settings = re.findall(
        r"^\| `(\w+)` \| ", text.partition("\n## Settings\n")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert settings == list(Settings.__dataclass_fields__)
    assert set(ACTIONS) <= names_in(DOCS / "sandbox.md")
