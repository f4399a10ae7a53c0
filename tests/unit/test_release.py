"""What make check-release looks for; and that the wheel of today holds what it should."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from dev.public_names import MODULES
from dev.release import contents, metadata
from dev.wheels import ROOT, build

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
METADATA = b"""\
Metadata-Version: 2.4
Name: airflow-provider-cio-cohort
Version: 1.0.0
License-Expression: MIT
Requires-Python: >=3.11
Description-Content-Type: text/markdown

# airflow-provider-cio-cohort
[a page](docs/cli.md), [elsewhere](https://example.com), [below](#below), <img src="docs/images/form.png">
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build(tmp_path_factory.mktemp("dist"))


def test_the_wheel_has_the_right_files_and_metadata(wheel: Path) -> None:
    assert contents.wheel_problems(wheel, ROOT / contents.PACKAGE) == []
    files, info = contents.read_wheel(wheel), f"{contents.PACKAGE}-{PROJECT['version']}.dist-info"
    assert metadata.metadata_problems(files[f"{info}/METADATA"], PROJECT, CHANGELOG) == []
    assert metadata.entry_point_problems(files[f"{info}/entry_points.txt"]) == []


def test_a_wheel_with_wrong_files_is_found(wheel: Path, tmp_path: Path) -> None:
    package = tmp_path / contents.PACKAGE
    shutil.copytree(ROOT / contents.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "ui" / "static" / "page.css").rename(package / "ui" / "static" / "other.css")
    problems = "\n".join(contents.wheel_problems(wheel, package))
    assert "other.css" in problems  # missing in the wheel
    assert "page.css" in problems  # only in the wheel


def test_an_sdist_is_what_git_keeps() -> None:
    tracked = [".ci/run", "README.md", "dev/demo.py"]
    assert contents.sdist_problems(["README.md", "dev/demo.py", "PKG-INFO"], tracked) == []
    assert contents.sdist_problems(["README.md", ".env", "PKG-INFO"], tracked) == [
        "the sdist has .env, which does not belong there",
        "the sdist lacks dev/demo.py",
    ]


def test_two_wheels_are_held_beside_each_other_to_the_byte() -> None:
    one = {"a.py": b"1", "b.py": b"2"}
    assert contents.wheel_differences(one, dict(one)) == []
    assert len(contents.wheel_differences(one, {"a.py": b"1 ", "c.py": b"2"})) == 3


@pytest.mark.parametrize(
    ("changelog", "found"),
    [
        ("## 1.0.0 - unreleased\n", metadata.Release("1.0.0", None)),
        ("## 1.1.0 - 2027-01-31\n\n## 1.0.0 - unreleased\n", metadata.Release("1.1.0", "2027-01-31")),
        ("## Unreleased\n\n## 1.0.0 - 2027-01-31\n", metadata.Release("1.0.0", "2027-01-31")),
        ("# Changelog\n", None),
    ],
)
def test_the_newest_release_of_a_changelog(changelog: str, found: metadata.Release | None) -> None:
    assert metadata.newest_release(changelog) == found


def test_wrong_metadata_is_found() -> None:
    problems = metadata.metadata_problems(
        METADATA, {**PROJECT, "version": "1.1.0"}, "## 1.0.0 - unreleased\n"
    )
    for said in ("version is '1.0.0', not '1.1.0'", "CHANGELOG.md is '1.0.0', not", "license is 'MIT'"):
        assert [problem for problem in problems if said in problem], said
    assert "METADATA: no classifier 'Typing :: Typed'" in problems


def test_metadata_that_no_index_takes_is_found() -> None:
    text = METADATA.replace(b">=3.11", b"=>3.11")
    (problem,) = metadata.metadata_problems(text, PROJECT, CHANGELOG)
    assert "=>3.11" in problem


def test_an_entry_point_that_leads_elsewhere_is_found() -> None:
    assert metadata.entry_point_problems(b"[airflow.plugins]\ncohort_syncs = elsewhere:Plugin\n")


def test_what_is_open_before_an_upload() -> None:
    points = metadata.open_points(METADATA, "# Changelog\n\n## Unreleased\n\n## 1.0.0 - unreleased\n")
    assert len(points) == 4
    assert "2 links and pictures" in points[3]
    urls = b"\nProject-URL: Documentation, https://example.com\nProject-URL: Source, https://example.com\n\n"
    text = METADATA.replace(b"\n\n", urls, 1).replace(b"docs/", b"https://example.com/docs/")
    assert metadata.open_points(text, "## 1.0.0 - 2027-01-31\n") == []


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("deploy/kubernetes/values.yaml", r'tag: "(\d.*)"'), ("docs/kubernetes.md", r"/cohort-airflow:(\S+)")],
)
def test_the_image_for_kubernetes_has_the_version_of_the_package(name: str, pattern: str) -> None:
    assert set(re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"))) == {PROJECT["version"]}


def test_the_page_of_versions_promises_the_public_names() -> None:
    page = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| names to import |"))
    assert set(re.findall(r"`([a-z_.]+)`", row)) == set(MODULES)
