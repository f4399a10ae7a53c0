"""
The types of parameters: what a value may be, in the YAML file and in a task.

Types are strict: what YAML turned into something other than was meant (``on``, ``0123``) is refused, not
guessed. What a template renders is text, which is converted first where a :class:`FromTask` says so.
"""

from __future__ import annotations

import json
import re
import reprlib
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    with_config,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import TypedDict

from airflow_provider_cio_cohort.cohorts import ID_PATTERN, describe_wrong_id, is_cohort_id
from airflow_provider_cio_cohort.engine.guards import Approval
from airflow_provider_cio_cohort.engine.identifiers import IdType
from airflow_provider_cio_cohort.sync.export import Export

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off", "none", "")
#: Characters that nobody sees: zero width, soft hyphen, and marks of the writing direction. Those that join
#: letters and emoji belong to the text.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_TYPOGRAPHIC = re.compile(
    "[\u201c-\u201f][^\u201c-\u201f]*[\u201c-\u201f]|[\u2018-\u201b][^\u2018-\u201b]*[\u2018-\u201b]"
)
_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}")
#: The characters of a connection id, as Airflow's connections have it.
_CONN_ID = r"[\w#!()\-.:/\\]+"


# ---- conversion of what a task has


@dataclass(frozen=True)
class FromTask:
    """
    Tells the validators that the values come from a task, and which of them were templates.

    :param templates: the names of those that were.
    """

    templates: Collection[str]


def _converted(convert: Callable[[Any, bool], Any]) -> BeforeValidator:
    """Return a validator that converts what a task has; values of the YAML file stay as they are."""

    def validate(value: Any, info: ValidationInfo) -> Any:
        if not isinstance(info.context, FromTask):
            return value
        return convert(value, info.field_name in info.context.templates)

    return BeforeValidator(validate)


def _refused(message: str, advice: str = "") -> PydanticCustomError:
    return PydanticCustomError("parameter", "{message}", {"message": message, "advice": advice})


def _as_text(value: Any, was_template: bool) -> str:
    if value is None or (was_template and value == "None"):
        raise _refused("is empty.", "Its template rendered to an empty value. " if was_template else "")
    if not isinstance(value, str):
        raise _refused(
            f"is {reprlib.repr(value)}, of type {type(value).__name__}; it must be text.",
            "A DAG with render_template_as_native_obj turns text that looks like a number into a number, and "
            "1.10 becomes 1.1. Remove that setting from the DAG. ",
        )
    if not value.strip():
        raise _refused("is empty.")
    return value.strip()


def _as_given_text(value: Any, was_template: bool) -> str | None:
    return None if value is None and not was_template else _as_text(value, was_template)


def _as_optional(value: Any, was_template: bool) -> Any:
    if value is None or (isinstance(value, str) and value.strip() in ("", "None")):
        return None
    return _as_text(value, was_template)


def _as_flag(value: Any, was_template: bool) -> Any:
    text = str("" if value is None else value).strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise _refused(f"is {reprlib.repr(value)}; it must be true or false.")


def _as_segment_id(value: Any, was_template: bool) -> int | None:
    if value is None and not was_template:
        return None
    text = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit()) or text.startswith("0"):
        raise _refused(f"is {reprlib.repr(value)}; it must be the number of a Customer.io segment.")
    return int(text)


def _as_limit(value: Any, was_template: bool) -> Any:
    if value is None or (isinstance(value, str) and value.strip() in ("", "None")):
        return None
    text = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit()):
        raise _refused(f"is {reprlib.repr(value)}; it must be a whole number of people, 1 or more.")
    return int(text)


def _as_source(value: Any, was_template: bool) -> Any:
    return _as_optional(value, was_template) or "cohort"


