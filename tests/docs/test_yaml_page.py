"""``docs/yaml.md`` is what the models make of its template, and has them whole."""

from __future__ import annotations

import re

from airflow_provider_cio_cohort.dag_generation.spec import Sync
from dev import yaml_reference


def test_the_page_is_what_the_models_make_of_it() -> None:
    text = yaml_reference.PAGE.read_text(encoding="utf-8")
    assert yaml_reference.render() == text, "run: make docs"


def test_every_key_has_one_topic() -> None:
    topics = [key for keys in yaml_reference.TOPICS.values() for key in keys]
    assert sorted(topics) == sorted({*Sync.model_fields, "targets"})


def test_every_table_has_a_place_and_every_place_a_table() -> None:
    places = re.findall(r"^<!-- (.+) -->$", yaml_reference.TEMPLATE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(places) == sorted(yaml_reference.tables())
