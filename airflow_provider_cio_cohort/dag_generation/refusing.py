"""The task of a DAG that must not run, and says why."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from airflow_provider_cio_cohort.compatibility import AirflowFailException


class RefusingOperator(BaseOperator):
    """
    Fail at once, without a retry, and say why.

    Stands in for a sync that is disabled or wrong in the YAML file.

    :param reason: why the sync does not run and what to do; never a template.
    """

    ui_color = "#fde2e0"

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def execute(self, context: Any) -> None:
        """Refuse."""
        raise AirflowFailException(self.reason)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> None:
        """Refuse also to go on with a task that was deferred before the YAML file changed."""
        raise AirflowFailException(self.reason)
