"""The DAGs of a YAML file as a whole: what they have in common, and ids from its place in the DAG bundle."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import DAG

from airflow_provider_cio_cohort.compatibility import CronTriggerTimetable, conf

_LONGEST = 200  # a DAG id has at most 250 characters, the prefix included
#: Airflow's bundle if no others are configured; its name is left out of the ids.
_DEFAULT_BUNDLE = "dags-folder"
_WORD = r"[A-Za-z0-9-]+(?:_[A-Za-z0-9-]+)*"  # no two words become one when they are joined by __
_PLAIN = re.compile(rf"(?:{_WORD}:)?(?:{_WORD}/)*{_WORD}\.yaml")


def file_dag_id(prefix: str, path: Path) -> str:
    """
    Return the id of a DAG of a file: the same in every process, and a different one for each file.

    It has the name of the DAG bundle, unless that is Airflow's default one, and the path in the bundle. A
    hash is added where these are not unique, or have characters that an id must not have.
    """
    shown, whole = _place(path)
    text = shown.removesuffix(".yaml").replace(":", ".").replace("/", "__")
    if shown != whole or not _PLAIN.fullmatch(whole) or len(text) > _LONGEST:
        digest = sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        text = f"{re.sub(r'[^A-Za-z0-9_-]', '_', text)[:_LONGEST]}_{digest}"
    return f"{prefix}{text}"


def file_dag(dag_id: str, **about: Any) -> DAG:
    """
    Return a DAG without tasks that looks after a file, every ten minutes.

    :param about: its description, docs and tags.
    """
    return DAG(
        dag_id,
        schedule=CronTriggerTimetable("*/10 * * * *", timezone="UTC"),
        start_date=pendulum.datetime(2025, 1, 1),
        catchup=False,
        max_active_runs=1,
        max_consecutive_failed_dag_runs=0,  # Airflow must not pause it because it fails
        is_paused_upon_creation=False,
        default_args={"retries": 0},
        **about,
    )


def folder_of_all(paths: Iterable[Path]) -> Path:
    """
    Return the innermost folder that contains all files.

    :param paths: at least one file.
    """
    return Path(os.path.commonpath([absolute(path).parent for path in paths]))


def absolute(path: Path) -> Path:
    """Return the whole path of a file; links to folders are not followed."""
    return Path(os.path.abspath(path))


def _place(path: Path) -> tuple[str, str]:
    """Return what an id shows of a file's place, and the whole place."""
    ways: tuple[Callable[[Path], Path], ...] = (absolute, _real)
    for resolve in ways:
        roots = {root: name for name, root in _bundles(path, resolve)}
        if around := _around(resolve(path), roots):
            root = max(around, key=lambda each: len(each.parts))
            name = "" if roots[root] == _DEFAULT_BUNDLE else f"{roots[root]}:"
            whole = name + resolve(path).relative_to(root).as_posix()
            return whole, whole
    for resolve in ways:  # a bundle of another kind; its path may differ for each of its versions
        if around := _around(resolve(path), _import_path(resolve)):
            own = resolve(path).parent  # a DAG file may have appended it after the bundle
            root = next((each for each in reversed(around) if each != own), own)
            return path.name, f"?/{resolve(path).relative_to(root).as_posix()}"
    return path.name, absolute(path).as_posix()


def _bundles(path: Path, resolve: Callable[[Path], Path]) -> Iterator[tuple[str, Path]]:
    """Yield the name and the folder of each DAG bundle that may contain a file."""
    from airflow.dag_processing.bundles.base import get_bundle_base_folder

    around = _around(resolve(path), _import_path(resolve))
    for bundle in conf.getjson("dag_processor", "dag_bundle_config_list", fallback=[]):
        name, folder = bundle["name"], bundle.get("kwargs", {}).get("path") or ""
        is_local = bundle["classpath"].endswith(".LocalDagBundle")
        if is_local or os.path.isabs(folder):
            yield name, resolve(Path(folder or os.path.expanduser(conf.get("core", "dags_folder"))))
            continue
        # Airflow downloads it, each version into another folder, which is in sys.path while it is read.
        storage = resolve(get_bundle_base_folder(name))
        if versions := [each for each in around if each.is_relative_to(storage)]:
            yield name, min(versions, key=lambda each: len(each.parts))


def _import_path(resolve: Callable[[Path], Path]) -> list[Path]:
    return [resolve(Path(entry)) for entry in sys.path if os.path.isabs(entry)]


def _around(path: Path, folders: Iterable[Path]) -> list[Path]:
    """Return the folders that contain a file."""
    return [folder for folder in folders if path.is_relative_to(folder)]


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
