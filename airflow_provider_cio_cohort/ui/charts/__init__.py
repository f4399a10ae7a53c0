"""Charts of a sync's past, as SVG in the page: no library, and a sentence for who cannot see them."""

from __future__ import annotations

from airflow_provider_cio_cohort.ui.charts.large import large_chart
from airflow_provider_cio_cohort.ui.charts.small import small_chart

__all__ = ["large_chart", "small_chart"]
