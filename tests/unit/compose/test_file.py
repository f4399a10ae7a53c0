"""What docker-compose.yaml promises of every service."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dev import compose_env
from tests.compose.file import DOCKERFILE, OURS, PATH, PYTHON_IMAGE, ROOT, SERVICES

ONE_SHOTS = {"init", "demo"}
PINNED = re.compile(r"[a-z-]+:\d+\.\d+(\.\d+)?(-[a-z-]+)?(@sha256:[0-9a-f]{64})?")
COMMANDS = [
    command for command in (["docker-compose"], ["docker", "compose"]) if shutil.which(command[0]) is not None
]


def test_all_that_airflow_needs_is_there() -> None:
    airflow = {"init", "api-server", "scheduler", "dag-processor", "triggerer", "worker"}
    assert set(SERVICES) == {"postgres", "redis", "sandbox", "demo"} | airflow
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"sandbox", "demo"}


@pytest.mark.parametrize("name", SERVICES)
def test_it_is_watched_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOTS:
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


@pytest.mark.parametrize("name", SERVICES)
def test_it_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert all(volume.endswith(":ro") for volume in service.get("volumes", []) if volume.startswith("."))


@pytest.mark.parametrize("name", SERVICES)
def test_its_image_is_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


def test_the_base_of_our_image_is_pinned_and_it_is_not_run_by_root() -> None:
    assert PINNED.fullmatch(PYTHON_IMAGE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == [SERVICES["worker"]["user"]]
    assert "--require-hashes -r requirements/stack.txt" in DOCKERFILE


def test_our_image_has_what_the_tests_ran_with_and_not_what_they_alone_need() -> None:
    dev, stack = (
        dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE))
        for name in ("dev", "stack")
    )
    assert {name: version for name, version in stack.items() if dev.get(name, version) != version} == {}
    assert stack.keys() >= {"apache-airflow", "celery", "redis", "apache-airflow-providers-git"}
    assert stack.keys().isdisjoint({"pytest", "moto", "playwright", "mypy", "ruff", "hypothesis"})


def test_our_image_has_the_version_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'^version = "(.*)"$', project, re.MULTILINE)
    assert {SERVICES[name]["image"] for name in OURS} == {f"airflow-cio-cohort:{version}"}


def test_every_secret_must_be_given() -> None:
    used = re.findall(r"(?<!\$)\$\{(\w+)(:\?|:-)?", PATH.read_text(encoding="utf-8"))
    assert {name for name, kind in used if kind == ":?"} == set(compose_env.SECRETS)
    assert {name for name, kind in used if kind == ":-"} == {
        "AIRFLOW_PORT",
        "AIRFLOW_URL",
        "SANDBOX_PORT",
        "WORKER_CONCURRENCY",
    }
    assert {kind for _, kind in used} == {":?", ":-"}


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_written_down(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if re.search("PASSWORD|SECRET|_KEY|AUTH$|CONN$|BACKEND|BROKER", variable):
            rest = re.sub(r"\$\{\w+:\?[^}]*\}", "", str(value))
            assert rest != value, f"{variable} is given a value of its own"
            assert not re.search(r":[^/@:]+@", rest), f"{variable} holds a password"


@pytest.fixture(params=COMMANDS, ids=" ".join)
def compose(request: pytest.FixtureRequest) -> list[str]:
    """A compose that is installed."""
    if subprocess.run([*request.param, "version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{' '.join(request.param)} is not installed")
    return request.param


def config(compose: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    shutil.copy(PATH, folder)
    command = [*compose, "--profile", "sandbox", "config", "--quiet"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_compose_takes_it_with_what_make_compose_env_writes(compose: list[str], tmp_path: Path) -> None:
    compose_env.write(tmp_path / ".env")
    done = config(compose, tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@pytest.mark.parametrize("secret", compose_env.SECRETS)
def test_compose_names_what_is_missing(compose: list[str], tmp_path: Path, secret: str) -> None:
    compose_env.write(tmp_path / ".env")
    text = (tmp_path / ".env").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(re.sub(rf"^{secret}=.*$", f"{secret}=", text, flags=re.MULTILINE))
    done = config(compose, tmp_path)
    assert done.returncode != 0
    assert done.stderr.strip().endswith(f'{secret} is missing; run "make compose-env"')
