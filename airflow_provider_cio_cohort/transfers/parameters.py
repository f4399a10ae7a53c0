"""Checks the operator's parameters; what a template or a trigger form renders comes as text."""

from __future__ import annotations

import json
import reprlib
from typing import TYPE_CHECKING, Any

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.snapshots.storage import check_path
from airflow_provider_cio_cohort.sync.engine import MODES
from airflow_provider_cio_cohort.sync.guards import Approval
from airflow_provider_cio_cohort.sync.identifiers import ID_TYPES

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
        AmplitudeCohortToCustomerIOOperator,
    )

#: Where the people of a run can come from.
SOURCES = ("cohort", "snapshot")
#: The longest time for which snapshots can be kept.
MOST_DAYS = 36_500

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off", "none", "")
#: What to do about a wrong parameter.
CORRECT = "Correct it where the sync is defined, or in the form if the run was started by hand."


def show(value: Any) -> str:
    """
    Return a value as a message shows it: never long.

    :param value: what a template made.
    """
    return reprlib.repr(value)


def as_flag(value: bool | str | None, name: str) -> bool:
    """
    Return a rendered flag.

    :param value: a bool, or what a template made of one.
    :param name: the parameter.
    :raises ConfigurationError: if it is neither true nor false.
    """
    if isinstance(value, bool):
        return value
    text = str("" if value is None else value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ConfigurationError(f"{name} is {show(value)}; it must be true or false.\n{CORRECT}")


def as_segment_id(value: int | str) -> int:
    """
    Return a rendered segment id.

    :param value: a number, or what a template made of one.
    :raises ConfigurationError: if it is no number above 0.
    """
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise ConfigurationError(
            f"segment_id is {show(value)}; it must be the number of a Customer.io segment.\n{CORRECT}"
        )
    return int(text)


def as_text(value: Any, name: str) -> str:
    """
    Return a rendered text without the white space around it.

    :param value: what a template made.
    :param name: the parameter.
    :raises ConfigurationError: if nothing is left.
    """
    text = str("" if value is None else value).strip()
    if not text:
        raise ConfigurationError(f"{name} is empty.\n{CORRECT}")
    return text


def as_request_id(value: str) -> str:
    """
    Return a rendered request id.

    :param value: what a template made.
    :raises ConfigurationError: if the template found none: requesting another export would cost one.
    """
    text = str(value).strip()
    if text in ("", "None"):
        raise ConfigurationError(
            "request_id is empty: the task that requests the export has returned none.\n"
            "Clear that task, and those behind it with it."
        )
    return text


def as_approval(value: Any) -> Approval | None:
    """
    Return what somebody has let through, ``None`` if nobody was asked.

    :param value: a dict, or the JSON that a template made of one.
    :raises ConfigurationError: if it is no such thing.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value.strip() or "null")
        except ValueError:
            value = value.strip()
    if value in (None, "None"):
        return None
    try:
        guards = tuple(str(guard) for guard in value["guards"])
        return Approval(guards, int(value["to_add"]), int(value["to_remove"]))
    except (TypeError, KeyError, ValueError):
        raise ConfigurationError(
            "approved_plan is not what the task approve returned: guards, to_add and to_remove.\n"
            "Clear the task plan, and those behind it with it."
        ) from None


def check_segment(name: str | None, segment_id: int | str | None) -> None:
    """
    Refuse a segment that is named twice or not at all.

    :param name: its name, ``None`` if it was not given.
    :param segment_id: its id, ``None`` if it was not given.
    :raises ConfigurationError: unless one of them was given.
    """
    if (name is None) == (segment_id is None):
        raise ConfigurationError(f"Give exactly one of segment_name and segment_id.\n{CORRECT}")


def as_optional(value: Any) -> str | None:
    """
    Return a rendered text, ``None`` if there is none.

    :param value: what a template made.
    """
    text = str("" if value is None else value).strip()
    return None if text in ("", "None") else text


def as_source(value: Any) -> str:
    """
    Return where the people of a run come from.

    :param value: what a template made.
    :raises ConfigurationError: if it is neither ``cohort`` nor ``snapshot``.
    """
    source = as_optional(value) or SOURCES[0]
    check_choice(source, "source", SOURCES)
    return source


def as_snapshot_path(value: Any) -> str | None:
    """
    Return where snapshots are kept, ``None`` if none are.

    :param value: what a template made.
    :raises ConfigurationError: if it is no place.
    """
    path = as_optional(value)
    try:
        return None if path is None else check_path(path)
    except ValueError as error:
        raise ConfigurationError(f"snapshot_path is no place to keep snapshots: {error}\n{CORRECT}") from None


def check_sync(operator: AmplitudeCohortToCustomerIOOperator) -> None:
    """
    Refuse the parameters of a sync that are wrong whatever a template makes of the others.

    :param operator: the task.
    :raises ConfigurationError: naming the first that is wrong.
    """
    check_segment(operator.segment_name, operator.segment_id)
    check_choice(operator.id_type, "id_type", ID_TYPES)
    check_choice(operator.mode, "mode", MODES)
    for name, upto in (("max_removal_percent", 100), ("max_shortfall_percent", 100), ("min_match_rate", 1)):
        if getattr(operator, name) is not None:
            check_number(getattr(operator, name), name, upto=upto)
    check_number(operator.snapshot_keep_days, "snapshot_keep_days", above=0, upto=MOST_DAYS)
    check_number(operator.snapshot_keep_last, "snapshot_keep_last", above=0)


def check_choice(value: Any, name: str, choices: tuple[str, ...]) -> None:
    """
    Refuse a value that is none of ``choices``.

    :param value: the parameter's value.
    :param name: the parameter.
    :param choices: what it may be.
    :raises ConfigurationError: naming the parameter and the choices.
    """
    if value not in choices:
        raise ConfigurationError(
            f"{name} is {show(value)}; it must be one of {', '.join(choices)}.\n{CORRECT}"
        )


def check_number(value: Any, name: str, *, above: float | None = None, upto: float | None = None) -> None:
    """
    Refuse what is no number, or one out of bounds.

    :param value: the parameter's value.
    :param name: the parameter.
    :param above: it must be greater than this; otherwise it may be 0 or more.
    :param upto: it must not be greater than this.
    :raises ConfigurationError: naming the parameter and the bounds.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    low_enough = is_number and (upto is None or value <= upto)
    if not (low_enough and (value > above if above is not None else value >= 0)):
        bounds = f"above {above:g}" if above is not None else "0 or more"
        limit = "" if upto is None else f", and at most {upto:g}"
        raise ConfigurationError(f"{name} is {show(value)}; it must be a number {bounds}{limit}.\n{CORRECT}")
