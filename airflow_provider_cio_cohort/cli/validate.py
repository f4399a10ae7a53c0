"""``validate``: checks files of syncs without a connection and without Airflow's database."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airflow_provider_cio_cohort.alerts.sending import NotifierError, make_notifier
from airflow_provider_cio_cohort.cli.output import show, write_lines
from airflow_provider_cio_cohort.cli.runtime import FINE, NO, command, say
from airflow_provider_cio_cohort.cli.select import check_is_there, files_in
from airflow_provider_cio_cohort.dag_generation.builder import RefusingOperator, dags_of
from airflow_provider_cio_cohort.dag_generation.conflicts import Label, find_conflicts_of_files, shown
from airflow_provider_cio_cohort.dag_generation.keys import DAG_PREFIX
from airflow_provider_cio_cohort.dag_generation.loader import LoadedSync, by_label, load
from airflow_provider_cio_cohort.dag_generation.messages import CohortSyncConfigError, Problem
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.exports import AMPLITUDE_GRANTS, exports_a_month
from airflow_provider_cio_cohort.snapshots.storage import is_known_here

_NO_STORAGE = (
    "no provider that is installed here can read or write this storage, so each run would fail. Correct the "
    "scheme (s3://, gs://, abfs://, file://), or install the provider, such as "
    "apache-airflow-providers-amazon[s3fs] for s3://."
)


@dataclass(frozen=True)
class _Checked:
    """A sync of a file, or a file that cannot be read."""

    file: str
    sync: str | None
    problems: tuple[Problem, ...] = ()
    line: Callable[[str, str], int] = lambda key, target: 1
    conn_id: str | None = None
    enabled: bool = True
    exports: int | None = None
    needs_pools: bool = False

    @property
    def status(self) -> str:
        if self.problems:
            return "wrong"
        return "ok" if self.enabled else "disabled"

    def with_problem(self, key: str, message: str, target: str = "", position: int = 0) -> _Checked:
        """
        Return the row with another problem.

        :param key: the key of the sync that has the problem.
        :param message: what is wrong, and what to do.
        :param target: the target that has the key, if one has.
        :param position: the item of the key's list, from 1, if it is about one.
        """
        item = f" (item {position})" if position else ""
        where = f"sync {shown((self.sync or '', target))}, key {key}{item}"
        more = Problem(self.line(key, target), (), message, where, self.file)
        return replace(self, problems=(*self.problems, more))

    @property
    def row(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "sync": self.sync,
            "status": self.status,
            "amplitude_conn_id": self.conn_id,
            "exports_a_month": self.exports,
            "problems": list(map(str, self.problems)),
        }


@dataclass
class _Names:
    """Names of syncs across all files: Airflow identifies a DAG by its id alone."""

    first: dict[str, str] = field(default_factory=dict)

    def checked(self, one: _Checked) -> _Checked:
        first = self.first.setdefault(one.sync, one.file) if one.sync else one.file
        if first == one.file:
            return one
        message = (
            f"{first} has a sync of the same name, and Airflow would show only one of the two DAGs. "
            "Rename one."
        )
        return one.with_problem("name", message)


@dataclass
class _Sound:
    """The valid syncs of all files: syncs of different files must not undo each other's work."""

    files: dict[str, Mapping[Label, Sync]] = field(default_factory=dict)

    def checked(self, rows: Sequence[_Checked]) -> list[_Checked]:
        by_sync = {(one.file, one.sync): one for one in rows}
        for file, (name, target), key, message in find_conflicts_of_files(self.files):
            by_sync[file, name] = by_sync[file, name].with_problem(key, message, target)
        return [by_sync[one.file, one.sync] for one in rows]


@command
def validate(args: Namespace) -> int:
    """Check files of syncs."""
    names, sound = _Names(), _Sound()
    files = files_in(args.files)
    checked = sound.checked([names.checked(one) for file in files for one in _check(file, sound)])
    rows = [one.row for one in checked]
    problems = [problem for one in checked for problem in one.problems]
    if args.output == "github":
        write_lines(map(_annotation, problems))
    else:
        show(rows, args.output, [_as_table(row) for row in rows], map(str, problems))
    _tell_cost(checked)
    _tell_pools(checked)
    count = Counter(one.status for one in checked)
    if count["wrong"]:
        say(f"Wrong: {count['wrong']} of {len(checked)}.")
    return NO if count["wrong"] else FINE


