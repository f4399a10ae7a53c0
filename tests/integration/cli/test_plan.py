from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from airflow_provider_cio_cohort.cli import asset_stores
from airflow_provider_cio_cohort.engine import guards
from airflow_provider_cio_cohort.sync.target import describe
from tests.integration.cli.conftest import Answer, keep_a_good_run

Run = Callable[..., Answer]
OWNED = describe("a1b2c3d", "Power users", "mirror")


@pytest.fixture
def plan(airflow: Run, write: Any) -> Callable[..., Answer]:
    """Plan a sync of the cohort ``a1b2c3d`` to the segment ``Power users``."""
    return lambda *flags, **keys: airflow("plan", write(keys), "-o", "json", *flags)


def exports(sandbox: Any) -> int:
    return sandbox.count("amplitude", r"/cohorts/request/[^/]+$")


def writes(sandbox: Any) -> list[str]:
    looks = ("GET", "/v1/customers/attributes")
    return [each.path for each in sandbox.requests if each.method not in looks and each.path not in looks]


def test_it_compares_sizes_and_costs_nothing(sandbox: Any, plan: Run, cohort: Any, segment: Any) -> None:
    cohort("a", "b", "c", last_computed=1_700_000_000)
    made = segment("a", description=OWNED)
    answer = plan()
    assert answer.code == 0
    assert answer.row == {
        "sync": "sync",
        "target": None,
        "dag_id": "cohort_sync__sync",
        "task_id": "sync",
        "status": "ok",
        "verdict": "The cohort is larger than the segment by 2; a run sends only the differences.",
        "cohort_id": "a1b2c3d",
        "cohort_name": "Power users",
        "cohort_size": 3,
        "cohort_computed_at": "2023-11-14T22:13:20Z",
        "segment_id": made.id,
        "segment_name": "Power users",
        "segment_exists": True,
        "segment_owned": True,
        "members": 1,
        "difference": 2,
        "exports_left": 500,
    }
    assert exports(sandbox) == 0
    assert writes(sandbox) == []


@pytest.mark.parametrize(
    ("size", "tracked", "verdict"),
    [
        (
            3,
            2,
            "smaller than the segment by 57; a run sends only the differences, and removes only people whom",
        ),
        (
            0,
            40,
            "[empty_cohort] the cohort is empty, so the segment would lose all its 40 members whom this sync",
        ),
        (10, 50, "[large_removal] 40 of 50 members whom this sync has added (80.0 %) would be removed"),
    ],
)
def test_a_tracked_sync_is_compared_with_whom_it_has_added(
    plan: Run,
    cohort: Any,
    segment: Any,
    local_place: Any,
    monkeypatch: Any,
    size: int,
    tracked: int,
    verdict: str,
) -> None:
    cohort(*(f"p{number}" for number in range(size)))
    made = segment(*(f"p{number}" for number in range(60)))
    report = {"unmatched": 0, "tracked": tracked, "segment_after": 60, "identifiers": size}
    remember(monkeypatch, made, report, 1, mode="tracked")
    row = plan(mode="tracked", snapshot_path=local_place.path, max_shortfall_percent=None).row
    assert verdict in row["verdict"]


def test_a_segment_that_is_not_there_would_be_created(sandbox: Any, plan: Run, cohort: Any) -> None:
    cohort("a", "b")
    row = plan().row
    assert (row["segment_exists"], row["segment_id"], row["members"]) == (False, None, 0)
    assert row["verdict"] == "A run creates the segment and adds up to 2 people."
    assert sandbox.workspace.segments == {}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"cohort_id": "archive"}, "is archived"),
        ({"cohort_id": "company"}, "contains groups of the type 'Company'"),
        ({"segment_name": "Computed"}, "is data-driven"),
        ({"segment_name": "Twice"}, "2 segments with the name 'Twice'"),
        ({"segment_id": 4711}, "has no segment 4711"),
        ({"export_reserve": 500}, "export_reserve keeps 500"),
        ({"cohort_id": "nobody0"}, "[empty_cohort] the cohort is empty"),
        ({"segment_name": "Large"}, "[large_removal] 58 of 60 members (96.7 %) would be removed"),
        ({"segment_name": "By hand"}, "[unmanaged_segment] no sync created this segment"),
        ({"segment_name": "Large", "max_removal_percent": 100}, "[unmanaged_segment] 58 members would be"),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_what_would_stop_a_run_is_told_in_its_words(
    plan: Run, cohort: Any, segment: Any, keys: dict[str, Any], words: str
) -> None:
    cohort("a", "b")
    cohort(id="archive", archived=True)
    cohort(id="company", group="Company")
    cohort(id="nobody0")
    segment("a", "b")
    segment("a", name="By hand")
    segment(name="Computed", type="dynamic")
    segment(name="Twice")
    segment(name="Twice")
    segment(*(f"p{number}" for number in range(60)), name="Large")
    answer = plan(**keys)
    assert answer.code == 1
    assert answer.row["status"] == "refused"
    assert words in answer.row["verdict"]


