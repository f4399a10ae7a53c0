"""What a wheel and an sdist hold, beside what they should hold."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

PACKAGE = "airflow_provider_cio_cohort"
#: What belongs into the package; of each there must be something. ``*`` stands for folders as well.
KINDS = (
    "*.py",
    "py.typed",
    "dag_generation/cohort_syncs.schema.json",
    "ui/static/*.css",
    "ui/static/*.js",
    "ui/templates/*.html",
)
#: What is no part of a package, although it may be Python.
ALIEN = re.compile(r"(^|/)(tests?/|test_|conftest\.py|__pycache__/|\.)")
#: What a wheel says of itself.
DIST_INFO = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
#: What git keeps and nobody needs who has the sdist; and what only the sdist has.
NOT_IN_SDIST, ONLY_IN_SDIST = (".ci/",), ("PKG-INFO",)


def package_files(root: Path) -> list[str]:
    """
    Return the files of the package, by their paths below it; what Python has cached is none.

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
    Return the names of an sdist's files, without the folder that they are all in.

    :param path: the sdist.
    """
    with tarfile.open(path) as sdist:
        return [member.name.partition("/")[2] for member in sdist if member.isfile()]


def wheel_problems(names: Collection[str], files: Collection[str], version: str) -> list[str]:
    """
    Say what is wrong with a wheel's names.

    :param names: those of its files.
    :param files: those of the package, below its folder.
    :param version: the package's.
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
    Say what is wrong with an sdist's names.

    :param names: those of its files.
    :param tracked: those of the files that git keeps.
    """
    wanted = {name for name in tracked if not name.startswith(NOT_IN_SDIST)}
    return _differences("the sdist", names, {*wanted, *ONLY_IN_SDIST})


def wheel_differences(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """
    Say which files two wheels do not share to the byte.

    :param one: the files of the one that was built from the checkout.
    :param other: those of the one that was built from the sdist.
    """
    names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    return [f"{name} is not the same in the wheels of the checkout and of the sdist" for name in names]


def _belongs(name: str) -> bool:
    return any(fnmatchcase(name, kind) for kind in KINDS) and not ALIEN.search(name)


def _differences(where: str, names: Collection[str], wanted: set[str]) -> list[str]:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    return [
        *(f"{where} has {name}, which does not belong into it" for name in sorted(set(names) - wanted)),
        *(f"{where} lacks {name}" for name in sorted(wanted - set(names))),
        *(f"{where} has {name} twice" for name in twice),
    ]
