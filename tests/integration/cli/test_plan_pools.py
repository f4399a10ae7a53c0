"""``plan`` over a real metadata database: a run waits for ever for a pool that does not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.models.pool import Pool

from tests.integration.cli.conftest import Answer
from tests.unit.overview.database import migrated, session

__all__ = ["migrated", "session"]

Run = Callable[..., Answer]


@pytest.mark.parametrize(
    ("keys", "missing", "advice"),
    [
        ({"pool": "slow lane"}, ["slow lane"], 'airflow pools set "slow lane" 1'),
        (
            {"use_pools": True},
            ["cohort_exports__amplitude_default", "cohort_syncs__customer_io_default"],
            "airflow cohort-sync pools FILE",
        ),
    ],
)
def test_a_pool_that_is_missing_refuses_the_run(
    session: Any, airflow: Run, write: Any, cohort: Any, keys: dict[str, Any], missing: list[str], advice: str
) -> None:
    cohort("a")
    answer = airflow("plan", write(keys), "-o", "json")
    assert (answer.code, answer.row["status"]) == (1, "refused")
    names = " and no pool ".join(missing)
    assert f"A run would never start: Airflow has no pool {names}. " in answer.row["verdict"]
    assert advice in answer.row["verdict"]
    for name in missing:
        Pool.create_or_update_pool(name, 1, "", include_deferred=True, session=session)
    session.commit()
    assert airflow("plan", write(keys), "-o", "json").row["status"] == "ok"