def _from_json(value: Any) -> Any:
    """Return what a JSON text holds; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value.strip() or "null")
    except ValueError:
        return value.strip()


def _as_export(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(info.context, FromTask):
        return value
    # A run that goes back to a snapshot has no use for an export, so the task before it requests none.
    was_given = value is not None or info.field_name in info.context.templates
    if not was_given or info.data.get("source") == "snapshot":
        return None
    export = Export.from_dict(_from_json(value))
    if export is None:
        raise _refused(
            "is not what the task that requests the export returns.",
            "Give the operator the task's output, or \"{{ ti.xcom_pull(task_ids='…') | tojson }}\". If it "
            "already has that, the task returned nothing: clear it and its downstream tasks. ",
        )
    return export


def _as_approval(value: Any, was_template: bool) -> Approval | None:
    value = _from_json(value)
    if value in (None, "None"):
        return None
    try:
        return Approval(
            guards=tuple(str(guard) for guard in value["guards"]),
            to_add=int(value["to_add"]),
            to_remove=int(value["to_remove"]),
            of={str(name): str(what) for name, what in value["of"].items()},
            cohort_digest=str(value["cohort_digest"]),
            removal_digest=str(value["removal_digest"]),
            strict=value.get("strict") is True,
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _refused(
            "is not what the task approve returned.", "Clear the task plan and its downstream tasks. "
        ) from None


# ---- types


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    # No database stores control characters; they come from a mistaken paste or escape.
    bad = [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    if bad:
        raise ValueError(f"it contains the control character {bad[0]!r}. Remove it.")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("it contains a line break or a tab. Write it on one line.")
    if found := _INVISIBLE.search(text):
        raise ValueError(f"it contains the invisible character {found[0]!a}. Type the value again.")
    return text


def _as_meant(text: str, info: ValidationInfo) -> str:
    """Refuse what somebody expects a YAML file to replace or to take away."""
    if isinstance(info.context, FromTask):
        return text
    if _PLACEHOLDER.fullmatch(text):
        raise ValueError("it is a placeholder, which is not replaced in the file. Write the value itself.")
    if _TYPOGRAPHIC.fullmatch(text):
        raise ValueError("its typographic quotes are part of the value. Use straight quotes or none.")
    return text


def _cohort_id(text: str) -> str:
    if is_cohort_id(text):
        return text
    raise ValueError("\n".join(describe_wrong_id(text)))


def _conn_id(text: str) -> str:
    if re.fullmatch(_CONN_ID, text):
        return text
    raise ValueError(
        f"{reprlib.repr(text)} is not a connection id.\nIt has letters, digits and _ - . : / # ! ( ) only."
    )


def _storage_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
    except ValueError:
        raise ValueError("it is not an address; write one such as s3://aws_default@bucket/cohorts.") from None
    if "://" not in url or not parts.scheme or not (parts.netloc + parts.path).strip("/"):
        raise ValueError(
            "it must be an address with a scheme, such as s3://aws_default@bucket/cohorts or "
            "file:///srv/cohorts."
        )
    if _PLACEHOLDER.search(url):
        raise ValueError("it contains a placeholder such as ${BUCKET}, which is not replaced.")
    if ":" in user:  # not shown: it may be a key
        raise ValueError("the part before the @ must be the id of an Airflow connection, not a password.")
    return url


Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_printable)]
Text = Annotated[Paragraph, AfterValidator(_one_line), AfterValidator(_as_meant)]
Id = Annotated[Text, StringConstraints(max_length=250)]
CohortId = Annotated[
    Id,
    AfterValidator(_cohort_id),
    WithJsonSchema({"type": "string", "pattern": rf"^\s*{ID_PATTERN}\s*$", "maxLength": 250}),
]
ConnId = Annotated[Id, AfterValidator(_conn_id)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
SnapshotPath = Annotated[
    Text,
    StringConstraints(max_length=2000),
    AfterValidator(_storage_url),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[A-Za-z][A-Za-z0-9+.-]*://"}),
]
Flag = Annotated[bool, _converted(_as_flag)]


@with_config(ConfigDict(extra="forbid"))
class GivenIdentifier(TypedDict):
    """One of several identifiers: an Amplitude property, and which of Customer.io's identifiers it holds."""

    property: Text
    id_type: IdType


#: What a task has for a text that is required, that may be left out, and that may be empty.
AS_TEXT, AS_GIVEN_TEXT, AS_OPTIONAL = map(_converted, (_as_text, _as_given_text, _as_optional))
SegmentId = Annotated[Annotated[int, Field(gt=0, le=2**53)] | None, _converted(_as_segment_id)]
#: A number of people that a run may add or remove.
Most = Annotated[int, Field(ge=0, le=2**53)]
#: Those of a limited run are chosen in memory.
GivenLimit = Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, _converted(_as_limit)]
Source = Annotated[Literal["cohort", "snapshot"], _converted(_as_source)]
GivenExport = Annotated[InstanceOf[Export] | None, BeforeValidator(_as_export)]
ApprovedPlan = Annotated[InstanceOf[Approval] | None, _converted(_as_approval)]


# ---- what is wrong with a value


def wrong_parameter(name: str, message: str) -> PydanticCustomError:
    """
    Return the error for a combination of parameters, which pydantic alone would not attribute to one of them.

    :param name: the parameter to correct.
    :param message: what is wrong and what to do.
    """
    return PydanticCustomError("sync", "{message}", {"key": name, "message": message})


def in_words(error: ErrorDetails) -> tuple[str, str]:
    """
    Return what is wrong with a value, and what to do besides correcting it.

    :param error: an error of pydantic.
    """
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "sync":
        name = ".".join(map(str, (*error["loc"], context["key"])))
        return f"{name}: {context['message']}", ""
    name = ".".join(map(str, error["loc"]))
    if kind == "parameter":
        return f"{name} {context['message']}", str(context["advice"])
    if kind == "missing":
        return f"{name} is missing.", ""
    if kind == "value_error":
        problem, _, advice = str(context["error"]).partition("\n")
        return f"{name} is not valid: {problem}", f"{advice} " if advice else ""
    shown = reprlib.repr(error["input"])
    if kind == "literal_error":
        return f"{name} is {shown}; it must be {context['expected']}.", ""
    message = error["msg"]
    return f"{name} is {shown}: {message[0].lower()}{message[1:]}.", ""
