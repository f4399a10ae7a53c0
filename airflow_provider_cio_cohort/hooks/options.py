"""What a connection's extra says to the HTTP client: proxies, TLS, time-out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_provider_cio_cohort.exceptions import ConfigurationError


def http_options(connection: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """
    Return the options for the HTTP client; any other key of the extra is for nobody's headers.

    The words are those of Airflow's HTTP provider. A connection that is written as a URI can only hold
    text, so text is understood everywhere.

    :param connection: the Airflow connection, to name it.
    :param extra: its extra.
    :return: some of ``proxies`` (a dict by scheme), ``verify``, ``cert``, ``timeout`` and ``trust_env``.
    :raises ConfigurationError: if a value is none that the client can use.
    """
    given = {name: value for name, value in extra.items() if value not in (None, "")}
    options: dict[str, Any] = {}
    proxies = given.get("proxies", given.get("proxy"))
    if proxies is not None:
        options["proxies"] = _proxies(connection, proxies)
    verify = given.get("verify", given.get("verify_ssl"))
    if verify is not None:
        options["verify"] = _verify(connection, verify)
    if "cert" in given:
        options["cert"] = given["cert"]
    if "trust_env" in given:
        options["trust_env"] = _flag(given["trust_env"]) is not False
    if "timeout" in given:
        options["timeout"] = _seconds(connection, given["timeout"])
    return options


def _proxies(connection: Any, value: Any) -> dict[str, str]:
    if isinstance(value, str):
        return {"http": value, "https": value}
    if isinstance(value, dict) and all(isinstance(proxy, str) for proxy in value.values()):
        return value
    raise _wrong(connection, "proxies", "an address, or addresses by scheme")


def _verify(connection: Any, value: Any) -> bool | str:
    flag = _flag(value)
    if flag is not None:
        return flag
    if isinstance(value, str) and Path(value).exists():
        return value
    raise _wrong(connection, "verify", "true, false, or the path of a file with certificates that exists")


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())


def _seconds(connection: Any, value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise _wrong(connection, "timeout", "a number of seconds above 0")
    return seconds


def _wrong(connection: Any, name: str, expected: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} in the extra of connection {connection.conn_id!r} has a wrong value.\n"
        f"Correct it: it must be {expected}."
    )
