"""What else the docs show: data, configuration, images, and what programs print."""

from __future__ import annotations

import configparser
import importlib
import json
from pathlib import Path
from typing import Any

from tests.docs.commands import check_script
from tests.docs.pages import Block
from tests.docs.settings import check_connection, check_option
from tests.docs.shell import typed

_INSTRUCTIONS = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "USER", "WORKDIR"}


def check_json(block: Block, folder: Path) -> None:
    """Check data; a connection, and what names a class, must be what Airflow takes."""
    _look_at(json.loads(block.text))


def _look_at(data: Any) -> None:
    if isinstance(data, list):
        for each in data:
            _look_at(each)
    elif isinstance(data, dict) and "conn_type" in data:
        check_connection(json.dumps(data))
    elif isinstance(data, dict) and "classpath" in data:
        module, _, name = data["classpath"].rpartition(".")
        assert hasattr(importlib.import_module(module), name)
    elif isinstance(data, dict):
        for value in data.values():
            _look_at(value)


def check_shell(block: Block, folder: Path) -> None:
    """Check a script."""
    check_script(block.text)


def check_console(block: Block, folder: Path) -> None:
    """Check what is typed in a terminal; there must be something."""
    check_script(typed(block.text))


def check_ini(block: Block, folder: Path) -> None:
    """Check a part of airflow.cfg."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.text)
    assert parser.sections()
    for section in parser.sections():
        for option in parser[section]:
            check_option(section, option)


def check_dockerfile(block: Block, folder: Path) -> None:
    """Check that every line is an instruction, and what is run."""
    lines = block.text.replace("\\\n", " ").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert lines[0].startswith(("FROM ", "ARG "))
    for line in lines:
        instruction, _, rest = line.partition(" ")
        assert instruction in _INSTRUCTIONS, f"there is no instruction {instruction}"
        if instruction == "RUN":
            check_script(rest)


def check_text(block: Block, folder: Path) -> None:
    """Check that what programs print is not what somebody types, which has a language of its own."""
    for line in block.text.splitlines():
        assert not line.startswith(("$ ", "airflow ", "make ", "pip ")), f"a command: {line}"