@pytest.mark.parametrize(
    "keys",
    [
        {"adopt_segment": True},
        {"mode": "add_only"},
        {"segment_name": "Empty"},
    ],
    ids=["adopted", "add_only", "nobody to remove"],
)
def test_a_foreign_segment_that_loses_nobody_is_no_problem(
    plan: Run, cohort: Any, segment: Any, keys: dict[str, Any]
) -> None:
    cohort("a", "b")
    segment("a", "c")
    segment(name="Empty")
    answer = plan(**keys)
    assert (answer.code, answer.row["status"]) == (0, "ok")


def test_an_override_lets_the_plan_through(plan: Run, cohort: Any, segment: Any) -> None:
    cohort()
    segment("a", description=OWNED)
    assert plan().code == 1
    assert plan(allow_empty_cohort=True).code == 0


def test_a_cohort_that_is_not_listed_may_still_export(plan: Run, cohort: Any) -> None:
    cohort("a", listed=False)
    answer = plan()
    assert answer.code == 0
    assert "not in Amplitude's list" in answer.row["verdict"]
    assert answer.row["cohort_size"] is None


def test_an_unknown_cohort_is_found_out_by_the_export(sandbox: Any, plan: Run) -> None:
    assert plan().code == 0
    answer = plan("--exact")
    assert answer.code == 1
    assert "a1b2c3d" in answer.row["verdict"]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("a1b2c3e", "a1b2c3d ('Power users')"), ("A1B2C3D", "a1b2c3d ("), ("powerusers", "a1b2c3d (")],
)
def test_an_id_like_that_of_another_cohort_is_probably_mistyped(
    sandbox: Any, plan: Run, cohort: Any, wrong: str, meant: str
) -> None:
    cohort("a")
    answer = plan(cohort_id=wrong)
    assert (answer.code, answer.row["status"]) == (3, "unknown")
    assert f"Did you mean {meant}" in answer.row["verdict"]
    answer = plan("--exact", cohort_id=wrong)
    assert (answer.code, answer.row["status"]) == (1, "refused")


def test_an_unlisted_cohort_with_such_an_id_is_settled_by_its_export(plan: Run, cohort: Any) -> None:
    cohort("a")
    cohort("a", id="a1b2c3e", listed=False)
    assert plan(cohort_id="a1b2c3e").row["status"] == "unknown"
    answer = plan("--exact", cohort_id="a1b2c3e")
    assert (answer.code, answer.row["status"]) == (0, "ok")
    assert "Did you mean" not in answer.row["verdict"]


def test_where_the_database_is_away_pools_are_not_checked(plan: Run, cohort: Any) -> None:
    cohort("a")
    answer = plan(pool="slow lane")
    assert (answer.code, answer.row["status"]) == (0, "ok")
    assert "Whether the pools exist is unknown" in answer.row["verdict"]


def test_the_folder_of_snapshots_must_be_writable(
    sandbox: Any, plan: Run, cohort: Any, tmp_path: Any
) -> None:
    cohort("a")
    folder = tmp_path / "snapshots"
    folder.mkdir()
    assert plan(snapshot_path=f"file://{folder}").code == 0
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    (tmp_path / "a file").write_text("", encoding="utf-8")
    answer = plan("--exact", snapshot_path=f"file://{tmp_path}/a file")
    assert (answer.code, answer.row["status"]) == (3, "unknown")
    assert "The storage of the snapshots cannot be" in answer.row["verdict"]
    assert exports(sandbox) == 0
    assert plan(snapshot_path=f"file://{tmp_path}/a file", dry_run=True).code == 0


