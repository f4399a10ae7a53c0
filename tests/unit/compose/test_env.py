"""``make compose-env``: secrets of one's own, in a file that only its owner reads."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from dev import compose_env


def values(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_every_secret_is_new_and_long(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    compose_env.write(path)
    compose_env.write(other)
    first, second = ([values(each)[name] for name in compose_env.SECRETS] for each in (path, other))
    assert len({*first, *second}) == 2 * len(compose_env.SECRETS)
    assert all(len(secret) >= 43 for secret in first)


def test_the_fernet_key_is_one(path: Path) -> None:
    compose_env.write(path)
    key = Fernet(values(path)["FERNET_KEY"])
    assert key.decrypt(key.encrypt(b"kept")) == b"kept"


def test_passwords_can_stand_in_an_address(path: Path) -> None:
    compose_env.write(path)
    assert all(values(path)[name].isalnum() for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"))


def test_the_file_is_its_owners_alone(path: Path) -> None:
    compose_env.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_key_of_a_vendor_has_a_value(path: Path) -> None:
    compose_env.write(path)
    vendors = {name: value for name, value in values(path).items() if name.startswith(("AMPL", "CUST"))}
    assert {value for name, value in vendors.items() if "REGION" not in name} == {""}
    assert len(vendors) == 7


def test_a_file_that_is_there_is_left_alone(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compose_env.main(path) == 0
    before = path.read_bytes()
    assert compose_env.main(path) == 0
    assert path.read_bytes() == before
    out = capsys.readouterr().out
    assert "exists and was left unchanged." in out
    assert not any(secret in out for secret in values(path).values() if len(secret) > 40)


def test_what_such_a_file_lacks_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text("FERNET_KEY=abc\nJWT_SECRET=\n", encoding="utf-8")
    assert compose_env.main(path) == 1
    (line,) = capsys.readouterr().out.splitlines()
    lacking = "JWT_SECRET, API_SECRET_KEY, POSTGRES_PASSWORD, REDIS_PASSWORD, ADMIN_PASSWORD"
    assert line == f".env exists and was left unchanged, but has no value for {lacking}."


def test_it_is_not_put_into_the_repository() -> None:
    assert ".env" in (compose_env.ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = (compose_env.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert "!.env" not in ignored
