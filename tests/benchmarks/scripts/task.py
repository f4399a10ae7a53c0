"""The sync itself, as Airflow would run it: what :mod:`..child` measures."""

from __future__ import annotations

import functools
import importlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.vendors import COHORT, SEGMENT

_PACKAGE = "airflow_provider_cio_cohort"
#: What is timed, as its caller knows it.
TIMED = {
    "parse, sort": (f"{_PACKAGE}.sync.download", "collect"),
    "diff": (f"{_PACKAGE}.engine.sync", "compare"),
}
#: The same with several identifiers, and what finds the people of their rows.
TIMED_OF_SEVERAL = {
    **TIMED,
    "parse, sort": (f"{_PACKAGE}.sync.download", "collect_rows"),
    "matching": (f"{_PACKAGE}.sync.run", "CohortSync._match"),
}


def prepare() -> Callable[[], Any]:
    """Build the operator, and return what runs it; beside its report, that tells when what was timed."""
    from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
        AmplitudeCohortToCustomerIOOperator,
    )

    identifiers = json.loads(os.environ.get("IDENTIFIERS", "null"))
    task = AmplitudeCohortToCustomerIOOperator(
        task_id="sync",
        cohort_id=COHORT,
        segment_name=SEGMENT,
        poll_interval=1,
        identifiers=identifiers,
        people_segment_id=os.environ.get("PEOPLE_SEGMENT_ID"),
    )
    spans: dict[str, tuple[float, float]] = {}
    for phase, (module, path) in (TIMED_OF_SEVERAL if identifiers else TIMED).items():
        holder, _, name = path.rpartition(".")
        found: Any = importlib.import_module(module)
        _time(getattr(found, holder) if holder else found, name, phase, spans)
    stores = AssetStores(Path(os.environ["STATE"]))
    context: Any = {"asset_state_store": stores}
    return lambda: {"report": task.execute(context), "spans": spans}


class Store:
    """
    What Airflow keeps of an asset from run to run.

    :param kept: the values.
    :param save: called after each change.
    """

    def __init__(self, kept: dict[str, Any], save: Callable[[], object]) -> None:
        self._kept = kept
        self._save = save

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value."""
        return self._kept.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Keep a value."""
        self._kept[key] = value
        self._save()

    def delete(self, key: str) -> None:
        """Forget a value."""
        self._kept.pop(key, None)
        self._save()


class AssetStores:
    """
    The state stores of all assets, in a file.

    :param path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_text()) if path.exists() else {}
        self._kept: defaultdict[str, dict[str, Any]] = defaultdict(dict, kept)

    def __getitem__(self, asset: Any) -> Store:
        return Store(self._kept[asset.uri], lambda: self._path.write_text(json.dumps(self._kept)))


def _time(holder: Any, name: str, phase: str, spans: dict[str, tuple[float, float]]) -> None:
    function = getattr(holder, name)

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            spans.setdefault(phase, (start, time.monotonic()))

    setattr(holder, name, timed)
