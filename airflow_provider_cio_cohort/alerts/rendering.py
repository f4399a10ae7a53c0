"""How an alert looks in each medium: plain text, mail, Slack, and chats that read Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_cio_cohort.alerts.message import CUT, Kind, Message

if TYPE_CHECKING:
    from jinja2 import Template

_MAIL = Path(__file__).with_name("mail.html.jinja")
#: Slack's limits: https://docs.slack.dev/reference/block-kit/blocks
HEADER_LENGTH, TEXT_LENGTH, FIELD_LENGTH, MAX_FIELDS = 150, 3000, 2000, 10
#: Slack asks for these three, and no others: https://docs.slack.dev/messaging/formatting-message-text
_SLACK_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
#: Slack has no escape for its marks, but interprets them only at the edge of a word. Letters that look like
#: them replace them there.
_SLACK_MARK = re.compile(r"(?<![^\W_])[*_~`]|[*_~`](?![^\W_])")
_SLACK_LIKENESS = {"*": "\u2217", "_": "\u02cd", "~": "\u223c", "`": "\u02cb"}
_MARKDOWN = re.compile(r"[\\`*_\[\]<>#|~&]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")


@dataclass(frozen=True)
class _Look:
    title: str
    sign: str
    colour: str
    action: str = "Open it in Airflow"


_RED, _ORANGE, _BLUE, _GREEN = "#b42318", "#b54708", "#175cd3", "#067647"
_LOOKS: dict[Kind, _Look] = {
    "failure": _Look("Failed", "🔴", _RED),
    "guard": _Look("Stopped by a guard", "🟠", _ORANGE),
    "approval": _Look("Waits for an approval", "🔵", _BLUE, "Approve or reject it in Airflow"),
    "recovery": _Look("Recovered", "🟢", _GREEN),
    "low_match": _Look("Low match rate", "🟠", _ORANGE),
    "stale": _Look("No good run", "🟠", _ORANGE),
    "stuck": _Look("Run is stuck", "🟠", _ORANGE),
    "unreadable": _Look("Cannot be read", "🔴", _RED),
}


@dataclass(frozen=True, kw_only=True)
class Rendered(Message):
    """
    A message for one alert; the variable ``alert`` in the arguments of its notifier.

    :param event: the event that the alert is sent for; the most important one if there are several.
    """

    event: str

    @property
    def text(self) -> str:
        """The whole message as plain text."""
        return "\n\n".join(part for part in (self.headline, self.details, self.link) if part)

    @property
    def html(self) -> str:
        """The whole message as the HTML of a mail."""
        return _mail_template().render(
            alert=self, look=self._look, paragraphs=self.explanation.splitlines(), place=self._place
        )

    @property
    def markdown(self) -> str:
        """The whole message as Markdown."""
        facts = "\n".join(f"- {_markdown(name)}: {_markdown(fact)}" for name, fact in self.facts.items())
        parts = (
            f"**{_markdown(self._title)}**",
            _markdown(self.reason),
            facts,
            "\n".join(f"- {_markdown(cause)}" for cause in self.causes),
            _markdown(self.explanation),
            f"[{self._look.action}]({self.link})",
        )
        return "\n\n".join(part for part in parts if part)

    @property
    def slack(self) -> dict[str, Any]:
        """The whole message for Slack: ``blocks``, and ``text`` for notifications."""
        marked = _SLACK_MARK.sub(lambda mark: _SLACK_LIKENESS[mark[0]], self.headline)
        return {"text": _fit(marked, TEXT_LENGTH), "blocks": list(self._blocks())}

    def _blocks(self) -> Iterator[dict[str, Any]]:
        # Names are only in plain text, where Slack interprets no mark.
        yield {"type": "header", "text": _plain(f"{self._look.sign} {self._title}", HEADER_LENGTH)}
        yield {"type": "section", "text": _plain(self.reason)}
        fields = [_plain(f"{name}\n{fact}", FIELD_LENGTH) for name, fact in self.facts.items()]
        if fields:
            yield {"type": "section", "fields": fields[:MAX_FIELDS]}
        for part in ("\n".join(f"• {cause}" for cause in self.causes), self.explanation):
            if part:
                yield {"type": "section", "text": _plain(part)}
        link = f"<{_fit(self.link, TEXT_LENGTH // 2)}|{self._look.action}>"
        yield {"type": "section", "text": {"type": "mrkdwn", "text": f"*{link}*"}}
        yield {"type": "context", "elements": [_plain(self._place)]}

    @property
    def _look(self) -> _Look:
        return _LOOKS[self.kind]

    @property
    def _title(self) -> str:
        return f"{self._look.title}: {self.sync}"

    @property
    def _place(self) -> str:
        return f"DAG {self.dag_id}, run {self.run_id}" if self.run_id else f"DAG {self.dag_id}"


def rendered(message: Message, event: str) -> Rendered:
    """
    Return a message as the variable ``alert`` of a notifier's templates.

    :param event: the event that the alert is sent for.
    """
    return Rendered(**vars(message), event=event)


@cache
def _mail_template() -> Template:
    # Not at the top: DAG files are parsed every few seconds, and send no alerts.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_MAIL.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_MAIL.name)


def _markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, with a paragraph for each of its lines."""
    lines = (_MARKDOWN.sub(r"\\\g<0>", line.strip()) for line in text.splitlines())
    return "\n\n".join(line for line in lines if line)


def _plain(text: str, limit: int = TEXT_LENGTH) -> dict[str, str]:
    return {"type": "plain_text", "text": _fit(text, limit)}


def _fit(text: str, limit: int) -> str:
    """Escape a text for Slack, and cut it so that it has at most this many characters then."""
    pieces = [_SLACK_ESCAPES.get(character, character) for character in text]
    if sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    fitting, size = [], len(CUT)
    for piece in pieces:
        size += len(piece)
        if size > limit:
            break
        fitting.append(piece)
    return "".join(fitting) + CUT
