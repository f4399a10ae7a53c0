"""How each kind of message looks in each medium: complete, within its limits, and with names as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt

from airflow_provider_cio_cohort.alerts.message import Kind, Message
from airflow_provider_cio_cohort.alerts.rendering import Rendered, rendered
from tests.unit.alerts.messages import EVENT_OF, HOSTILE, KINDS, of_kind

LINK = "/dags/cohort_sync__a/runs/manual__2026-11-24T00%3A00%3A00%2B00%3A00/tasks/sync"

#: The parts of a message with the name in them.
NAMED = (f"a {HOSTILE}", f"It is about {HOSTILE}.", f"{HOSTILE} would be removed", f"Look at {HOSTILE}.")


def show(told: Message) -> Rendered:
    return rendered(told, EVENT_OF.get(told.kind, told.kind))


class Shown(HTMLParser):
    """What a reader sees of HTML, and the tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self._texts: list[str] = []
        self._is_hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._is_hidden = tag in ("style", "title")
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        self._is_hidden = False

    def handle_data(self, data: str) -> None:
        if not self._is_hidden:
            self._texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_shows_everything_and_names_as_they_are(kind: Kind) -> None:
    shown = Shown(show(of_kind(kind)).html)
    for words in (*NAMED, "Removed 60", "DAG cohort_sync__a"):
        assert words in shown.text
    assert not {"b", "script", "img"} & set(shown.tags)
    assert shown.tags.count("li") == 2
    [link] = shown.links
    assert link.endswith(LINK)


@pytest.mark.parametrize("kind", KINDS)
def test_markdown_shows_everything_and_names_as_they_are(kind: Kind) -> None:
    shown = Shown(MarkdownIt("js-default", {"html": True}).render(show(of_kind(kind)).markdown))
    for words in (*NAMED, "Removed: 60", "- The second line.", "1. The third one."):
        assert words in shown.text
    assert set(shown.tags) == {"p", "strong", "ul", "li", "a"}
    assert shown.tags.count("li") == 5
    assert shown.tags.count("strong") == 1
    [link] = shown.links
    assert link.endswith(LINK)


@pytest.mark.parametrize("kind", KINDS)
def test_slack_shows_everything_and_names_as_they_are(kind: Kind) -> None:
    slack = show(of_kind(kind)).slack
    shown = "\n".join(unescape(each["text"]) for each in texts(slack["blocks"]))
    for words in (*NAMED, "Removed\n60", "DAG cohort_sync__a"):
        assert words in shown
    [marked] = [each["text"] for each in texts(slack["blocks"]) if each["type"] == "mrkdwn"]
    assert "Fans" not in marked
    assert LINK in marked
    plain = [each["text"] for each in texts(slack["blocks"]) if each["type"] == "plain_text"]
    for each in (slack["text"], *plain):
        assert not {"<", ">"} & set(each)
        assert "&" not in each.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")


def test_the_text_of_slack_has_no_marks_but_keeps_names_with_underscores() -> None:
    text = show(replace(of_kind("failure"), headline="power_users: *all* _of_ `now` ~x~")).slack["text"]
    assert "power_users" in text
    assert not {"*", "`", "~"} & set(text)
    assert "_of_" not in text


def texts(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the text objects of all blocks, after a check of Slack's limits."""
    assert 0 < len(blocks) <= 50
    for block in blocks:
        if block["type"] == "header":
            assert block["text"]["type"] == "plain_text"
            assert len(block["text"]["text"]) <= 150
        assert block["type"] in ("header", "section", "context")
        fields, elements = block.get("fields", []), block.get("elements", [])
        assert max(len(fields), len(elements)) <= 10
        assert all(len(field["text"]) <= 2000 for field in fields)
        found = [*fields, *elements, *([block["text"]] if "text" in block else [])]
        assert found
        for each in found:
            assert 0 < len(each["text"]) <= 3000
            yield each


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x" * 20_000, "&" * 20_000, "<" * 150, ">" * 3000])
def test_slack_refuses_nothing_however_long_it_is(kind: Kind, name: str) -> None:
    long = replace(of_kind(kind, name), facts={f"{n} {name}": name for n in range(30)}, causes=(name,) * 60)
    slack = show(long).slack
    found = list(texts(slack["blocks"]))
    assert len(slack["text"]) <= 3000
    assert len(json.dumps(found)) < 40_000
    assert "Open it in Airflow" in json.dumps(found) or kind == "approval"


def test_a_text_that_just_fits_is_not_cut() -> None:
    for reason, is_cut in (("x" * 3000, False), ("x" * 3001, True), ("&" * 600, False), ("&" * 601, True)):
        shown = list(texts(show(replace(of_kind("failure"), reason=reason)).slack["blocks"]))[1]["text"]
        assert shown.endswith("…") is is_cut
        assert "&" not in shown.replace("&amp;", "")


@pytest.mark.parametrize("medium", ["text", "html", "markdown", "slack"])
def test_what_is_not_known_leaves_nothing_empty(medium: str) -> None:
    bare = replace(of_kind("recovery", "b"), facts={}, causes=(), explanation="", run_id="")
    whole = getattr(show(bare), medium)
    whole = whole if isinstance(whole, str) else json.dumps(list(texts(whole["blocks"])))
    assert "- \n" not in whole
    assert "<ul" not in whole
    assert ", run" not in whole


@pytest.mark.parametrize("medium", ["text", "html", "markdown", "slack"])
def test_each_part_is_said_once(medium: str) -> None:
    told = replace(
        of_kind("guard", "b"),
        headline="Cohort sync a failed: Guard empty_cohort stopped it.",
        reason="Guard empty_cohort stopped it.",
    )
    whole = getattr(show(told), medium)
    body = whole if isinstance(whole, str) else json.dumps(whole["blocks"])
    if medium == "html":
        body = Shown(body).text
    assert body.replace("\\", "").count("stopped it") == 1
    assert body.count("Look at b") == 1


def test_a_reason_that_is_too_long_for_the_headline_is_in_the_text_in_full() -> None:
    told = of_kind("guard", "b" * 500)
    assert told.reason in show(told).text
    assert told.reason in told.details
