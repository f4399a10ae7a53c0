from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from airflow_provider_cio_cohort.assets import segment_asset
from airflow_provider_cio_cohort.transfers.last_good import LastGood

REPORT = {"segment_after": 7, "identifiers": 9, "added": 3, "to_add": 5, "removed": 1, "to_remove": 1}


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


def last(stores: Any, **of: str) -> LastGood:
    return LastGood({"asset_state_store": stores}, segment_asset("cio", "S", None), {"cohort_id": "a", **of})


def test_what_is_kept_is_found_by_the_same_sync_alone() -> None:
    stores: Any = defaultdict(Store)
    assert last(stores).load() is None
    last(stores).save(REPORT, 100)
    kept = last(stores).load()
    assert kept is not None
    assert kept["report"] == REPORT
    assert last(stores, cohort_id="b").load() is None
    assert last(stores, mode="add_only").load() is None


@pytest.mark.parametrize(
    ("computed_at", "members", "unchanged"),
    [(100, 7, True), (101, 7, False), (100, 8, False), (None, 7, False)],
)
def test_unchanged(computed_at: int | None, members: int, unchanged: bool) -> None:
    stores: Any = defaultdict(Store)
    last(stores).save(REPORT, 100)
    report = last(stores).unchanged(computed_at, members)
    assert (report is not None) is unchanged
    if report:
        assert {report[name] for name in ("added", "to_add", "removed", "to_remove")} == {0}
        assert (report["unchanged"], report["segment_before"], report["identifiers"]) == (True, 7, 9)


def test_an_export_whose_time_is_not_known_is_never_unchanged() -> None:
    stores: Any = defaultdict(Store)
    last(stores).save(REPORT, None)
    assert last(stores).unchanged(None, 7) is None
    assert last(stores).unchanged(100, 7) is None


def test_a_store_that_fails_does_not_fail_the_sync() -> None:
    class Away(Store):
        def set(self, key: str, value: Any) -> None:
            raise RuntimeError("away")

    last(defaultdict(Away)).save(REPORT, 100)