def test_a_cohort_that_was_never_computed_has_no_size(plan: Run, cohort: Any, segment: Any) -> None:
    cohort("a", computed=False)
    segment("a", description=OWNED)
    answer = plan()
    assert answer.code == 0
    assert "never computed" in answer.row["verdict"]
    assert answer.row["difference"] is None


def test_where_somebody_would_be_asked_it_says_so(plan: Run, cohort: Any, segment: Any) -> None:
    cohort()
    segment("a", description=OWNED)
    answer = plan(on_guard="approve")
    assert answer.code == 1
    assert (answer.row["status"], answer.row["task_id"]) == ("asks", "sync")
    assert answer.row["verdict"].startswith("A run would ask for an approval first: [empty_cohort]")


def test_targets_have_a_row_each_and_one_that_fails_hides_no_other(
    airflow: Run, write: Any, cohort: Any, segment: Any
) -> None:
    cohort("a")
    segment(name="Computed", type="dynamic")
    targets = [
        {"name": "one", "segment_name": "One"},
        {"name": "two", "segment_name": "Computed"},
        {"name": "three", "segment_name": "Three", "customer_io_conn_id": "nowhere", "on_guard": "approve"},
    ]
    answer = airflow("plan", write({"targets": targets}), "-o", "json")
    assert answer.code == 1
    assert [(row["target"], row["status"]) for row in answer.rows] == [
        ("one", "ok"),
        ("two", "refused"),
        ("three", "unknown"),
    ]
    assert "no connection 'nowhere'" in answer.rows[2]["verdict"]


def test_what_cannot_be_found_out_is_3(plan: Run, cohort: Any, connect: Any) -> None:
    cohort("a")
    answer = plan(amplitude_conn_id="nowhere", customer_io_conn_id="no_other")
    assert answer.code == 3
    assert [line.split("'")[1] for line in answer.row["verdict"].splitlines()] == ["nowhere", "no_other"]
    answer = plan(amplitude_conn_id=connect("amplitude_default", password="wrong-secret"))
    assert answer.code == 3
    assert answer.row["status"] == "unknown"
    assert "wrong-secret" not in answer.out


def test_one_sync_of_a_file(airflow: Run, write: Any, cohort: Any) -> None:
    cohort("a")
    path = write({"name": "one"}, {"name": "two", "segment_name": "Two"})
    assert len(airflow("plan", path, "-o", "json").rows) == 2
    assert airflow("plan", path, "--sync", "two", "-o", "json").row["segment_name"] == "Two"
    answer = airflow("plan", path, "--sync", "too")
    assert answer.code == 2
    assert 'no sync "too". Did you mean two?' in answer.err


def test_wrong_and_disabled_syncs(airflow: Run, write: Any, sandbox: Any) -> None:
    path = write({"name": "off", "enabled": False}, {"name": "bad", "segment_name": "B", "mode": "both"})
    answer = airflow("plan", path, "-o", "json")
    assert answer.code == 1
    assert [row["status"] for row in answer.rows] == ["disabled", "refused"]
    assert "key mode" in answer.rows[1]["verdict"]
    assert airflow("plan", path, "--sync", "off").code == 0
    assert airflow("plan", "missing.yaml").code == 1


def test_the_lists_are_read_once_for_all_syncs(sandbox: Any, airflow: Run, write: Any, cohort: Any) -> None:
    cohort("a")
    path = write(*({"name": f"s{n}", "segment_name": f"S{n}"} for n in range(12)))
    assert len(airflow("plan", path, "-o", "json").rows) == 12
    assert sandbox.count("amplitude") == 2
    assert sandbox.count("app", "/v1/segments$") == 1


