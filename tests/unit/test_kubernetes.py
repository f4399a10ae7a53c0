"""What deploy/kubernetes and its page rely on; rendering takes Helm: make check-kubernetes."""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from pathlib import Path

import pytest
import yaml
from airflow.dag_processing.bundles.manager import DagBundlesManager

from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "kubernetes" / "values.yaml").read_text(encoding="utf-8")
VALUES = yaml.safe_load(TEXT)
PAGE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
BUNDLES = [json.loads(text) for text in re.findall(r"```json\n(\[.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("bundles", [VALUES["dagProcessor"]["dagBundleConfigList"], *BUNDLES])
def test_airflow_takes_the_bundles(bundles: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(bundles))
    assert set(DagBundlesManager()._bundle_config) >= {each["name"] for each in bundles}
    for each in bundles:
        # Every keyword is one of the class's own: a wrong one would be found when Airflow starts.
        kind = pkgutil.resolve_name(each["classpath"])
        known = {name for base in kind.__mro__ for name in inspect.signature(base.__init__).parameters}
        assert set(each["kwargs"]) <= known


def test_the_page_shows_the_bundle_of_the_values() -> None:
    assert VALUES["dagProcessor"]["dagBundleConfigList"] in BUNDLES


def test_the_default_connections_reach_the_tasks() -> None:
    git = VALUES["dagProcessor"]["dagBundleConfigList"][0]["kwargs"]["git_conn_id"]
    wanted = {AmplitudeHook.default_conn_name, CustomerIOHook.default_conn_name, git}
    assert {entry["envName"] for entry in VALUES["secret"]} == {
        f"AIRFLOW_CONN_{one.upper()}" for one in wanted
    }
    for entry in VALUES["secret"]:
        assert f"--from-file={entry['secretKey']}=" in PAGE


def test_every_secret_is_named_and_made_on_the_page() -> None:
    named = {value for key, value in VALUES.items() if key.endswith("SecretName")}
    named |= {VALUES["data"]["metadataSecretName"], *(entry["secretName"] for entry in VALUES["secret"])}
    assert named == set(re.findall(r"create secret generic (\S+)", PAGE))
    assert not re.search(r"(?i)\b(password|fernetKey|secretKey|jwtSecret):", TEXT.replace("secretKey: ", ""))
