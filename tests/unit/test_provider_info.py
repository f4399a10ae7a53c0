from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import distribution

import pytest

from airflow_provider_cio_cohort.engine.verify import VerifyTimeouts
from airflow_provider_cio_cohort.get_provider_info import get_provider_info
from airflow_provider_cio_cohort.hooks.retry import Policy
from airflow_provider_cio_cohort.transfers.deferral import EXPORT_HOLD, WAIT_BEFORE_DEFERRAL
from dev.provider_schemas import schema_faults

INFO = get_provider_info()


def test_the_info_fits_both_of_airflows_schemas() -> None:
    assert schema_faults(INFO) == []


def test_the_package_name_is_the_distribution() -> None:
    found = distribution("airflow-provider-cio-cohort")
    assert INFO["package-name"] == found.name
    groups = {point.group: point.value for point in found.entry_points}
    module = "airflow_provider_cio_cohort.get_provider_info:get_provider_info"
    assert groups["apache_airflow_provider"] == module


@pytest.mark.parametrize("form", INFO["connection-types"], ids=lambda form: form["connection-type"])
def test_every_connection_type_has_its_hook(form: dict) -> None:
    module, _, name = form["hook-class-name"].rpartition(".")
    hook = getattr(import_module(module), name)
    assert hook.conn_type == form["connection-type"]
    assert hook.hook_name == form["hook-name"]
    assert hook.default_conn_name == f"{hook.conn_type}_default"
    assert hook.conn_name_attr == f"{hook.conn_type}_conn_id"


def test_every_listed_module_and_path_is_there() -> None:
    modules = [name for key in ("hooks", "triggers") for item in INFO[key] for name in item["python-modules"]]
    for name in (*modules, *(item["python-module"] for item in INFO["transfers"])):
        assert import_module(name)
    for path in (*INFO["extra-links"], *(each["to_openlineage_converter"] for each in INFO["asset-uris"])):
        module, _, name = path.rpartition(".")
        assert callable(getattr(import_module(module), name))


def test_the_form_fields_are_those_of_the_readme() -> None:
    amplitude, customer_io = INFO["connection-types"]
    assert set(amplitude["conn-fields"]) == {"region", "organization"}
    fields = {
        "app_api_key",
        "region",
        "track_base_url",
        "app_base_url",
        "requests_per_second",
        "max_concurrent_tasks",
    }
    assert set(customer_io["conn-fields"]) == fields
    assert customer_io["conn-fields"]["app_api_key"]["schema"]["format"] == "password"


def test_the_configuration_names_every_setting_with_its_default() -> None:
    options = INFO["config"]["cio_cohort"]["options"]
    verify = {f"verify_{name}": value for name, value in vars(VerifyTimeouts()).items()}
    pools = {"export_hold": EXPORT_HOLD, "wait_before_deferral": WAIT_BEFORE_DEFERRAL}
    settings = {**vars(Policy()), **verify, **pools}
    assert {name: float(option["default"]) for name, option in options.items()} == settings


def test_the_info_and_the_operator_import_no_http_library() -> None:
    code = (
        "import sys, airflow_provider_cio_cohort.get_provider_info as info; info.get_provider_info();"
        "assert 'airflow' not in sys.modules;"
        "import airflow_provider_cio_cohort.transfers.amplitude_to_customer_io;"
        "print([name for name in ('requests', 'aiohttp', 'urllib3.connectionpool') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
