"""
Takes ``docs/images/month.png``: the page "Cohort syncs" after a month of syncs, in a real Airflow.

Its DAGs are made from a YAML file, as always. Their runs are written into Airflow's tables as the scheduler
and the tasks write them, because nobody wants to wait for a month.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import requests
import yaml
from croniter import croniter
from playwright.sync_api import expect, sync_playwright

from airflow_provider_cio_cohort.cli.init import dag_file
from airflow_provider_cio_cohort.engine.report import SyncReport, match_rate
from airflow_provider_cio_cohort.hooks.amplitude_api import cohort_url
from airflow_provider_cio_cohort.hooks.customer_io_api import segment_url
from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.state import NOTHING
from dev.airflow_instance import AirflowInstance
from tests.system.browser import chromium

ROOT = Path(__file__).resolve().parents[3]
IMAGE = ROOT / "docs" / "images" / "month.png"
DAYS = 30
TIMEZONE = "Europe/Berlin"
LIMIT = 500
WORKSPACE = 104
WIDTH = 1280


@dataclass(frozen=True)
class Sync:
    """
    A sync, and how its cohort develops.

    :param people: identifiers a month ago.
    :param growth: by which share the cohort grows in a month.
    :param churn: which share of it changes in a day.
    :param matched: which share of it exists in Customer.io.
    :param failed: the days, before today, on which the run failed.
    """

    name: str
    cohort_id: str
    segment: str
    people: int
    growth: float
    churn: float
    matched: float
    failed: tuple[int, ...] = ()

    def known(self, segment_id: int | None) -> dict[str, str]:
        """Return what a task finds out about the cohort and the segment besides its report."""
        return {
            "cohort_id": self.cohort_id,
            "cohort_name": self.name.replace("_", " ").capitalize(),
            "cohort_url": cohort_url("us", None, self.cohort_id),
            "segment_url": segment_url("us", WORKSPACE, segment_id),
        }


SYNCS = (
    Sync("power_users", "pwr7k2m", "Power users [Amplitude]", 61_400, 0.09, 0.022, 0.947),
    Sync("trial_ending", "trl4x9q", "Trial ending", 3_900, 0.04, 0.140, 0.981),
    Sync("churn_risk", "chn8w3z", "Churn risk", 18_200, -0.12, 0.045, 0.934, failed=(19,)),
    Sync("newsletter_readers", "nws2e6d", "Newsletter readers", 124_800, 0.03, 0.009, 0.884),
    Sync("abandoned_checkout", "abn5t1c", "Abandoned checkout", 7_300, 0.06, 0.210, 0.962),
    Sync("referred_friends", "ref9u4b", "Referred friends", 2_450, 0.38, 0.030, 0.912),
    Sync("win_back", "win3l8p", "Win back", 41_700, 0.05, 0.016, 0.903, failed=(0,)),
)


def seed(session: Any, now: datetime) -> None:
    """
    Write the runs of the last 30 days into Airflow's tables.

    :param session: of its database, which has the syncs' DAGs.
    :param now: the present.
    """
    from airflow.models.asset import AssetEvent, TaskOutletAssetReference
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from sqlalchemy import insert, select

    from tests.unit.overview.rows import event_row, run_row, task_row

    def put(model: Any, row: dict[str, Any]) -> None:
        session.execute(insert(model.__table__).values(**row))

    used: Counter[int] = Counter()
    for due, sync, counts in sorted(_month(session, now), key=lambda run: run[0]):
        dag_id, ended = f"cohort_sync__{sync.name}", due + timedelta(seconds=48 + sync.people / 900)
        run_id = f"scheduled__{due.isoformat()}"
        used[due.month] += 1
        good = (now - due).days not in sync.failed
        state = "success" if good else "failed"
        times = {"start_date": due, "end_date": ended}
        put(DagRun, run_row(dag_id, run_id, due, state, end_date=ended))
        put(TaskInstance, task_row(dag_id, "sync", run_id, state, **times))
        asset_id = session.scalar(select(TaskOutletAssetReference.asset_id).filter_by(dag_id=dag_id))
        if good:
            month = {"exports_used": used[due.month], "exports_limit": LIMIT, "exports_at": due.isoformat()}
            took = (ended - due).total_seconds()
            said = {**counts.to_dict(), **sync.known(counts.segment_id), "duration": took, **month}
            put(AssetEvent, event_row(asset_id, dag_id, "sync", run_id, ended, said))
            continue
        where = {"dag_id": dag_id, "run_id": run_id, "task_id": "sync", "map_index": -1}
        number = session.scalar(select(DagRun.id).filter_by(dag_id=dag_id, run_id=run_id))
        kept = {
            "error": "GuardTrippedError",
            "reason": _reason(counts),
            "segment": NOTHING,
            "try_number": 1,
            **sync.known(counts.segment_id),
        }
        put(XComModel, {**where, "dag_run_id": number, "key": "failure", "value": kept, "timestamp": ended})


def _month(session: Any, now: datetime) -> Iterator[tuple[datetime, Sync, SyncReport]]:
    """Yield each run, at its due time, and what it has seen and done."""
    from airflow.models.dag import DagModel

    for number, sync in enumerate(SYNCS, start=11):
        schedule = session.get(DagModel, f"cohort_sync__{sync.name}").timetable_summary
        slots = croniter(schedule, now.astimezone(ZoneInfo(TIMEZONE)), ret_type=datetime).all_prev()
        dues = [*takewhile(lambda due: now - due < timedelta(days=DAYS), slots)][::-1]
        chance, people, before = random.Random(sync.name), sync.people, round(sync.people * sync.matched)  # noqa: S311
        for due in dues:
            people = round(people * (1 + sync.growth / DAYS + chance.gauss(0, sync.churn / 6)))
            matched = round(people * min(1.0, sync.matched + chance.gauss(0, 0.0015)))
            leave = round(before * sync.churn * chance.uniform(0.35, 0.65))
            join = max(matched - before + leave, 0)
            leave = before + join - matched
            fails = (now - due).days in sync.failed
            if fails:  # a broken definition: most of the cohort is gone
                people, matched, join, leave = people // 4, before // 4, 0, before - before // 4
            report = SyncReport(
                cohort_id=sync.cohort_id,
                segment_id=number,
                segment_name=sync.segment,
                mode="mirror",
                source="cohort",
                snapshot_at=None,
                dry_run=False,
                limit=None,
                cohort_rows=people + people // 40,
                without_identifier=people // 50,
                unreadable=0,
                mistyped=0,
                duplicates=people // 40 - people // 50,
                identifiers=people,
                segment_before=before,
                joined_elsewhere=0,
                left_elsewhere=0,
                to_add=join + people - matched,
                to_remove=leave,
                left_to_add=0,
                left_to_remove=0,
                added=join,
                removed=leave,
                not_removable=0,
                tracked=None,
                segment_after=matched,
                unmatched=people - matched,
                rejected=0,
                match_rate=match_rate(people, people - matched),
            )
            yield due, sync, report
            if fails:
                people = round(before / sync.matched)
            else:
                before = matched


def _reason(counts: SyncReport) -> str:
    return (
        f"Guard large_removal stopped the change of segment {counts.segment_name!r} ({counts.segment_id}): "
        f"{counts.to_remove:,} of {counts.segment_before:,} members would be removed."
    )


def write_dags(folder: Path) -> None:
    """Write the YAML file of the syncs, and its DAG file."""
    folder.mkdir(parents=True)
    path = folder / "cohort_syncs.yaml"
    syncs = [{"name": s.name, "cohort_id": s.cohort_id, "segment_name": s.segment} for s in SYNCS]
    text = yaml.safe_dump({"defaults": {"timezone": TIMEZONE}, "syncs": syncs}, sort_keys=False)
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".py").write_text(dag_file(path), encoding="utf-8")


def main() -> None:
    """Start Airflow's API server with the month, and take the picture."""
    with tempfile.TemporaryDirectory() as home, Sandbox() as sandbox:
        dags = Path(home) / "dags"
        write_dags(dags)
        env = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "PYTHONPATH": str(ROOT)}
        airflow = AirflowInstance(Path(home), dags, sandbox.connections(), env)
        airflow.command("db", "migrate")
        airflow.command("dags", "reserialize")
        subprocess.run([sys.executable, "-m", __spec__.name, "seed"], env=airflow.env, cwd=ROOT, check=True)
        airflow.command("dags", "reserialize")  # computes when the next runs are due
        try:
            airflow.start_component("api-server")
            airflow.wait_until(lambda: _answers(airflow), "the API server", 180)
            take(airflow)
        finally:
            airflow.stop()


