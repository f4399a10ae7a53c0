"""A run whose configuration misspells a field of the form must not do what nobody has asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator


def triggered(conf: dict[str, object] | None) -> dict[str, object]:
    dag = DAG("cohort_sync__power_users", schedule=None, params={"dry_run": False, "source": "cohort"})
    return {"dag": dag, "dag_run": SimpleNamespace(conf=conf)}


@pytest.fixture(autouse=True)
def cohort(sandbox) -> None:
    sandbox.workspace.add_person("ada", "ada@example.com")
    sandbox.project.add_cohort(id="a1b2c3d", name="VIP", rows=[{"amplitude_id": "1", "user_id": "ada"}])


@pytest.mark.parametrize("key", ["dry_rum", "dryRun", "dry-run", "Dry_run", "dry_run "])
def test_a_misspelt_field_is_refused_before_anything_is_asked(sync, sandbox, key: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Did you mean 'dry_run'\?") as caught:
        sync(context=triggered({key: True}))
    assert "Nothing was written" in str(caught.value)
    assert not sandbox.requests


def test_an_export_for_several_segments_is_not_spent_either(sync, sandbox) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'source'"):
        sync(operator_class=AmplitudeCohortExportOperator, context=triggered({"sources": "snapshot"}))
    assert not sandbox.requests


@pytest.mark.parametrize("conf", [None, {}, {"dry_run": False}, {"ticket": "GROW-17", "asked_by": "Ada"}])
def test_what_looks_like_no_field_is_somebody_elses(sync, conf) -> None:
    assert sync(context=triggered(conf))["added"] == 1


def unasked(conf: object) -> dict[str, object]:
    """Return the context of a run whose DAG does not let configurations override its params."""
    return {"dag": DAG("mine", schedule=None), "dag_run": SimpleNamespace(conf=conf)}


@pytest.mark.parametrize(
    ("conf", "name"),
    [
        ({"dry_run": True}, "dry_run"),
        ({"dry_run": "true"}, "dry_run"),
        ({"params": {"dry_run": True}}, "params.dry_run"),
        ({"conf": {"dry_run": 1}}, "conf.dry_run"),
        ({"limit": 100}, "limit"),
        ({"params": {"limit": "100"}}, "params.limit"),
        ({"source": "snapshot"}, "source"),
        ({"params": {"source": "snapshot", "snapshot_at": "2026-01-31"}}, "params.source"),
        ({"snapshot_at": "2026-01-31"}, "snapshot_at"),
    ],
)
def test_what_was_asked_for_and_takes_no_effect_is_refused(sync, sandbox, conf, name: str) -> None:
    for context in (unasked(conf), triggered(conf)):
        with pytest.raises(ConfigurationError, match=f"triggered with {name}, which has no effect"):
            sync(context=context)
    assert not sandbox.requests


def test_the_export_for_others_looks_at_what_it_can_do_itself(sync, sandbox) -> None:
    context = unasked({"source": "snapshot"})
    with pytest.raises(ConfigurationError, match="has no effect"):
        sync(operator_class=AmplitudeCohortExportOperator, context=context)
    sync(operator_class=AmplitudeCohortExportOperator, context=unasked({"dry_run": True}))


def generated(conf: object, **params: object) -> dict[str, object]:
    """Return the context of a run of a sync without guards or snapshots, whose form has the fewest fields."""
    fewest = {"dry_run": False, "allow_no_match": False, "limit": None, **params}
    dag = DAG("cohort_sync__power_users", schedule=None, params=fewest, tags=["cohort-sync"])
    return {"dag": dag, "dag_run": SimpleNamespace(conf=conf)}


@pytest.mark.parametrize(
    ("conf", "name"),
    [
        ({"source": "snapshot"}, "source"),
        ({"source": "yesterday"}, "source"),
        ({"source": "cohort", "snapshot_at": "2026-01-31"}, "snapshot_at"),
    ],
)
def test_a_snapshot_where_the_sync_keeps_none_is_refused(sync, sandbox, conf, name: str) -> None:
    for operator_class in ({}, {"operator_class": AmplitudeCohortExportOperator}):
        with pytest.raises(ConfigurationError, match=f"triggered with {name}, but .* no snapshots") as caught:
            sync(context=generated(conf), **operator_class)
        assert "snapshot_path" in str(caught.value)
    assert not sandbox.requests


def test_a_misspelt_field_that_the_form_lacks_is_refused_too(sync, sandbox) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'source'"):
        sync(context=generated({"sorce": "snapshot"}))
    assert not sandbox.requests


def test_a_dag_of_ones_own_may_have_fewer_fields(sync) -> None:
    params = {"dry_run": False, "allow_no_match": False}
    dag = DAG("mine", schedule=None, params=params)
    assert sync(context={"dag": dag, "dag_run": SimpleNamespace(conf={"sources": ["crm"]})})["added"] == 1


@pytest.mark.parametrize("value", [True, "true", False, None])
def test_a_guard_that_the_sync_does_not_have_needs_no_override(sync, caplog, value: object) -> None:
    with caplog.at_level("WARNING"):  # allow_no_match, which the form has, is much like it
        assert sync(context=generated({"allow_low_match": value, "source": "cohort"}))["added"] == 1
    words = (
        "triggered with allow_low_match, which has no effect: it applies only to a sync with min_match_rate"
    )
    assert (words in caplog.text) is bool(value)


@pytest.mark.parametrize(
    ("conf", "parameters"),
    [
        ({"dry_run": True}, {"dry_run": "True"}),
        ({"dry_run": False}, {}),
        ({"limit": 100}, {"limit": "100"}),
        ({"limit": None}, {}),
        ({"source": "cohort", "snapshot_at": None}, {}),
        ({"source": "github"}, {}),
        ({"params": {"dry_run": False}}, {}),
    ],
)
def test_what_takes_effect_or_belongs_to_others_passes(sync, conf, parameters) -> None:
    assert sync(context=unasked(conf), **parameters)["identifiers"] == 1
