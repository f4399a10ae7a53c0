"""The page about many machines has all that the tested stack sets."""

from __future__ import annotations

from pathlib import Path

from dev.distributed import SETTINGS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


def test_every_setting_of_the_tested_stack_is_on_the_page() -> None:
    for name, value in SETTINGS.items():
        _, section, option = name.split("__")
        row = next(
            line for line in PAGE.splitlines() if line.startswith(f"| `[{section}] {option}` | ".lower())
        )
        assert row.split(" | ")[2].strip("`") == value
