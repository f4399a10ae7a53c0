"""All that Airflow discovers of this provider; imports nothing, because every Airflow process loads it."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_provider_cio_cohort"
_OPTIONAL_TEXT = {"type": ["string", "null"]}


def _region(how_to_tell: str) -> dict[str, Any]:
    return {
        "label": "Region",
        "description": f"The account's data centre; the United States if empty. {how_to_tell}",
        # Not us and eu: Airflow takes every text of an extra for a secret, and begins the log of a task with
        # a warning of one that is too short to mask.
        "schema": {"type": ["string", "null"], "enum": ["united states", "europe"]},
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, as Airflow's ``provider_info.schema.json`` asks for it."""
    return {
        "package-name": "airflow-provider-cio-cohort",
        "name": "Customer.io cohorts",
        "description": "Keeps Customer.io segments equal to Amplitude cohorts.",
        "integrations": [
            {
                "integration-name": "Amplitude",
                "external-doc-url": "https://amplitude.com/docs/apis/analytics/behavioral-cohorts",
                "tags": ["service"],
            },
            {
                "integration-name": "Customer.io",
                "external-doc-url": "https://docs.customer.io/integrations/api/",
                "tags": ["service"],
            },
        ],
        "hooks": [
            {"integration-name": "Amplitude", "python-modules": [f"{_PACKAGE}.hooks.amplitude"]},
            {"integration-name": "Customer.io", "python-modules": [f"{_PACKAGE}.hooks.customer_io"]},
        ],
        "operators": [
            {"integration-name": "Amplitude", "python-modules": [f"{_PACKAGE}.operators.amplitude"]},
            {
                "integration-name": "Customer.io",
                "python-modules": [f"{_PACKAGE}.operators.approval", f"{_PACKAGE}.operators.freshness"],
            },
        ],
        "triggers": [{"integration-name": "Amplitude", "python-modules": [f"{_PACKAGE}.triggers.amplitude"]}],
        "transfers": [
            {
                "source-integration-name": "Amplitude",
                "target-integration-name": "Customer.io",
                "python-module": f"{_PACKAGE}.transfers.amplitude_to_customer_io",
            }
        ],
        "extra-links": [
            f"{_PACKAGE}.transfers.amplitude_to_customer_io.AmplitudeCohortLink",
            f"{_PACKAGE}.transfers.amplitude_to_customer_io.CustomerIOSegmentLink",
        ],
        "asset-uris": [
            {
                "schemes": ["amplitude", "customerio"],
                "handler": None,
                "to_openlineage_converter": f"{_PACKAGE}.assets.as_dataset",
            }
        ],
        "connection-types": [_amplitude(), _customer_io()],
        "cli": [f"{_PACKAGE}.cli.commands.get_cli_commands"],
        "config": {"cio_cohort": {"description": _CONFIG, "options": _options()}},
    }


def _amplitude() -> dict[str, Any]:
    return {
        "connection-type": "amplitude",
        "hook-class-name": f"{_PACKAGE}.hooks.amplitude.AmplitudeHook",
        "hook-name": "Amplitude",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "port", "extra"],
            "relabeling": {"login": "API key", "password": "Secret key", "host": "Host"},
            "placeholders": {
                "login": "in Amplitude: Settings > Projects > your project > General > API Key",
                "password": "beside the API Key: Secret Key",
                "host": "leave empty; only for a proxy or the sandbox",
            },
        },
        "conn-fields": {
            "region": _region("It is Europe if Amplitude's address in your browser has .eu."),
            "organization": {
                "label": "Organization",
                "description": "What follows /analytics/ in Amplitude's address in your browser, or that "
                "address. It is used only for the link from a task to its cohort.",
                "schema": _OPTIONAL_TEXT,
            },
        },
    }


