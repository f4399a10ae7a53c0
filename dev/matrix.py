"""Tests the built package with each Airflow and Python; writes the results to docs/versions.md."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.wheels import ROOT, build, environment, uv

HOME = ROOT / ".demo" / "matrix"
PAGE = ROOT / "docs" / "versions.md"
BEGIN, END = "<!-- make test-matrix: begin -->\n", "<!-- make test-matrix: end -->\n"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
#: Each Airflow with its lock, and the newest Python that its metadata allows.
LOCKS = {
    "3.1": ("requirements/matrix/airflow-3.1.txt", "3.13"),
    "3.2": ("requirements/matrix/airflow-3.2.txt", "3.14"),
    "3.3.0": ("requirements/matrix/airflow-3.3.0.txt", "3.14"),
    "newest": ("requirements/dev.txt", "3.14"),
}
#: Tests in a real Airflow, and tests of the operator and the hooks over HTTP.
TESTS = (
    "tests/versions",
    "tests/integration/hooks",
    "tests/integration/operator/test_sync.py",
    "tests/integration/operator/test_export.py",
)
PASSED, FAILED, NOT_RUN, NOT_ALLOWED = "passed", "FAILED", "not run", "Airflow: no"


@dataclass(frozen=True)
class Cell:
    """
    An Airflow with a Python.

    :param airflow: a key of :data:`LOCKS`.
    :param python: such as ``3.11``.
    """

    airflow: str
    python: str

    def is_allowed(self) -> bool:
        """Return whether this Airflow supports this Python."""
        return PYTHONS.index(self.python) <= PYTHONS.index(LOCKS[self.airflow][1])


def main() -> int:
    """Run the wanted cells; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pythons", nargs="+", required=True, help="interpreters; those that are missing are skipped"
    )
    parser.add_argument("--cells", nargs="*", help="such as 3.1/3.11; all by default")
    given = parser.parse_args()
    found = interpreters(given.pythons)
    every = [Cell(airflow, python) for airflow in LOCKS for python in PYTHONS]
    asked = [Cell(*each.split("/")) for each in given.cells] if given.cells else every
    wheel = build(HOME / "dist")
    done: dict[Cell, str] = {}
    for cell in asked:
        if cell.is_allowed() and cell.python in found:
            print(f"Airflow {cell.airflow} with Python {cell.python} …", flush=True)
            done[cell] = PASSED if passes(cell, found[cell.python], wheel) else FAILED
            write(done)
    for cell in asked:
        missing = "skipped: no such Python here" if cell.is_allowed() else NOT_ALLOWED
        print(f"{cell.airflow:>8} {cell.python:>6}  {done.get(cell, missing)}")
    return int(FAILED in done.values())


def interpreters(names: Sequence[str]) -> dict[str, str]:
    """
    Return the interpreters that can be started, by their version.

    :param names: names or paths.
    """
    found = {}
    for name in names:
        asking = [name, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            said = subprocess.run(asking, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            continue
        found[said] = name
    return found


def passes(cell: Cell, interpreter: str, wheel: Path) -> bool:
    """
    Test a cell in its own environment, with the output in ``tests.log``.

    :param cell: the cell.
    :param interpreter: the Python.
    :param wheel: the package.
    """
    home = HOME / f"{cell.airflow}-{cell.python}"
    try:
        python = environment(home, interpreter)
        lock = ROOT / LOCKS[cell.airflow][0]
        uv("pip", "install", "--quiet", "--python", python, "--no-deps", "--require-hashes", "-r", lock)
        uv("pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    except subprocess.CalledProcessError:
        return False
    # The tests and the code that starts Airflow, without the package's sources, because the wheel is tested.
    for name in ("tests", "dev", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, home / name)
    with (home / "tests.log").open("wb") as log:
        # Deprecations are tested with the newest Airflow: old ones have some in their own providers.
        options = ("-q", "-p", "no:cacheprovider", "-W", "ignore::FutureWarning")
        tests = [python, "-m", "pytest", *options, *TESTS]
        return (
            subprocess.run(tests, cwd=home, stdout=log, stderr=subprocess.STDOUT, check=False).returncode == 0
        )


def write(done: Mapping[Cell, str]) -> None:
    """
    Write the results to the page; other cells keep their results.

    :param done: the results.
    """
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + render({**read(table), **done}) + END + after, encoding="utf-8")


def read(table: str) -> dict[Cell, str]:
    """
    Read the page's table.

    :param table: its lines.
    """
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
    return {
        Cell(row[0], python): said
        for row in rows
        if row and row[0] in LOCKS
        for python, said in zip(PYTHONS, row[2:], strict=True)
    }


def render(said: Mapping[Cell, str]) -> str:
    """
    Return the page's table.

    :param said: the result of each cell.
    """
    lines = [f"| Airflow | tested | {' | '.join(f'Python {each}' for each in PYTHONS)} |", "|---" * 6 + "|"]
    for airflow, (lock, _) in LOCKS.items():
        cells = [Cell(airflow, python) for python in PYTHONS]
        words = [said.get(cell, NOT_RUN) if cell.is_allowed() else NOT_ALLOWED for cell in cells]
        lines.append(f"| {airflow} | {version_in(ROOT / lock)} | {' | '.join(words)} |")
    return "\n".join(lines) + "\n"


def version_in(lock: Path) -> str:
    """
    Return Airflow's version in a lock.

    :param lock: the file.
    """
    found = re.search(r"^apache-airflow==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "?"


if __name__ == "__main__":
    sys.exit(main())
