"""An SMTP server, a receiver of JSON, and Slack's webhook on loopback, as alerts are sent to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler

from dev.airflow_instance import free_ports

#: Where the webhook of Slack is.
SLACK = "/slack/"


@dataclass
class Receivers:
    """
    What has come so far.

    :param mails: the mails.
    :param posts: the bodies that were posted.
    :param slack: those that were posted below :data:`SLACK`.
    :param smtp_port: where mails are taken.
    :param http_port: where JSON is taken.
    """

    smtp_port: int
    http_port: int
    mails: list[Message] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    slack: list[dict[str, Any]] = field(default_factory=list)

    def mails_about(self, words: str) -> list[Message]:
        return [mail for mail in list(self.mails) if words in str(mail["Subject"])]

    def posts_about(self, sync: str, event: str) -> list[dict[str, Any]]:
        return [post for post in list(self.posts) if (post["sync"], post["event"]) == (sync, event)]


def text_of(mail: Message, kind: str = "text/html") -> str:
    """Return the HTML of a mail, or another of its parts."""
    parts = [part.get_payload(decode=True) for part in mail.walk() if part.get_content_type() == kind]
    return "".join(part.decode() for part in parts if isinstance(part, bytes))


@contextmanager
def receiving() -> Iterator[Receivers]:
    """Run both until the end of the block."""
    smtp_port, http_port = free_ports(2)
    received = Receivers(smtp_port, http_port)

    class Mailbox(MessageHandler):
        def handle_message(self, message: Message) -> None:
            received.mails.append(message)

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            is_slack = self.path.startswith(SLACK)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (received.slack if is_slack else received.posts).append(body)
            self.send_response(200 if is_slack else 204)
            self.end_headers()
            if is_slack:
                self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    mailbox = Controller(Mailbox(), hostname="127.0.0.1", port=smtp_port)
    server = ThreadingHTTPServer(("127.0.0.1", http_port), Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    mailbox.start()
    thread.start()
    try:
        yield received
    finally:
        mailbox.stop()
        server.shutdown()
        thread.join()
        server.server_close()
