"""Gives the mails of Airflow's notifier a plain-text part; on its own, it sends HTML only."""

from __future__ import annotations

from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any


def add_text(notifier: Any, text: str) -> None:
    """
    Let the mail of a notifier have a text beside its HTML, for readers that show no HTML.

    :param notifier: Airflow's ``SmtpNotifier`` or a class derived from it; others stay as they are.
    """
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
