"""
The Airflow pools that keep the vendors' limits over all workers and machines: their names and sizes.

Airflow counts a pool's slots in its database, so no lock server is needed.
"""

from __future__ import annotations

#: The longest name of a pool that Airflow stores, in characters.
MAX_NAME = 256
#: Amplitude computes four exports of a project in parallel. Source: "Behavioral Cohorts API", rate limits.
EXPORT_SLOTS = 4
_EXPORTS, _SYNCS = "cohort_exports__", "cohort_syncs__"
#: The longest id of a connection for which both names fit.
MAX_CONN_ID = MAX_NAME - max(len(_EXPORTS), len(_SYNCS))


def exports_pool(amplitude_conn_id: str) -> str:
    """
    Return the pool of the tasks that export cohorts of an Amplitude project.

    :param amplitude_conn_id: the connection to the project.
    """
    return f"{_EXPORTS}{amplitude_conn_id}"


def syncs_pool(customer_io_conn_id: str) -> str:
    """
    Return the pool of the tasks that read and write segments of a Customer.io workspace.

    :param customer_io_conn_id: the connection to the workspace.
    """
    return f"{_SYNCS}{customer_io_conn_id}"


def is_of_a_connection(pool: str) -> bool:
    """
    Say whether a pool is one of those that ``airflow cohort-sync pools`` creates.

    :param pool: the pool's name.
    """
    return pool.startswith((_EXPORTS, _SYNCS))


def pools_of(amplitude_conn_id: str, customer_io_conn_id: str) -> tuple[tuple[str, str, str], ...]:
    """
    Return the pools that a sync runs in, each as its kind, connection and name.

    :param amplitude_conn_id: the connection to the project.
    :param customer_io_conn_id: the connection to the workspace.
    """
    return (
        ("exports", amplitude_conn_id, exports_pool(amplitude_conn_id)),
        ("syncs", customer_io_conn_id, syncs_pool(customer_io_conn_id)),
    )
