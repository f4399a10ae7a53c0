"""Connections from ``.env``, as Airflow itself reads what ``init`` imports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.secrets.local_filesystem import load_connections_dict

from dev.compose_init import connections

AMPLITUDE = {"AMPLITUDE_API_KEY": "a-key", "AMPLITUDE_SECRET_KEY": "a-secret", "AMPLITUDE_REGION": "eu"}
CUSTOMER_IO = {
    "CUSTOMER_IO_SITE_ID": "a-site",
    "CUSTOMER_IO_TRACKING_API_KEY": "t-key",
    "CUSTOMER_IO_APP_API_KEY": "app-key",
    "CUSTOMER_IO_REGION": "us",
}


@pytest.fixture
def imported(tmp_path: Path):
    def read(**env: str) -> dict[str, Any]:
        path = tmp_path / "connections.json"
        path.write_text(json.dumps(connections(env)), encoding="utf-8")
        return load_connections_dict(str(path))

    return read


def test_both_defaults(imported) -> None:
    found = imported(**AMPLITUDE, **CUSTOMER_IO)
    assert set(found) == {"amplitude_default", "customer_io_default"}
    amplitude, customer_io = found["amplitude_default"], found["customer_io_default"]
    assert (amplitude.conn_type, amplitude.login, amplitude.password) == ("amplitude", "a-key", "a-secret")
    assert amplitude.extra_dejson == {"region": "eu"}
    assert (customer_io.conn_type, customer_io.login, customer_io.password) == (
        "customer_io",
        "a-site",
        "t-key",
    )
    assert customer_io.extra_dejson == {"app_api_key": "app-key", "region": "us"}


def test_any_other(imported) -> None:
    described = {"conn_type": "amplitude", "login": "k", "password": "s", "extra": {"region": "eu"}}
    found = imported(
        AIRFLOW_CONN_AMPLITUDE_B=json.dumps(described), AIRFLOW_CONN_S3="aws://id:key@/?region_name=eu-west-1"
    )
    assert set(found) == {"amplitude_b", "s3"}
    assert found["amplitude_b"].extra_dejson == {"region": "eu"}
    assert (found["s3"].conn_type, found["s3"].login) == ("aws", "id")


def test_the_connection_of_that_name_comes_before_the_variables(imported) -> None:
    found = imported(**AMPLITUDE, AIRFLOW_CONN_AMPLITUDE_DEFAULT='{"conn_type": "amplitude", "login": "x"}')
    assert found["amplitude_default"].login == "x"


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"AMPLITUDE_API_KEY": "", "AMPLITUDE_SECRET_KEY": "", "AMPLITUDE_REGION": "us", "AIRFLOW_CONN_X": ""},
    ],
)
def test_what_is_empty_is_not_written(env: dict[str, str]) -> None:
    assert connections(env) == {}


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (
            {"AMPLITUDE_API_KEY": "s3cret"},
            "AMPLITUDE_SECRET_KEY is empty, but other keys of amplitude_default",
        ),
        (
            {"CUSTOMER_IO_SITE_ID": "s3cret", "CUSTOMER_IO_REGION": "eu"},
            "CUSTOMER_IO_TRACKING_API_KEY, CUSTOMER_IO_APP_API_KEY is empty",
        ),
        (
            {"AIRFLOW_CONN_X": '{"password": "s3cret"'},
            "AIRFLOW_CONN_X in .env starts like JSON, but is not valid JSON.",
        ),
    ],
)
def test_half_a_connection_is_refused_without_showing_it(env: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        connections(env)
    assert "s3cret" not in str(caught.value)
