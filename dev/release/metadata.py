"""Compares a wheel's metadata with the repository, and finds open points before an upload."""

from __future__ import annotations

import configparser
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.metadata import Metadata

from dev.long_description import relative
from dev.matrix import PYTHONS

NAME = "airflow-provider-cio-cohort"
ENTRY_POINTS = {
    "apache_airflow_provider": {
        "provider_info": "airflow_provider_cio_cohort.get_provider_info:get_provider_info"
    },
    "airflow.plugins": {"cohort_syncs": "airflow_provider_cio_cohort.ui.plugin:CohortSyncsPlugin"},
}
#: A release in the changelog, with its date or without one.
RELEASE = re.compile(r"^## (\d\S*) - (\d{4}-\d\d-\d\d|unreleased)$", re.MULTILINE)


@dataclass(frozen=True)
class Release:
    """
    The newest release of the changelog.

    :param version: which.
    :param date: when; ``None`` if it is still to come.
    """

    version: str
    date: str | None


def newest_release(changelog: str) -> Release | None:
    """
    Return the newest release of the changelog; ``None`` if it has none.

    :param changelog: the text.
    """
    found = RELEASE.search(changelog)
    return Release(found[1], None if found[2] == "unreleased" else found[2]) if found else None


def metadata_problems(text: bytes, project: Mapping[str, Any], changelog: str) -> list[str]:
    """
    Say what is wrong with a wheel's metadata.

    :param text: its ``METADATA``.
    :param project: the table of that name of ``pyproject.toml``.
    :param changelog: the text.
    """
    try:
        said = Metadata.from_email(text, validate=True)
    except ExceptionGroup as errors:
        return [f"METADATA: {error}" for error in errors.exceptions]
    release = newest_release(changelog)
    wanted = {
        "name": (said.name, NAME),
        "version": (str(said.version), project["version"]),
        "the newest version of CHANGELOG.md": (release and release.version, project["version"]),
        "license": (said.license_expression, "Apache-2.0"),
        "license files": (said.license_files, ["LICENSE"]),
        "Python": (str(said.requires_python), f">={PYTHONS[0]}"),
        "type of the description": (said.description_content_type, "text/markdown"),
        "first line of the description": ((said.description or "").partition("\n")[0], f"# {NAME}"),
        "extras": (said.provides_extra or [], []),
    }
    problems = [
        f"METADATA: {what} is {one!r}, not {two!r}" for what, (one, two) in wanted.items() if one != two
    ]
    return [*problems, *_classifier_problems(said.classifiers or [])]


def _classifier_problems(classifiers: Collection[str]) -> list[str]:
    wanted = {
        "Framework :: Apache Airflow :: Provider",
        "Typing :: Typed",
        *(f"Programming Language :: Python :: {python}" for python in PYTHONS),
    }
    return [f"METADATA: no classifier {each!r}" for each in sorted(wanted.difference(classifiers))]


def entry_point_problems(text: bytes) -> list[str]:
    """
    Return the problems with the entry points by which Airflow discovers the provider.

    :param text: the wheel's ``entry_points.txt``.
    """
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read_string(text.decode())
    found = {group: dict(parser[group]) for group in parser.sections()}
    return [] if found == ENTRY_POINTS else [f"entry_points.txt holds {found}, not {ENTRY_POINTS}"]


def open_points(text: bytes, changelog: str) -> list[str]:
    """
    Return what must be decided before an upload.

    :param text: the wheel's ``METADATA``.
    :param changelog: the text.
    """
    said = Metadata.from_email(text, validate=False)
    release = newest_release(changelog)
    unfollowed = relative(said.description or "")
    points = {
        "CHANGELOG.md gives the newest version no date yet": release is not None and release.date is None,
        "CHANGELOG.md has changes of no version, under Unreleased": "\n## Unreleased\n" in changelog,
        "pyproject.toml has no [project.urls] with Source and Documentation, for PyPI and Airflow": (
            not {"Source", "Documentation"} <= set(said.project_urls or {})
        ),
        f"on PyPI, {len(unfollowed)} links and pictures of the README would lead nowhere, such as "
        f"{', '.join(unfollowed[:3])}": bool(unfollowed),
    }
    return [point for point, is_open in points.items() if is_open]
