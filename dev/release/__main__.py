"""
``make check-release``: checks that the files for an upload are correct, and that they work when installed.

Nothing is uploaded. ``--final`` is for the last check before an upload, which fails for open points.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from dev.matrix import LOCKS
from dev.release import contents, metadata
from dev.wheels import ROOT, build, environment, uv

HOME = ROOT / ".demo" / "release"
#: The oldest and the newest Airflow, with which the wheel is tested.
ENDS = (next(iter(LOCKS)), next(reversed(LOCKS)))


def main() -> int:
    """Build, check and install; return 1 if there are problems."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--final", action="store_true", help="fail for open points as well")
    final = parser.parse_args().final
    wheel = build(HOME / "dist", sdist=True)
    problems, still_open = list(archive_problems(wheel)), list(open_points(wheel))
    for airflow in ENDS:
        say(f"Installing the wheel with only its own requirements and Airflow {airflow} …")
        problems += installed_problems(airflow, wheel)
    for point in still_open:
        say(f"Open before an upload: {point}.")
    for problem in problems:
        say(f"WRONG: {problem}")
    if problems or (final and still_open):
        return 1
    say(f"{wheel.name} and its sdist are valid: {HOME / 'dist'}")
    return 0


def archive_problems(wheel: Path) -> Iterator[str]:
    """
    Check the wheel and the sdist beside it.

    :param wheel: the wheel that was built from the sdist.
    """
    say("Checking the wheel and the sdist …")
    (sdist,) = wheel.parent.glob("*.tar.gz")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files = contents.read_wheel(wheel)
    info = f"{contents.PACKAGE}-{project['version']}.dist-info"
    yield from contents.wheel_problems(wheel, ROOT / contents.PACKAGE)
    yield from contents.sdist_problems(contents.names_in_sdist(sdist), git("ls-files").splitlines())
    yield from contents.wheel_differences(contents.read_wheel(build(HOME / "checkout")), files)
    yield from metadata.metadata_problems(files[f"{info}/METADATA"], project, changelog())
    yield from metadata.entry_point_problems(files[f"{info}/entry_points.txt"])


def open_points(wheel: Path) -> Iterator[str]:
    """
    Yield what must be decided or done before an upload.

    :param wheel: the wheel.
    """
    (text,) = (data for name, data in contents.read_wheel(wheel).items() if name.endswith("/METADATA"))
    yield from metadata.open_points(text, changelog())
    if changed := git("status", "--porcelain").splitlines():
        yield f"{len(changed)} files are not committed, such as {changed[0].split()[-1]}"


def installed_problems(airflow: str, wheel: Path) -> list[str]:
    """
    Install the wheel with its requirements, at the versions and hashes of a lock, and test it.

    :param airflow: a key of :data:`.LOCKS`.
    :param wheel: the wheel.
    """
    home = HOME / f"airflow-{airflow}"
    lock = ROOT / LOCKS[airflow][0]
    try:
        python = environment(home, sys.executable)
        # The lock is only a constraint, so a missing requirement is not installed.
        asked = home / "requirements.txt"
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        asked.write_text(f"{metadata.NAME} @ {wheel.as_uri()} --hash=sha256:{digest}\n", encoding="utf-8")
        uv("pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", asked, "-c", lock)
        uv("pip", "check", "--quiet", "--python", python)
    except subprocess.CalledProcessError as error:
        return [f"the wheel cannot be installed beside Airflow {airflow}: {error}"]
    # Without the checkout, which would be imported instead of the wheel.
    place = home / "check"
    shutil.copytree(ROOT / "dev", place / "dev", ignore=shutil.ignore_patterns("__pycache__"))
    # Deprecations within an old Airflow and its providers are not ours.
    trying = [python, "-W", "ignore", "-m", "dev.release.installed"]
    done = subprocess.run(trying, cwd=place, env=bare_environment(), check=False)
    return [f"the wheel does not work beside Airflow {airflow}"] if done.returncode else []


def bare_environment() -> dict[str, str]:
    """Return the environment without settings of Airflow or Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTHON"))}


def changelog() -> str:
    """Return the changelog."""
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def git(*words: str) -> str:
    """
    Return the output of git in the checkout.

    :param words: a command that changes nothing.
    """
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def say(text: str) -> None:
    """Print the progress."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
