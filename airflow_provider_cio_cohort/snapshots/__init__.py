"""
Snapshots: the identifiers that each good run has synced, so that a segment can be put back to what it was.

They live in any storage that Airflow's ``ObjectStoragePath`` knows. Nothing of it is imported before it is
used: DAG files, which are parsed every few seconds, import this package.
"""
