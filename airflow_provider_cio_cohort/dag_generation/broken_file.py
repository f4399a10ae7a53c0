"""The DAG of a YAML file that cannot be read: it fails with the reason, and sends alerts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator
from pydantic import ValidationError

from airflow_provider_cio_cohort.alerts.memory import fingerprints
from airflow_provider_cio_cohort.alerts.rules import Alert
from airflow_provider_cio_cohort.compatibility import AirflowFailException
from airflow_provider_cio_cohort.dag_generation.alert_keys import AlertKeys, usable_alerts
from airflow_provider_cio_cohort.dag_generation.file_ids import file_dag, file_dag_id
from airflow_provider_cio_cohort.dag_generation.messages import CohortSyncConfigError, code, escape
from airflow_provider_cio_cohort.dag_generation.reader import read_defaults
from airflow_provider_cio_cohort.dag_generation.validation_messages import explain
from airflow_provider_cio_cohort.state import fingerprint

if TYPE_CHECKING:
    from airflow.sdk import Context

TAG = "cohort-file"
TASK_ID = "read"
#: The XCom key for which error which alerts were sent, and when it was last seen.
_TOLD = "told"
#: An error that was not seen for this long has been corrected in between.
_SAME_ERROR = timedelta(minutes=45)
_CONSEQUENCE = "None of its syncs runs, and max_age is not checked."


class BrokenFileOperator(BaseOperator):
    """
    Send the alerts about a file that cannot be read, once for each error, and fail with the reason.

    :param reason: why it cannot be read, and what to do; not templated.
    """

    ui_color = "#fde2e0"

    def __init__(self, *, file: str, reason: str, alerts: Sequence[Alert] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.reason = reason
        self.alerts = tuple(alerts)

    def execute(self, context: Context) -> None:
        """Send the alerts, and fail."""
        now, error = datetime.now(UTC), fingerprint(self.reason)
        alerts = self._tell(context, _already_sent(_told(context["ti"]), error, now))
        context["ti"].xcom_push(_TOLD, {"error": error, "seen": now.isoformat(), "alerts": alerts})
        raise AirflowFailException(self.reason)

    def _tell(self, context: Context, sent: Collection[str]) -> list[str]:
        from airflow_provider_cio_cohort.alerts.message import Message, link_to, shorten
        from airflow_provider_cio_cohort.alerts.sending import send

        reason, _, explanation = self.reason.partition("\n")
        message = Message(
            kind="unreadable",
            events=frozenset({"failure", "stale"}),
            sync=self.file,
            headline=shorten(f"Cohort syncs: {self.file} cannot be read, so none of its syncs runs."),
            reason=reason,
            explanation=explanation,
            link=link_to(self.dag_id),
            dag_id=self.dag_id,
        )
        return send(self.alerts, message, context, sent)


def _told(ti: Any) -> Any:
    """Return what the scheduled run before has told; a run by hand has none before it, so it tells again."""
    from airflow.sdk.execution_time.xcom import XCom

    before = ti.get_previous_dagrun()
    if before is None:
        return None
    return XCom.get_one(key=_TOLD, dag_id=ti.dag_id, run_id=before.run_id, task_id=ti.task_id)


def _already_sent(told: object, error: str, now: datetime) -> list[str]:
    """Return the alerts that earlier runs have sent about the same error; none if that is invalid."""
    if not isinstance(told, Mapping) or told.get("error") != error:
        return []
    try:
        seen = datetime.fromisoformat(str(told.get("seen"))).astimezone(UTC)
    except (ValueError, OverflowError):
        return []
    return fingerprints(told.get("alerts")) if abs(now - seen) < _SAME_ERROR else []


def broken_file_dag_id(path: Path) -> str:
    """Return the id of the DAG that exists while a file cannot be read."""
    return file_dag_id("cohort_file__", path)


def broken_file_dag(path: Path, error: CohortSyncConfigError, alerts: Sequence[Alert]) -> DAG:
    """
    Build the DAG of a file that cannot be read.

    :param alerts: who is told if the ``defaults`` of the file cannot be read either, or have no alerts.
    """
    why = str(error).replace(str(path), path.name)  # the folder may differ for each version of the bundle
    headline = f"The file {path.name} cannot be read, so none of its syncs runs."
    dag = file_dag(
        broken_file_dag_id(path),
        description=f"{path.name} cannot be read: none of its syncs runs",
        doc_md=f"**{code(path.name)} cannot be read.** {_CONSEQUENCE}\n\n{escape(why)}\n\n"
        "This DAG disappears, and those of the syncs return, once the file is corrected.\n",
        tags=[TAG, "config-error"],
    )
    BrokenFileOperator(
        task_id=TASK_ID,
        file=path.name,
        reason=f"{headline}\n{why}\n{_CONSEQUENCE} Correct the file.",
        alerts=_alerts_of(path) or alerts,
        dag=dag,
    )
    return dag


def given_alerts(given: Iterable[Mapping[str, Any]]) -> tuple[Alert, ...]:
    """
    Return the alerts that a DAG file gives to :func:`.build_dags`.

    :param given: each with the keys of an alert in the YAML file.
    :raises CohortSyncConfigError: if one of them is wrong.
    """
    found = []
    for position, each in enumerate(given, start=1):
        try:
            found.append(AlertKeys.model_validate(each).alert)
        except ValidationError as error:
            details = error.errors(include_url=False)[0]
            details["loc"] = ("alerts", position - 1, *details["loc"])
            key, message = explain(details, None)
            where = "".join(f": {part}" for part in key[2:])
            raise CohortSyncConfigError(f"build_dags: alerts (item {position}){where}: {message}") from None
    return tuple(found)


def _alerts_of(path: Path) -> tuple[Alert, ...]:
    """Return the alerts of the file's defaults, as far as they can be read."""
    defaults = read_defaults(path)
    if defaults is None:
        return ()
    entry = defaults.entries.get("alerts")
    value = entry.value if entry else defaults.readable.get("alerts")
    return tuple(each.alert for each in usable_alerts(value))
