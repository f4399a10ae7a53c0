"""What stands in for Airflow's stores where a command does the work of a task."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

if TYPE_CHECKING:
    from airflow._shared.state import AssetScope
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)


class Xcoms:
    """Stands in for a task instance: takes what a task leaves for others."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """
        Take a value.

        :param key: what it is left under.
        :param value: plain data.
        """
        self.pushed[key] = value


class AssetStores:
    """
    Stands in for a task's ``asset_state_store``, by what Airflow's database has, where that can be read.

    :param writes: whether what a task keeps is really kept.
    """

    def __init__(self, *, writes: bool = False) -> None:
        self._writes = writes

    def __getitem__(self, asset: Asset) -> _AssetStore:
        """
        Return what is kept with an asset.

        :param asset: the asset.
        """
        return _AssetStore(asset.uri, self._writes)


@dataclass(frozen=True)
class _AssetStore:
    uri: str
    writes: bool

    def get(self, key: str) -> Any:
        """
        Return a kept value, ``None`` if there is none, or no database to look into.

        :param key: what it is kept under.
        """
        try:
            return _read(self.uri, key)
        # Without it the plan is a little less exact; there need not be a database, nor may we be let in.
        except Exception as error:
            log.info("What earlier runs have kept cannot be read (%s).", type(error).__name__)
            return None

    def set(self, key: str, value: Any) -> None:
        """
        Keep a value; without a database, there is nobody to whom it would be of use.

        :param key: what it is kept under.
        :param value: plain data.
        """
        if not self.writes:
            return
        try:
            _write(self.uri, key, json.dumps(value))
        except Exception as error:
            log.info("What the next run is to know cannot be kept (%s).", type(error).__name__)


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

    asset_id = session.scalar(select(AssetModel.id).where(AssetModel.uri == uri, AssetModel.active.has()))
    return None if asset_id is None else AssetScope(asset_id=asset_id)
