"""Who is told of what in real Airflow: by a real SMTP server and receivers of JSON on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.crashes import Broken, hold, wait_until_held
from tests.system.helpers import PERSON, answer, fill, finish_exports, run
from tests.system.receivers import SLACK, Receivers, receiving, text_of

pytestmark = pytest.mark.system

FRESHNESS = "cohort_freshness__alerted_syncs"


@pytest.fixture(scope="module")
def told(airflow: AirflowInstance) -> Iterator[Receivers]:
    """Both receivers, with the connections that lead to them."""
    with receiving() as received:
        smtp = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@example.com"}
        for conn_id, fields in {
            "smtp_alerts": {"conn_type": "smtp", "port": received.smtp_port, "extra": json.dumps(smtp)},
            "http_alerts": {"conn_type": "http", "port": received.http_port},
            "slack_alerts": {
                "conn_type": "slackwebhook",
                "host": f"http://127.0.0.1:{received.http_port}",
                "password": f"{SLACK}T0/B0/x",
            },
        }.items():
            body = {"connection_id": conn_id, "host": "127.0.0.1", **fields}
            airflow.api("POST", "connections", body)
        yield received


def link(airflow: AirflowInstance, dag_id: str, run_id: str, task_id: str = "sync") -> str:
    return f"{airflow.url}/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/{task_id}"


def test_a_failure_is_told_once_after_the_last_try_and_the_recovery_once(
    airflow: AirflowInstance, vendors: Sandbox, told: Receivers
) -> None:
    fill(vendors, "a1ertaa", PERSON, f"{PERSON}-1")
    vendors.faults.add("status", api="amplitude", path=r"/request/a1ertaa$", status=400, body={})
    run_id, state = run(airflow, "cohort_sync__alerted")
    vendors.faults.clear()
    assert state == "failed"
    [mail] = airflow.wait_until(lambda: told.mails_about("alerted failed"), "the mail")
    [post] = airflow.wait_until(lambda: told.posts_about("alerted", "failure"), "the post")
    assert mail["To"] == "oncall@example.com"
    assert len(mail["Subject"]) <= 160
    where = link(airflow, "cohort_sync__alerted", run_id)
    assert where in text_of(mail)
    assert (post["link"], post["run_id"]) == (where, run_id)
    assert "400" in post["headline"]
    assert post["headline"] not in post["details"]
    for _ in range(2):
        assert run(airflow, "cohort_sync__alerted")[1] == "success"
    [mail] = airflow.wait_until(lambda: told.mails_about("alerted has recovered"), "the mail")
    assert "2 added, 0 removed, 2 members now" in mail["Subject"]
    assert len(told.posts_about("alerted", "recovery")) == 1


def test_a_retry_is_not_told(airflow: AirflowInstance, vendors: Sandbox, told: Receivers) -> None:
    before = told.posts_about("alerted", "failure")
    vendors.faults.add("job_failed", api="amplitude", path=r"/request/a1ertaa$")
    run_id, state = run(airflow, "cohort_sync__alerted")
    assert state == "success"
    assert airflow.task("cohort_sync__alerted", run_id)["try_number"] == 2
    assert told.posts_about("alerted", "failure") == before


def test_a_guard_and_a_low_match_rate_are_told(
    airflow: AirflowInstance, vendors: Sandbox, told: Receivers
) -> None:
    fill(vendors, "a1ertaa", PERSON, *(f"{PERSON}-unknown-{n}" for n in range(9)), known=False)
    assert run(airflow, "cohort_sync__alerted")[1] == "success"
    [post] = airflow.wait_until(lambda: told.posts_about("alerted", "low_match"), "the post")
    assert "matches only 10.0% of its cohort (alert below 80%)" in post["headline"]
    assert run(airflow, "cohort_sync__alerted")[1] == "success"
    fill(vendors, "a1ertaa")
    assert run(airflow, "cohort_sync__alerted")[1] == "failed"
    [mail] = airflow.wait_until(lambda: told.mails_about("alerted failed: Guard"), "the mail")
    assert "Nothing was written" in text_of(mail)
    assert len(told.posts_about("alerted", "guard")) == 1
    assert len(told.posts_about("alerted", "failure")) == 1
    assert len(told.posts_about("alerted", "low_match")) == 1
    assert PERSON not in json.dumps(told.posts) + "".join(mail.as_string() for mail in told.mails)


def test_an_approval_is_asked_for_by_mail_and_in_slack_and_its_rejection_is_told(
    airflow: AirflowInstance, vendors: Sandbox, told: Receivers
) -> None:
    dag_id = "cohort_sync__alerted_approval"
    fill(vendors, "a1ertcc", PERSON)
    assert run(airflow, dag_id)[1] == "success"
    fill(vendors, "a1ertcc")
    run_id = airflow.trigger(dag_id)
    [mail] = airflow.wait_until(lambda: told.mails_about("waits for an approval"), "the mail")
    where = f"{link(airflow, dag_id, run_id, 'approve')}/required_actions"
    for part in (text_of(mail), text_of(mail, "text/plain")):
        assert where in part
        assert "Removed" in part
        assert "the cohort is empty" in part
        assert "|---" not in part
    [slack] = airflow.wait_until(lambda: told.slack, "the post to Slack")
    assert "waits for an approval" in slack["text"]
    assert [block["type"] for block in slack["blocks"]] == [
        "header", "section", "section", "section", "section", "section", "context",
    ]  # fmt: skip
    assert where in json.dumps(slack["blocks"])
    assert "Removed\\n1" in json.dumps(slack["blocks"])

    answer(airflow, dag_id, run_id, "Reject")
    assert airflow.wait_for_run(dag_id, run_id) == "failed"
    [post] = airflow.wait_until(lambda: told.posts_about("alerted_approval", "failure"), "the post")
    assert "rejected the change" in post["headline"]
    [mail] = airflow.wait_until(lambda: told.mails_about("alerted_approval failed"), "the mail")
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert text_of(mail).count("rejected the change") == 2  # in the title, which is not shown, and once below
    assert text_of(mail, "text/plain").count("rejected the change") == 1
    airflow.wait_until(lambda: len(told.slack) == 2, "the post to Slack")
    for task_id in ("plan", "approve"):
        assert "KeyError" not in airflow.log(dag_id, run_id, task_id)


def test_a_killed_task_is_told(airflow: AirflowInstance, vendors: Sandbox, told: Receivers) -> None:
    vendors.configure(export_seconds=0)
    held = hold(vendors, "writing", times=1, seconds=3)
    broken = Broken(airflow, vendors, "alerted_killed", "a1ertbb").start()
    wait_until_held(airflow, held, 1)
    broken.kill("task")
    assert airflow.wait_for_run(broken.dag_id, broken.run_id) == "failed"

    def posts() -> list[dict]:  # of this run: the test may run a second time
        about = told.posts_about("alerted_killed", "failure")
        found = [post for post in about if post["run_id"] == broken.run_id]
        if not found:
            # A callback that comes while its file is being processed waits for the file's next turn.
            (airflow.home / "dags" / "alerted_syncs.py").touch()
        return found

    [post] = airflow.wait_until(posts, "the post")
    assert "exited without reporting an error" in post["headline"]
    assert "was killed or ran out of memory" in post["details"]
    assert post["link"] == link(airflow, broken.dag_id, broken.run_id)
    vendors.configure(export_seconds=0.5)
    assert run(airflow, broken.dag_id)[1] == "success"
    airflow.wait_until(lambda: told.posts_about("alerted_killed", "recovery"), "the recovery")


def test_a_run_that_is_stuck_misses_its_deadline(
    airflow: AirflowInstance, vendors: Sandbox, told: Receivers
) -> None:
    fill(vendors, "a1ertdd", PERSON)
    vendors.configure(export_seconds=600)
    airflow.unpause("cohort_sync__alerted_stuck")
    run_id = airflow.trigger("cohort_sync__alerted_stuck")
    [mail] = airflow.wait_until(lambda: told.mails_about("alerted_stuck is stuck"), "the mail")
    assert "has not ended within 0.2m" in mail["Subject"]
    where = f"{airflow.url}/dags/cohort_sync__alerted_stuck/runs/{quote(run_id, safe='')}"
    assert where in text_of(mail)

    def posts() -> list[dict]:  # the freshness DAG may have told that there was no good run as yet
        return [post for post in told.posts_about("alerted_stuck", "stale") if post["run_id"]]

    [post] = airflow.wait_until(posts, "the post")
    assert post["run_id"] == run_id
    finish_exports(vendors)
    assert airflow.wait_for_run("cohort_sync__alerted_stuck", run_id) == "success"


def test_a_paused_sync_is_noticed_once_and_its_recovery_too(
    airflow: AirflowInstance, vendors: Sandbox, told: Receivers
) -> None:
    dag_id = "cohort_sync__alerted_paused"
    fill(vendors, "a1ertee", PERSON)
    assert run(airflow, dag_id)[1] == "success"
    airflow.api("PATCH", f"dags/{dag_id}", {"is_paused": True})

    def look() -> list[dict]:
        airflow.wait_for_run(FRESHNESS, airflow.trigger(FRESHNESS))
        return told.posts_about("alerted_paused", "stale")

    told.posts.clear()  # until the first run, it was told to be stale, too
    [post] = airflow.wait_until(look, "the freshness DAG to notice", 150)
    assert "no good run for" in post["headline"]
    assert "Its DAG is paused" in post["details"]
    run_id = airflow.trigger(FRESHNESS)
    assert airflow.wait_for_run(FRESHNESS, run_id) == "failed"
    assert "alerted_paused has had no good run" in airflow.log(FRESHNESS, run_id, "look")
    assert len(told.posts_about("alerted_paused", "stale")) == 1
    assert run(airflow, dag_id)[1] == "success"
    airflow.wait_until(lambda: told.posts_about("alerted_paused", "recovery"), "the recovery")
    airflow.api("PATCH", f"dags/{FRESHNESS}", {"is_paused": True})


SYNCS = """\
defaults:
  cadence: manual
  max_age: 1d
  alerts:
    - notifier: airflow.providers.http.notifications.HttpNotifier
      arguments: {http_conn_id: http_alerts, endpoint: alerts}
