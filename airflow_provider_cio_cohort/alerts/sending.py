"""Creates the notifier of an alert and sends a message with it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
from collections.abc import Collection, Iterable, Mapping
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

from airflow.sdk import BaseNotifier

from airflow_provider_cio_cohort.alerts.message import Message
from airflow_provider_cio_cohort.alerts.redaction import mask, mask_async, scrub
from airflow_provider_cio_cohort.alerts.rendering import rendered
from airflow_provider_cio_cohort.alerts.rules import Alert

log = logging.getLogger(__name__)

#: The fields of an alert that is sent as JSON.
FIELDS = ("event", "sync", "headline", "details", "link", "dag_id", "run_id")


class _Blocks:
    """Stands for the blocks until a message is sent; a template can only become text."""

    def resolve(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the blocks; called by Airflow where it renders templates."""
        blocks: list[dict[str, Any]] = context["alert"].slack["blocks"]
        return blocks


#: The usual arguments of Airflow's notifiers, with their defaults. Of each group, the first argument that a
#: notifier has is used, unless an argument of the group is given.
_USUAL: tuple[dict[str, Any], ...] = (
    {"subject": "{{ alert.headline }}", "summary": "{{ alert.headline }}", "title": "{{ alert.headline }}"},
    {
        "html_content": "{{ alert.html }}",
        "text": "{{ alert.text }}",
        "message": "{{ alert.text }}",
        "content": "{{ alert.text }}",
        "body": "{{ alert.text }}",
        "json": {name: f"{{{{ alert.{name} }}}}" for name in FIELDS},
        "data": "{{ alert.text }}",
    },
)
#: Those of a notifier with ``blocks``, which only Slack's have. With blocks, Slack shows the text in its
#: notifications only; so with a text of one's own, there are none.
_USUAL_OF_SLACK: tuple[dict[str, Any], ...] = (
    {"blocks": _Blocks(), "text": None, "attachments": None},
    {"text": "{{ alert.slack.text }}"},
)


class NotifierError(ValueError):
    """The notifier of an alert cannot be created; the message says why, and what to do."""


def find_notifier(path: str) -> type[BaseNotifier]:
    """
    Import a notifier's class.

    :raises NotifierError: if there is no such class, or it is not a notifier.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise NotifierError(
            f"The notifier {path} cannot be imported ({error}). Install its provider where Airflow's tasks, "
            "DAG processor and triggerer run, or correct the path."
        ) from None
    if not (inspect.isclass(found) and issubclass(found, BaseNotifier)):
        raise NotifierError(
            f"{path} is not an Airflow notifier: it must be a class derived from BaseNotifier."
        )
    return found


def make_notifier(alert: Alert) -> BaseNotifier:
    """
    Create the notifier of an alert, with the usual arguments where none are given.

    :raises NotifierError: if it cannot be imported, or does not accept the arguments.
    """
    kind = find_notifier(alert.notifier)
    arguments = {**_usual(kind, alert.arguments), **alert.arguments}
    try:
        return kind(**arguments)
    except Exception as error:
        raise NotifierError(
            f"The notifier {alert.notifier} does not accept its arguments: {scrub(str(error))}"
        ) from None


def _usual(kind: type[BaseNotifier], given: Mapping[str, Any]) -> dict[str, Any]:
    accepted = inspect.signature(kind).parameters
    usual = {}
    for names in _USUAL_OF_SLACK if "blocks" in accepted else _USUAL:
        if not any(name in given for name in names):
            usual.update(next(({name: value} for name, value in names.items() if name in accepted), {}))
    return usual


def send(
    alerts: Iterable[Alert], message: Message, context: Mapping[str, Any], sent: Collection[str] = ()
) -> list[str]:
    """
    Send a message with all alerts that it concerns; a failure does not stop the others.

    :param context: the context of the task, for templates.
    :param sent: the fingerprints of the alerts that were sent before, and are left out.
    :return: the fingerprints of all alerts that were sent, before or now, as far as the notifiers report.
    """
    done = []
    for alert in alerts:
        if not alert.concerns(message.events):
            continue
        if alert.fingerprint not in sent:
            hidden: list[str] = []
            try:
                notifier, whole = _ready(alert, message, context)
                hidden = mask(notifier, alert.arguments)
                notifier.notify(whole)
            except Exception as error:
                _complain(alert, message, error, hidden)
                continue
            log.info("%s sent the alert: %s", alert.notifier, alert.event_of(message.events))
        done.append(alert.fingerprint)
    return done


async def send_async(alerts: Iterable[Alert], message: Message, context: Mapping[str, Any]) -> None:
    """
    Send a message from the triggerer, without blocking its loop.

    :param context: Airflow's context there, for templates.
    """
    for alert in alerts:
        if alert.concerns(message.events):
            hidden: list[str] = []
            try:
                notifier, whole = _ready(alert, message, context)
                hidden = await mask_async(notifier, alert.arguments)
                if type(notifier).async_notify is not BaseNotifier.async_notify:
                    await notifier.async_notify(whole)
                else:
                    await asyncio.to_thread(notifier.notify, whole)
            except Exception as error:
                _complain(alert, message, error, hidden)
            else:
                log.info("%s sent the alert: %s", alert.notifier, alert.event_of(message.events))


def _ready(alert: Alert, message: Message, context: Mapping[str, Any]) -> tuple[BaseNotifier, Any]:
    """Return the notifier with its templates rendered, and the context for it."""
    variable = rendered(message, alert.event_of(message.events))
    whole: Any = {**context, "alert": variable}
    notifier = make_notifier(alert)
    # Not by BaseNotifier.__call__, which only logs errors and does not raise them.
    notifier.render_template_fields(whole)
    if getattr(notifier, "html_content", None) == variable.html:
        _add_text(notifier, variable.text)
    return notifier, whole


def _complain(alert: Alert, message: Message, error: Exception, hidden: Iterable[str]) -> None:
    if isinstance(error, NotifierError):
        reason = str(error)
    else:
        reason = f"{type(error).__name__}: {scrub(str(error), hidden)}"
    log.error(
        "The alert '%s' could not be sent by %s (%s). Check the notifier's arguments and its connection.",
        message.headline,
        alert.notifier,
        reason,
    )


# ---- mails: on its own, Airflow's notifier sends HTML only


def _add_text(notifier: Any, text: str) -> None:
    """Let the mail of Airflow's ``SmtpNotifier`` have a text beside its HTML, for readers that show none."""
    hook = getattr(notifier, "hook", None)
    build = getattr(hook, "_build_mime_message", None)
    if build is None:
        return

    def build_with_text(*args: Any, **kwargs: Any) -> tuple[MIMEMultipart, list[str]]:
        mail, recipients = build(*args, **kwargs)
        mail.set_payload([_beside(text, part) for part in mail.get_payload()])
        return mail, recipients

    hook._build_mime_message = build_with_text  # type: ignore[union-attr]


def _beside(text: str, part: Any) -> Any:
    """Return the HTML of a mail with a text beside it; a file as it is."""
    if part.get_content_type() != "text/html":
        return part
    both = MIMEMultipart("alternative")
    both.attach(MIMEText(text, "plain", part.get_content_charset("utf-8")))
    both.attach(part)  # readers show the last part that they can
    return both
