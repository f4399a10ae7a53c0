"""Compares the contents of a wheel and an sdist with the expected ones."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

PACKAGE = "airflow_provider_cio_cohort"
#: The files of the package, with at least one file of each kind. ``*`` matches folders as well.
KINDS = (
    "*.py",
    "py.typed",
    "dag_generation/cohort_syncs.schema.json",
    "dag_generation/*.jinja",
    "ui/static/*.css",
    "ui/static/*.js",
    "ui/templates/*.html",
)
#: Files that do not belong to the package, although they may be Python.
ALIEN = re.compile(r"(^|/)(tests?/|test_|conftest\.py|__pycache__/|\.)")
#: The metadata files of a wheel.
DIST_INFO = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
#: Tracked files that the sdist does not need, and files that only the sdist has.
NOT_IN_SDIST, ONLY_IN_SDIST = (".ci/",), ("PKG-INFO",)


def package_files(root: Path) -> list[str]:
    """
    Return the paths of the package's files below its folder, without Python's cache.

    :param root: the checkout.
    """
    folder = root / PACKAGE
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if "__pycache__" not in path.parts)


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


def wheel_problems(names: Collection[str], files: Collection[str], version: str) -> list[str]:
    """
    Return the problems with the files of a wheel.

    :param names: the names of its files.
    :param files: the files of the package, below its folder.
    :param version: the package's version.
    """
    own = [name for name in files if _belongs(name)]
    said = [f"{PACKAGE}-{version}.dist-info/{name}" for name in DIST_INFO]
    wanted = {*(f"{PACKAGE}/{name}" for name in own), *said}
    lacking = [kind for kind in KINDS if not any(fnmatchcase(name, kind) for name in own)]
    return [
        *_differences("the wheel", names, wanted),
        *(f"the package has no {kind}" for kind in lacking),
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


def _belongs(name: str) -> bool:
    return any(fnmatchcase(name, kind) for kind in KINDS) and not ALIEN.search(name)


def _differences(where: str, names: Collection[str], wanted: set[str]) -> list[str]:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    return [
        *(f"{where} has {name}, which does not belong there" for name in sorted(set(names) - wanted)),
        *(f"{where} lacks {name}" for name in sorted(wanted - set(names))),
        *(f"{where} has {name} twice" for name in twice),
    ]
