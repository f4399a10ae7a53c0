"""Keeps what a benchmark measured, with the machine that it was measured on, for the page that shows it."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RECORDS = Path(os.environ.get("BENCH_RECORDS", ROOT / "docs" / "performance"))
_PACKAGES = (
    "apache-airflow",
    "apache-airflow-task-sdk",
    "requests",
    "celery",
    "async-customerio",
    "dag-factory",
)


def save(name: str, figures: Any) -> Path:
    """
    Keep figures as ``docs/performance/<name>.json``.

    :param name: the benchmark.
    :param figures: what it measured; anything that JSON can hold.
    """
    RECORDS.mkdir(parents=True, exist_ok=True)
    path = RECORDS / f"{name}.json"
    record = {"measured": f"{datetime.now(UTC):%Y-%m-%d}", **_machine(), "figures": figures}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def load(name: str) -> dict[str, Any] | None:
    """Return what :func:`save` has kept, or ``None``."""
    path = RECORDS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    kernel = platform.release().split("-")[0]
    return {
        "machine": f"{platform.machine()}, {_processor()}, {os.cpu_count()} cores, {memory / 2**30:.0f} GiB",
        "system": f"{platform.system()} {kernel}, Python {platform.python_version()}",
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
