"""Decides whose runs a user may see: by the rights that Airflow's own pages require for the same facts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, HTTPException, Request

#: What Airflow's list of DAGs requires beyond the DAGs themselves, because it shows their runs, the states of
#: tasks, and tasks that wait for input.
RUN_DETAILS = (DagAccessEntity.RUN, DagAccessEntity.TASK_INSTANCE, DagAccessEntity.HITL_DETAIL)

#: Returns those of some DAGs whose runs may be shown.
VisibleRuns = Callable[[Collection[str]], set[str]]


def visible_runs(request: Request, user: GetUserDep) -> VisibleRuns:
    """
    Return a function that picks the DAGs whose runs the user may see, among those that the user may read.

    As for Airflow's list of DAGs, rights that hold for no DAG in particular are enough. Without them, each
    DAG is checked as by its own pages.

    :param request: the request.
    :param user: the user.
    """

    def of_each(dag_ids: Collection[str]) -> set[str]:
        if all(
            get_auth_manager().is_authorized_dag(method="GET", access_entity=entity, user=user)
            for entity in RUN_DETAILS
        ):
            return set(dag_ids)
        return {dag_id for dag_id in dag_ids if _has_all(dag_id)}

    def _has_all(dag_id: str) -> bool:
        try:
            for entity in RUN_DETAILS:
                requires_access_dag("GET", entity, dag_id)(request, user)
        except HTTPException:
            return False
        return True

    return of_each


VisibleRunsDep = Annotated[VisibleRuns, Depends(visible_runs)]
