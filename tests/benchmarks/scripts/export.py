"""What every script does first: exports a cohort from Amplitude and returns its user ids."""

from __future__ import annotations

import csv
import io
import os
import time

import requests


def user_ids() -> list[str]:
    """Request an export, wait for it, download it, and return its ``user_id`` column."""
    base = f"{os.environ['AMPLITUDE_URL']}/api/5/cohorts"
    with requests.Session() as session:
        session.auth = (os.environ["AMPLITUDE_API_KEY"], os.environ["AMPLITUDE_SECRET_KEY"])
        answer = session.get(f"{base}/request/{os.environ['COHORT_ID']}", timeout=60)
        answer.raise_for_status()
        request_id = answer.json()["request_id"]
        while session.get(f"{base}/request-status/{request_id}", timeout=60).status_code == 202:
            time.sleep(1)
        file = session.get(f"{base}/request/{request_id}/file", timeout=60)
        file.raise_for_status()
    return [row["user_id"] for row in csv.DictReader(io.StringIO(file.text)) if row["user_id"]]


def batches(values: list[str]) -> list[list[str]]:
    """Cut values into as many as the Track API takes in a call."""
    return [values[start : start + 1000] for start in range(0, len(values), 1000)]
