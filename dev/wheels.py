"""Builds the package and creates environments to test it, with uv from the developers' lock."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def uv(*arguments: str | Path) -> None:
    """Run the uv of this environment."""
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)


def build(out: Path, source: Path = ROOT, *, sdist: bool = False) -> Path:
    """
    Build a wheel without a package index, and return its path.

    :param out: the output directory, emptied first.
    :param source: a checkout.
    :param sdist: build an sdist as well, and the wheel from it.
    """
    shutil.rmtree(out, ignore_errors=True)
    # Without an option, uv builds the wheel from an sdist; with both options, each from the checkout.
    kind = () if sdist else ("--wheel",)
    uv(
        "build",
        "--quiet",
        *kind,
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        out,
        source,
    )
    (wheel,) = out.glob("*.whl")
    return wheel


def environment(home: Path, interpreter: str | Path) -> Path:
    """
    Create an empty environment, and return its Python.

    :param home: its directory, emptied first.
    :param interpreter: the base Python.
    """
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([interpreter, "-m", "venv", "--without-pip", home], check=True)
    return home / "bin" / "python"
