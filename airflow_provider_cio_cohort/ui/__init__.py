"""The page "Cohort syncs" in Airflow's user interface."""
