"""The rules of the house that no linter holds, and that CONTRIBUTING.md shows the house as it is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "airflow_provider_cio_cohort"
MODULES = sorted(PACKAGE.rglob("*.py"))
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_is_small(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 300


def test_the_page_shows_every_room_from_the_top_to_the_bottom() -> None:
    (layers,) = (each["layers"] for each in LINTER["contracts"] if each["type"] == "layers")
    place = {room: number for number, layer in enumerate(layers) for room in layer.split(" | ")}
    table = PAGE.partition("| rooms |")[2].partition("\n\n")[0]
    shown = [room for row in table.splitlines()[2:] for room in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert set(shown) == set(place)
    assert [place[room] for room in shown] == sorted(place.values())


def test_the_page_names_every_folder_of_tests() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name[0] not in "_."}
    assert {name for name in folders if f"`tests/{name}`" not in PAGE} == set()
