from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cio_cohort.exceptions import ExportMismatchError, OutdatedExportError
from airflow_provider_cio_cohort.state import StateStore
from airflow_provider_cio_cohort.sync.export import Export, ExportMemory, ExportOf, check_given

DAY = 86_400
OF = ExportOf("a1b2c3d", ("email", "user_id"), "amplitude_default")


class Store(dict[str, Any]):
    """A task's store, as Airflow has it."""

    def set(self, key: str, value: Any, **how: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


def export(age: float = 60, **more: Any) -> Export:
    return Export(request_id="r1", of=OF, requested_at=time.time() - age, **more)


def memory(kept: Export) -> ExportMemory:
    found = ExportMemory(StateStore(Store()))
    found.keep(kept)
    return found


def test_it_survives_a_store_an_xcom_and_a_deferral() -> None:
    kept = export(computed_at=17, month={"exports_used": 3})
    assert Export.from_dict(kept.to_dict()) == kept
    assert {type(value) for value in kept.to_dict().values()} <= {str, int, float, bool, list, dict}


@pytest.mark.parametrize("value", [None, "r1", 7, [], {}, {"request_id": "r1"}, {"properties": 3}])
def test_anything_else_is_no_export(value: Any) -> None:
    assert Export.from_dict(value) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "3 seconds ago"), (600, "10 minutes ago"), (18_000, "5 hours ago")]
)
def test_the_log_says_how_old_the_export_is(caplog, seconds: int, words: str) -> None:
    with caplog.at_level(logging.INFO):
        assert memory(export(seconds)).continued(OF, None) is not None
    assert f"Continuing the export that was requested {words}." in caplog.text


@pytest.mark.parametrize(
    ("age", "used", "before", "computed", "is_continued"),
    [
        (60, False, None, None, True),  # a retry
        (60, False, 17, 18, True),
        (2 * DAY, False, 17, 17, True),  # the cohort is still what the export holds
        (2 * DAY, False, 17, 18, False),
        (2 * DAY, False, None, 17, False),
        (2 * DAY, False, None, None, False),  # not listed: nothing tells whether it has changed
        (60, True, 17, 17, True),
        (60, True, 17, 18, False),
        (60, True, None, None, False),
        (7 * DAY, False, 17, 17, False),
        (-3600, False, None, None, False),  # from the future
        (float("nan"), False, None, None, False),
    ],
)
def test_when_an_export_is_continued(
    age: float, used: bool, before: int | None, computed: int | None, is_continued: bool
) -> None:
    found = memory(export(age, used=used, computed_at=before)).continued(OF, computed)
    assert (found is not None) is is_continued


@pytest.mark.parametrize(
    ("synced_ago", "is_before"), [(None, False), (3700, False), (3600, False), (3599, True)]
)
def test_when_the_segment_was_synced_from_a_later_one(synced_ago: float | None, is_before: bool) -> None:
    kept = export(3600)
    synced_from = None if synced_ago is None else kept.requested_at + 3600 - synced_ago
    assert kept.is_before(synced_from) is is_before


@pytest.mark.parametrize(
    "of",
    [
        replace(OF, cohort_id="b"),
        replace(OF, properties=("user_id",)),
        replace(OF, amplitude_conn_id="other"),
    ],
)
def test_an_export_of_something_else_is_not_continued(of: ExportOf) -> None:
    assert memory(export()).continued(of, None) is None


def test_a_given_export_may_hold_more_than_is_wanted() -> None:
    check_given(export(), replace(OF, properties=("email",)), None)
    check_given(export(), replace(OF, properties=("amplitude_id",)), None)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (replace(OF, cohort_id="zzz"), "it is of cohort a1b2c3d, not of zzz"),
        (replace(OF, properties=("phone",)), "it lacks the property phone"),
        (replace(OF, amplitude_conn_id="other"), "not by 'other'"),
    ],
)
def test_a_given_export_of_something_else_is_refused(of: ExportOf, words: str) -> None:
    with pytest.raises(ExportMismatchError, match=words):
        check_given(export(), of, None)


def test_a_given_export_that_is_older_than_the_segments_last_one_is_refused() -> None:
    kept = export(3600)
    check_given(kept, OF, kept.requested_at)
    with pytest.raises(OutdatedExportError, match="requested 1 hour ago"):
        check_given(kept, OF, kept.requested_at + 1)


def test_a_process_reads_once_what_is_kept_and_believes_no_store_that_failed() -> None:
    class Counting(Store):
        reads, is_away = 0, False

        def get(self, key: str, default: Any = None) -> Any:
            self.reads += 1
            return super().get(key, default)

        def set(self, key: str, value: Any, **how: Any) -> None:
            if self.is_away:
                raise ConnectionError
            super().set(key, value, **how)

    store = Counting()
    found = ExportMemory(StateStore(store))
    assert found.load(OF) is None
    assert found.continued(OF, None) is None
    found.keep(kept := export())
    found.used(kept)
    assert store.reads == 1
    assert store["amplitude_export"]["used"] is True
    store.is_away = True
    found.keep(replace(kept, request_id="r2"))
    again = found.load(OF)
    assert again is not None
    assert (again.request_id, store.reads) == ("r1", 2)
    found.forget()
    assert found.load(OF) is None
