"""Translates pydantic's errors into plain messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from pydantic_core import ErrorDetails

from airflow_provider_cio_cohort.dag_generation.alert_keys import AlertKeys
from airflow_provider_cio_cohort.dag_generation.messages import Place, did_you_mean, show
from airflow_provider_cio_cohort.sync.values import GivenIdentifier


def _form(limits: dict[str, Any]) -> str:
    """Describe the form of a name or of a dotted path: only the pattern of names has a dash."""
    if "_-]" in limits["pattern"]:
        return "use letters, digits, _, - and single dots between them."
    return "write a dotted path, such as airflow.providers.smtp.notifications.smtp.SmtpNotifier."


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "bool_type": lambda _: "it must be true or false, without quotes.",
    "int_type": lambda _: "it must be a whole number, without quotes.",
    "float_type": lambda _: "it must be a number, without quotes.",
    "finite_number": lambda _: "it must be a finite number.",
    "dict_type": lambda _: "it must be a mapping of keys to values.",
    "model_type": lambda _: "it must be a mapping that starts with - notifier: and a path.",
    "too_short": lambda limits: f"the minimum number of items is {limits['min_length']}.",
    "list_type": lambda _: "it must be a list, such as [growth, paid].",
    "datetime_type": lambda _: "it must be a date, such as 2026-01-31.",
    "string_unicode": lambda _: "it contains an invalid character. Type it again.",
    "string_too_short": lambda _: "it must not be empty.",
    "string_too_long": lambda limits: f"it is longer than {limits['max_length']} characters.",
    "too_long": lambda limits: f"it has more than {limits['max_length']} items.",
    "string_pattern_mismatch": _form,
    "greater_than": lambda limits: f"it must be greater than {limits['gt']:g}.",
    "greater_than_equal": lambda limits: f"it must be {limits['ge']:g} or more.",
    "less_than_equal": lambda limits: f"it must be {limits['le']:g} or less.",
}


def explain(error: ErrorDetails, text: str | None) -> tuple[Place, str]:
    """
    Return the place of an error within a sync, and its message.

    :param text: the value's text in the file, ``None`` for a missing value, a list or a mapping.
    :returns: the key, with the position in a list or a mapping, such as ``("alerts", 0, "on")``.
    """
    limits: dict[str, Any] = error.get("ctx") or {}
    kind, place = error["type"], error["loc"]
    if kind == "sync":
        return (*(place[:2] if len(place) > 1 else ()), str(limits["key"])), str(limits["message"])
    key = str(place[0])
    position = next(((index,) for index in place[1:] if isinstance(index, int)), ())
    within = next(((part,) for part in place[1:] if isinstance(part, str)), ())
    if kind == "missing":
        return (key, *position, *within), "it is missing."
    if kind == "extra_forbidden":
        known = GivenIdentifier.__annotations__ if key == "identifiers" else AlertKeys.model_fields
        near = did_you_mean(str(place[-1]), known)
        of = "identifier" if key == "identifiers" else "alert"
        keys = f" The keys of an {of} are {', '.join(known)}."
        return (key, *position), f"there is no key {show(str(place[-1]))}.{near or keys}"
    shown = None if position else text
    return (key, *position, *within), _sentence(kind, limits, key, error["input"], shown)


def _sentence(kind: str, limits: dict[str, Any], key: str, value: Any, text: str | None) -> str:
    if kind == "value_error":
        return str(limits["error"]).replace("\n", " ")
    if value is None:
        return "it is empty. Give it a value."
    shown = _shown(value, text)
    if kind == "string_type":
        return _not_text(value, shown, f': {key}: "{shown}"' if text is not None else "")
    if kind == "literal_error":
        choices = limits["expected"].replace("'", "")
        near = did_you_mean(str(text or ""), choices.replace(" or ", ", ").split(", "))
        return f"{shown} is not allowed; it must be {choices}.{near}"
    words = _WORDS.get(kind)
    return f"{shown} is not allowed; {words(limits) if words else 'its type is wrong.'}"


def _not_text(value: Any, shown: str, example: str) -> str:
    if not isinstance(value, (bool, int, float, date)):
        first = {"a list": "[", "a mapping": "{"}.get(shown)
        quotes = f" Text that begins with {first} must be put in quotes." if first else ""
        return f"it must be text, but it is {shown}.{quotes}"
    kind = "true or false" if isinstance(value, bool) else "a date" if isinstance(value, date) else "a number"
    return f"{shown} is {kind} to YAML, not text. Put it in quotes{example}."


def _shown(value: Any, text: str | None) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return show(value)
    return show(text)[1:-1] if text is not None else show(value)
