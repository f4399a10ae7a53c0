"""Whatever is in the file: DAGs, or an error with a name; never anything else."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cio_cohort.dag_generation import build_dags
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from tests.summary import count_bad_input

BOUNDED = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.datetimes(),
    st.sampled_from(["daily", "0 6 * * *", "Europe/Berlin", "a1b2c3d", "{{ x }}", "mirror", "2026-01-01"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3)
)
KEYS = [*sorted(Sync.model_fields), "targets"]
BLOCKS = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), VALUES, max_size=6)
FILES = st.fixed_dictionaries(
    {"syncs": st.lists(BLOCKS | VALUES, max_size=4)},
    optional={"defaults": BLOCKS | VALUES, "max_exports_per_month": VALUES},
)
PIECES = st.sampled_from(
    ["syncs:\n", "defaults:\n", "- ", "  ", "name: a\n", "cohort_id: x\n", "segment_id: 1\n", "{", "}",
     "[", "]", "&a ", "*a\n", "<<: *a\n", "? ", ": ", "!!set ", "!!timestamp x\n", "|\n", "'", '"', "\t",
     "\n", "# x\n", "2026-13-45\n", "0o7\n", "0x" + "f" * 5000 + "\n", "---\n", "%YAML 1.2\n"]
)  # fmt: skip


def build(content: bytes) -> dict[str, Any]:
    count_bad_input()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "syncs.yaml"
        path.write_bytes(content)
        return build_dags(path)


def check(dags: dict[str, Any]) -> None:
    for dag_id, dag in dags.items():
        assert dag.dag_id == dag_id
        dag.validate()
        DagSerialization.from_dict(DagSerialization.to_dict(dag))
        if "cohort-file" in dag.tags:
            assert list(dags) == [dag_id]
            assert "\nsyncs.yaml" in dag.get_task("read").reason
        elif "config-error" in dag.tags:
            assert "syncs.yaml:" in dag.get_task("sync").reason


@BOUNDED
@given(FILES)
def test_any_value_under_any_key(content: dict[str, Any]) -> None:
    dags = build(yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass"))
    assert len(dags) <= max(len(content["syncs"]), 1)
    check(dags)


@BOUNDED
@given(st.fixed_dictionaries({}, optional={key: VALUES for key in Sync.model_fields if key != "name"}))
def test_a_named_sync_always_becomes_its_dag(keys: dict[str, Any]) -> None:
    content = yaml.safe_dump({"syncs": [{"name": "one", **keys}]}).encode()
    dags = build(content)
    assert list(dags) == ["cohort_sync__one"]
    check(dags)


@BOUNDED
@given(st.lists(PIECES, max_size=25).map("".join))
def test_broken_yaml(content: str) -> None:
    check(build(content.encode()))


@BOUNDED
@given(st.binary(max_size=200))
def test_bytes(content: bytes) -> None:
    check(build(content))
