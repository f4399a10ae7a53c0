"""What lets the tests' Airflow notice in seconds what it would notice in minutes."""

from __future__ import annotations

SOON = {
    # A task whose process, or machine, was killed.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    # A scheduler that takes itself for dead, on a busy machine, starts its tasks anew.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    # The segment, which the sandbox shows at once.
    "AIRFLOW__CIO_COHORT__VERIFY_STABLE_SECONDS": "0.2",
    "AIRFLOW__CIO_COHORT__VERIFY_INTERVAL": "0.1",
    "AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT": "5",
}
