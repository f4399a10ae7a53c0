"""YAML in the docs: syncs are sound, workflows can be run, values are keys that the chart is given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import yaml

from airflow_provider_cio_cohort.dag_generation import build_dags
from airflow_provider_cio_cohort.dag_generation.schema import json_schema
from tests.docs.commands import check_script
from tests.docs.pages import ROOT, Block
from tests.docs.settings import check_option, known_options

_SCHEMA = json_schema()
_SYNC: dict[str, Any] = _SCHEMA["properties"]["syncs"]["items"]["properties"]
_TARGET: dict[str, Any] = _SYNC["targets"]["items"]["properties"]
_FILE: dict[str, Any] = _SCHEMA["properties"]
_ENOUGH = {"name": "shown", "cohort_id": "a1b2c3d"}


class _EditorsLoader(yaml.SafeLoader):
    """Reads YAML 1.2, as editors do: ``on`` is a text, and so is a date."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith((":bool", ":timestamp"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_EditorsLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def check_yaml(block: Block, folder: Path) -> None:
    """
    Check a block of YAML, whatever it is a part of.

    :param block: the block.
    :param folder: an empty folder.
    """
    data = yaml.safe_load(block.text)
    if data is None:
        assert block.text.startswith("# yaml-language-server: "), "nothing but comments"
    elif isinstance(data, dict) and "syncs" in data:
        _check_syncs(block.text, folder)
    elif isinstance(data, dict) and "jobs" in data:
        _check_workflow(data)
    elif isinstance(data, dict) and "services" in data:
        _check_services(data)
    elif isinstance(data, dict) and set(data) <= set(_values()):
        _check_values(data)
    else:
        _check_syncs(yaml.safe_dump(_whole(data)), folder)


def _check_syncs(text: str, folder: Path) -> None:
    path = folder / "cohort_syncs.yaml"
    path.write_text(text, encoding="utf-8")
    dags = build_dags(path)
    wrong = [dag.doc_md for dag in dags.values() if "config-error" in dag.tags]
    assert not wrong, "\n".join(map(str, wrong))
    data = yaml.load(text, Loader=_EditorsLoader)  # noqa: S506 (it is made of the safe one)
    assert len(data["syncs"]) <= len(dags)
    jsonschema.Draft7Validator(_SCHEMA).validate(data)


def _whole(data: Any) -> dict[str, Any]:
    """Return a file of syncs that a fragment of one is made to."""
    if isinstance(data, dict) and set(data) <= set(_FILE):
        return {**data, "syncs": [{**_ENOUGH, "segment_name": "Shown"}]}
    if isinstance(data, dict) and set(data) <= set(_SYNC):
        return {"syncs": [_with_what_it_takes(data)]}
    if isinstance(data, list) and all(isinstance(each, dict) and set(each) <= set(_SYNC) for each in data):
        return {"syncs": [_with_what_it_takes(each) for each in data]}
    raise AssertionError("it is no file of syncs and no part of one, no workflow, no values of the chart")


def _with_what_it_takes(sync: dict[str, Any]) -> dict[str, Any]:
    has_segment = {"segment_name", "segment_id", "targets"} & set(sync)
    return {**_ENOUGH, **({} if has_segment else {"segment_name": "Shown"}), **sync}


def _check_workflow(data: dict[Any, Any]) -> None:
    """Check a workflow of GitHub; YAML itself makes true of the key that says when it runs."""
    assert "on" in data or True in data
    for job in data["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            if "run" in step:
                check_script(step["run"])
            else:
                assert step["uses"].partition("@")[2], f"{step['uses']} names no version"


def _check_services(data: dict[str, Any]) -> None:
    stack = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
    for name, service in data["services"].items():
        assert name in stack["services"] or "image" in service, f"there is no service {name}"
    for option in data:
        assert option in ("services", "volumes", "networks", "secrets", "configs", "name")


def _values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        (ROOT / "deploy" / "kubernetes" / "values.yaml").read_text(encoding="utf-8")
    )
    return found


def _check_values(data: dict[str, Any]) -> None:
    for section, options in (data.get("config") or {}).items():
        for option in options:
            assert section in known_options()
            check_option(section, option)
