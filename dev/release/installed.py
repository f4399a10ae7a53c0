"""
Checks an environment in which only the wheel is installed, and prints the problems.

Runs in a separate environment with a copy of ``dev/``, so that the package is not that of the checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

NAME = "airflow-provider-cio-cohort"


def main() -> int:
    """Run all checks; return the number of problems."""
    with tempfile.TemporaryDirectory() as home:
        # Airflow reads its configuration at its first import, so this comes first.
        os.environ.update({"AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"})
        names, problems = public(), [*place(), *description(), *discovered()]
    python = ".".join(map(str, sys.version_info[:2]))
    print(
        f"  Airflow {version('apache-airflow')}, Python {python}: {len(names)} public names can be imported"
    )
    for problem in problems:
        print(f"  {problem}")
    return len(problems)


def place() -> list[str]:
    """Check that the imported package is that of the wheel."""
    import airflow_provider_cio_cohort

    found = Path(airflow_provider_cio_cohort.__file__)
    return [] if found.is_relative_to(sys.prefix) else [f"what is imported is not the wheel's: {found}"]


def public() -> list[str]:
    """Import every public name; a failure raises its error."""
    from dev.public_names import public_names

    return list(public_names())


def description() -> list[str]:
    """Check the provider's information against Airflow's schemas."""
    from airflow_provider_cio_cohort.get_provider_info import get_provider_info
    from dev.provider_schemas import schema_faults

    return schema_faults(get_provider_info())


def discovered() -> list[str]:
    """Check that Airflow's commands find the provider."""
    types = {row["connection_type"] for row in asked("providers", "hooks") if row["package_name"] == NAME}
    links = {row["extra_link_class_name"].rpartition(".")[2] for row in asked("providers", "links")}
    found = {
        "provider": asked("providers", "get", NAME) == [{"Provider": NAME, "Version": version(NAME)}],
        "connection types": types == {"amplitude", "customer_io"},
        "links": links >= {"AmplitudeCohortLink", "CustomerIOSegmentLink"},
        "plugin": "cohort_syncs" in {row["name"] for row in asked("plugins")},
        "option": run("config", "get-value", "cio_cohort", "retry_timeout").stdout.strip() == "300",
        "commands": run("cohort-sync", "--help").returncode == 0 or not knows_commands(),
    }
    return [f"Airflow does not find our {what}" for what, is_there in found.items() if not is_there]


def knows_commands() -> bool:
    """Return whether this Airflow supports commands of providers, which 3.1 does not."""
    major, minor = version("apache-airflow").split(".")[:2]
    return (int(major), int(minor)) >= (3, 2)


def asked(*command: str) -> list[dict[str, Any]]:
    """
    Return the rows of the output of an Airflow command; none if it fails.

    :param command: its arguments.
    """
    done = run(*command, "--output", "json")
    try:
        rows: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError:
        print(f"  airflow {' '.join(command)}: {done.stdout}{done.stderr}")
        return []
    return rows


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """
    Run a command of Airflow.

    :param command: its arguments.
    """
    program = Path(sys.prefix, "bin", "airflow")
    return subprocess.run([program, *command], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
