"""
Compares what the hooks send, and what the sandbox answers, with what the vendors publish, in every test.

It listens to each sandbox of this process. A test in which something disagrees fails; messages name fields
and types, never a value. Without the vendors' files, see :data:`.vendor_files.FOLDER`, nothing is compared.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest

from airflow_provider_cio_cohort.sandbox.records import Exchange
from airflow_provider_cio_cohort.sandbox.settings import Settings
from tests import vendor_files
from tests.summary import count
from tests.vendor_files import Operation, Schema, VendorFile

#: By which a request is recognised as one of the hooks.
USER_AGENT = "airflow-provider-cio-cohort"
#: Of a longer list, about as many items are validated: a page has 30,000 members. No limit is above it.
SAMPLE = 1_500
STATUS = "the status is not published"
HOOKS, SANDBOXS = "a hook's request", "the sandbox's answer"
_FIELD = re.compile(r"[A-Za-z_]{1,40}")
_CONVERTED = {
    "integer": lambda text: int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text,
    "boolean": lambda text: {"true": True, "false": False}.get(text, text),
}


class Unpublished(NamedTuple):
    """
    Answers of the sandbox that a vendor's file does not have.

    :param row: the row of ``docs/vendor-facts.md`` that says why.
    :param api: ``amplitude``, ``app`` or ``track``.
    :param path: a regular expression that matches somewhere in an operation's path.
    :param statuses: their statuses.
    :param setting: the setting of the sandbox that asks for them by another value than its default; empty for
        answers by default.
    """

    row: str
    api: str
    path: str
    statuses: tuple[int, ...]
    setting: str = ""

    def allows(self, operation: Operation, exchange: Exchange) -> bool:
        """Return whether it is about an exchange."""
        return (
            self.api == operation.vendor.api
            and exchange.record.status in self.statuses
            and bool(re.search(self.path, operation.path))
            and (not self.setting or _is_changed(exchange.settings, self.setting))
        )


#: The answers that are right although they are not published, by their rows in ``docs/vendor-facts.md``.
UNPUBLISHED = (
    Unpublished("rejected keys", "app", "", (401,)),
    Unpublished("rejected keys", "amplitude", "/usage$", (403,)),
    Unpublished("wrong region", "app", "", (301,)),
    Unpublished("invalid query", "app", "/membership$|/customers$", (400,)),
    Unpublished("missing segment", "track", "_customers$", (404,)),
    Unpublished("concurrent requests", "amplitude", "/usage$", (429,)),
    Unpublished("wrong region", "track", "_customers$", (301,), "wrong_region_track"),
    Unpublished("data-driven segment", "track", "_customers$", tuple(range(400, 500)), "dynamic_status"),
    Unpublished("refused batch", "track", "_customers$", tuple(range(400, 500)), "track_refuses_status"),
    Unpublished("refused batch", "track", "_customers$", (413,), "track_max_bytes"),
    Unpublished("Track's rate limit", "track", "_customers$", (429,), "track_per_second"),
    Unpublished("a key without the right", "app", "/attributes$", (403,), "lookup_allowed"),
    Unpublished("shape of a look-up", "app", "/attributes$", (200,), "lookup_wrapped"),
    Unpublished("numbers as ids", "app", "", (200,), "ids_as_numbers"),
    Unpublished("email addresses", "app", "", (200,), "email_identifies"),
    Unpublished("end of a membership", "app", "/membership$", (200,), "last_next"),
    Unpublished("plan without the API", "amplitude", "/usage$", tuple(range(400, 500)), "unpaid_status"),
    Unpublished("status of an export", "amplitude", "/request-status/", (200,), "completed_text"),
)


class Conformance:
    """
    Compares exchanges with the vendors' files.

    Each distinct shape of a body is validated once: its fields and types, words that the files mention, and
    lengths of lists as far as they are limited.

    :param files: the files by API.
    """

    def __init__(self, files: dict[str, VendorFile]) -> None:
        self.files = files
        said = list(_said_in([vendor.document for vendor in files.values()]))
        self._words = frozenset(each for each in said if isinstance(each, str))
        self._bounds = sorted({each for each in said if isinstance(each, int)})
        self._known: dict[tuple[Any, ...], str] = {}

    def check(self, exchange: Exchange) -> list[str]:
        """
        Return what is wrong in an exchange, without any value of it.

        :param exchange: a request to any of the sandbox's servers, and the response.
        """
        record = exchange.record
        if record.api not in self.files:  # the storage of exports, which is neither vendor's
            return []
        operation = self._operation(record.api, record.method, exchange.raw_path)
        # Without keys, it follows a redirect to a file, which may lead to this host.
        if operation is None and "Authorization" not in record.headers:
            return []
        wrong = []
        if _is_from_hook(exchange):
            wrong += [f"{HOOKS}: {each}" for each in self._wrong_in_request(operation, exchange)]
        if operation is not None and not exchange.fault and record.status:
            wrong += [f"{SANDBOXS}: {each}" for each in self._wrong_in_response(operation, exchange)]
        name = record.method if operation is None else operation
        return [f"{record.api} API, {name}: {each}" for each in wrong]

    def _operation(self, api: str, method: str, raw_path: str) -> Operation | None:
        found = (
            operation
            for operation in self.files[api].operations
            if operation.method == method and operation.pattern.fullmatch(raw_path)
        )
        return next(found, None)

    def _wrong_in_request(self, operation: Operation | None, exchange: Exchange) -> Iterator[str]:
        if operation is None:
            yield "there is no such operation"
            return
        count("requests")
        record, headers = exchange.record, {n.lower(): v for n, v in exchange.record.headers.items()}
        scheme = headers.get("authorization", "").partition(" ")[0].lower()
        if scheme != operation.scheme:
            yield f"its keys are not sent by {operation.scheme} authentication"
        match = operation.pattern.fullmatch(exchange.raw_path)
        parts = {} if match is None else {name: [unquote(text)] for name, text in match.groupdict().items()}
        for place, given in (("path", parts), ("query", record.query)):
            for name, values in given.items():
                yield from self._wrong_in_parameter(operation, place, name, values)
        if operation.body is None:
            if exchange.body:
                yield "it has a body"
        elif headers.get("content-type", "").partition(";")[0] != "application/json":
            yield "its body is not declared as JSON"
        else:
            yield from self._wrong_in_body(operation, "request", operation.body, exchange.body)

    def _wrong_in_parameter(
        self, operation: Operation, place: str, name: str, values: list[str]
    ) -> Iterator[str]:
        schema = operation.parameters.get((place, name))
        if schema is None:
            yield f"there is no parameter {_field(name)} in the {place}"
            return
        if schema == {"type": "string"} and len(values) == 1:
            return
        key = (operation, place, name, *values)
        if key not in self._known:
            self._known[key] = _problem_of_parameter(schema, values)
        if self._known[key]:
            yield f"the parameter {name} {self._known[key]}"

    def _wrong_in_response(self, operation: Operation, exchange: Exchange) -> Iterator[str]:
        count("answers")
        status = exchange.record.status
        problems = list(self._wrong_in_answer(operation, str(status), exchange))
        if problems and any(each.allows(operation, exchange) for each in UNPUBLISHED):
            # The body of an error must be right all the same.
            problems = [each for each in problems if each != STATUS] if status >= 300 else []
        yield from (f"{status}: {each}" for each in problems)

    def _wrong_in_answer(self, operation: Operation, status: str, exchange: Exchange) -> Iterator[str]:
        published = status if status in operation.responses else "default"
        if published not in operation.responses:
            yield STATUS
        schema = operation.responses.get(published)
        is_json = exchange.content_type == "application/json" and bool(exchange.content)
        if schema is None and status >= "400" and is_json:
            schema = operation.vendor.error_schema
        if schema is None:
            return
        if not is_json:
            yield "it is not JSON"
        else:
            yield from self._wrong_in_body(operation, status, schema, exchange.content)

    def _wrong_in_body(self, operation: Operation, part: str, schema: Schema, body: bytes) -> Iterator[str]:
        try:
            value = json.loads(body)
        except ValueError:
            yield "it is not JSON"
            return
        key = (operation, part, self._shape(value))
        if key not in self._known:
            self._known[key] = _problem(schema, _sampled(value))
        if self._known[key]:
            yield self._known[key]

    def _shape(self, value: Any) -> Any:
        """Return all of a value that its validity depends on."""
        if isinstance(value, str):
            return value if value in self._words else str
        if isinstance(value, dict):
            return tuple((name, self._shape(each)) for name, each in value.items())
        if isinstance(value, list):
            size, items = len(value), frozenset(map(self._shape, _some_of(value)))
            return bisect_left(self._bounds, size), bisect_right(self._bounds, size), items
        return type(value)


def _said_in(node: Any) -> Iterator[str | int]:
    """Yield the words that a file allows as values, and the limits that it sets to lists."""
    if isinstance(node, list):
        for each in node:
            yield from _said_in(each)
    elif isinstance(node, dict):
        for name, each in node.items():
            if name == "enum" and isinstance(each, list):
                yield from (value for value in each if isinstance(value, str))
            elif (name == "const" and isinstance(each, str)) or name in ("minItems", "maxItems"):
                yield each
            yield from _said_in(each)


def _some_of(items: list[Any]) -> list[Any]:
    """Return the items of a short list, and some from all parts of a long one."""
    return items[:: len(items) // SAMPLE] if len(items) >= 2 * SAMPLE else items


def _sampled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sampled(each) for name, each in value.items()}
    return [_sampled(each) for each in _some_of(value)] if isinstance(value, list) else value


def _problem(schema: Schema, value: Any) -> str:
    """Return what is wrong with a value, by fields and types; empty if nothing is."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(value))
    if error is None:
        return ""
    if error.validator == "anyOf":  # of the branches, the nearest is what was meant
        branches: dict[Any, list[Any]] = {}
        for each in error.context:
            branches.setdefault(each.schema_path[0], []).append(each)
        error = min(branches.values(), key=len)[0]
    place = "".join(
        f"[{each}]" if isinstance(each, int) else f".{_field(each)}" for each in error.absolute_path
    )
    wanted = error.validator_value
    if error.validator == "additionalProperties":
        further = error.instance.keys() - error.schema.get("properties", {}).keys()
        return f"${place} has fields that are not published: {', '.join(sorted(map(_field, further)))}"
    if error.validator == "required":
        return f"${place} lacks {', '.join(sorted(set(wanted) - error.instance.keys()))}"
    return f"${place} is a {type(error.instance).__name__}, against {error.validator} {json.dumps(wanted)}"


