"""Writes ``docs/images/doctor.svg``: the terminal after a run of the doctor against the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from airflow_provider_cio_cohort.sandbox import Sandbox

IMAGE = Path(__file__).resolve().parent.parent / "docs" / "images" / "doctor.svg"
COLUMNS = 118
COLOURS = {"ok": "green", "warning": "yellow", "wrong": "red", "unknown": "magenta"}


def main() -> None:
    """Run the doctor, and draw what it has printed before the table of facts."""
    with Sandbox(people=500, export_seconds=0) as sandbox, tempfile.TemporaryDirectory() as home:
        env = {
            **os.environ,
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "COLUMNS": str(COLUMNS),
            **{
                f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection)
                for conn_id, connection in sandbox.connections().items()
            },
        }
        airflow = [sys.executable, "-m", "airflow"]
        person = next(person.id for person in sandbox.workspace.people.values() if person.id)
        command = f"cohort-sync doctor --probe --person {person} --rounds 3 --yes"
        subprocess.run([*airflow, "db", "migrate"], env=env, check=True, capture_output=True)
        done = subprocess.run(
            [*airflow, *command.split()], env=env, check=False, text=True, stdout=subprocess.PIPE
        )
    lines, _, _ = done.stdout.partition("\n\n")
    draw(f"$ airflow {command}\n{lines}")


def draw(text: str) -> None:
    """
    Write the picture.

    :param text: what the terminal shows.
    """
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    shown = Text(text)
    for status, colour in COLOURS.items():
        shown.highlight_regex(rf"(?m)^{status}(?= +\|)", f"bold {colour}")
    console.print(shown, soft_wrap=True)
    IMAGE.write_text(console.export_svg(title="airflow cohort-sync doctor"), encoding="utf-8")


if __name__ == "__main__":
    main()
