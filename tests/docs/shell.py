"""Takes a shell script apart into its commands: as much of a shell's grammar as the docs have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_ENDS = ";&|\n()"
_PROMPT = "$ "


@dataclass
class _Reader:
    text: str
    at: int = 0
    words: list[str] = field(default_factory=list)
    word: str | None = None
    redirected: bool = False
    inner: list[str] = field(default_factory=list)

    def commands(self) -> Iterator[list[str]]:
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in _ENDS:
                self.end_word()
                if self.words:
                    yield self.words
                self.words = []
                self.at += 1
            elif char in " \t":
                self.end_word()
                self.at += 1
            elif char == "#" and self.word is None:
                self.at = self._find("\n")
            elif char in "<>":
                self.redirect()
            else:
                self.read_part()
        self.end_word()
        if self.words:
            yield self.words

    def end_word(self) -> None:
        if self.word is not None and not self.redirected:
            self.words.append(self.word)
        if self.word is not None:
            self.redirected = False
        self.word = None

    def redirect(self) -> None:
        if self.text.startswith("<<", self.at):
            raise AssertionError("a here-document, of which nothing is known here")
        if self.word is None or not self.word.isdigit():  # 2> redirects, and is no word
            self.end_word()
        self.word = None
        self.redirected = True
        self.at += 1
        while self.text[self.at : self.at + 1] in (">", "&"):
            self.at += 1

    def read_part(self) -> None:
        char = self.text[self.at]
        part = char
        if char == "\\":
            part = self.text[self.at + 1 : self.at + 2]
            self.at += 2
            if part == "\n":
                return
        elif char == "'":
            end = self._find("'", self.at + 1)
            part, self.at = self.text[self.at + 1 : end], end + 1
        elif char == '"':
            part = self._double_quoted()
        elif self.text.startswith("$(", self.at):
            part = self._substituted()
        else:
            self.at += 1
        self.word = (self.word or "") + part

    def _double_quoted(self) -> str:
        self.at += 1
        found = ""
        while (char := self.text[self.at]) != '"':
            if char == "\\" and self.text[self.at + 1] in '"\\$`\n':
                found += self.text[self.at + 1].strip("\n")
                self.at += 2
            elif self.text.startswith("$(", self.at):
                found += self._substituted()
            else:
                found += char
                self.at += 1
        self.at += 1
        return found

    def _substituted(self) -> str:
        start = self.at
        depth = 0
        quote = ""
        while True:
            char = self.text[self.at]
            if quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            else:
                depth += (char == "(") - (char == ")")
            self.at += 1
            if char == ")" and not depth:
                break
        self.inner.append(self.text[start + 2 : self.at - 1])
        return self.text[start : self.at]

    def _find(self, what: str, start: int | None = None) -> int:
        found = self.text.find(what, self.at if start is None else start)
        return len(self.text) if found < 0 else found


def commands(script: str) -> list[list[str]]:
    """
    Return the words of every command of a script, those within ``$(…)`` included.

    Redirections are left out, variables stay as they are written.
    """
    reader = _Reader(script)
    found = list(reader.commands())
    return found + [each for inner in reader.inner for each in commands(inner)]


def typed(console: str) -> str:
    """Return what somebody types in a terminal: the lines with a prompt, and those that continue them."""
    lines = iter(console.splitlines())
    found = []
    for line in lines:
        if line.startswith(_PROMPT):
            found.append(line.removeprefix(_PROMPT))
            while found[-1].endswith("\\"):
                found.append(next(lines))
    return "\n".join(found) + "\n"
