"""The pages: what they say, and that nothing in them is markup but their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from airflow.api_fastapi.app import create_auth_manager, init_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import TaskInstanceState
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.ui.app import build_app
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, failure, report
from tests.unit.overview.test_queries import asked

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "only-for-tests-" + "x" * 64)
        passwords = tmp_path_factory.mktemp("login") / "passwords.json"
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(passwords))
        init_auth_manager()
        yield


@pytest.fixture
def client(session: Session, login: None) -> Iterator[TestClient]:
    """A browser in which a viewer is logged in."""
    with TestClient(build_app(), headers=headers("viewer")) as opened:
        yield opened


def headers(role: str | None) -> dict[str, str]:
    token = create_auth_manager().generate_jwt(SimpleAuthManagerUser(username="somebody", role=role))
    return {"Authorization": f"Bearer {token}", "Accept": "text/html"}


@pytest.fixture
def airflow(session: Session) -> Airflow:
    """What the pages show is relative to the real present."""
    return Airflow(session, datetime.now(UTC))


def history_of(made: tuple[str, str, int]) -> str:
    dag_id, task_id, asset_id = made
    return f"/history?dag_id={dag_id}&task_id={task_id}&asset_id={asset_id}"


def text_of(html: str) -> str:
    """What a reader sees, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


# ---- who may see them


@pytest.mark.parametrize("path", ["/", "/history?dag_id=x&task_id=y&asset_id=1"])
def test_nobody_in_particular(client: TestClient, path: str) -> None:
    client.headers.clear()
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})
    answer = client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert "Please log in" in answer.text


def test_a_forged_token(client: TestClient) -> None:
    assert client.get("/", headers={"Authorization": "Bearer e30.e30.e30"}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/history?dag_id=x&task_id=y&asset_id=1"])
def test_a_user_without_the_right(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=headers(None))
    assert answer.status_code == 403
    assert "No access" in answer.text


def test_a_viewer(client: TestClient, airflow: Airflow, session: Session) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(hours=1))
    session.commit()
    assert client.get("/").status_code == 200
    assert client.get(history_of(made)).status_code == 200


