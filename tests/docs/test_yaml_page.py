"""``docs/yaml.md`` is what the models make of its template, and has them whole."""

from __future__ import annotations

import re

from airflow_provider_cio_cohort.dag_generation.cadence import NAMED_CADENCES
from airflow_provider_cio_cohort.dag_generation.spec import TARGET_KEYS, Sync
from dev import yaml_reference

TEXT = yaml_reference.PAGE.read_text(encoding="utf-8")


def test_the_page_is_what_the_models_make_of_it() -> None:
    assert yaml_reference.render() == TEXT, "run: make docs"


def test_every_key_has_one_topic() -> None:
    topics = [key for keys in yaml_reference.TOPICS.values() for key in keys]
    assert sorted(topics) == sorted({*Sync.model_fields, "targets"})


def test_every_table_has_a_place_and_every_place_a_table() -> None:
    places = re.findall(r"^<!-- (.+) -->$", yaml_reference.TEMPLATE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(places) == sorted(yaml_reference.tables())


def test_what_a_target_may_have_is_marked() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| (yes|) ?\| ", TEXT, re.MULTILINE)
    assert {key for key, marked in rows if marked} == set(TARGET_KEYS)
    assert len(rows) == len(Sync.model_fields) + 1


def test_every_named_cadence_is_explained() -> None:
    (row,) = re.findall(r"^\| `cadence` .+$", TEXT, re.MULTILINE)
    assert all(f"`{cadence}`" in row for cadence in NAMED_CADENCES)


def test_no_row_is_broken() -> None:
    widths = {
        tuple(re.findall(r"(?<!\\)\|", line).__len__() for line in table.splitlines())
        for table in re.findall(r"(?:^\|.+\n)+", TEXT, re.MULTILINE)
    }
    assert widths
    assert all(len(set(each)) == 1 for each in widths)
