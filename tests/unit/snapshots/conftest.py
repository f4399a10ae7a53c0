from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.snapshots.layout import Manifest, Origin, Subject
from airflow_provider_cio_cohort.snapshots.store import Segment, SnapshotStore
from tests.places import Place


def subject(**facts: Any) -> Subject:
    usual = {
        "customer_io_conn_id": "customer_io_default",
        "segment": ("name", "Power users"),
        "id_type": "id",
        "mode": "mirror",
        "cohort_id": "a1b2c3d",
    }
    return Subject(**{**usual, **facts})


def day(number: int, hour: int = 6) -> datetime:
    return datetime(2026, 3, number, hour, tzinfo=UTC)


@pytest.fixture
def store(place: Place) -> SnapshotStore:
    return SnapshotStore(place.path, subject())


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., Manifest]:
    """Take a snapshot of some people on a day of March."""

    def keep(
        store: SnapshotStore, number: int, *people: str, workspace_id: int | None = 7, **more: Any
    ) -> Manifest:
        path = tmp_path / "people"
        path.write_text("".join(f"{one}\n" for one in sorted(people or ("a", "b"))), encoding="utf-8")
        origin = Origin(
            "dag", "sync", run_id=more.get("run_id", f"run of {number}"), logical_date=day(number)
        )
        segment = Segment(workspace_id, 17, "Power users")
        moment = more.get("moment", day(number))
        return store.keep(path, origin, segment, "user_id", more.get("taken", day(number, 7)), moment)

    return keep