def test_dags_that_the_user_may_not_read(
    client: TestClient, airflow: Airflow, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow.sync("mine")
    theirs = airflow.sync("theirs")
    session.commit()
    manager = create_auth_manager()
    monkeypatch.setattr(manager, "filter_authorized_dag_ids", lambda **_: {"cohort_sync__mine"})
    html = client.get("/").text
    assert "mine" in html
    assert "theirs" not in html
    answer = client.get(history_of(theirs))
    assert answer.status_code == 404
    assert "theirs" not in answer.text
    monkeypatch.setattr(manager, "is_authorized_dag", lambda **_: False)
    assert client.get(history_of(theirs)).status_code == 403
    monkeypatch.setattr(manager, "is_authorized_asset", lambda **_: False)
    assert client.get("/").status_code == 403


@pytest.mark.parametrize(
    "which", ["", "?dag_id=x", "?dag_id=~&task_id=~&asset_id=1", "?dag_id=x&task_id=y&asset_id=z"]
)
def test_a_sync_that_is_not_there(client: TestClient, which: str) -> None:
    answer = client.get(f"/history{which}")
    assert answer.status_code == 404
    assert "There is no such sync." in answer.text


def test_static_files_are_for_all(client: TestClient) -> None:
    client.headers.clear()
    for name in ("page.css", "page.js", "theme.js"):
        assert client.get(f"/static/{name}").status_code == 200
    assert client.get("/static/../app.py").status_code in (401, 404)
    assert client.get("/openapi.json").status_code == 404


def test_the_answers_headers(client: TestClient) -> None:
    got = client.get("/").headers
    assert "default-src 'none'" in got["content-security-policy"]
    assert "unsafe" not in got["content-security-policy"]
    assert "frame-ancestors 'self'" in got["content-security-policy"]
    assert got["cache-control"] == "no-store"


# ---- what they say


def test_no_sync_yet(client: TestClient) -> None:
    said = text_of(client.get("/").text)
    assert "No sync yet" in said
    assert "dags/cohort_syncs.yaml" in said


def test_all_is_well(client: TestClient, airflow: Airflow, session: Session) -> None:
    for name in ("one", "two"):
        airflow.good(airflow.sync(name), airflow.ago(hours=1), size=9214, match_rate=0.9996)
    airflow.dag("cohort_sync__off", "cohort-sync", "disabled", timetable_summary="None")
    session.commit()
    said = text_of(client.get("/").text)
    assert "All 2 syncs are healthy" in said
    assert "9,214" in said
    assert "99.9%" in said
    assert "Switched off" in said


def test_the_next_look_reads_and_shows_what_has_changed(
    client: TestClient, airflow: Airflow, session: Session
) -> None:
    made = airflow.sync()
    run_id = airflow.good(made, airflow.ago(hours=1))
    session.commit()
    assert "The only sync is healthy" in client.get("/").text
    with asked(session) as statements:
        assert "The only sync is healthy" in client.get("/").text
    assert [one for one, _ in statements if "asset_event.extra" in one or "dag_run.run_type" in one] == []
    task = session.scalars(select(TaskInstance).filter_by(dag_id=made[0], run_id=run_id)).one()
    task.state = TaskInstanceState.FAILED
    session.commit()
    assert "The last run failed." in text_of(client.get("/").text)


def test_what_another_user_has_looked_at_is_not_shown(
    client: TestClient, airflow: Airflow, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mine", "theirs"):
        airflow.good(airflow.sync(name), airflow.ago(hours=1))
    session.commit()
    assert "theirs" in client.get("/", headers=headers("admin")).text
    monkeypatch.setattr(create_auth_manager(), "filter_authorized_dag_ids", lambda **_: {"cohort_sync__mine"})
    html = client.get("/").text
    assert "mine" in html
    assert "theirs" not in html


def test_everything_that_needs_attention(client: TestClient, airflow: Airflow, session: Session) -> None:
    failed = airflow.sync("failed")
    airflow.run(failed[0], airflow.ago(days=1), "failed", run_id="scheduled__1+00:00")
    asked = airflow.sync("asked")
    airflow.run(asked[0], airflow.ago(hours=2), "running", {"approve": "awaiting_input", "sync": None})
    airflow.sync("paused", is_paused=True)
    airflow.dag("cohort_sync__broken", "cohort-sync", "config-error", timetable_summary="None")
    late = airflow.sync("late", schedule="* * * * *")
    airflow.run(late[0], airflow.ago(days=2), "running")
    low = airflow.sync("low")
    airflow.good(low, airflow.ago(hours=1), match_rate=0.2, exports_used=499, exports_limit=500)
    session.commit()
    html = client.get("/").text
    said = text_of(html)
    for words in (
        "The last run failed. No good sync is known.",
        "A user must approve or reject its change.",
        "The DAG is paused, so its schedule does not run.",
        "Its configuration has a mistake",
        "No good sync since one was due.",
        "Only 20.0% of the cohort's identifiers exist in Customer.io: check user_id_property and id_type, "
        "or identifiers.",
        "exports will be needed by the month's end",
    ):
        assert words in said.replace("&#39;", "'")
    assert "../dags/cohort_sync__failed/runs/scheduled__1%2B00%3A00/tasks/sync" in html
    assert 'history?dag_id=cohort_sync__broken&amp;task_id=sync"' in html
    assert "../dags/cohort_sync__asked/required_actions" in html
    assert html.count("data-wanting") == 6


def test_a_file_that_cannot_be_read(client: TestClient, airflow: Airflow, session: Session) -> None:
    airflow.good(airflow.sync("well"), airflow.ago(hours=1))
    gone = {"is_stale": True, "last_parsed_time": airflow.ago(hours=3), "relative_fileloc": "growth.py"}
    lost = airflow.sync("lost", **gone)
    airflow.dag("cohort_freshness__growth", "cohort-freshness", **gone)
    airflow.broken_file("<growth>.yaml", relative_fileloc="growth.py")
    session.commit()
    html = client.get("/").text
    said = text_of(html).replace("&#39;", "'")
    assert "healthy" not in said
    for words in (
        "Broken file &lt;growth&gt;.yaml The file cannot be read, so none of its syncs runs.",
        "Missing lost Airflow has lost its DAG, so it does not run: its file cannot be read. · for 3 h",
        "Not watched growth.py cohort_freshness__growth is missing with it",
    ):
        assert words in said
    assert "../dags/cohort_file__%3Cgrowth%3E.yaml" in html
    assert "Missing" in text_of(client.get(history_of(lost)).text)


def test_a_first_file_that_cannot_be_read(client: TestClient, airflow: Airflow, session: Session) -> None:
    airflow.broken_file()
    session.commit()
    said = text_of(client.get("/").text)
    assert "Broken file growth.yaml" in said
    assert "No sync yet" not in said


def test_one_sync(client: TestClient, airflow: Airflow, session: Session) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=3), size=9000, added=1234, removed=56, tracked=4321)
    airflow.run(made[0], airflow.ago(days=2), "failed")
    airflow.good(made, airflow.ago(days=1), size=9300, unchanged=True)
    back = {"source": "snapshot", "snapshot_at": "2026-02-02T06:00:00Z"}
    airflow.good(made, airflow.ago(hours=2), size=9100, **back)
    airflow.run(made[0], airflow.ago(hours=1), "success", run_id="a dry run")
    session.commit()
    html = client.get(history_of(made)).text
    said = text_of(html)
    for words in (
        "1,234",
        "56",
        "9,300",
        "unchanged",
        "restored to 2026-02-02 06:00",
        "no report",
        "Failed",
        "scheduled",
        "amplitude_default",
        "100 unmatched",
        "4,321 added by this sync",
    ):
        assert words in said
    assert "../dags/cohort_sync__power_users/runs/a%20dry%20run/tasks/sync" in html
    (chart,) = re.findall(r"<svg class=\"large-chart\".*?</svg>", html, re.DOTALL)
    assert "9,000 members\n1,234 added\n56 removed" in chart
    assert "The run failed" in chart


