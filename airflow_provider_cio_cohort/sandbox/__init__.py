"""
Amplitude and Customer.io on loopback, as they really behave: for the demo and for tests.

It shares no code with the hooks, so that a misreading of the vendors cannot hide by being shared.
"""

from airflow_provider_cio_cohort.sandbox.server import Sandbox

__all__ = ["Sandbox"]
