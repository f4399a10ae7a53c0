"""Every message begins with a line for a pager, goes on to say what to do, and names no person."""

from __future__ import annotations

import ast

from tests.unit.messages import messages

#: A text message has 160 characters: so many are left for the names and numbers that fill a message.
LONGEST = 90
#: Variables that hold people, or rows about them, wherever the package has them.
PEOPLE = {
    *("email", "emails", "identifier", "identifiers", "member", "members", "person", "people", "row", "rows"),
    *("user_id", "user_ids", "line", "batch", "body", "content", "password", "key", "secret", "token"),
}
OWN = [message for message in messages() if not message.is_handed_on]


def test_the_messages_are_found() -> None:
    assert len(OWN) > 60


def test_every_first_line_is_short_and_what_to_do_stands_below_it() -> None:
    problems = []
    for message in OWN:
        headline, _, remedy = message.shown("\0").partition("\n")
        if len(headline.replace("\0", "")) > LONGEST:
            problems.append(f"{message.place}: the first line is too long: {headline}")
        if not headline.endswith((".", "\0")):
            problems.append(f"{message.place}: the first line is no sentence: {headline}")
        if not remedy.endswith((".", "\0")):
            problems.append(f"{message.place}: it does not say what to do: {headline}")
    assert not problems, "\n".join(problems)


def test_no_message_is_filled_with_a_person_or_a_key() -> None:
    problems = [
        f"{message.place}: {ast.unparse(part)}"
        for message in messages()
        for part in message.placeholders
        if isinstance(part, ast.Name) and part.id in PEOPLE
    ]
    assert not problems, "\n".join(problems)
