"""Places to keep snapshots in: a local folder, and an S3 on loopback by Airflow's own Amazon provider."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BUCKET = "cohorts-of-a-test"


@dataclass
class S3:
    """
    An S3 on loopback.

    :param url: where it listens.
    :param client: a client of its own, which shares nothing with Airflow's.
    """

    url: str
    client: Any
    server: Any

    @property
    def connection(self) -> dict[str, Any]:
        """An Airflow connection to it, with little patience."""
        config = {"retries": {"max_attempts": 1}, "connect_timeout": 2, "read_timeout": 5}
        extra = {"endpoint_url": self.url, "region_name": "us-east-1", "config_kwargs": config}
        return {"conn_type": "aws", "login": "loopback-id", "password": "loopback-key", "extra": extra}


@dataclass
class Place:
    """
    Where snapshots are kept.

    :param path: the address, as a sync has it.
    """

    path: str
    _s3: S3 | None = None
    _prefix: str = ""
    _folder: Path = field(default_factory=Path)

    def files(self) -> dict[str, bytes]:
        """All files, by their paths below the place."""
        if self._s3 is None:
            files = (path for path in self._folder.rglob("*") if path.is_file())
            return {str(path.relative_to(self._folder)): path.read_bytes() for path in files}
        found = self._s3.client.list_objects_v2(Bucket=BUCKET, Prefix=self._prefix).get("Contents", [])
        keys = [each["Key"] for each in found]
        return {
            key.removeprefix(self._prefix): self._s3.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            for key in keys
        }

    def put(self, path: str, data: bytes) -> None:
        """Write a file, as somebody else would."""
        if self._s3 is not None:
            self._s3.client.put_object(Bucket=BUCKET, Key=f"{self._prefix}{path}", Body=data)
            return
        full = self._folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data)

    def delete(self, path: str) -> None:
        """Delete a file, as somebody else would."""
        if self._s3 is None:
            (self._folder / path).unlink()
        else:
            self._s3.client.delete_object(Bucket=BUCKET, Key=f"{self._prefix}{path}")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 on loopback, with a bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=url, **keys)
    client.create_bucket(Bucket=BUCKET)
    yield S3(url, client, server)
    server.stop()


@pytest.fixture
def local_place(tmp_path: Path) -> Place:
    """A local folder."""
    folder = tmp_path / "snapshots of all"
    folder.mkdir()
    return Place(f"file://{folder}", _folder=folder)


@pytest.fixture
def s3_place(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A folder in a bucket, by an Airflow connection."""
    monkeypatch.setenv("AIRFLOW_CONN_S3_ON_LOOPBACK", json.dumps(s3.connection))
    prefix = f"{tmp_path.parent.name}/{tmp_path.name}/"
    return Place(f"s3://s3_on_loopback@{BUCKET}/{prefix}", _s3=s3, _prefix=prefix)


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    """Both, one after the other."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found
