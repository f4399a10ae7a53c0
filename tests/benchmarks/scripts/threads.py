"""The same with eight threads; what is refused is sent again by urllib3, when the answer says."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from tests.benchmarks.scripts.export import batches, user_ids

THREADS = 8


def prepare() -> Callable[[], None]:
    return sync


def sync() -> None:
    url = f"{os.environ['TRACK_URL']}/api/v1/segments/{os.environ['SEGMENT_ID']}/add_customers"
    retry = Retry(total=20, status_forcelist=[429, 502, 503, 504], allowed_methods=None, backoff_factor=0.5)
    with requests.Session() as session, ThreadPoolExecutor(THREADS) as pool:
        session.auth = (os.environ["SITE_ID"], os.environ["TRACKING_API_KEY"])
        session.mount("http://", HTTPAdapter(pool_maxsize=THREADS, max_retries=retry))

        def send(batch: list[str]) -> None:
            session.post(url, json={"ids": batch}, timeout=60).raise_for_status()

        for _ in pool.map(send, batches(user_ids())):
            pass