def test_why_it_failed(client: TestClient, airflow: Airflow, session: Session) -> None:
    made = airflow.sync()
    run_id = airflow.failed(made[0], airflow.ago(hours=3), failure(), map_index=2)
    session.commit()
    for path in ("/", history_of(made)):
        html = client.get(path).text
        said = text_of(html).replace("&#39;", "'")
        assert (
            "Amplitude has no cohort 'a1b2c3d' in the project of connection 'amplitude_default'. "
            "The last run failed. No good sync is known."
        ) in said
        assert re.search(r"Failed [^.]* ago \. Nothing was written: the segment is as it was\.", said)
        assert f"{made[0]}/runs/{quote(run_id, safe='')}/tasks/sync/mapped/2" in html
        assert "Open the log" in said
    assert said.count("Amplitude has no cohort") == 2  # the second one is in the table of runs


def test_a_page_without_a_good_run_shows_what_is_known(
    client: TestClient, airflow: Airflow, session: Session
) -> None:
    made = airflow.sync(is_paused=True)
    for hours in (3, 2):
        airflow.failed(made[0], airflow.ago(hours=hours), failure())
    session.commit()
    (shown,) = re.findall(r'<dl class="tiles">.*?</dl>', client.get(history_of(made)).text, re.DOTALL)
    tiles = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", shown, re.DOTALL)
    ran = f"{airflow.ago(hours=2):%Y-%m-%d %H:%M}"
    assert [(name, text_of(value).strip()) for name, value in tiles] == [
        ("Last good sync", "None known"),
        ("Last run", f"2 h ago {ran}"),
        ("Failed in a row", "2"),
        ("Next run", "Paused"),
    ]


def test_a_sync_leads_to_both_vendors_and_to_airflow(
    client: TestClient, airflow: Airflow, session: Session
) -> None:
    made = airflow.sync()
    run_id = quote(airflow.good(made, airflow.ago(hours=1)), safe="")
    session.commit()
    page = history_of(made).lstrip("/")
    html = client.get("/").text
    assert f'<a href="{page.replace("&", "&amp;")}">power_users</a>' in html
    for shown in (html, client.get(history_of(made)).text):
        for address, text in {
            "https://analytics.amplitude.com/cohort/a1b2c3d": "Power users of the app",
            "https://fly.customer.io/workspaces/7/journeys/segments/17": "Power users",
        }.items():
            assert re.search(rf'<a [^>]*target="_blank"[^>]* href="{address}">{text}</a>', shown)
        said = text_of(shown)
        assert "Power users of the app a1b2c3d" in said
        assert "Power users 17" in said
    for link in ("", f"/runs/{run_id}", f"/runs/{run_id}/tasks/sync"):
        assert f'href="../dags/{made[0]}{link}"' in shown


@pytest.mark.parametrize(
    ("form", "starts"),
    [
        ([], ["Run now"]),
        (["dry_run"], ["Run now", "Dry run"]),
        (["dry_run", "source", "snapshot_at"], ["Run now", "Dry run", "Roll back…"]),
    ],
)
def test_what_can_be_started(
    client: TestClient, airflow: Airflow, session: Session, form: list[str], starts: list[str]
) -> None:
    made = airflow.sync()
    airflow.serialized(made[0], timezone="UTC", params=[[name, {}] for name in form])
    session.commit()
    (shown,) = re.findall(r'<div class="start">.*?</div>', client.get(history_of(made)).text, re.DOTALL)
    links = re.findall(r'<a [^>]*href="([^"]*)">([^<]*)</a>', shown)
    assert links == [(f"../dags/{made[0]}", title) for title in starts]


