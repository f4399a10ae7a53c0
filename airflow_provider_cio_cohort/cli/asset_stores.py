"""Replaces Airflow's asset state stores where a command does the work of a task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

if TYPE_CHECKING:
    from airflow._shared.state import AssetScope
    from sqlalchemy.orm import Session


class AssetStores:
    """
    Replaces a task's ``asset_state_store``, with the values in Airflow's database.

    :param writes: whether values are written to the database; they are dropped otherwise.
    """

    def __init__(self, *, writes: bool = False) -> None:
        self._writes = writes

    def __getitem__(self, asset: Asset) -> _AssetStore:
        """Return the store of an asset."""
        return _AssetStore(asset.uri, self._writes)


@dataclass(frozen=True)
class _AssetStore:
    uri: str
    writes: bool

    @property
    def exists(self) -> bool:
        """Whether Airflow has the asset."""
        from airflow.utils.session import create_session

        with create_session() as session:
            return _scope(self.uri, session) is not None

    def get(self, key: str) -> Any:
        """
        Return a stored value, ``None`` if there is none.

        :raises Exception: if the database cannot be read; a plan is then less exact.
        """
        return _read(self.uri, key)

    def set(self, key: str, value: Any) -> None:
        """
        Store a value; does nothing if no run has created the asset yet, because no later run depends on it.

        :raises Exception: if the database cannot be written.
        """
        if self.writes:
            _write(self.uri, key, json.dumps(value))


def _read(uri: str, key: str) -> Any:
    from airflow.state import get_state_backend
    from airflow.utils.session import create_session

    with create_session() as session:
        scope = _scope(uri, session)
        value = None if scope is None else get_state_backend().get(scope, key, session=session)
        return None if value is None else json.loads(value)


def _write(uri: str, key: str, value: str) -> None:
    from airflow.state import get_state_backend
    from airflow.utils.session import create_session

    with create_session() as session:
        scope = _scope(uri, session)
        if scope is not None:
            get_state_backend().set(scope, key, value, session=session)


def _scope(uri: str, session: Session) -> AssetScope | None:
    from airflow._shared.state import AssetScope
    from airflow.models.asset import AssetModel
    from sqlalchemy import select

    # An inactive asset, which no DAG uses now, may become active again with its stored values.
    found = select(AssetModel.id).where(AssetModel.uri == uri).order_by(AssetModel.active.has().desc())
    asset_id = session.scalar(found.limit(1))
    return None if asset_id is None else AssetScope(asset_id=asset_id)
