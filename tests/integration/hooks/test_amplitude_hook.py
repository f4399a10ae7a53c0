from __future__ import annotations

import asyncio
import csv
import logging
from pathlib import Path

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks import amplitude_api, retry
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.export_status import open_status_client

ROWS = [
    {"amplitude_id": "1", "user_id": "u-1", "mail": "a@example.com"},
    {"amplitude_id": "2", "user_id": "", "mail": 'say "hi",\nthere é'},
]


@pytest.fixture
def hook(sandbox) -> AmplitudeHook:
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=ROWS)
    return AmplitudeHook()


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def finish(hook: AmplitudeHook, request_id: str) -> None:
    while not hook.export_finished(request_id):
        pass


def test_list_and_find(hook: AmplitudeHook, sandbox) -> None:
    sandbox.project.add_cohort(id="arch1ved", name="Old", rows=[], archived=True)
    sandbox.project.add_cohort(id="gr0up5x", name="Accounts", rows=[], group="Company")
    found = {cohort.id: cohort for cohort in hook.list_cohorts()}
    assert found["a1b2c3d"].name == "Power users"
    assert (found["a1b2c3d"].size, found["a1b2c3d"].group, found["a1b2c3d"].archived) == (2, "User", False)
    assert found["gr0up5x"].group == "Company"
    assert hook.find_cohort("a1b2c3d") == found["a1b2c3d"]
    assert hook.find_cohort("unknown") is None


def test_an_export_from_request_to_file(hook: AmplitudeHook, sandbox, tmp_path: Path) -> None:
    before = hook.usage()
    request_id = hook.request_export("a1b2c3d", "mail")
    finish(hook, request_id)
    path = tmp_path / "export.csv"
    assert hook.download_export(request_id, path) == path.stat().st_size
    assert [row["mail"] for row in read(path)] == [row["mail"] for row in ROWS]
    assert [entry.name for entry in tmp_path.iterdir()] == ["export.csv"]
    assert (before.limit, hook.usage().used) == (500, before.used + 1)


def test_only_the_mapped_property_is_asked_for(hook: AmplitudeHook, sandbox) -> None:
    hook.request_export("a1b2c3d", "mail")
    hook.request_export("a1b2c3d", "gp:mail")
    hook.request_export("a1b2c3d", "user_id")
    hook.request_export("a1b2c3d", "amplitude_id")
    queries = [r.query for r in sandbox.requests if "/request/" in r.path]
    assert [query.get("propKeys") for query in queries] == [["mail"], ["mail"], None, None]
    assert [query.get("props") for query in queries] == [["1"], ["1"], None, None]