syncs:
  - name: of_NAME
    cohort_id: a1ertff
    segment_name: Of NAME
"""


def test_a_file_that_cannot_be_read_is_told_and_shown_and_takes_no_other_along(
    airflow: AirflowInstance, told: Receivers
) -> None:
    for name in ("growth", "sales"):
        folder = airflow.home / "dags" / name
        folder.mkdir()
        (folder / "syncs.yaml").write_text(SYNCS.replace("NAME", name))
        loader = (airflow.home / "dags" / "alerted_syncs.py").read_text()
        (folder / "syncs.py").write_text(re.sub(r"\w+\.yaml", "syncs.yaml", loader))
    watches = [f"cohort_freshness__{name}__syncs" for name in ("growth", "sales")]
    airflow.wait_until(lambda: {"cohort_sync__of_growth", *watches} <= airflow.dag_ids(), "the DAGs", 120)
    for watch in watches:  # the worker finds it by the same id
        assert airflow.wait_for_run(watch, airflow.trigger(watch)) == "success"

    yaml = airflow.home / "dags" / "growth" / "syncs.yaml"
    sound = yaml.read_text()
    yaml.write_text(sound.replace("    cohort_id", "\tcohort_id"))
    yaml.with_suffix(".py").touch()
    file = "cohort_file__growth__syncs"
    airflow.wait_until(lambda: file in airflow.dag_ids(), "the DAG of the file", 120)
    for _ in range(2):  # as the schedule does it
        body = {"logical_date": datetime.now(UTC).isoformat()}
        run_id = airflow.api("POST", f"dags/{file}/dagRuns", body)["dag_run_id"]
        assert airflow.wait_for_run(file, run_id) == "failed"
    assert "syncs.yaml:9: the file is not valid YAML" in airflow.log(file, run_id, "read")
    [post] = told.posts_about("syncs.yaml", "failure")
    assert "syncs.yaml cannot be read, so none of its syncs runs." in post["headline"]
    assert post["link"].endswith(f"/dags/{file}")

    airflow.wait_until(lambda: "cohort_sync__of_growth" not in airflow.dag_ids(), "the sync to be gone", 180)
    with pytest.raises(RuntimeError) as no:
        airflow.command("cohort-sync", "status")
    for words in (
        "syncs.yaml: The file cannot be read",
        "of_growth: Airflow has lost its DAG",
        f"{watches[0]} is missing with it",
    ):
        assert words in str(no.value)
    assert watches[1] in airflow.dag_ids()

    yaml.write_text(sound)
    yaml.with_suffix(".py").touch()
    airflow.wait_until(
        lambda: "cohort_sync__of_growth" in airflow.dag_ids() and file not in airflow.dag_ids(),
        "the sync to be back",
        180,
    )
    assert "of_growth" in airflow.command("cohort-sync", "status", "of_growth")