def test_what_to_choose_is_in_the_form() -> None:
    from airflow_provider_cio_cohort.overview import Dag
    from airflow_provider_cio_cohort.sync.parameters import TaskParameters
    from airflow_provider_cio_cohort.ui.words import starts

    fields, marks = TaskParameters.model_fields, TaskParameters.in_form()
    dag = Dag("a", "a", False, None, None, None, form=frozenset(marks))
    how = {one.title: one.how for one in starts(dag)}
    assert f"tick {fields['dry_run'].title}," in how["Dry run"]
    assert f"open {marks['source'].section}," in how["Roll back…"]
    assert f"set {fields['source'].title} to snapshot" in how["Roll back…"]
    assert f"{fields['snapshot_at'].title} to a time" in how["Roll back…"]


def test_times_are_in_the_timezone_of_the_sync(
    client: TestClient, airflow: Airflow, session: Session
) -> None:
    made = airflow.sync()
    airflow.serialized(made[0], timezone="Asia/Tokyo")
    airflow.good(made, airflow.ago(days=2), snapshot_at="2026-02-02T20:00:00Z")
    run_id = airflow.good(made, airflow.ago(hours=2))
    session.commit()
    ended = (airflow.ago(hours=2) + timedelta(minutes=5)).astimezone(ZoneInfo("Asia/Tokyo"))
    html = client.get(history_of(made)).text
    said = text_of(html)
    assert run_id in html or quote(run_id, safe="") in html
    assert "Times are in Asia/Tokyo." in said
    assert f"{ended:%Y-%m-%d %H:%M} Success" in said
    assert "restored to 2026-02-03 05:00" in said
    assert f"{ended:%Y-%m-%d %H:%M} Asia/Tokyo" in html  # the points of the chart
    assert f'title="{ended:%Y-%m-%d %H:%M} Asia/Tokyo"' in client.get("/").text


def test_a_run_that_was_cleared(client: TestClient, airflow: Airflow, session: Session) -> None:
    made = airflow.sync()
    first = airflow.good(made, airflow.ago(days=3), added=7)
    airflow.event(made, airflow.ago(hours=2), report(300, added=9), first)
    session.commit()
    said = text_of(client.get(history_of(made)).text)
    assert said.count("ran again since") == 1
    (earlier,) = re.findall(r"Success ran again since.*", said)
    assert " 7 " in earlier
    assert " 9 " not in earlier


def test_one_run_is_no_chart(client: TestClient, airflow: Airflow, session: Session) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(hours=2))
    session.commit()
    for path in ("/", history_of(made)):
        assert "<svg class=" not in client.get(path).text.replace('<svg class="meter"', "")
    airflow.good(made, airflow.ago(hours=1))
    session.commit()
    assert '<svg class="small-chart"' in client.get("/").text
    assert '<svg class="large-chart"' in client.get(history_of(made)).text


def test_the_exports_of_the_month_say_who_has_counted_them(
    client: TestClient, airflow: Airflow, session: Session
) -> None:
    made = airflow.sync()
    session.commit()
    assert "No export has been counted this month yet." in text_of(client.get("/").text)
    failed = airflow.run(made[0], airflow.ago(minutes=1), "failed")
    airflow.xcom(made[0], failed, "requested_export", {"requested_at": airflow.now.timestamp()})
    session.commit()
    assert "1 of 500 used. Amplitude has not reported this month; 1 run has requested an export." in text_of(
        client.get("/").text
    )


def test_a_sync_that_cannot_run(client: TestClient, airflow: Airflow, session: Session) -> None:
    airflow.dag("cohort_sync__broken", "cohort-sync", "config-error", timetable_summary="None")
    session.commit()
    html = client.get("/history?dag_id=cohort_sync__broken&task_id=sync").text
    said = text_of(html)
    assert "Its configuration has a mistake" in said.replace("&#39;", "'")
    assert 'href="../dags/cohort_sync__broken"' in html
    assert "Run now" not in said
    assert "None" not in said.replace("None known", "")


def test_a_sync_without_a_past(client: TestClient, airflow: Airflow, session: Session) -> None:
    made = airflow.sync()
    session.commit()
    assert "This sync has not run yet." in client.get(history_of(made)).text


