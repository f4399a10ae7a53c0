from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
import yaml

from airflow_provider_cio_cohort.dag_generation.schema import json_schema
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.sync.target import describe
from tests.integration.cli.conftest import Answer

Run = Callable[..., Answer]


def test_cohorts_are_sorted_by_name_and_keep_their_types(airflow: Run, cohort: Any) -> None:
    cohort("a", "b", id="bbbbbbb", name="beta", last_computed=1_700_000_000)
    cohort(id="aaaaaaa", name="Alpha", computed=False, archived=True, group="Company")
    answer = airflow("cohorts", "-o", "json")
    assert answer.code == 0
    alpha, beta = answer.rows
    assert beta == {
        "id": "bbbbbbb",
        "name": "beta",
        "size": 2,
        "computed": "2023-11-14T22:13:20Z",
        "archived": False,
        "group": "User",
    }
    assert (alpha["name"], alpha["size"]) == ("Alpha", None)
    assert (alpha["archived"], alpha["group"]) == (True, "Company")


@pytest.mark.parametrize(("search", "found"), [("BET", ["beta"]), ("aaa", ["Alpha"]), ("none", [])])
def test_search_looks_into_names_and_ids_whatever_the_case(
    airflow: Run, cohort: Any, search: str, found: list[str]
) -> None:
    cohort(id="bbbbbbb", name="beta")
    cohort(id="aaaaaaa", name="Alpha")
    assert [row["name"] for row in airflow("cohorts", "--search", search, "-o", "json").rows] == found


def test_a_table_shows_a_name_as_it_is(airflow: Run, cohort: Any) -> None:
    cohort(id="bbbbbbb", name="[red]vip[/red] \x1b[2J")
    out = airflow("cohorts").out
    assert "[red]vip[/red] \\x1b[2J" in out
    assert "\x1b" not in out
    assert airflow("cohorts", "--search", "none").out == "No data found\n"


def test_segments_say_which_cohort_a_sync_fills_them_with(airflow: Run, segment: Any) -> None:
    segment("a", "b", name="made", description=describe("a1b2c3d", "Power users", "mirror", "made"))
    segment(name="made before", description=describe("a1b2c3d", "Power users", "mirror"))
    segment(name="By hand", description="about Amplitude cohort a1b2c3d] only in words")
    segment("a", name="computed", type="dynamic")
    answer = airflow("segments", "-o", "json")
    assert [(row["name"], row["type"], row["managed_for_cohort"]) for row in answer.rows] == [
        ("By hand", "manual", None),
        ("computed", "data-driven", None),
        ("made", "manual", "a1b2c3d"),
        ("made before", "manual", "a1b2c3d"),
    ]
    assert all("members" not in row and isinstance(row["id"], int) for row in answer.rows)
    counted = airflow("segments", "--count", "--search", "MADE", "-o", "json")
    assert [row["members"] for row in counted.rows] == [2, 0]


def test_quota(airflow: Run, sandbox: Any, connect: Any) -> None:
    sandbox.project.used = 12
    sandbox.configure(exports_a_month=100)
    row = airflow("quota", "-o", "json").row
    assert row.pop("resets_at").endswith("Z")
    assert row == {"amplitude_conn_id": "amplitude_default", "limit": 100, "used": 12, "left": 88}
    other = connect("amplitude_default")
    both = airflow("quota", "--amplitude-conn-id", other, "amplitude_default", "-o", "yaml")
    assert [each["left"] for each in yaml.safe_load(both.out)] == [88, 88]


def test_one_project_that_cannot_be_asked_hides_no_other(airflow: Run, sandbox: Any) -> None:
    answer = airflow("quota", "--amplitude-conn-id", "nowhere", "--amplitude-conn-id", "amplitude_default")
    assert answer.code == 3
    assert "'nowhere'" in answer.err
    assert "amplitude_default" in answer.out


def test_the_schema_is_the_one_for_editors(airflow: Run) -> None:
    answer = airflow("schema", "-o", "json")
    assert answer.rows == json_schema()
    jsonschema.Draft7Validator.check_schema(answer.rows)
    assert yaml.safe_load(airflow("schema", "-o", "yaml").out) == json_schema()


def test_the_table_of_keys_has_them_all(airflow: Run) -> None:
    lines = airflow("schema").out.splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines[2:]]
    keys = {row[0]: row for row in cells if row[0]}
    assert set(keys) == {*Sync.model_fields, "targets"}
    assert keys["name"][2] == "required"
    assert keys["max_removal_percent"][1:3] == ["number 0 to 100 or null", "50"]
    assert keys["id_type"][1:3] == ["id, email, cio_id", "id"]
    assert keys["dry_run"][1:3] == ["true or false", "false"]
    assert all(len(row) == 4 and row[1] and row[2] and row[3] for row in keys.values())