def _problem_of_parameter(schema: Schema, values: list[str]) -> str:
    if schema["type"] == "array":
        problem = _problem(schema, values)
    elif len(values) > 1:
        return "is repeated"
    else:
        problem = _problem(schema, _CONVERTED.get(schema["type"], str)(values[0]))
    return problem and f"is wrong: {problem}"


def _field(name: Any) -> str:
    return str(name) if _FIELD.fullmatch(str(name)) else "(a name that is no field's)"


def _is_from_hook(exchange: Exchange) -> bool:
    return USER_AGENT in exchange.record.headers.get("User-Agent", "")


def _is_changed(settings: Settings, name: str) -> bool:
    return bool(getattr(settings, name) != getattr(Settings, name))


# ---- in every test

_found: list[str] = []
_conformance: list[Conformance] = []


def listen(exchange: Exchange) -> None:
    """Note what is wrong in an exchange; runs in the sandbox's thread."""
    try:
        if not _conformance:
            _conformance.append(Conformance(vendor_files.read()))
        _found.extend(_conformance[0].check(exchange))
    except Exception as error:  # it must not become an answer of the sandbox
        _found.append(f"the comparison itself failed: {error!r}")


def take_found() -> list[str]:
    """Return what was found since the last time, each thing once."""
    found = list(dict.fromkeys(_found))
    _found.clear()
    return found


def _found_in(item: pytest.Item) -> list[str]:
    found = take_found()
    if item.get_closest_marker("own_requests"):
        found = [each for each in found if HOOKS not in each]
    return found


def _told(found: Iterable[str]) -> str:
    return "\n".join(("This disagrees with what the vendors publish (see docs/vendor-facts.md):", *found))


def _checked(item: pytest.Item, when: str) -> Generator[None, object, object]:
    try:
        result = yield
    except BaseException:
        if found := _found_in(item):
            item.add_report_section(when, "conformance", _told(found))
        raise
    if found := _found_in(item):
        pytest.fail(_told(found), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test in which something disagreed."""
    return (yield from _checked(item, "call"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """The same for its fixtures."""
    return (yield from _checked(item, "teardown"))
