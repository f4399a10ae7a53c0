"""
Prints rows as Airflow's tables, or as JSON or YAML for scripts.

Airflow's own console converts every number to text and colours JSON on a terminal; scripts need neither.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml
from airflow.cli.simple_table import AirflowConsole, SimpleTable
from rich.text import Text

from airflow_provider_cio_cohort.cli.runtime import answering

Row = Mapping[str, Any]


def show(
    rows: Sequence[Row], output: str, table: Sequence[Row] | None = None, below: Iterable[str] = ()
) -> None:
    """
    Print rows on stdout.

    :param rows: the rows, all with the same keys.
    :param output: ``table``, ``json`` or ``yaml``.
    :param table: the rows of the table, if its columns differ.
    :param below: sentences to print below the table, because they are too long for a column.
    """
    if output == "table":
        with answering():
            _print_table(rows if table is None else table)
        write_lines(below)
    else:
        dump(list(rows), output)


def write_lines(lines: Iterable[str]) -> None:
    """
    Print lines on stdout.

    :param lines: text, whose control characters are escaped.
    """
    with answering():
        sys.stdout.writelines(f"{_cell(line)}\n" for line in lines)
        sys.stdout.flush()


def dump(data: Any, output: str) -> None:
    """
    Print data on stdout, without colours and with its types.

    :param output: ``json`` or ``yaml``.
    """
    if output == "json":
        text = json.dumps(data, indent=2) + "\n"
    else:
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    with answering():
        sys.stdout.write(text)
        sys.stdout.flush()


def as_time(epoch: int | None) -> str | None:
    """
    Return a moment in ISO 8601, UTC.

    :param epoch: seconds; ``None`` if it is not known.
    """
    if epoch is None:
        return None
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # outside the range of datetime
        return None


def named(name: str | None, id: object) -> str:
    """
    Return the text of a cell that shows a name and an id.

    :param name: a name, if there is one.
    :param id: an id, if there is one.
    """
    if name and id is not None:
        return f"{name} ({id})"
    return name or ("" if id is None else str(id))


def _print_table(rows: Sequence[Row]) -> None:
    console = AirflowConsole()
    if not rows:
        console.print("No data found")
        return
    table = SimpleTable(show_header=True)  # type: ignore[no-untyped-call]
    for key in rows[0]:
        is_number = all(isinstance(row[key], (int, float, type(None))) for row in rows)
        justify = "right" if is_number and not isinstance(rows[0][key], bool) else "left"
        heading = key if key.endswith("_id") else key.replace("_", " ")  # ids as they are written everywhere
        table.add_column(heading, justify=justify)
    for row in rows:
        # As Text, because rich would read a name such as "[vip]" as a style.
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return "\n".join(_cell(item) for item in value)
    return printable(str(value), also="\n")


def printable(text: str, also: str = "") -> str:
    """
    Escape control characters, because names come from the vendors and could control the terminal.

    :param also: characters to keep besides the printable ones.
    """
    return "".join(c if c.isprintable() or c in also else repr(c)[1:-1] for c in text)
