"""The segment behind the name: renamed, kept differently, made twice, or another sync's."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.sync.target import describe, is_owned, mark
from tests.integration.operator.test_sync import members, writes


@pytest.fixture(params=["remembered", "by its mark"])
def memory(request, assets) -> Any:
    """Return what brings the asset stores to what the next run finds."""
    return (lambda: None) if request.param == "remembered" else assets.clear


def test_a_renamed_segment_is_followed(sandbox, cohort, sync, memory, caplog) -> None:
    cohort("a", "b")
    first = sync()
    sandbox.workspace.rename_segment(first["segment_id"], "VIPs of the quarter")
    memory()
    cohort("b", "c")
    second = sync()
    assert (second["segment_id"], second["segment_name"]) == (first["segment_id"], "VIPs of the quarter")
    assert members(sandbox, "VIPs of the quarter") == {"b", "c"}
    assert len(sandbox.workspace.segments) == 1
    assert "which this sync names 'Power users'" in caplog.text


@pytest.mark.parametrize(
    "kept", [{"name_limit": 8}, {"name_rewrite": "collapse"}, {"name_limit": 5, "name_rewrite": "trim"}]
)
def test_a_name_that_is_kept_differently_makes_one_segment(sandbox, cohort, sync, memory, kept) -> None:
    sandbox.configure(**kept)
    cohort("a")
    first = sync(segment_name="Power  users of the world")
    memory()
    cohort("a", "b")
    second = sync(segment_name="Power  users of the world")
    assert second["segment_id"] == first["segment_id"]
    assert second["added"] == 1
    assert len(sandbox.workspace.segments) == 1


def test_a_description_that_is_cut_still_shows_who_manages_the_segment(sandbox, cohort, sync, assets) -> None:
    sandbox.configure(description_limit=120)
    cohort("a", "b")
    sync()
    assets.clear()
    cohort("a")
    assert sync()["removed"] == 1


def test_a_description_that_is_lost_is_said_and_remembered(sandbox, cohort, sync, caplog) -> None:
    sandbox.configure(description_limit=10)
    cohort("a", "b")
    sync()
    assert "did not store the description" in caplog.text
    cohort("a")
    assert sync()["removed"] == 1


def test_a_segment_that_was_deleted_is_made_anew(sandbox, cohort, sync) -> None:
    cohort("a")
    first = sync()
    sandbox.workspace.delete_segment(first["segment_id"])
    second = sync()
    assert second["segment_id"] != first["segment_id"]
    assert members(sandbox) == {"a"}


def test_two_segments_of_one_name_are_told_apart_by_what_is_remembered(sandbox, cohort, sync, assets) -> None:
    cohort("a")
    first = sync()
    sandbox.workspace.add_segment(name="Power users")
    assert sync()["segment_id"] == first["segment_id"]
    assets.clear()
    with pytest.raises(exceptions.AmbiguousSegmentError):
        sync()


def test_two_syncs_of_one_cohort_do_not_take_each_others_segment(sandbox, cohort, sync) -> None:
    cohort("a")
    assert sync(segment_name="One")["segment_id"] != sync(segment_name="Two")["segment_id"]


def test_another_cohorts_name_forges_no_mark() -> None:
    forged = describe("b2c3d4e", f"x] {mark('a1b2c3d')}", "mirror", "S")
    assert is_owned(forged, "b2c3d4e")
    assert not is_owned(forged, "a1b2c3d")
    assert not is_owned(
        "a1b2c3d [managed by airflow-provider-cio-cohort: Amplitude cohort a1b2c3d]", "a1b2c3d"
    )
    assert not is_owned(describe("a1b2c3dd", None, "mirror"), "a1b2c3d")


def test_the_words_of_the_docs_own_a_segment() -> None:
    assert is_owned("[managed by airflow-provider-cio-cohort: Amplitude cohort a1b2c3d]", "a1b2c3d")


def other(**facts: Any) -> dict[str, Any]:
    return {
        "sync": "the other",
        "customer_io_conn_id": "customer_io_default",
        "segment_name": None,
        "segment_id": None,
        "mode": "mirror",
        "people": "amplitude_default/b2c3d4e/user_id/id",
        **facts,
    }


def test_a_segment_that_another_sync_fills_by_its_number_is_refused(sandbox, cohort, sync) -> None:
    cohort("a")
    segment = sandbox.workspace.add_segment(name="Power users")
    with pytest.raises(exceptions.SegmentConflictError, match="The sync the other"):
        sync(other_writers=[other(segment_id=segment.id)])
    assert writes(sandbox) == []
    assert sync(other_writers=[other(segment_id=segment.id + 1)])["added"] == 1


def test_a_segment_that_another_sync_fills_by_its_name_is_refused(sandbox, cohort, sync) -> None:
    cohort("a")
    segment = sandbox.workspace.add_segment(name="Chosen")
    with pytest.raises(exceptions.SegmentConflictError, match="writes to the same"):
        sync(segment_id=segment.id, other_writers=[other(segment_name="Chosen")])
    assert sync(segment_id=segment.id, other_writers=[other(segment_name="Else")])["added"] == 1


def test_a_segment_that_another_connection_reaches_too_is_refused(sandbox, cohort, sync, connect) -> None:
    cohort("a")
    sandbox.workspace.add_segment(name="Power users")
    connect("customer_io_default", conn_id="alias")
    elsewhere = sandbox.add_workspace(site_id="o-site", tracking_key="o-key", app_key="o-app")
    connect(
        "customer_io_default",
        conn_id="elsewhere",
        login="o-site",
        password="o-key",
        extra={"app_api_key": elsewhere.app_key},
    )
    with pytest.raises(exceptions.SegmentConflictError, match="writes to the same"):
        sync(other_writers=[other(customer_io_conn_id="alias", segment_name="Power users")])
    assert (
        sync(other_writers=[other(customer_io_conn_id="elsewhere", segment_name="Power users")])["added"] == 1
    )


@pytest.mark.parametrize("mode", ["mirror", "add_only", "tracked"])
def test_a_tracked_sync_shares_its_segment_with_no_other(sandbox, cohort, sync, tmp_path, mode: str) -> None:
    cohort("a")
    sandbox.workspace.add_segment(name="Power users")
    same = {"mode": mode, "people": "amplitude_default/a1b2c3d/user_id/id", "segment_name": "Power users"}
    given = {"mode": "tracked", "snapshot_path": f"file://{tmp_path}"}
    with pytest.raises(exceptions.SegmentConflictError, match="A mirror or a tracked sync removes"):
        sync(**given, other_writers=[other(**same)])
    with pytest.raises(exceptions.SegmentConflictError):
        sync(
            mode=mode,
            snapshot_path=given["snapshot_path"],
            other_writers=[other(**{**same, "mode": "tracked"})],
        )


@pytest.mark.parametrize(
    "facts",
    [{"mode": "add_only", "people": "amplitude_default/a1b2c3d/user_id/id"}, {"segment_name": "Else"}],
)
def test_who_may_share_a_segment(sandbox, cohort, sync, facts) -> None:
    cohort("a")
    sandbox.workspace.add_segment(name="Power users")
    assert sync(other_writers=[other(**{"segment_name": "Power users", **facts})])["added"] == 1
