"""Creates the notifier of an alert and sends a message with it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airflow.sdk import BaseNotifier

from airflow_provider_cio_cohort.alerts.message import FIELDS, Message
from airflow_provider_cio_cohort.alerts.redaction import mask, mask_async, scrub
from airflow_provider_cio_cohort.alerts.rules import Alert

log = logging.getLogger(__name__)

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


class NotifierError(ValueError):
    """The notifier of an alert cannot be created; the message says why, and what to do."""


def find_notifier(path: str) -> type[BaseNotifier]:
    """
    Import a notifier's class.

    :param path: its dotted path.
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

    :param alert: the alert.
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
    for names in _USUAL:
        if not any(name in given for name in names):
            usual.update(next(({name: value} for name, value in names.items() if name in accepted), {}))
    return usual


def send(
    alerts: Iterable[Alert], message: Message, context: Mapping[str, Any], sent: Collection[str] = ()
) -> list[str]:
    """
    Send a message with all alerts that it concerns; a failure does not stop the others.

    :param alerts: the sync's alerts.
    :param message: the message.
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
                notifier = make_notifier(alert)
                _render(notifier, message, context)
                hidden = mask(notifier, alert.arguments)
                notifier.notify(_whole(context, message))
            except Exception as error:
                _complain(alert, message, error, hidden)
                continue
            log.info("%s sent the alert: %s", alert.notifier, message.event)
        done.append(alert.fingerprint)
    return done


async def send_async(alerts: Iterable[Alert], message: Message, context: Mapping[str, Any]) -> None:
    """
    Send a message from the triggerer, without blocking its loop.

    :param alerts: the sync's alerts.
    :param message: the message.
    :param context: Airflow's context there, for templates.
    """
    for alert in alerts:
        if alert.concerns(message.events):
            hidden: list[str] = []
            try:
                notifier = make_notifier(alert)
                _render(notifier, message, context)
                hidden = await mask_async(notifier, alert.arguments)
                if type(notifier).async_notify is not BaseNotifier.async_notify:
                    await notifier.async_notify(_whole(context, message))
                else:
                    await asyncio.to_thread(notifier.notify, _whole(context, message))
            except Exception as error:
                _complain(alert, message, error, hidden)
            else:
                log.info("%s sent the alert: %s", alert.notifier, message.event)


def _whole(context: Mapping[str, Any], message: Message) -> Any:
    return {**context, "alert": message}


def _render(notifier: BaseNotifier, message: Message, context: Mapping[str, Any]) -> None:
    # Not by BaseNotifier.__call__, which only logs errors and does not raise them.
    notifier.render_template_fields(_whole(context, message))


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
