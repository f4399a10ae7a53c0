"""What Airflow is told of the page, and what that costs the processes that never show it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import airflow_provider_cio_cohort.ui
from airflow_provider_cio_cohort.ui.plugin import CohortSyncsPlugin, LazyApp

WHAT_IT_IMPORTS = """
import json, sys
import airflow.plugins_manager
before = set(sys.modules)
import airflow_provider_cio_cohort.ui.plugin
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_airflow_finds_it() -> None:
    (found,) = entry_points(group="airflow.plugins", name="cohort_syncs")
    assert found.load() is CohortSyncsPlugin


def test_airflow_takes_it_as_it_is() -> None:
    from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse
    from airflow.plugins_manager import is_valid_plugin

    assert is_valid_plugin(CohortSyncsPlugin)
    (view,) = CohortSyncsPlugin.external_views
    assert ExternalViewResponse(**view).destination == "nav"
    assert not view["href"].startswith("/")  # it would leave the path of [api] base_url
    (app,) = CohortSyncsPlugin.fastapi_apps
    assert isinstance(app["app"], LazyApp)
    assert app["url_prefix"] == f"/{view['href'].rstrip('/')}"


def test_importing_it_imports_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHAT_IT_IMPORTS], capture_output=True, text=True, check=True, timeout=60
    )
    imported = json.loads(done.stdout.splitlines()[-1])
    assert "airflow_provider_cio_cohort.ui.plugin" in imported
    assert [name for name in imported if not name.startswith("airflow_provider_cio_cohort")] == []
    assert len(imported) <= 3  # the package, its ui, and the module


def test_nothing_comes_from_elsewhere() -> None:
    files = [
        path
        for folder in ("static", "templates")
        for path in (Path(airflow_provider_cio_cohort.ui.__file__).parent / folder).iterdir()
    ]
    assert len(files) > 5
    for path in files:
        said = path.read_text()
        assert "://" not in said.replace("http://www.w3.org/2000/svg", "")
        assert "|safe" not in said
        assert " style=" not in said  # the page's Content-Security-Policy would drop it