def _check(file: str, sound: _Sound) -> Iterator[_Checked]:
    try:
        check_is_there(file)
        loaded = load(Path(file))
        unbuildable = _unbuildable(file)
    except CohortSyncConfigError as error:
        yield _Checked(file, None, (Problem(error.line, (), error.message, file=file),))
        return
    sound.files[file] = by_label(loaded)
    for one in loaded:
        yield _of(file, one, unbuildable)


def _of(file: str, one: LoadedSync, unbuildable: Mapping[str, Sequence[Problem]]) -> _Checked:
    spec = one.spec
    if spec is None:
        return _Checked(file, one.name, _in_file(file, one.problems), one.line)
    checked = _Checked(
        file,
        one.name,
        _in_file(file, unbuildable.get(one.name, ())) if spec.enabled else (),
        one.line,
        spec.amplitude_conn_id,
        spec.enabled,
        exports_a_month(spec.cadence) if spec.enabled else 0,
        needs_pools=spec.use_pools and spec.enabled,
    )
    for key in ("snapshot_path", "unmatched_path"):
        path = getattr(spec, key)
        if spec.enabled and path is not None and not is_known_here(path):
            checked = checked.with_problem(key, _NO_STORAGE)
    for position, message in _unsendable(spec):
        checked = checked.with_problem("alerts", message, position=position)
    return checked


def _in_file(file: str, problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems with the file as it was given, instead of its name alone."""
    return tuple(replace(problem, file=file) for problem in problems)


def _unsendable(spec: Sync) -> Iterator[tuple[int, str]]:
    """Create each notifier, because DAG files do not import them and would only fail when one is needed."""
    for position, each in enumerate(spec.alerts, start=1):
        try:
            make_notifier(each.alert)
        except NotifierError as error:
            yield position, str(error)


def _unbuildable(file: str) -> dict[str, Sequence[Problem]]:
    """Build the DAGs, and return the problems of those that cannot run, by the names of their syncs."""
    tasks = {dag_id: dag.tasks for dag_id, dag in dags_of(Path(file)).items()}
    return {
        dag_id.removeprefix(DAG_PREFIX): task.problems
        for dag_id, each in tasks.items()
        for task in each
        if isinstance(task, RefusingOperator)
    }


def _annotation(problem: Problem) -> str:
    """Return a problem as a workflow command of GitHub Actions, which shows it beside the line."""
    place = f"file={_escaped(problem.file, ':,')},line={problem.line}"
    return f"::error {place},title=cohort-sync::{_escaped(problem.text)}"


def _escaped(text: str, more: str = "") -> str:
    """Escape what GitHub would take for the end of the command, or of a property."""
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{more}" else c for c in text)


def _tell_cost(checked: list[_Checked]) -> None:
    spent: Counter[str] = Counter()
    for one in checked:
        if one.conn_id is not None and not one.problems:
            spent[one.conn_id] += one.exports or 0
    for conn_id, total in spent.items():
        more = " That is over the limit: some runs will fail." if total > AMPLITUDE_GRANTS else ""
        say(
            f"The syncs of connection {conn_id} cost up to {total:,} of the {AMPLITUDE_GRANTS} exports that "
            f"Amplitude grants a month.{more}"
        )


def _tell_pools(checked: list[_Checked]) -> None:
    files = dict.fromkeys(one.file for one in checked if one.needs_pools and not one.problems)
    if files:
        say(
            "Some syncs run in pools, which must exist before a task can start. Where Airflow's database is "
            f"available, run: airflow cohort-sync pools {' '.join(files)}"
        )


def _as_table(row: Mapping[str, Any]) -> dict[str, Any]:
    cells = {key: value for key, value in row.items() if key != "amplitude_conn_id"}
    return {**cells, "problems": len(row["problems"])}
