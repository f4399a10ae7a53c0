from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import literal

from airflow_provider_cio_cohort.assets import (
    as_dataset,
    cohort_asset,
    is_segment,
    segment_asset,
    workspace_asset,
)


@pytest.mark.parametrize(
    ("conn_id", "name", "segment_id", "uri"),
    [
        ("cio", "Power users", None, "customerio://cio/segments/name/Power%20users"),
        ("cio", None, 7, "customerio://cio/segments/id/7"),
        ("cio", "a/b?c", None, "customerio://cio/segments/name/a%2Fb%3Fc"),
        ("cio", literal("{{ x }}"), None, "customerio://cio/segments/name/%7B%7B%20x%20%7D%7D"),
    ],
)
def test_a_segment_is_an_asset(conn_id: str, name: Any, segment_id: Any, uri: str) -> None:
    asset = segment_asset(conn_id, name, segment_id)
    assert asset is not None
    assert (asset.uri, asset.name) == (uri, uri)


@pytest.mark.parametrize(("conn_id", "name"), [("cio", "{{ params.x }}"), ("{{ var.value.x }}", "S")])
def test_which_segment_a_template_chooses_is_not_known(conn_id: str, name: str) -> None:
    assert segment_asset(conn_id, name, None) is None


def test_a_long_name_still_makes_an_asset_and_another_name_another_one() -> None:
    one, other = (segment_asset("cio", "中" * 1000 + end, None) for end in "ab")
    assert one is not None
    assert other is not None
    assert one.uri != other.uri


def test_a_cohort_is_an_asset() -> None:
    asset = cohort_asset("amplitude_eu", " a1b2c3d ")
    assert asset is not None
    assert asset.uri == "amplitude://amplitude_eu/cohorts/a1b2c3d"
    assert cohort_asset("amplitude_eu", "{{ params.cohort }}") is None


def test_a_workspace_is_an_asset_that_is_neither_a_segment_nor_a_dataset() -> None:
    asset = workspace_asset(" cio/eu ")
    assert asset is not None
    assert asset.uri == "customerio://cio%2Feu/"
    assert not is_segment(asset)
    assert as_dataset(asset, None) is None
    assert is_segment(segment_asset("cio", "S", None))
    assert not is_segment(cohort_asset("amplitude", "a1b2c3d"))
    assert workspace_asset("{{ var.value.x }}") is None
