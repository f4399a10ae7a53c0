"""Whether a command of the docs can be given: program, subcommand, flags, and the files that it names."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import yaml
from airflow.cli.cli_parser import get_parser

from tests.docs.pages import ROOT
from tests.docs.settings import check_variable
from tests.docs.shell import commands

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
#: Folders of this repository whose files a command may name; in dags/ are the reader's own.
_FOLDERS = ("airflow_provider_cio_cohort", "deploy", "dev", "docs", "requirements", "scripts", "tests")
#: Commands of Airflow that come with a provider or an executor of the image.
_ELSEWHERE = {"users", "roles", "celery", "kubernetes"}
_PACKAGE = "airflow-provider-cio-cohort"
_TAKES_A_VALUE = {"-c", "-n", "-f", "--file", "--profile", "--project-name", "--namespace", "--user", "-u"}


def check_script(script: str) -> None:
    """
    Check every command of a script.

    :param script: as ``bash`` reads it.
    """
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = commands(script)
    assert found, "there is no command in it"
    for words in found:
        check_command(words)


def check_command(words: Sequence[str]) -> None:
    """
    Check a command.

    :param words: as the shell takes it apart.
    """
    while words and (setting := _ASSIGNMENT.fullmatch(words[0])):
        check_variable(*setting.groups())
        words = words[1:]
    if not words:
        return
    for word in words:
        if word.startswith("{"):  # a body, a run's conf or a connection's extra
            assert isinstance(json.loads(word), dict)
    program = Path(words[0]).name
    assert program in PROGRAMS, f"nothing is known of the program {program}"
    if program != "kubectl":  # to which deploy/x is no file
        _check_files(words)
    PROGRAMS[program](words[1:])


def _check_files(words: Sequence[str]) -> None:
    for word in words:
        path = word.partition("=")[2] or word
        if path.startswith(tuple(f"{folder}/" for folder in _FOLDERS)):
            assert list(ROOT.glob(path)), f"there is no {path}"


def _airflow(words: Sequence[str]) -> None:
    if words[0] in _ELSEWHERE and words[0] not in subcommands():
        return
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            assert get_parser().parse_args(list(words)).func
    except SystemExit:
        raise AssertionError(f"airflow {' '.join(words)}: {said.getvalue()}") from None


@cache
def subcommands() -> set[str]:
    """Return what may follow ``airflow`` here."""
    (groups,) = (action for action in get_parser()._actions if action.dest == "subcommand")
    return set(groups.choices or ())


@cache
def makefile() -> tuple[set[str], set[str]]:
    """Return the targets of the Makefile, and its variables."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", text, re.MULTILINE)
    return set(targets), set(re.findall(r"^(\w+) [?:]=", text, re.MULTILINE))


def _make(words: Sequence[str]) -> None:
    targets, variables = makefile()
    for word in words:
        setting = _ASSIGNMENT.fullmatch(word)
        if setting:
            assert setting[1] in variables, f"the Makefile knows no variable {setting[1]}"
        else:
            assert word in targets, f"there is no make {word}"


def _python(words: Sequence[str]) -> None:
    if words[0] == "-c":
        compile(words[1], "shown", "exec")
    elif words[0] == "-m" and words[1].split(".")[0] in _FOLDERS:
        check_flags(words[1], words[2:])
    elif words[0] == "-m":
        assert words[1] in ("venv", "pip", "pytest", "build", "uv"), f"nothing is known of {words[1]}"
        if words[1] == "pip":
            _pip(words[2:])


def check_flags(module: str, words: Sequence[str]) -> None:
    """
    Look whether a module of ours can be run, and has the flags.

    :param module: its dotted name.
    :param words: what follows it.
    """
    said = _help(module)
    for word in words:
        flag = word.partition("=")[0]
        assert not flag.startswith("-") or re.search(rf"(?<![\w-]){flag}(?![\w-])", said), (
            f"{module} has no {flag}"
        )


@cache
def _help(module: str) -> str:
    path = ROOT.joinpath(*module.split("."))
    source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    assert source.is_file(), f"there is no module {module}"
    if "argparse" not in source.read_text(encoding="utf-8"):
        return ""
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _pip(words: Sequence[str]) -> None:
    for word in words:
        name = re.split(r"[\[=<>~!]", word)[0]
        if "cio" in name and not name.endswith((".whl", ".tar.gz")):
            assert name == _PACKAGE, f"our package is not called {name}"


def _docker(words: Sequence[str]) -> None:
    if words[0] == "compose":
        _compose(words[1:])


def _compose(words: Sequence[str]) -> None:
    stack = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
    services = stack["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", ())}
    rest = list(words)
    while rest[0].startswith("-"):
        if rest[0] == "--profile":
            assert rest[1] in profiles
        del rest[: 2 if rest[0] in _TAKES_A_VALUE else 1]
    action, *rest = rest
    while rest:
        word, *rest = rest
        if word == "--scale":
            assert rest.pop(0).partition("=")[0] in services
        elif word in _TAKES_A_VALUE:
            rest.pop(0)
        elif not word.startswith("-"):
            assert word in services, f"docker-compose.yaml has no service {word}"
            if action in ("exec", "run") and rest:
                check_command(rest)
                return


def _kubectl(words: Sequence[str]) -> None:
    if "--" in words:
        check_command(words[list(words).index("--") + 1 :])


def _shell(words: Sequence[str]) -> None:
    if "-c" in words:
        check_script(words[list(words).index("-c") + 1])


def _export(words: Sequence[str]) -> None:
    for word in words:
        if setting := _ASSIGNMENT.fullmatch(word):
            check_variable(*setting.groups())


def _wrapper(words: Sequence[str]) -> None:
    check_command(words)


def _nothing(words: Sequence[str]) -> None:
    """Programs of others, whose own docs say what they take."""


PROGRAMS: dict[str, Callable[[Sequence[str]], None]] = {
    "airflow": _airflow,
    "bash": _shell,
    "docker": _docker,
    "docker-compose": _compose,
    "export": _export,
    "kubectl": _kubectl,
    "make": _make,
    "pip": _pip,
    "python": _python,
    "python3": _python,
    "sh": _shell,
    "sudo": _wrapper,
    **dict.fromkeys(
        (
            *("astro", "aws", "cat", "cd", "cp", "curl", "echo", "gcloud", "gh", "git", "gsutil", "helm"),
            *(
                "jq",
                "ls",
                "mkdir",
                "npm",
                "openssl",
                "pg_dump",
                "pg_restore",
                "run.sh",
                "source",
                "unzip",
                "zip",
            ),
        ),
        _nothing,
    ),
}
