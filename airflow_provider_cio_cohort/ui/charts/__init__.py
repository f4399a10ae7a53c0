"""Charts of a sync's history as SVG, without a library, and with a text for screen readers."""

from __future__ import annotations

from airflow_provider_cio_cohort.ui.charts.large import large_chart
from airflow_provider_cio_cohort.ui.charts.small import small_chart

__all__ = ["large_chart", "small_chart"]
