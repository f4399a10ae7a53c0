"""Compares the contents of a wheel and an sdist with the expected ones."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

PACKAGE = "airflow_provider_cio_cohort"
#: Tracked files that the sdist does not need, and files that only the sdist has.
NOT_IN_SDIST, ONLY_IN_SDIST = (".ci/",), ("PKG-INFO",)


def read_wheel(path: Path) -> dict[str, bytes]:
    """
    Return the files of a wheel by their names.

    :param path: the wheel.
    """
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


def names_in_sdist(path: Path) -> list[str]:
    """
    Return the names of an sdist's files, without their common folder.

    :param path: the sdist.
    """
    with tarfile.open(path) as sdist:
        return [member.name.partition("/")[2] for member in sdist if member.isfile()]


def wheel_problems(wheel: Path, package: Path) -> list[str]:
    """
    Return what ``check-wheel-contents`` and ``twine`` object to.

    :param wheel: the wheel.
    :param package: the folder of the package in the checkout, with which the wheel's files are compared.
    """
    return [
        *_objections("check_wheel_contents", "--package", package, wheel),
        *_objections("twine", "check", "--strict", wheel),
    ]


def sdist_problems(names: Collection[str], tracked: Iterable[str]) -> list[str]:
    """
    Return the problems with the files of an sdist.

    :param names: the names of its files.
    :param tracked: the names of the files that git tracks.
    """
    wanted = {name for name in tracked if not name.startswith(NOT_IN_SDIST)}
    return _differences("the sdist", names, {*wanted, *ONLY_IN_SDIST})


def wheel_differences(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """
    Return the files that differ between two wheels.

    :param one: the files of the wheel from the checkout.
    :param other: the files of the wheel from the sdist.
    """
    names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    return [f"{name} is not the same in the wheels of the checkout and of the sdist" for name in names]


def _objections(tool: str, *arguments: str | Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", tool, *arguments], capture_output=True, text=True, check=False
    )
    return [f"{tool}: {line}" for line in (done.stdout + done.stderr).splitlines()] if done.returncode else []


def _differences(where: str, names: Collection[str], wanted: set[str]) -> list[str]:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    return [
        *(f"{where} has {name}, which does not belong there" for name in sorted(set(names) - wanted)),
        *(f"{where} lacks {name}" for name in sorted(wanted - set(names))),
        *(f"{where} has {name} twice" for name in twice),
    ]
