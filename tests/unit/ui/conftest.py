from tests.unit.overview.database import airflow, migrated, session

__all__ = ["airflow", "migrated", "session"]
