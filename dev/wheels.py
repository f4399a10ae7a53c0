"""Builds the package, and makes environments to try it in; all by uv, which the developers' lock has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def uv(*arguments: str | Path) -> None:
    """Run uv, which this environment has."""
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)


def build(out: Path, source: Path = ROOT, *, sdist: bool = False) -> Path:
    """
    Build a wheel, without a look at an index, and return its path.

    :param out: the directory that it comes into, emptied first.
    :param source: a checkout.
    :param sdist: build an sdist too, and the wheel from that.
    """
    shutil.rmtree(out, ignore_errors=True)
    # Without a kind, uv builds an sdist, and the wheel from that; with both named, each from the checkout.
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
    Make an environment with nothing in it, and return its Python.

    :param home: where, emptied first.
    :param interpreter: the Python that it is made of.
    """
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([interpreter, "-m", "venv", "--without-pip", home], check=True)
    return home / "bin" / "python"