def _customer_io() -> dict[str, Any]:
    return {
        "connection-type": "customer_io",
        "hook-class-name": f"{_PACKAGE}.hooks.customer_io.CustomerIOHook",
        "hook-name": "Customer.io",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "port", "host", "extra"],
            "relabeling": {"login": "Site ID", "password": "Tracking API key"},
            "placeholders": {
                "login": "in Customer.io: Settings > Workspace settings > API credentials",
                "password": "in the same list, Tracking API keys: API Key",
            },
        },
        "conn-fields": {
            "app_api_key": {
                "label": "App API key",
                "description": "In Customer.io: Settings > Workspace settings > API credentials > App API "
                "keys. It differs from the Tracking API key, belongs to the same workspace, and is shown "
                "only once, when it is created.",
                "schema": {"type": "string", "format": "password"},
            },
            "region": _region("The test button says if it is the wrong one."),
            "track_base_url": {
                "label": "Track base URL",
                "description": "Leave empty. Replaces the region's Track API, for a proxy or the sandbox.",
                "schema": _OPTIONAL_TEXT,
            },
            "app_base_url": {
                "label": "App base URL",
                "description": "Leave empty. Replaces the region's App API, for a proxy or the sandbox.",
                "schema": _OPTIONAL_TEXT,
            },
            "requests_per_second": {
                "label": "Requests per second",
                "description": "How fast a run sends requests, each of which adds or removes up to "
                "1,000 people. 100 is a cautious default: Customer.io publishes 1,000, shared by everything "
                "that writes to the workspace, and may drop what exceeds it.",
                "schema": {"type": ["number", "null"], "exclusiveMinimum": 0, "default": 100},
            },
            "max_concurrent_tasks": {
                "label": "Concurrent tasks",
                "description": "How many tasks may work on this workspace at the same time. Each gets its "
                "share of the requests per second; with use_pools, the workspace's pool has this many slots.",
                "schema": {"type": ["integer", "null"], "minimum": 1, "default": 1},
            },
        },
    }


_CONFIG = "Time-outs and retries of the syncs from Amplitude cohorts to Customer.io segments."


def _options() -> dict[str, Any]:
    seconds = {
        "connect_timeout": ("Seconds to wait for a connection to either vendor.", 10),
        "read_timeout": ("Seconds to wait for the next bytes of a response.", 60),
        "retry_timeout": (
            "Seconds that one call may take with all its retries, before the task is retried.",
            300,
        ),
        "retry_wait_initial": (
            "Seconds; the wait before a retry is random, from 0 to this, which doubles with each retry.",
            1,
        ),
        "retry_wait_max": ("Seconds; the longest such wait.", 60),
        "progress_interval": (
            "Seconds between two messages in the log about long work; 0 for none.",
            30,
        ),
        "export_grace": (
            "Seconds for which an export that Amplitude does not know (since the request), or whose file it "
            "does not have (since the first download), counts as not ready yet; after that, it is lost.",
            120,
        ),
        "verify_timeout": ("Seconds that writes may take to become visible when a segment is read back.", 60),
        "verify_stable_seconds": (
            "Seconds for which a segment's count must not change before a read of its members counts that "
            "does not prove the outcome of every write.",
            5,
        ),
        "verify_interval": ("Seconds between two checks of that count; the first come sooner.", 1),
        "export_hold": (
            "The least seconds for which a task that requests an export in a pool (use_pools) keeps its "
            "slot, what it does before the request included: four slots for 40 s each are the 60 exports in "
            "10 minutes that Amplitude allows.",
            40,
        ),
        "wait_before_deferral": (
            "Seconds for which a deferrable task that requests an export in a pool (use_pools) waits in its "
            "worker; only then does it wait in the triggerer. At most four tasks of an Amplitude project do.",
            90,
        ),
    }
    return {
        name: {
            "description": description,
            "version_added": "1.0.0",
            "type": "float",
            "example": None,
            "default": str(default),
        }
        for name, (description, default) in seconds.items()
    }
