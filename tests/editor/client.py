"""A client of a language server, as an editor is one: JSON-RPC over the server's standard streams."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any


class Editor:
    """
    An editor with one YAML file open.

    :param server: the command of ``yaml-language-server``.
    :param path: the file; it need not exist.
    :param text: what it holds.
    """

    def __init__(self, server: str, path: Path, text: str) -> None:
        self.uri = path.as_uri()
        self.text = text
        self._process = subprocess.Popen([server, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._count = 0
        self._told: list[dict[str, Any]] = []

    def __enter__(self) -> Editor:
        capabilities = {"textDocument": {"completion": {"completionItem": {"snippetSupport": True}}}}
        self._ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities})
        self._tell("initialized", {})
        settings = {
            "yaml": {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}
        }
        self._tell("workspace/didChangeConfiguration", {"settings": settings})
        document = {"uri": self.uri, "languageId": "yaml", "version": 1, "text": self.text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def completions(self, behind: str) -> set[str]:
        """Return what the editor offers behind the first place that has this text."""
        answer = self._ask("textDocument/completion", self._at(behind))
        return {item["label"] for item in answer["items"]}

    def hover(self, on: str) -> str:
        """Return what the editor shows for the word that this text ends with."""
        place = self._at(on)
        place["position"]["character"] -= 1
        return str(self._ask("textDocument/hover", place)["contents"]["value"])

    def problems(self) -> list[str]:
        """Return what the editor underlines, in the order of the lines."""
        while True:
            for message in self._told:
                params = message.get("params", {})
                if message.get("method") == "textDocument/publishDiagnostics" and params["uri"] == self.uri:
                    found = sorted(params["diagnostics"], key=lambda each: each["range"]["start"]["line"])
                    return [f"{each['range']['start']['line'] + 1}: {each['message']}" for each in found]
            self._told.append(self._read())

    def _at(self, text: str) -> dict[str, Any]:
        before = self.text[: self.text.index(text) + len(text)]
        position = {"line": before.count("\n"), "character": len(before.rpartition("\n")[2])}
        return {"textDocument": {"uri": self.uri}, "position": position}

    def _ask(self, method: str, params: Any) -> Any:
        self._count += 1
        self._send({"jsonrpc": "2.0", "id": self._count, "method": method, "params": params})
        while True:
            message = self._read()
            if message.get("id") == self._count and "method" not in message:
                return message["result"]
            if "id" in message:  # the server asks for settings, or to be told of changes: the defaults do
                items = message.get("params", {}).get("items", [])
                self._send({"jsonrpc": "2.0", "id": message["id"], "result": [None] * len(items) or None})
            self._told.append(message)

    def _tell(self, method: str, params: Any) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return message
