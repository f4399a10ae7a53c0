"""
Snapshots: the identifiers that each good run has synced, so that a segment can be restored.

They are kept in any storage that Airflow's ``ObjectStoragePath`` knows. Nothing of it is imported before it
is used: DAG files, which are parsed every few seconds, import this package.
"""
