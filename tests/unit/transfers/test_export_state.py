from __future__ import annotations

import logging
import time

import pytest

from airflow_provider_cio_cohort.transfers.export_state import KEY, ExportState


class Store(dict):
    """A task state store, as far as an export needs it."""


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "3 seconds ago"), (600, "10 minutes ago"), (18_000, "5 hours ago")]
)
def test_the_log_says_how_old_the_export_is(caplog, seconds: int, words: str) -> None:
    wanted = {"cohort_id": "a1b2c3d"}
    kept = {"request_id": "r1", "requested_at": time.time() - seconds, "of": wanted}
    with caplog.at_level(logging.INFO):
        assert ExportState({"task_state_store": Store({KEY: kept})}, wanted).load(None) == "r1"
    assert f"Continuing the export that was requested {words}." in caplog.text
