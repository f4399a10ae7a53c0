"""
The documentation on a DAG's page: what goes where, and when. The text is in ``dag_docs.md.jinja``.

It holds no line numbers and no folders, because every change of it makes a new version of the DAG.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_cio_cohort.dag_generation.messages import Problem, code, escape
from airflow_provider_cio_cohort.dag_generation.schedule import in_words
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.exports import AMPLITUDE_GRANTS, exports_a_month
from airflow_provider_cio_cohort.pools import pools_of

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATE = Path(__file__).with_name("dag_docs.md.jinja")


class _Markdown(str):
    """Text that is Markdown already; the template escapes all other text."""

    __slots__ = ()


def segment(sync: Sync) -> str:
    """Return the words for the segment of a sync, not escaped."""
    return f"number {sync.segment_id}" if sync.segment_name is None else f"“{sync.segment_name}”"


def summary(sync: Sync, targets: Mapping[str, Sync]) -> str:
    """
    Return what the list of DAGs shows for a sync.

    :param sync: the sync; with targets, the first of them.
    :param targets: what it says for each of its targets; empty if it has none.
    """
    if len(targets) > 1 and not sync.description:
        return f"Amplitude cohort {sync.cohort_id} goes to {len(targets)} Customer.io segments"
    goal = "mirrors" if sync.mode == "mirror" else "adds to"
    return sync.description or f"Amplitude cohort {sync.cohort_id} {goal} Customer.io segment {segment(sync)}"


def describe(sync: Sync, file: str, targets: Mapping[str, Sync], *, over_grant: bool) -> str:
    """
    Return the documentation of a sync's DAG, also of one that is disabled.

    :param sync: a sound sync; with targets, the first of them.
    :param targets: what it says for each of its targets; empty if it has none.
    :param over_grant: whether the syncs of its connection cost more exports than Amplitude grants.
    """
    each = targets or {"": sync}
    return _render(
        problems=(),
        sync=sync,
        file=file,
        targets=targets,
        each=each,
        segment=segment,
        when=_when(sync),
        grants=AMPLITUDE_GRANTS,
        exports=exports_a_month(sync.cadence),
        over_grant=over_grant,
        pools=_pools(each.values()),
    )


def describe_problems(problems: Sequence[Problem]) -> str:
    """Return the documentation of a DAG that stands for a wrong sync."""
    return _render(problems=problems)


def _render(**values: Any) -> str:
    return re.sub(r"\n{3,}", "\n\n", _template().render(values)).strip() + "\n"


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 (what is written is Markdown, which finalize escapes)
        loader=FileSystemLoader(_TEMPLATE.parent),
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, _Markdown) else escape(value),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        code=lambda text: _Markdown(code(text)),
        names=lambda names: _Markdown(", ".join(map(code, names))),
        markdown=_Markdown,
        by_mode=_by_mode,
        alike=_alike,
    )
    return environment.get_template(_TEMPLATE.name)


def _by_mode(each: Mapping[str, Sync]) -> Iterable[tuple[str, list[str]]]:
    """Return the modes of some targets, each with the names of those that have it."""
    found: dict[str, list[str]] = {}
    for name, sync in each.items():
        found.setdefault(sync.mode, []).append(name)
    return found.items()


def _alike(each: Mapping[str, Sync], words: Callable[[Sync], str]) -> list[tuple[str, str, list[str]]]:
    """Return what a tripped guard does and the words for the guards, with the names they hold for."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, sync in each.items():
        if guards := words(sync).strip():
            found.setdefault((sync.on_guard, guards), []).append(name)
    return [(on_guard, guards, names) for (on_guard, guards), names in found.items()]


def _when(sync: Sync) -> str:
    words = in_words(sync.cadence, sync.timezone, sync.name, spread=sync.spread)
    return words if sync.ends is None else f"{words}, until {sync.ends.isoformat()}"


def _pools(syncs: Iterable[Sync]) -> list[str]:
    using = [pools_of(sync.amplitude_conn_id, sync.customer_io_conn_id) for sync in syncs if sync.use_pools]
    return list(dict.fromkeys(name for pools in using for _, _, name in pools))