def test_every_link_stays_below_airflow_or_leads_to_a_vendor(
    client: TestClient, airflow: Airflow, session: Session
) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=1))
    session.commit()
    for path in ("/", history_of(made)):
        links = re.findall(r'(?:href|src)="([^"]*)"', client.get(path).text)
        assert len(links) > 5
        others = [link for link in links if not re.match(r"\.\./|\./|static/|history\?|data:,$", link)]
        assert others == [
            "https://analytics.amplitude.com/cohort/a1b2c3d",
            "https://fly.customer.io/workspaces/7/journeys/segments/17",
        ]


# ---- whatever an event says


def test_a_hostile_reason(client: TestClient, airflow: Airflow, session: Session) -> None:
    made = airflow.sync()
    kept = failure(error=HOSTILE, reason=HOSTILE, segment=HOSTILE)
    airflow.failed(made[0], airflow.ago(hours=2), kept, HOSTILE, {"sync": "upstream_failed"})
    session.commit()
    for path in ("/", history_of(made)):
        html = client.get(path).text
        assert "onerror=alert(2)&gt;" in html
        assert re.findall(r"<(script|img)(?! src=\"static/)", html) == []


@pytest.mark.parametrize(
    "extra",
    [
        dict.fromkeys(("segment_name", "cohort_id", "segment_id", "mode", "exports_reset"), HOSTILE),
        dict.fromkeys(
            ("segment_after", "added", "removed", "match_rate", "identifiers", "duration"), HOSTILE
        ),
        {HOSTILE: HOSTILE},
        {
            "segment_after": 0,
            "added": 0,
            "removed": 0,
            "identifiers": 0,
            "match_rate": None,
            "unmatched": None,
        },
        {"segment_after": 10**15 - 1, "added": 10**15 - 1, "removed": 10**15 - 1, "duration": 1e14},
        {"segment_after": float("nan"), "match_rate": float("inf")},
        [],
    ],
)
def test_hostile_events(client: TestClient, airflow: Airflow, session: Session, extra: Any) -> None:
    made = airflow.sync(segment="%3Cscript%3Ealert%281%29%3C%2Fscript%3E", dag_display_name=HOSTILE)
    airflow.event(made, airflow.ago(hours=2), extra)
    airflow.event(made, airflow.ago(hours=1), extra, HOSTILE)
    session.commit()
    for path in ("/", history_of(made)):
        answer = client.get(path)
        assert answer.status_code == 200
        assert re.findall(r"<(script|img)(?! src=\"static/)", answer.text) == []
        assert "onerror=alert(2)&gt;" in answer.text or "onerror" not in answer.text
        assert "49" not in re.sub(r"\d{3,}|\d+[-:.]\d+", "", text_of(answer.text))


def test_a_dag_of_a_hostile_name(client: TestClient, airflow: Airflow, session: Session) -> None:
    dag_id = airflow.dag("dag", "cohort-sync", dag_display_name=HOSTILE, timetable_description=HOSTILE)
    airflow.writes(dag_id, "sync", f"customerio://{HOSTILE}/segments/name/{HOSTILE}")
    airflow.reads(dag_id, "sync", f"amplitude://{HOSTILE}/cohorts/{HOSTILE}")
    session.commit()
    answer = client.get("/")
    assert answer.status_code == 200
    assert re.findall(r"<(script|img)(?! src=\"static/)", answer.text) == []


# ---- charts


@pytest.mark.parametrize("runs", [2, 3, 30, 100])
@pytest.mark.parametrize(
    "extra", [{}, {"size": 0, "added": 0, "removed": 0}, {"added": 10**9}, {"removed": 3, "added": 0}]
)
def test_charts_are_well_formed(airflow: Airflow, runs: int, extra: dict[str, Any]) -> None:
    from airflow_provider_cio_cohort.overview import Moment
    from airflow_provider_cio_cohort.overview.reading import read_report
    from airflow_provider_cio_cohort.ui.charts import large_chart, small_chart

    reports = [
        read_report(NOW - timedelta(days=number), None, report(**extra)) for number in range(runs, 0, -1)
    ]
    moments = [Moment(one.at, None, one) for one in reversed(reports)]
    for chart in (small_chart(reports), large_chart(moments), large_chart(moments, narrow=True)):
        root = ElementTree.fromstring(chart)  # noqa: S314 (made by us)
        assert root.get("role") == "img"
        assert "added and" in (root.get("aria-label") or "")
        assert "nan" not in chart
        numbers = [float(found) for found in re.findall(r"(?<=[\" MLHVhv])-?\d+(?:\.\d+)?", chart)]
        assert all(-50 <= number <= 2_000_000_000_000 for number in numbers)
