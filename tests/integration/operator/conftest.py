"""The operator run as a task would run it, over real HTTP, without an Airflow around it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import BaseOperator

from airflow_provider_cio_cohort.hooks import customer_io
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator


@dataclass
class Store:
    """A task state store as a context has it."""

    kept: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        return self.kept.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.kept[key] = value

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


class AssetStores(defaultdict[str, Store]):
    """The state stores of all assets."""

    def __init__(self) -> None:
        super().__init__(Store)

    def __getitem__(self, asset: Any) -> Store:
        return super().__getitem__(asset.uri)  # an asset itself can be no key before Airflow 3.2


@dataclass
class Xcoms:
    """A task instance, as far as the operator needs it."""

    task_id: str = "sync"
    map_index: int = -1
    try_number: int = 1
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(
        self, *, task_ids: str, key: str, map_indexes: int, include_prior_dates: bool = False
    ) -> Any:
        assert (task_ids, map_indexes, include_prior_dates) == (self.task_id, self.map_index, True)
        return self.pushed.get(key)


@pytest.fixture
def store() -> Store:
    """The task state store of one run; a run that succeeds leaves it to the next one empty."""
    return Store()


@pytest.fixture
def assets() -> AssetStores:
    """The state stores of all assets, which outlive the runs."""
    return AssetStores()


@pytest.fixture
def xcoms() -> Xcoms:
    return Xcoms()


@pytest.fixture
def no_pace(sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the App API take any number of requests: its pace has tests of its own."""
    monkeypatch.setattr(customer_io, "APP_REQUESTS_PER_SECOND", 1000)
    sandbox.configure(app_per_second=0)


@pytest.fixture
def sync(
    sandbox, no_pace: None, store: Store, assets: AssetStores, xcoms: Xcoms
) -> Callable[..., dict[str, Any]]:
    """Run a try of a sync from the cohort ``a1b2c3d`` to the segment ``Power users``; return its report."""

    def run(**parameters: Any) -> dict[str, Any]:
        report = attempt(**parameters)
        store.kept = {}
        return report

    def attempt(**parameters: Any) -> dict[str, Any]:
        usual = {"task_id": "sync", "cohort_id": "a1b2c3d", "poll_interval": 0.05}
        kind = parameters.pop("operator_class", AmplitudeCohortToCustomerIOOperator)
        if issubclass(kind, AmplitudeCohortToCustomerIOOperator) and "segment_id" not in parameters:
            usual["segment_name"] = "Power users"
        more = parameters.pop("context", {})
        operator = parameters.pop("ready", None) or kind(**{**usual, **parameters})
        context: Any = {"task_state_store": store, "asset_state_store": assets, "ti": xcoms, **more}
        try:
            return operator.execute(context)
        except TaskDeferred as deferral:
            return resume(operator, deferral, context)

    run.attempt = attempt  # type: ignore[attr-defined]
    return run


def resume(operator: BaseOperator, deferral: TaskDeferred, context: Any) -> dict[str, Any]:
    """Do what triggerer and worker do with a deferred task."""
    path, arguments = deferral.trigger.serialize()
    assert path == f"{type(deferral.trigger).__module__}.{type(deferral.trigger).__name__}"
    trigger = type(deferral.trigger)(**{**arguments, "initial_delay": 0})  # no scheduler here to be confused

    async def first_event() -> Any:
        async for event in trigger.run():
            return event.payload
        return None

    event = asyncio.run(first_event())
    return getattr(operator, deferral.method_name)(context, event=event, **(deferral.kwargs or {}))


def prove_keys(assets: AssetStores, segment: Any) -> None:
    """Let an earlier run have proven that both halves of the default connection lead to one workspace."""
    operator = AmplitudeCohortToCustomerIOOperator(
        task_id="earlier", cohort_id="a1b2c3d", segment_name=segment.name
    )
    memory = operator.cohort_sync({"asset_state_store": assets}).memory
    memory.attach(segment.id)
    memory.note_proof()


@pytest.fixture
def cohort(sandbox):
    """Make (or change) a cohort so that it holds these people, known to Customer.io or not."""

    def make(*user_ids: str, known: bool = True, id: str = "a1b2c3d") -> Any:
        for user_id in user_ids:
            if known and user_id:
                sandbox.workspace.add_person(id=user_id, email=f"{user_id}@example.com")
        rows = [{"amplitude_id": str(n), "user_id": user_id} for n, user_id in enumerate(user_ids)]
        return sandbox.project.add_cohort(id=id, name="Power users", rows=rows)

    return make
