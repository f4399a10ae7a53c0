"""Opens Airflow's database for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.utils.session import create_session
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.cli.runtime import CommandError


@contextmanager
def database() -> Iterator[Session]:
    """
    Open a session, which is committed at the end.

    :raises CommandError: if the database is unavailable, or has not been migrated.
    """
    try:
        with create_session() as session:
            yield session
    except (OperationalError, ProgrammingError) as error:
        raise CommandError(
            f"Airflow's database cannot be read ({type(error.orig).__name__}). Check [database] "
            "sql_alchemy_conn; airflow db migrate creates a new database."
        ) from None
