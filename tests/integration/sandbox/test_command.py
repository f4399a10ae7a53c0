"""``python -m airflow_provider_cio_cohort.sandbox``, as a user runs it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

COMMAND = [sys.executable, "-m", "airflow_provider_cio_cohort.sandbox"]


@pytest.fixture
def served() -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The running command, and the lines that it printed first."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0", "--people", "200", "--export-seconds", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            printed: list[str] = []
            for line in process.stdout or ():
                printed.append(line)
                if "CUSTOMER_IO_DEFAULT" in line:
                    break
            yield process, printed
        finally:
            process.kill()


def connection(printed: list[str], name: str) -> dict:
    (found,) = re.findall(rf"^export AIRFLOW_CONN_{name}_DEFAULT='(.*)'$", "".join(printed), re.MULTILINE)
    return json.loads(found)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_what_it_prints_until_it_is_told_to_stop(served, http, number: signal.Signals) -> None:
    process, printed = served
    amplitude, customer_io = connection(printed, "AMPLITUDE"), connection(printed, "CUSTOMER_IO")
    auth = (amplitude["login"], amplitude["password"])
    cohorts = http.get(f"{amplitude['host']}/api/3/cohorts", auth=auth, timeout=10).json()["cohorts"]
    assert {"pwr7k2m", "old1a1a", "grp9c4d", "raw0e2f", "mty3d8k"} <= {cohort["id"] for cohort in cohorts}
    extra = customer_io["extra"]
    headers = {"Authorization": f"Bearer {extra['app_api_key']}"}
    segments = http.get(f"{extra['app_base_url']}/v1/segments", headers=headers, timeout=10).json()[
        "segments"
    ]
    assert [s["name"] for s in segments].count("Beta testers") == 2
    auth = (customer_io["login"], customer_io["password"])
    region = http.get(f"{extra['track_base_url']}/api/v1/accounts/region", auth=auth, timeout=10).json()
    assert region["region"] == extra.get("region", "us") == "us"
    page = re.findall(r"The page: (http://127\.0\.0\.1:\d+)", "".join(printed))[0]
    assert "Power users" in http.get(page, timeout=10).text
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    assert (process.stderr.read(), process.stdout.read()) == ("", "")
    with pytest.raises(requests.ConnectionError):
        http.get(page, timeout=10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "loopback addresses only, not 0.0.0.0"),  # noqa: S104
        (["--host", "example"], "'example' does not appear to be an IPv4 or IPv6 address"),
        (["--container-network", "--host", "8.8.8.8"], "loopback and private addresses only, not 8.8.8.8"),
        (["--container-network", "--host", "no-such-host.invalid"], "cannot resolve no-such-host.invalid"),
        (["--port", "65535"], "The sandbox needs 8 ports in a row"),
    ],
)
def test_it_refuses_in_one_line(arguments: list[str], words: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
