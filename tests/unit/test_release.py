"""What make check-release looks for; and that the wheel of today holds what it should."""

from __future__ import annotations

import re
import tomllib

import pytest

from dev.public_names import MODULES
from dev.release import contents, metadata
from dev.wheels import ROOT, build

FILES = [
    "__init__.py",
    "hooks/amplitude.py",
    "py.typed",
    "dag_generation/cohort_syncs.schema.json",
    "dag_generation/dag_docs.md.jinja",
    "ui/static/page.css",
    "ui/static/page.js",
    "ui/templates/base.html",
]
SAID = [f"airflow_provider_cio_cohort-1.0.0.dist-info/{name}" for name in contents.DIST_INFO]
NAMES = [*(f"airflow_provider_cio_cohort/{name}" for name in FILES), *SAID]
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
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The wheel of this checkout."""
    return contents.read_wheel(build(tmp_path_factory.mktemp("dist")))


def test_the_wheel_of_today_holds_what_it_should(wheel: dict[str, bytes]) -> None:
    assert contents.wheel_problems(list(wheel), contents.package_files(ROOT), PROJECT["version"]) == []


def test_the_wheel_of_today_says_of_itself_what_it_should(wheel: dict[str, bytes]) -> None:
    info = f"{contents.PACKAGE}-{PROJECT['version']}.dist-info"
    assert metadata.metadata_problems(wheel[f"{info}/METADATA"], PROJECT, CHANGELOG) == []
    assert metadata.entry_point_problems(wheel[f"{info}/entry_points.txt"]) == []


def test_nothing_is_wrong_with_the_right_names() -> None:
    assert contents.wheel_problems(NAMES, FILES, "1.0.0") == []


def test_what_is_wrong_with_a_wheel_is_found() -> None:
    too_much = [*NAMES, "airflow_provider_cio_cohort/tests/sync.py", "dev/demo.py", NAMES[0]]
    # One of them lies in the package's folder as well, from which the wheel is built.
    assert contents.wheel_problems(too_much, [*FILES, "tests/sync.py"], "1.0.0") == [
        "the wheel has airflow_provider_cio_cohort/tests/sync.py, which does not belong there",
        "the wheel has dev/demo.py, which does not belong there",
        f"the wheel has {NAMES[0]} twice",
    ]
    for name in (NAMES[1], SAID[0]):
        left = [each for each in NAMES if each != name]
        assert contents.wheel_problems(left, FILES, "1.0.0") == [f"the wheel lacks {name}"]
    names, files = ([name for name in each if not name.endswith(".css")] for each in (NAMES, FILES))
    (problem,) = contents.wheel_problems(names, files, "1.0.0")
    assert problem.startswith("the package has no ")


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
