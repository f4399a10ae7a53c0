"""What Airflow's own notifiers send, to a mail server and a webhook on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from email.message import Message as Mail
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.alerts import sending
from airflow_provider_cio_cohort.alerts.rendering import rendered
from airflow_provider_cio_cohort.alerts.rules import Alert
from tests.system.receivers import SLACK, Receivers, receiving, text_of
from tests.unit.alerts.messages import HOSTILE, of_kind
from tests.unit.alerts.test_messages import HTTP, SMTP

WEBHOOK = "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier"
TOLD = of_kind("guard")
SHOWN = rendered(TOLD, "guard")


@pytest.fixture(scope="module")
def receivers() -> Iterator[Receivers]:
    with receiving() as received:
        yield received


@pytest.fixture
def received(receivers: Receivers, monkeypatch: pytest.MonkeyPatch) -> Receivers:
    """Both, with the connections that lead to them."""
    smtp = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@example.com"}
    address = f"http://127.0.0.1:{receivers.http_port}"
    for conn_id, fields in {
        "smtp_default": {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": receivers.smtp_port,
            "extra": smtp,
        },
        "slack_default": {"conn_type": "slackwebhook", "host": address, "password": f"{SLACK}T0/B0/x"},
        "http_default": {"conn_type": "http", "host": address},
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
    for kept in (receivers.mails, receivers.posts, receivers.slack):
        kept.clear()
    return receivers


@pytest.fixture(params=["task", "triggerer"])
def send(request: pytest.FixtureRequest) -> Any:
    def how(notifier: str, **arguments: Any) -> None:
        alert = Alert(notifier, arguments=arguments)
        if request.param == "task":
            assert sending.send([alert], TOLD, {}) == [alert.fingerprint]
        else:
            asyncio.run(sending.send_async([alert], TOLD, {}))

    return how


def types(mail: Mail) -> list[str]:
    return [part.get_content_type() for part in mail.walk()]


def test_a_mail_has_html_and_plain_text(received: Receivers, send: Any, tmp_path: Path) -> None:
    file = tmp_path / "notes.pdf"
    file.write_bytes(b"%PDF")
    send(SMTP, to="oncall@example.com", files=[str(file)])
    [mail] = received.mails
    assert types(mail) == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/octet-stream",
    ]
    assert text_of(mail, "text/plain").replace("\r\n", "\n") == SHOWN.text
    assert text_of(mail).replace("\r\n", "\n") == SHOWN.html
    assert HOSTILE in text_of(mail, "text/plain")


def test_a_mail_of_ones_own_stays_as_it_is(received: Receivers, send: Any) -> None:
    send(SMTP, to="oncall@example.com", html_content="<p>{{ alert.event }}</p>")
    [mail] = received.mails
    assert types(mail) == ["multipart/mixed", "text/html"]
    assert text_of(mail).strip() == "<p>guard</p>"


def test_slack_gets_blocks_and_a_text(received: Receivers, send: Any) -> None:
    send(WEBHOOK)
    [post] = received.slack
    assert {name: post[name] for name in ("text", "blocks")} == SHOWN.slack


def test_slack_without_its_provider(received: Receivers, send: Any) -> None:
    send(
        HTTP,
        endpoint=f"{SLACK}T0/B0/x",
        headers={"Content-Type": "application/json"},
        data="{{ alert.slack | tojson }}",
    )
    assert received.slack == [SHOWN.slack]


def test_a_text_of_ones_own_has_no_blocks(received: Receivers, send: Any) -> None:
    send(WEBHOOK, text="{{ alert.event }}")
    [post] = received.slack
    assert post["text"] == "guard"
    assert not post.get("blocks")
