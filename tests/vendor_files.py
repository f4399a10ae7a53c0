"""
What the vendors publish about their APIs, as schemas.

The files are subsets of the vendors' OpenAPI descriptions; their README names the traps in them. A field that
they do not have counts as wrong. ``docs/vendor-facts.md`` says where something else is right, and why.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("VENDOR_FILES") or Path(__file__).parents[2] / "shared" / "vendor")
FILES = {
    "amplitude": "amplitude_cohorts.json",
    "app": "customer_io_app.json",
    "track": "customer_io_track.json",
}
WHY_NOT = f"the vendors' files are not in {FOLDER}, nor in $VENDOR_FILES"
Schema = dict[str, Any]
_METHODS = {"get", "post", "put", "patch", "delete"}
_KEPT = {"type", "enum", "const", "required", "minItems", "maxItems", "minimum", "maximum"}
_UNDERSTOOD = {"properties", "additionalProperties", "items", "oneOf", "allOf", "format"}
_ANNOTATIONS = {"title", "description", "default", "example", "deprecated", "readOnly"}
_INT32 = {"minimum": -(2**31), "maximum": 2**31 - 1}


def are_there() -> bool:
    """Return whether this machine has the files."""
    return all((FOLDER / name).is_file() for name in FILES.values())


def read() -> dict[str, VendorFile]:
    """Return the files by API."""
    return {
        api: VendorFile(api, json.loads((FOLDER / name).read_text(encoding="utf-8")))
        for api, name in FILES.items()
    }


class VendorFile:
    """
    A vendor's file.

    :param api: ``amplitude``, ``app`` or ``track``.
    :param document: its content.
    """

    def __init__(self, api: str, document: dict[str, Any]) -> None:
        self.api = api
        self.document = document
        self.servers = {server["url"] for server in document["servers"]}
        self.operations = [
            Operation(self, method.upper(), path, item)
            for path, item in document["paths"].items()
            for method in item
            if method in _METHODS
        ]

    def resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a reference refers to."""
        while "$ref" in node:
            found: Any = self.document
            for name in node["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            node = found
        return node

    def json_schema(self, described: Mapping[str, Any]) -> Schema | None:
        """Return the schema of the JSON of a request or response; ``None`` if none is published."""
        content = self.resolved(described).get("content", {}).get("application/json")
        return None if content is None else self.schema(content["schema"])

    @cached_property
    def error_schema(self) -> Schema:
        """The schema of an error for which the operation has none: row "errors" of the page of facts."""
        if self.api == "amplitude":
            envelope = self.document["components"]["schemas"]["Error"]
            short = {"type": "object", "properties": {"details": {"type": "string"}}}
            return {"anyOf": [self.schema(envelope), self.schema(short)]}
        if self.api == "track":
            meta = {"errors": {"type": "array", "items": {"type": "string"}}, "error": {"type": "string"}}
            in_meta = {"type": "object", "properties": meta}
            return self.schema({"type": "object", "properties": {"meta": in_meta}})
        schema = self.schema(self.document["x-elsewhere-in-source"]["schema"])
        schema["properties"]["errors"]["items"]["properties"]["status"]["type"] = ["integer", "string"]
        return schema

    def schema(self, node: Mapping[str, Any], *, closed: bool = True) -> Schema:
        """
        Return a schema without references, which allows no other fields than the published ones.

        :param node: the schema in the file.
        :param closed: whether further fields are wrong; they are not in the parts of an ``allOf``.
        """
        node = self.resolved(node)
        names = {name for name in node if not name.startswith("x-")}
        if unknown := names - _KEPT - _UNDERSTOOD - _ANNOTATIONS:
            raise ValueError(f"the file of {self.api} has keywords that nothing reads: {sorted(unknown)}")
        schema = {name: node[name] for name in names & _KEPT}
        if node.get("format") == "int32":
            schema.update(_INT32)
        if also := node.get("x-third-party", {}).get("also"):
            schema["type"] = [node["type"], also]
        if "properties" in node:
            schema["properties"] = {name: self.schema(each) for name, each in node["properties"].items()}
            if closed:
                schema["additionalProperties"] = False
        for name in node.keys() & {"additionalProperties", "items"}:
            schema[name] = self.schema(node[name])
        if "oneOf" in node:  # the branches overlap: oneOf would refuse valid pages
            schema["anyOf"] = [self.schema(each) for each in node["oneOf"]]
        if "allOf" in node:
            schema["allOf"] = [self.schema(each, closed=False) for each in node["allOf"]]
        return schema


class Operation:
    """
    An operation of a vendor's file.

    :param vendor: the file.
    :param method: the HTTP method.
    :param path: the path; its variable parts are names in braces.
    :param item: the path's item in the file.
    """

    def __init__(self, vendor: VendorFile, method: str, path: str, item: Mapping[str, Any]) -> None:
        self.vendor, self.method, self.path = vendor, method, path
        described = item[method.lower()]
        parameters = map(vendor.resolved, [*item.get("parameters", ()), *described.get("parameters", ())])
        #: The schema of each parameter, by where it is (``path``, ``query``) and its name.
        self.parameters = {(each["in"], each["name"]): vendor.schema(each["schema"]) for each in parameters}
        self.pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
        (security,) = described.get("security", vendor.document.get("security"))
        schemes = vendor.document["components"]["securitySchemes"]
        #: How a request carries its keys: ``basic`` or ``bearer``.
        self.scheme = str(schemes[next(iter(security))]["scheme"])
        #: The schema of a request's JSON; ``None`` for an operation whose requests have no body.
        self.body = vendor.json_schema(described.get("requestBody", {}))
        #: The schema of a response's JSON by status, or ``default``; ``None`` where none is published.
        self.responses = {
            status: self._schema_of(status, response) for status, response in described["responses"].items()
        }

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def _schema_of(self, status: str, response: Mapping[str, Any]) -> Schema | None:
        schema = self.vendor.json_schema(response)
        if schema is None and self.vendor.api == "track" and (self.method, status) == ("POST", "200"):
            return {"type": "object", "maxProperties": 0}  # in words: "returns an empty object"
        return with_null_for_lists(schema) if self.vendor.api == "app" else schema


def with_null_for_lists(schema: Any) -> Any:
    """
    Return a schema in which each list may be ``null``: row "lists" of ``docs/vendor-facts.md``.

    :param schema: a schema, or a part of it.
    """
    if isinstance(schema, list):
        return [with_null_for_lists(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: with_null_for_lists(each) for name, each in schema.items()}
    return {**changed, "type": ["array", "null"]} if schema.get("type") == "array" else changed
