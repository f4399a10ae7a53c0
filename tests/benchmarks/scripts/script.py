"""The straightforward script: download, loop, POST each thousand."""

from __future__ import annotations

import os
from collections.abc import Callable

import requests

from tests.benchmarks.scripts.export import batches, user_ids


def prepare() -> Callable[[], None]:
    return sync


def sync() -> None:
    url = f"{os.environ['TRACK_URL']}/api/v1/segments/{os.environ['SEGMENT_ID']}/add_customers"
    with requests.Session() as session:
        session.auth = (os.environ["SITE_ID"], os.environ["TRACKING_API_KEY"])
        for batch in batches(user_ids()):
            session.post(url, json={"ids": batch}, timeout=60).raise_for_status()
