from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from airflow_provider_cio_cohort.dag_generation import schema
from airflow_provider_cio_cohort.dag_generation.spec import TARGET_KEYS, Sync

EXAMPLE = Path(__file__).parents[3] / "dags" / "cohort_syncs.yaml"
SCHEMA = EXAMPLE.with_name("cohort_syncs.schema.json")
VALIDATOR = jsonschema.Draft7Validator(schema.json_schema())


def valid(content: str) -> bool:
    loaded: Any = yaml.safe_load(content)
    return VALIDATOR.is_valid(loaded)


def test_the_file_is_what_the_models_say() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema.as_text(), "run: make docs"


def test_it_is_a_valid_schema_that_explains_every_key() -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))
    properties = schema.json_schema()["properties"]["syncs"]["items"]["properties"]
    assert set(properties) == {*Sync.model_fields, "targets"}
    assert set(properties["targets"]["items"]["properties"]) == set(TARGET_KEYS)
    assert all(value["description"] for value in properties.values())
    assert "name" not in schema.json_schema()["properties"]["defaults"]["properties"]


def test_the_example_is_valid_and_leads_editors_to_the_schema() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert valid(text)
    first = text.splitlines()[0]
    prefix = "# yaml-language-server: $schema="
    assert first.startswith(prefix)
    assert (EXAMPLE.parent / first.removeprefix(prefix)).resolve() == SCHEMA


@pytest.mark.parametrize(
    "sync",
    [
        "{name: a, cohort_id: a, segment_id: 1}",
        "{name: a, cohort_id: a, segment_name: S, segment_id: null}",
        "{name: a, cohort_id: a, segment_id: 1, cadence: '0 6 * * 1-5', start_date: '2026-01-01'}",
        "{name: a, cohort_id: a, targets: [{name: eu, segment_id: 1}, {name: us, segment_name: S}]}",
        "{name: a.b-c_d, cohort_id: a, segment_id: 1, max_removal_percent: null, tags: [x]}",
    ],
)
def test_editor_and_airflow_agree_on_what_is_right(problems_of, sync: str) -> None:
    content = f"syncs:\n- {sync}\n"
    assert valid(content)
    assert list(problems_of(content).values()) == [[]]


@pytest.mark.parametrize(
    "sync",
    [
        "{cohort_id: a, segment_id: 1}",
        "{name: a, segment_id: 1}",
        "{name: a, cohort_id: a}",
        "{name: a, cohort_id: a, segment_id: 1, segment_name: S}",
        "{name: a b, cohort_id: a, segment_id: 1}",
        "{name: a, cohort_id: 5, segment_id: 1}",
        "{name: a, cohort_id: '${COHORT_ID}', segment_id: 1}",
        "{name: a, cohort_id: https://app.amplitude.com/analytics/acme/cohort/a1b2c3d, segment_id: 1}",
        "{name: a, cohort_id: a, segment_id: '1'}",
        "{name: a, cohort_id: a, segment_id: 1, cadence: dayly}",
        "{name: a, cohort_id: a, segment_id: 1, cadence: '0 6 * *'}",
        "{name: a, cohort_id: a, segment_id: 1, dry_run: 'yes'}",
        "{name: a, cohort_id: a, segment_id: 1, retries: -1}",
        "{name: a, cohort_id: a, segment_id: 1, mode: both}",
        "{name: a, cohort_id: a, segment_id: 1, nope: 1}",
        "{name: a, cohort_id: a, segment_id: 1, tags: x}",
        "{name: a, cohort_id: a, targets: []}",
        "{name: a, cohort_id: a, targets: [{segment_id: 1}]}",
        "{name: a, cohort_id: a, targets: [{name: eu}]}",
        "{name: a, cohort_id: a, targets: [{name: eu, segment_id: 1, cadence: daily}]}",
    ],
)
def test_editor_and_airflow_agree_on_what_is_wrong(problems_of, sync: str) -> None:
    content = f"syncs:\n- {sync}\n"
    assert not valid(content)
    assert all(problems_of(content).values())


def test_keys_of_ones_own_are_for_the_top_of_the_file_alone(problems_of) -> None:
    content = "x-usual: &usual {cohort_id: a}\nsyncs:\n- {<<: *usual, name: a, segment_id: 1}\n"
    assert valid(content)
    assert problems_of(content) == {"a": []}
    for wrong in (
        "usual: {}\nsyncs:\n- {name: a, cohort_id: a, segment_id: 1}\n",
        "syncs:\n- {name: a, cohort_id: a, segment_id: 1, x-usual: 1}\n",
        "defaults: {x-usual: 1}\nsyncs:\n- {name: a, cohort_id: a, segment_id: 1}\n",
    ):
        assert not valid(wrong)
        assert all(problems_of(wrong).values())


def test_what_defaults_give_a_sync_need_not_repeat(problems_of) -> None:
    content = "defaults: {cohort_id: a, segment_name: S}\nsyncs:\n- {name: a}\n"
    assert valid(content)
    assert problems_of(content) == {"a": []}
