"""What Airflow may be told: options of its configuration, and connections."""

from __future__ import annotations

import json
import re
from functools import cache

from airflow.configuration import conf
from airflow.sdk.definitions.connection import Connection

from airflow_provider_cio_cohort.get_provider_info import get_provider_info

OPTION = re.compile(r"AIRFLOW__(\w+?)__(\w+)")
#: Sections of providers that the image has, and a machine that runs the tests need not have.
ELSEWHERE = {"fab", "kubernetes_executor"}
_OURS = {form["connection-type"]: form for form in get_provider_info()["connection-types"]}
#: What Airflow's HTTP provider knows, and our hooks take as well.
_HTTP_OPTIONS = {"proxies", "verify", "cert", "timeout", "trust_env"}


@cache
def known_options() -> dict[str, set[str]]:
    sections = conf.configuration_description
    return {name: {option.lower() for option in section["options"]} for name, section in sections.items()}


def check_option(section: str, option: str) -> None:
    section, option = section.lower(), option.lower()
    known = known_options()
    if section in ELSEWHERE and section not in known:
        return
    assert section in known, f"Airflow has no section [{section}]"
    bare = option.removesuffix("_cmd").removesuffix("_secret")
    assert option in known[section] or bare in known[section], f"[{section}] has no option {option}"


def check_variable(name: str, value: str) -> None:
    """
    Check a variable of the environment that Airflow reads.

    :param name: its name; one of anybody else's is not looked at.
    :param value: what it is set to.
    """
    if found := OPTION.fullmatch(name):
        check_option(*found.groups())
    elif name.startswith("AIRFLOW__"):
        raise AssertionError(f"{name} sets nothing: it is AIRFLOW__<SECTION>__<OPTION>")
    elif name.startswith("AIRFLOW_CONN_") and not value.startswith("$"):
        check_connection(value)


def check_connection(text: str) -> None:
    """
    Read a connection as Airflow reads it, and look whether its type has its fields.

    :param text: as JSON, or as an address.
    """
    if not text.lstrip().startswith("{"):
        assert Connection.from_uri(text, conn_id="shown").conn_type
        return
    connection = Connection.from_json(text, conn_id="shown")
    assert connection.conn_type, "a connection without a type"
    form = _OURS.get(connection.conn_type)
    if form is not None:
        assert connection.login
        assert connection.password
        unknown = set(connection.extra_dejson) - set(form["conn-fields"]) - _HTTP_OPTIONS
        assert not unknown, f"{connection.conn_type} has no {unknown}"
    assert set(json.loads(text)) <= {
        *("conn_type", "host", "login", "password", "schema", "port", "extra", "description", "uri")
    }
