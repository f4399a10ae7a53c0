"""The ids of the DAGs that belong to a YAML file as a whole: from its place in the DAG bundle."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

_LONGEST = 200  # a DAG id has at most 250 characters, the prefix included


def file_dag_id(prefix: str, path: Path, root: Path | None = None) -> str:
    """
    Return the id of a DAG of a file; files in different folders of a DAG bundle have different ids.

    :param prefix: the kind of the DAG.
    :param path: the YAML file.
    :param root: the folder of the DAG bundle; by default the one that Airflow reads.
    """
    text = "__".join(_below(path, root)).removesuffix(".yaml")
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", text)
    if safe != text or len(safe) > _LONGEST:  # two files must not become one by what is replaced or cut off
        safe = f"{safe[:_LONGEST]}_{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return f"{prefix}{safe}"


def folder_of_all(paths: Iterable[Path]) -> Path:
    """
    Return the innermost folder that contains all files.

    :param paths: at least one file.
    """
    return Path(os.path.commonpath([absolute(path).parent for path in paths]))


def absolute(path: Path) -> Path:
    """
    Return the whole path of a file; links to folders are not followed.

    :param path: the file.
    """
    return Path(os.path.abspath(path))


def _below(path: Path, root: Path | None) -> tuple[str, ...]:
    """Return the folders within the bundle, and the name of the file."""
    whole = absolute(path)
    # Airflow appends the folder of the bundle to sys.path before it imports a DAG file, in every process. The
    # folder itself is no part of an id: a Git bundle has another one for each version.
    roots = [root] if root else [Path(entry) for entry in reversed(sys.path) if os.path.isabs(entry)]
    for one in roots:
        if whole.is_relative_to(one):
            return whole.relative_to(one).parts
    real = Path(os.path.realpath(whole))
    for folder in map(os.path.realpath, roots):
        if real.is_relative_to(folder):
            return real.relative_to(folder).parts
    return (whole.name,)
