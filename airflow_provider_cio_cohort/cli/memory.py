"""What earlier runs have kept with a segment's asset, read from Airflow's database where it can be."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from airflow.sdk import Asset

log = logging.getLogger(__name__)


class AssetStores:
    """Stands in for a task's ``asset_state_store``; writes nothing."""

    def __getitem__(self, asset: Asset) -> _AssetStore:
        """
        Return what is kept with an asset.

        :param asset: the asset.
        """
        return _AssetStore(asset.uri)


@dataclass(frozen=True)
class _AssetStore:
    uri: str

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


def _read(uri: str, key: str) -> Any:
    from airflow._shared.state import AssetScope
    from airflow.models.asset import AssetModel
    from airflow.state import get_state_backend
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        asset_id = session.scalar(select(AssetModel.id).where(AssetModel.uri == uri, AssetModel.active.has()))
        if asset_id is None:
            return None
        value = get_state_backend().get(AssetScope(asset_id=asset_id), key, session=session)
        return None if value is None else json.loads(value)
