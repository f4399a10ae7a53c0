"""Finds the tasks that a command is about, in a YAML file or in Airflow's DAG bundles; renders them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from airflow_provider_cio_cohort.cli.runtime import WRONG_USAGE, CommandError, say
from airflow_provider_cio_cohort.compatibility import dag_bag
from airflow_provider_cio_cohort.dag_generation.broken_file import BrokenFileOperator
from airflow_provider_cio_cohort.dag_generation.builder import RefusingOperator, dags_of
from airflow_provider_cio_cohort.dag_generation.keys import DAG_PREFIX
from airflow_provider_cio_cohort.dag_generation.messages import CohortSyncConfigError, did_you_mean, show
from airflow_provider_cio_cohort.dag_generation.tasks import TASK_ID
from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

_PLAN = "plan"
#: Fields that hold results of other tasks of a run; a plan has none of these.
_OF_A_RUN = ("export", "approved_plan")


@dataclass(frozen=True)
class Found:
    """
    A task that syncs a segment, or the reason why there is none.

    :param sync: the sync's name; the DAG's id for a hand-written DAG.
    :param target: the target's name; the task's id if a hand-written DAG has several tasks.
    :param dag: its DAG.
    :param task_id: its id.
    :param task: the task; ``None`` if it cannot be planned.
    :param problem: why the task cannot be planned.
    :param status: the status in that case: ``disabled``, ``refused``, or ``unknown``.
    """

    sync: str
    target: str | None
    dag: DAG
    task_id: str
    task: AmplitudeCohortToCustomerIOOperator | None
    problem: str = ""
    status: str = "unknown"


def is_file(what: str) -> bool:
    """Return whether the argument of a command is a file."""
    return what.endswith((".yaml", ".yml")) or Path(what).is_file()


def files_in(places: Iterable[str]) -> list[str]:
    """
    Return the files of a command's arguments, each once; says which were found in folders.

    :param places: files; and folders, which stand for the YAML files in them and in the folders below, hidden
        ones excepted.
    """
    files: dict[Path, str] = {}
    for place in places:
        found = _in_folder(Path(place)) if Path(place).is_dir() else []
        if found:
            say(f"{place}: {', '.join(str(path.relative_to(place)) for path in found)}")
        for path in found or [Path(place)]:
            files.setdefault(path.resolve(), str(path) if found else place)
    return list(files.values())


def _in_folder(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*.y*ml")
        if path.suffix in (".yaml", ".yml")
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def check_is_there(file: str) -> None:
    """
    Refuse a file that does not exist, and a folder.

    :raises CohortSyncConfigError: if it does not exist, or is a folder.
    """
    if Path(file).is_dir():
        raise CohortSyncConfigError("the folder has no file that ends with .yaml or .yml.", file)
    if not Path(file).is_file():
        raise CohortSyncConfigError("there is no such file.", file)


def in_file(file: str, only: str | None) -> list[Found]:
    """
    Return the tasks of a YAML file.

    :param only: the wanted sync; ``None`` for all.
    :raises CohortSyncConfigError: if the file as a whole cannot be understood.
    :raises CommandError: if it has no such sync.
    """
    check_is_there(file)
    dags = dags_of(Path(file))
    if only is not None:
        dag_id = f"{DAG_PREFIX}{only}"
        if dag_id not in dags:
            known = [each.removeprefix(DAG_PREFIX) for each in dags]
            raise CommandError(f"{file} has no sync {show(only)}.{_suggest(only, known)}", WRONG_USAGE)
        dags = {dag_id: dags[dag_id]}
    return [found for dag in dags.values() for found in _tasks(dag)]


def in_bundles(name: str) -> list[Found]:
    """
    Return the tasks of a DAG in Airflow's DAG bundles.

    :param name: a sync's name, or a DAG's id.
    :raises CommandError: if there is no such DAG, or it has no sync.
    """
    dags, broken = _all_dags()
    dag = dags.get(f"{DAG_PREFIX}{name}") or dags.get(name)
    if dag is None:
        known = [dag_id.removeprefix(DAG_PREFIX) for dag_id in dags]
        files = f" These files cannot be read: {', '.join(broken)}." if broken else ""
        raise CommandError(
            f"Airflow's DAG bundles contain neither the DAG {DAG_PREFIX}{name} nor {name}."
            f"{_suggest(name, known)}{files} For a sync that is not in a DAG folder yet, pass its "
            "YAML file and --sync.",
            WRONG_USAGE,
        )
    found = list(_tasks(dag))
    if not found:
        raise CommandError(
            f"The DAG {dag.dag_id} has no AmplitudeCohortToCustomerIOOperator, so there is nothing to plan.",
            WRONG_USAGE,
        )
    return found


def find(what: str, only: str | None) -> list[Found]:
    """
    Return the tasks that a command is about.

    :param what: a YAML file, a sync's name, or a DAG's id.
    :param only: the wanted sync of a file; ``None`` for all.
    :raises CohortSyncConfigError: if a file as a whole cannot be understood.
    :raises CommandError: if there is no such sync.
    """
    if is_file(what):
        return in_file(what, only)
    if only is not None:
        raise CommandError(
            "--sync selects a sync of a YAML file, but no file was given. Pass the file.", WRONG_USAGE
        )
    return in_bundles(what)


def everywhere() -> tuple[list[Found], list[str]]:
    """Return the tasks of all DAGs in Airflow's DAG bundles, and the files that cannot be read."""
    dags, broken = _all_dags()
    return [found for dag in dags.values() for found in _tasks(dag)], broken