def _answers(airflow: AirflowInstance) -> bool:
    try:
        return requests.get(f"{airflow.url}/api/v2/version", timeout=5).ok
    except requests.RequestException:
        return False


def take(airflow: AirflowInstance) -> None:
    """Take the picture of the page, in Airflow's frame."""
    with sync_playwright() as playwright:
        path = chromium.find(playwright)
        if path is None:
            sys.exit(chromium.NONE)
        with chromium.launch(playwright, path) as browser:
            page = browser.new_page(
                viewport={"width": WIDTH, "height": 600}, locale="en-GB", timezone_id=TIMEZONE
            )
            page.goto(f"{airflow.url}/plugin/cohort-syncs")
            frame = page.frame_locator("iframe[title='Cohort syncs']")
            expect(frame.locator("#rows > tr:visible")).to_have_count(len(SYNCS), timeout=60_000)
            height = frame.locator("html").evaluate("html => html.scrollHeight")
            page.set_viewport_size({"width": WIDTH, "height": height})
            page.screenshot(path=IMAGE, animations="disabled")
    print(IMAGE)


if __name__ == "__main__":
    if sys.argv[1:] == ["seed"]:
        from airflow.utils.session import create_session

        with create_session(scoped=False) as opened:
            seed(opened, datetime.now(UTC))
    else:
        main()
