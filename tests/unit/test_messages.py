"""Every message begins with a line that fits on a pager, and goes on to say what to do."""

from __future__ import annotations

import re

import pytest

from tests.unit.messages import Message, messages

#: A text message has 160 characters; an alert puts the sync's name before it.
LONGEST = 120
MESSAGES = messages()
OWN = [message for message in MESSAGES if not message.is_handed_on]


def test_the_messages_are_found() -> None:
    assert len(OWN) > 60
    assert len(MESSAGES) - len(OWN) < 10


@pytest.mark.parametrize("message", OWN, ids=str)
def test_the_first_line_fits_on_a_pager(message: Message) -> None:
    headline = message.usual.partition("\n")[0]
    assert len(headline) <= LONGEST, headline


@pytest.mark.parametrize("message", OWN, ids=str)
def test_the_first_line_is_one_sentence(message: Message) -> None:
    headline = message.usual.partition("\n")[0]
    assert headline.endswith(".") or ends_with_a_placeholder(message)
    assert not re.search(r"[.;] ", headline.replace("; it must be", ""))


def ends_with_a_placeholder(message: Message) -> bool:
    """Such as an address, or a sentence that brings its own end."""
    return message.shown(lambda _: "\0").partition("\n")[0].endswith("\0")


@pytest.mark.parametrize("message", OWN, ids=str)
def test_what_to_do_stands_below_it(message: Message) -> None:
    remedy = message.usual.partition("\n")[2]
    assert remedy.endswith(".")
    assert len(remedy.split()) > 2
