"""What an alert says, and how it becomes the arguments of a notifier."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import BaseNotifier

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.alerts import message, sending
from airflow_provider_cio_cohort.alerts.message import Message
from airflow_provider_cio_cohort.alerts.rendering import rendered
from airflow_provider_cio_cohort.alerts.rules import Alert, Event
from tests.unit.alerts.messages import WHERE

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
HTTP = "airflow.providers.http.notifications.HttpNotifier"
HERE = f"{__name__}.Kept"


class Kept(BaseNotifier):
    """Keeps what it was to send."""

    template_fields = ("text", "title")
    sent: list[tuple[str, str]] = []  # noqa: RUF012

    def __init__(self, text: str, title: str = "", fails: bool = False) -> None:
        super().__init__()
        self.text, self.title, self.fails = text, title, fails

    def notify(self, context: Any) -> None:
        """Keep it, or fail."""
        if self.fails:
            raise OSError("nobody listens")
        self.sent.append((self.title, self.text))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    monkeypatch.setattr(Kept, "sent", kept)
    monkeypatch.setattr(sending, "find_notifier", lambda path: Kept)
    return kept


def about(*events: str, headline: str = "Cohort sync a failed: <b>.") -> Message:
    content = {"reason": "<b>.", "explanation": "One.\nTwo & three."}
    told = message.of_task(WHERE, "a", "failure", frozenset(events), "failed: <b>.", **content)
    assert told.headline == headline
    return told


def test_the_link_survives_what_a_run_is_called() -> None:
    assert about("failure").link.endswith(
        "/dags/cohort_sync__a/runs/manual__2026-11-24T00%3A00%3A00%2B00%3A00/tasks/sync"
    )


def test_a_headline_fits_on_a_pager() -> None:
    assert len(message.shorten("x" * 500)) == 160
    assert message.shorten("x" * 160) == "x" * 160


@pytest.mark.parametrize(
    ("on", "happened", "named"),
    [
        (("failure",), {"failure"}, "failure"),
        (("failure", "guard"), {"failure", "guard"}, "guard"),
        (("failure",), {"failure", "guard"}, "failure"),
        (("low_match", "recovery"), {"failure", "low_match"}, "low_match"),
        (("stale",), {"failure", "stale"}, "stale"),
    ],
)
def test_an_alert_names_the_event_that_it_is_sent_for(
    sent: list[tuple[str, str]], on: tuple[Event, ...], happened: set[str], named: str
) -> None:
    alert = Alert(HERE, on=on, arguments={"text": "{{ alert.event }}"})
    assert sending.send([alert], about(*happened), {})
    assert [text for _, text in sent] == [named]


def test_the_words_of_a_foreign_error_stay_in_the_house() -> None:
    line, whole = message.reason_of(KeyError("ann@example.com"))
    assert "ann@example.com" not in line + whole
    assert "KeyError" in line


def test_our_errors_are_told_in_full() -> None:
    error = exceptions.GuardTrippedError("It stopped.\nLook at the cohort.", ["large_removal"])
    error.consequence = "Nothing was written."
    assert message.reason_of(error) == (
        "It stopped.",
        "Nothing was written. Look at the cohort.",
    )


def test_what_is_not_given_is_the_usual(sent: list[tuple[str, str]]) -> None:
    assert sending.send([Alert(HERE)], about("failure"), {})
    assert sent == [("Cohort sync a failed: <b>.", rendered(about("failure"), "failure").text)]


def test_what_is_given_is_rendered(sent: list[tuple[str, str]]) -> None:
    given = {"text": "{{ alert.event }} of {{ alert.sync }}, {{ alert.details | length }}, {{ mine }}"}
    assert sending.send([Alert(HERE, arguments=given)], about("failure"), {"mine": 7})
    assert sent == [("Cohort sync a failed: <b>.", "failure of a, 17, 7")]


def test_only_whom_it_concerns_is_told_and_one_that_fails_stops_nobody(
    sent: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    alerts = [
        Alert(HERE, on=("recovery",)),
        Alert(HERE, arguments={"fails": True}),
        Alert(HERE, arguments={"nonsense": 1}),
        Alert(HERE, on=("guard", "failure"), arguments={"text": "once"}),
    ]
    assert sending.send(alerts, about("failure", "guard"), {}) == [alerts[-1].fingerprint]
    assert [text for _, text in sent] == ["once"]
    assert "nobody listens" in caplog.text
    assert "nonsense" in caplog.text


def test_an_alert_that_was_sent_is_left_out(sent: list[tuple[str, str]]) -> None:
    first, second = (Alert(HERE, arguments={"text": text}) for text in ("first", "second"))
    told = sending.send([first], about("failure"), {})
    assert sending.send([first, second], about("failure"), {}, told) == [
        first.fingerprint,
        second.fingerprint,
    ]
    assert [text for _, text in sent] == ["first", "second"]


def test_alerts_are_told_apart_by_all_that_they_are() -> None:
    alerts = [
        Alert(HTTP),
        Alert(SMTP),
        Alert(HTTP, ("failure",)),
        Alert(HTTP, arguments={"endpoint": "a"}),
        Alert(HTTP, match_rate_below=0.5),
    ]
    assert len({alert.fingerprint for alert in alerts}) == len(alerts)
    one, other = (
        Alert(HTTP, arguments=dict(pairs)) for pairs in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)])
    )
    assert one.fingerprint == other.fingerprint


def test_the_defaults_of_airflows_own_notifiers() -> None:
    mail: Any = sending.make_notifier(Alert(SMTP, arguments={"to": "a@example.com"}))
    assert (mail.subject, mail.html_content) == ("{{ alert.headline }}", "{{ alert.html }}")
    post: Any = sending.make_notifier(Alert(HTTP))
    assert set(post.json) == set(sending.FIELDS)
    assert post.data is None
    other: Any = sending.make_notifier(Alert(HTTP, arguments={"data": "{{ alert.text }}"}))
    assert other.json is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("airflow.providers.smtp.notifications.smtp.Nobody", "cannot be imported"),
        ("airflow.providers.nowhere.Notifier", "Install its provider"),
        ("json.JSONDecoder", "is not an Airflow notifier"),
    ],
)
def test_what_is_no_notifier(path: str, words: str) -> None:
    with pytest.raises(sending.NotifierError, match=words):
        sending.make_notifier(Alert(path))


def test_an_alert_survives_airflows_database() -> None:
    alert = Alert(SMTP, ("failure", "low_match"), {"to": ["a@example.com"]}, 0.5)
    assert Alert.from_dict(json.loads(json.dumps(alert.to_dict()))) == alert