def _all_dags() -> tuple[dict[str, DAG], list[str]]:
    """Read all bundles as ``airflow tasks test`` does, but without writing them to Airflow's database."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    dags: dict[str, DAG] = {}
    broken: list[str] = []
    manager = DagBundlesManager()  # type: ignore[no-untyped-call]
    for bundle in manager.get_all_dag_bundles():
        try:
            bundle.initialize()
        except Exception as error:  # a bundle may be any code, and its message may contain a URL with a key
            raise CommandError(
                f"The DAG bundle {bundle.name} cannot be read ({type(error).__name__}): see the "
                "output of `airflow dags list`."
            ) from None
        bag = dag_bag(bundle)
        dags = {**bag.dags, **dags}
        broken += sorted(bag.import_errors)
        tasks = (task for dag in bag.dags.values() for task in dag.tasks)
        broken += sorted(task.file for task in tasks if isinstance(task, BrokenFileOperator))
    return dags, broken


def _suggest(wrong: str, known: list[str]) -> str:
    few = f" There are {', '.join(sorted(known))}." if 0 < len(known) < 20 else ""
    return did_you_mean(wrong, known) or few


def _tasks(dag: DAG) -> Iterator[Found]:
    generated = dag.dag_id.startswith(DAG_PREFIX)
    sync = dag.dag_id.removeprefix(DAG_PREFIX)
    tasks = [
        task for task in dag.tasks if _class_of(task) is not None and not _is_plan_only(task.task_id, dag)
    ]
    for task in tasks:
        if isinstance(task, RefusingOperator):
            status = "disabled" if "disabled" in dag.tags else "refused"
            yield Found(sync, None, dag, task.task_id, None, task.reason, status)
            continue
        if generated and task.task_id.startswith(f"{TASK_ID}__"):
            target: str | None = task.task_id.removeprefix(f"{TASK_ID}__")
        else:
            target = task.task_id if len(tasks) > 1 else None
        if isinstance(task, AmplitudeCohortToCustomerIOOperator):
            yield Found(sync, target, dag, task.task_id, task)
        else:
            problem = (
                f"The task {task.task_id} of DAG {dag.dag_id} is mapped, so only a run knows what it "
                "syncs: trigger a run with dry_run."
            )
            yield Found(sync, target, dag, task.task_id, None, problem)


def _class_of(task: Any) -> type | None:
    kind = getattr(task, "operator_class", type(task))  # a mapped task has the class it expands to
    wanted = (AmplitudeCohortToCustomerIOOperator, RefusingOperator)
    return kind if isinstance(kind, type) and issubclass(kind, wanted) else None


def _is_plan_only(task_id: str, dag: DAG) -> bool:
    """Return whether a task is the dry run before an approval, which the sync task follows."""
    head, _, tail = task_id.partition("__")
    return head == _PLAN and (f"{TASK_ID}__{tail}" if tail else TASK_ID) in dag.task_dict


@dataclass(frozen=True)
class Rendered:
    """
    Facts about a rendered task besides its parameters.

    :param dry_run: whether its runs write nothing anyway.
    :param asks: whether a tripped guard asks for an approval.
    """

    dry_run: bool
    asks: bool


def render(found: Found, task: AmplitudeCohortToCustomerIOOperator) -> Rendered:
    """
    Fill in the task's templates with the defaults of the DAG's params, and make it a dry run.

    :param task: the task; changed.
    :raises ConfigurationError: if a template needs something that only a run has.
    """
    context: Any = {"params": _params(task), "dag": found.dag, "task": task}
    environment = found.dag.get_template_env()
    asks = task.approved_plan is not None
    task.templates -= {*_OF_A_RUN}
    for field in task.template_fields:
        value = None if field in _OF_A_RUN else getattr(task, field)
        try:
            value = task.render_template(value, context, environment)
        # A user's template can make Jinja or Python raise anything.
        except Exception as error:
            raise ConfigurationError(
                f"{field} of the task {found.task_id} of DAG {found.dag.dag_id} is the template "
                f"{show(str(value))}.\nOnly a run can render it ({error}): a plan only has the defaults of "
                "the params. Trigger a run with dry_run to see what it would do."
            ) from None
        setattr(task, field, value)
    try:
        is_dry = task.parameters.dry_run
    except ConfigurationError:
        return Rendered(False, asks)  # creating a run of the task raises the same error
    task.dry_run = True  # type: ignore[assignment, method-assign]
    return Rendered(is_dry, asks)


def _params(task: AmplitudeCohortToCustomerIOOperator) -> dict[str, Any]:
    params: Mapping[str, Any] = task.params
    values = {key: getattr(param, "value", param) for key, param in params.items()}
    return {key: value for key, value in values.items() if type(value).__name__ != "ArgNotSet"}
