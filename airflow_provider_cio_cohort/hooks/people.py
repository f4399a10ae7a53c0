"""Asks Customer.io whether identifiers are somebody's."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

#: The most identifiers that the App API looks up in a call. Source: ``POST /v1/customers/attributes``.
IDENTIFIERS_PER_LOOKUP = 100


def count(hook: CustomerIOHook, values: Iterable[str], id_type: str) -> int:
    """
    Return how many identifiers are somebody's.

    :param hook: the Customer.io hook, for its App API, key and pace.
    :param values: distinct identifiers.
    :param id_type: ``id``, ``email`` or ``cio_id``.
    """
    iterator = iter(values)
    found = 0
    while batch := list(islice(iterator, IDENTIFIERS_PER_LOOKUP)):
        answer = hook.call(
            hook.app,
            hook.app_auth,
            "POST",
            "/v1/customers/attributes",
            what="looking people up",
            params={"id_type": id_type},
            json={"ids": batch},
            pacer=hook.app_pacer,
            personal=True,
        )
        people = answer.payload.get("customers") if isinstance(answer.payload, dict) else None
        found += min(len(people or []), len(batch))
    return found