def test_a_table_names_what_it_is_about_and_the_verdict_below(
    airflow: Run, write: Any, cohort: Any, segment: Any
) -> None:
    cohort("a")
    segment("b", "c")
    out = airflow("plan", write()).out
    assert "Power users (a1b2c3d)" in out
    assert ", unmanaged" in out
    assert "\nsync: Nothing would be written: [unmanaged_segment]" in out
    assert yaml.safe_load(airflow("plan", write(), "-o", "yaml").out)[0]["members"] == 2


class Kept(dict[str, Any]):
    """What Airflow's database holds of a segment."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def remember(
    monkeypatch: pytest.MonkeyPatch,
    segment: Any,
    report: dict[str, Any],
    computed_at: int,
    mode: str = "mirror",
) -> None:
    """Let an earlier run of the sync have gone well."""
    kept = Kept()
    keep_a_good_run(kept, segment, report, computed_at, mode)
    monkeypatch.setattr(asset_stores, "_read", lambda uri, key: kept.get(key))


def test_a_run_that_finds_nothing_changed_needs_no_export(
    plan: Run, cohort: Any, segment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = cohort("a", "b").last_computed
    made = segment("a", description=OWNED)
    remember(monkeypatch, made, {"segment_after": 1, "identifiers": 2}, computed)
    answer = plan(skip_unchanged=True, export_reserve=500)
    assert answer.code == 0
    assert answer.row["verdict"].startswith("In sync since the last good sync")
    assert "end without an export" in answer.row["verdict"]


def test_without_skip_unchanged_it_is_in_sync_as_well(
    plan: Run, cohort: Any, segment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = cohort("a", "b").last_computed
    made = segment("a", description=OWNED)
    report = {"segment_after": 1, "identifiers": 2}
    remember(monkeypatch, made, report, computed)
    answer = plan()
    assert (answer.code, answer.row["status"]) == (0, "ok")
    assert answer.row["verdict"].startswith("In sync: Amplitude has not recomputed the cohort")
    remember(monkeypatch, made, report, computed - 1)
    assert "In sync" not in plan().row["verdict"]


def test_growth_is_known_from_the_last_good_sync_or_maybe(
    plan: Run, cohort: Any, segment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "UNGUARDED_ADDITIONS", 5)
    computed = cohort(*(f"u{n}" for n in range(40))).last_computed
    made = segment("u0", "u1", description=OWNED)
    answer = plan()
    assert (answer.code, answer.row["status"]) == (0, "ok")
    assert "the guard large_addition stops the run: --exact shows it" in answer.row["verdict"]
    assert "large_addition" not in plan("--limit", "3").row["verdict"]
    assert "large_addition" not in plan(segment_name="New").row["verdict"]
    report = {"identifiers": 2, "segment_after": 2, "unmatched": 5}
    remember(monkeypatch, made, report, computed - 1)
    answer = plan()
    assert (answer.code, answer.row["status"]) == (1, "refused")
    assert "[large_addition] 33 people would join 2 members" in answer.row["verdict"]
    assert plan(allow_large_addition=True).code == 0
    remember(monkeypatch, made, {**report, "unmatched": 36}, computed - 1)
    assert "large_addition" not in plan().row["verdict"]


def test_a_limited_run_is_planned(sandbox: Any, plan: Run, cohort: Any, segment: Any) -> None:
    sandbox.workspace.add_person(id="x")
    cohort(*(f"u{n}" for n in range(40)))
    segment("u0", "x", description=OWNED)
    assert "limited to 3 people to add" in plan("--limit", "3").row["verdict"]
    row = plan("--limit", "3", "--exact").row
    assert row["verdict"].startswith("A run adds 3 and removes 0. 36 more to add and 1 to remove are left.")
    assert (row["to_add"], row["to_remove"], row["left_to_add"], row["left_to_remove"]) == (3, 0, 36, 1)
    assert writes(sandbox) == []


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1000000"])
def test_a_wrong_limit_is_wrong_usage(airflow: Run, wrong: str) -> None:
    answer = airflow("plan", "sync", "--limit", wrong)
    assert answer.code == 2
    assert "is not a number from 1 to 100,000" in answer.err


def test_a_plan_says_that_people_would_be_added_only(plan: Run, cohort: Any, segment: Any) -> None:
    cohort()
    segment("a", description=OWNED)
    answer = plan(on_guard="add_only")
    assert answer.code == 1
    assert answer.row["verdict"].startswith("A run would add people, remove nobody, and fail: [empty_cohort]")


# ---- exact


def test_exact_tells_who_comes_and_goes_by_one_export(
    sandbox: Any, plan: Run, cohort: Any, segment: Any
) -> None:
    cohort("a", "b", "xa", "xb")
    made = segment("b", "c", description=OWNED)
    answer = plan("--exact")
    assert answer.code == 0
    row = answer.row
    assert (row["to_add"], row["to_remove"], row["identifiers"], row["unmatched"]) == (3, 1, 4, 2)
    assert row["match_rate"] == 0.5
    assert row["guards"] == []
    assert row["exports_left"] == 499
    assert row["verdict"].startswith("A run adds 1 and removes 1. 50.0% of the cohort")
    assert "This costs one of the month's exports (1 of 500)" in answer.err
    assert exports(sandbox) == 1
    assert writes(sandbox) == []
    assert {person.id for person in made.members} == {"b", "c"}


def test_exact_says_in_sync_where_nobody_joins_or_leaves(plan: Run, cohort: Any, segment: Any) -> None:
    cohort("a", "xa", "xb")
    segment("a", description=OWNED)
    answer = plan("--exact")
    assert (answer.code, answer.row["to_add"], answer.row["unmatched"]) == (0, 2, 2)
    assert answer.row["verdict"] == (
        "In sync: a run would change nothing. 33.3% of the cohort exist in Customer.io."
    )


def test_exact_says_up_to_where_customer_io_does_not_say_who_exists(
    sandbox: Any, plan: Run, cohort: Any, segment: Any
) -> None:
    cohort("a", "b")
    segment("a", description=OWNED)
    sandbox.configure(lookup_allowed=False)
    assert plan("--exact").row["verdict"].startswith("A run adds up to 1 and removes 0.")


def test_exact_tells_who_may_not_be_removable(sandbox: Any, plan: Run, cohort: Any, segment: Any) -> None:
    cohort("a")
    made = segment("a", "c", description=OWNED)
    made.by_hand_add([sandbox.workspace.add_person(email="zqz@example.com")])
    answer = plan("--exact")
    assert (answer.row["to_remove"], answer.row["not_removable"]) == (2, 1)
    assert (
        "removes 2 (1 of them may stay: Customer.io's API removes nobody without an id)."
        in (answer.row["verdict"])
    )


def test_exact_shares_an_export_between_targets(sandbox: Any, airflow: Run, write: Any, cohort: Any) -> None:
    cohort("a", "b", "c")
    targets = [
        {"name": "ids", "segment_name": "One"},
        {"name": "emails", "segment_name": "Two", "user_id_property": "email", "id_type": "email"},
        {"name": "asks", "segment_name": "Three", "on_guard": "approve"},
    ]
    path = write({"targets": targets}, {"name": "again", "segment_name": "Four"})
    answer = airflow("plan", path, "--exact", "-o", "json")
    assert answer.code == 0
    assert [row["to_add"] for row in answer.rows] == [3, 3, 3, 3]
    assert [row["match_rate"] for row in answer.rows] == [1.0] * 4
    assert exports(sandbox) == 1
    assert sandbox.workspace.segments == {}


def test_exact_knows_what_the_guards_say(sandbox: Any, plan: Run, cohort: Any, segment: Any) -> None:
    cohort("a", "xa", "xb")
    segment("a", "c")
    answer = plan("--exact", min_match_rate=0.9)
    assert answer.code == 1
    assert answer.row["guards"] == ["low_match", "unmanaged_segment"]
    assert "[low_match] only 1 of 3 identifiers (33.3 %)" in answer.row["verdict"]
    assert "[unmanaged_segment] 1 members would be removed" in answer.row["verdict"]
    assert "\nsync: Nothing" in "\n" + airflow_table(plan)


def airflow_table(plan: Run) -> str:
    return plan("--exact", "-o", "table", min_match_rate=0.9).out


def test_a_segment_that_only_seemed_foreign_is_let_through_by_exact(
    plan: Run, cohort: Any, segment: Any
) -> None:
    cohort("a", "b")
    segment("a")
    assert plan().code == 1
    assert plan("--exact").code == 0


def test_exact_knows_the_last_good_sync(
    plan: Run, cohort: Any, segment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort("a", "b")
    remember(monkeypatch, segment("a", "c", description=OWNED), {"identifiers": 1000}, 1)
    answer = plan("--exact")
    assert answer.row["guards"] == ["short_cohort"]


def test_exact_spends_nothing_on_what_cannot_run(sandbox: Any, plan: Run, cohort: Any, segment: Any) -> None:
    cohort("a")
    segment(name="Computed", type="dynamic")
    assert plan("--exact", segment_name="Computed").code == 1
    assert plan("--exact", export_reserve=500).code == 1
    assert plan("--exact", customer_io_conn_id="nowhere").code == 3
    assert exports(sandbox) == 0


def test_an_export_that_fails_is_told_for_all_its_targets(
    sandbox: Any, airflow: Run, write: Any, cohort: Any
) -> None:
    cohort("a")
    sandbox.configure(export_seconds=60)
    targets = [{"name": "one", "segment_name": "One"}, {"name": "two", "segment_name": "Two"}]
    path = write({"targets": targets, "export_timeout": 0.1})
    answer = airflow("plan", path, "--exact", "-o", "json")
    assert answer.code == 3
    assert ["within export_timeout" in row["verdict"] for row in answer.rows] == [True, True]
    assert exports(sandbox) == 1


def test_a_property_that_the_export_does_not_have(plan: Run, cohort: Any, sandbox: Any) -> None:
    cohort("a")
    answer = plan("--exact", user_id_property="customer_id")
    assert answer.row["cohort_id"] == "a1b2c3d"
    assert answer.row["to_add"] in (0, None)


def test_no_identifier_stays_behind(plan: Run, cohort: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cohort("a")
    assert plan("--exact").code == 0
    assert [each.name for each in tmp_path.glob("airflow-cio-cohort-*/*")] == ["lock"]


# ---- what a run would refuse


def test_an_identifier_that_the_workspace_does_not_use_is_refused(
    sandbox: Any, plan: Run, cohort: Any, segment: Any
) -> None:
    sandbox.configure(email_identifies=False)
    cohort("a")
    segment("a", description=OWNED)
    for flags in ([], ["--exact"]):
        answer = plan(*flags, user_id_property="email", id_type="email")
        assert (answer.code, answer.row["status"]) == (1, "refused")
        assert "does not identify people by email" in answer.row["verdict"]
    assert exports(sandbox) == 0


def test_exact_refuses_a_mapping_that_cannot_be_right(
    sandbox: Any, plan: Run, cohort: Any, segment: Any
) -> None:
    cohort("a", "b")
    segment("a", "b", description=OWNED)
    answer = plan("--exact", user_id_property="amplitude_id")
    assert (answer.code, answer.row["status"]) == (1, "refused")
    assert "exists in Customer.io as id" in answer.row["verdict"]
    assert plan("--exact", user_id_property="amplitude_id", allow_no_match=True).row["to_remove"] == 2


def test_two_syncs_of_one_segment_by_name_and_number_are_refused(
    airflow: Run, write: Any, cohort: Any, segment: Any
) -> None:
    cohort("a")
    made = segment("a", description=OWNED)
    other = {"name": "again", "cohort_id": "zzzzzzz", "segment_name": None, "segment_id": made.id}
    answer = airflow("plan", write({}, other), "-o", "json")
    assert (answer.code, [row["status"] for row in answer.rows]) == (1, ["refused", "refused"])
    assert all("writes to the same segment" in row["verdict"] for row in answer.rows)


def test_a_renamed_segment_is_found(sandbox: Any, plan: Run, cohort: Any, segment: Any) -> None:
    cohort("a")
    made = segment("a", name="Renamed", description=describe("a1b2c3d", "x", "mirror", "Power users"))
    assert plan().row["segment_id"] == made.id
