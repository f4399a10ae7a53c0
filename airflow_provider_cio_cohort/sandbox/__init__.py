"""
Simulates Amplitude and Customer.io on loopback, for the demo and for tests.

It shares no code with the hooks, so that tests find a misunderstanding of the vendors' APIs.
"""

from airflow_provider_cio_cohort.sandbox.server import Sandbox

__all__ = ["Sandbox"]
