"""Every test runs against an Airflow home of its own, and never waits longer than it must."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Airflow reads its configuration when it is first imported, so this comes before any import of it.
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
os.environ.update(
    {
        "AIRFLOW_HOME": str(AIRFLOW_HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CIO_COHORT__RETRY_FIRST_WAIT": "0.01",
        "AIRFLOW__CIO_COHORT__RETRY_LONGEST_WAIT": "0.05",
        "AIRFLOW__CIO_COHORT__RETRY_BUDGET": "10",
        "AIRFLOW__CIO_COHORT__READ_TIMEOUT": "5",
        "AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT": "3",
        "AIRFLOW__CIO_COHORT__VERIFY_SETTLE": "0.2",
        "AIRFLOW__CIO_COHORT__VERIFY_INTERVAL": "0.05",
    }
)
for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
    del os.environ[name]