def test_a_large_file_lies_behind_a_signed_url_that_gets_no_key(hook, sandbox, tmp_path, monkeypatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    rows = [{"amplitude_id": str(n), "user_id": f"u-{n}"} for n in range(20_000)]
    sandbox.project.add_cohort(id="large1x", name="Large", rows=rows)
    request_id = hook.request_export("large1x")
    finish(hook, request_id)
    hook.download_export(request_id, tmp_path / "export.csv")
    assert len(read(tmp_path / "export.csv")) == 20_000
    assert sandbox.count(api="storage") == 1


def test_a_request_costs_an_export_but_asking_and_downloading_again_does_not(hook, sandbox, tmp_path) -> None:
    request_id = hook.request_export("a1b2c3d")
    finish(hook, request_id)
    for _ in range(3):
        hook.download_export(request_id, tmp_path / "export.csv")
    assert hook.usage().used == 1


@pytest.mark.parametrize(("action", "counted"), [("reset_after", 1), ("status", 0)])
def test_a_request_of_which_nobody_knows_whether_it_was_counted_is_sent_once(
    hook: AmplitudeHook, sandbox, action: str, counted: int
) -> None:
    sandbox.faults.add(action, path="/request/")
    with pytest.raises(exceptions.VendorUnavailableError, match=r"Amplitude may have counted it .* another"):
        hook.request_export("a1b2c3d")
    assert hook.usage().used == counted


def test_a_request_that_was_not_counted_does_not_say_so(connect) -> None:
    hook = AmplitudeHook(connect("amplitude_default", host="http://127.0.0.1:9"))
    hook.policy = type(hook.policy)(retry_timeout=0.1, retry_wait_initial=0.01)
    with pytest.raises(exceptions.VendorUnavailableError) as caught:
        hook.request_export("a1b2c3d")
    assert "counted" not in str(caught.value)


def test_the_log_says_why_nothing_happens(hook: AmplitudeHook, sandbox, monkeypatch, caplog) -> None:
    monkeypatch.setattr(retry, "MIN_LOGGED_WAIT", 0)
    sandbox.faults.add("status", api="amplitude", status=503, times=3)
    with caplog.at_level(logging.WARNING):
        assert hook.list_cohorts()
    told = [record.getMessage() for record in caplog.records if "Trying again" in record.getMessage()]
    assert len(told) == 1  # the others come within progress_interval
    assert told[0].startswith("Amplitude ")
    assert "\n" not in told[0]


def test_a_storage_that_is_busy_says_how_long(hook: AmplitudeHook, sandbox, tmp_path: Path) -> None:
    sandbox.configure(inline_rows=0)
    request_id = hook.request_export("a1b2c3d")
    finish(hook, request_id)
    busy = {"status": 429, "headers": {"Retry-After": "600"}}
    met = sandbox.faults.add("status", api="storage", times=0, **busy)
    with pytest.raises(
        exceptions.RateLimitedError, match=r"(?s)storage of .*It asked to wait 600 s"
    ) as caught:
        hook.download_export(request_id, tmp_path / "export.csv")
    assert (caught.value.retry_after, met.met) == (600, 1)


def test_an_unknown_cohort_says_where_the_id_is_found(hook: AmplitudeHook) -> None:
    with pytest.raises(
        exceptions.UnknownCohortError, match=r"(?s)no cohort 'nothere1'.*last part of the cohort's"
    ):
        hook.request_export("nothere1")


def test_an_unknown_export(hook: AmplitudeHook, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__RETRY_TIMEOUT", "0.1")
    impatient = AmplitudeHook()
    with pytest.raises(exceptions.ExportFailedError):
        impatient.export_finished("nosuchjob")
    with pytest.raises(exceptions.ExportFailedError, match="A retry requests a new export"):
        impatient.download_export("nosuchjob", tmp_path / "export.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"login": "wrong-key-1"}, exceptions.AuthenticationError, "API key (field login)"),
        ({"password": "wrong-key-2"}, exceptions.AuthenticationError, "secret key (field password)"),
    ],
)
def test_a_wrong_key_is_named(sandbox, connect, fields, error, words) -> None:
    hook = AmplitudeHook(connect("amplitude_default", **fields))
    ok, message = hook.test_connection()
    assert not ok
    assert words in message
    assert "wrong-key" not in message
    with pytest.raises(error):
        hook.check()


def test_a_project_in_the_other_region_is_found(sandbox, connect, monkeypatch) -> None:
    hosts = {"us": sandbox.urls["amplitude_us"], "eu": sandbox.urls["amplitude_eu"]}
    monkeypatch.setattr(amplitude_api, "HOSTS", hosts)
    wrong = AmplitudeHook(connect("amplitude_default", host="", extra={"region": "eu"}))
    with pytest.raises(exceptions.WrongRegionError, match="lives in the region 'us', not 'eu'"):
        wrong.check()
    right = AmplitudeHook(connect("amplitude_default", host="", extra={"region": "us"}))
    assert right.test_connection()[0]


def test_a_plan_without_the_cohort_api_is_told_in_amplitudes_words(sandbox, connect) -> None:
    sandbox.add_project(api_key="free-key-123", secret_key="free-secret-123", paid=False)
    conn_id = connect("amplitude_default", login="free-key-123", password="free-secret-123")
    with pytest.raises(exceptions.AmplitudePlanError, match="Growth or Enterprise"):
        AmplitudeHook(conn_id).check()


def test_a_working_connection_says_so_and_tells_the_quota(hook: AmplitudeHook) -> None:
    ok, message = hook.test_connection()
    assert ok
    assert "0 of 500" in message


def test_nobody_listens(connect) -> None:
    hook = AmplitudeHook(connect("amplitude_default", host="http://127.0.0.1:9"))
    hook.policy = type(hook.policy)(retry_timeout=0.1, retry_wait_initial=0.01)
    with pytest.raises(exceptions.VendorUnavailableError, match="no connection could be made"):
        hook.list_cohorts()


def test_the_event_loop_asks_like_the_hook(hook: AmplitudeHook) -> None:
    request_id = hook.request_export("a1b2c3d")

    async def ask() -> bool:
        async with open_status_client("amplitude_default") as client:
            while not await client.export_finished(request_id):
                await asyncio.sleep(0.01)
            with pytest.raises(exceptions.ExportFailedError):
                await client.export_finished("nosuchjob")
            return True

    assert asyncio.run(ask())


@pytest.mark.parametrize(
    ("action", "words"),
    [("reset_before", "the connection broke"), ("stall", "no answer came in time"), (None, "no connection")],
)
def test_the_event_loop_says_why_nobody_answered(
    sandbox, connect, monkeypatch, action: str | None, words: str
) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__READ_TIMEOUT", "0.3")
    host = sandbox.urls["amplitude_us"] if action else "http://127.0.0.1:9"
    if action:
        sandbox.faults.add(action, path="/request-status/", times=0)

    async def ask() -> None:
        async with open_status_client(connect("amplitude_default", host=host)) as client:
            await client.export_finished("1")

    with pytest.raises(exceptions.VendorUnavailableError, match=words):
        asyncio.run(ask())


def test_a_stopped_hook_sends_nothing(hook: AmplitudeHook, sandbox) -> None:
    hook.stop()
    with pytest.raises(exceptions.SyncStoppedError):
        hook.list_cohorts()
    assert sandbox.count(api="amplitude") == 0


def test_run_is_for_calls_of_ones_own(hook: AmplitudeHook) -> None:
    assert [c["id"] for c in hook.run("/api/3/cohorts", {"includeSyncInfo": "true"})["cohorts"]] == [
        "a1b2c3d"
    ]
    with pytest.raises(exceptions.ConfigurationError):
        hook.run("/api/3/cohorts", headers={"X": "y"})
