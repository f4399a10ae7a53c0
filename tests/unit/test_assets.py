from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import literal

from airflow_provider_cio_cohort.assets import (
    as_dataset,
    cohort_asset,
    is_segment,
    known_segment,
    segment_asset,
    workspace_asset,
)
from airflow_provider_cio_cohort.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("conn_id", "name", "segment_id", "uri", "shown"),
    [
        (
            "cio",
            "Power users",
            None,
            "customerio://cio/segments/name/Power%20users",
            'Customer.io segment "Power users" (cio)',
        ),
        ("cio", None, 7, "customerio://cio/segments/id/7", "Customer.io segment 7 (cio)"),
        ("cio", "7", None, "customerio://cio/segments/name/7", 'Customer.io segment "7" (cio)'),
        (
            "cio",
            "a/b?c",
            None,
            "customerio://cio/segments/name/a%2Fb%3Fc",
            'Customer.io segment "a/b?c" (cio)',
        ),
        (
            "cio",
            "100% Wä",
            None,
            "customerio://cio/segments/name/100%25%20W%C3%A4",
            'Customer.io segment "100%25 W%C3%A4" (cio)',
        ),
        (
            "cio",
            literal("{{ x }}"),
            None,
            "customerio://cio/segments/name/%7B%7B%20x%20%7D%7D",
            'Customer.io segment "{{ x }}" (cio)',
        ),
    ],
)
def test_a_segment_is_an_asset(conn_id: str, name: Any, segment_id: Any, uri: str, shown: str) -> None:
    asset = known_segment(conn_id, name, segment_id)
    assert asset is not None
    assert (asset.uri, asset.name) == (uri, shown)


@pytest.mark.parametrize(("conn_id", "name"), [("cio", "{{ params.x }}"), ("{{ var.value.x }}", "S")])
def test_which_segment_a_template_chooses_is_not_known(conn_id: str, name: str) -> None:
    assert known_segment(conn_id, name, None) is None


def test_a_long_name_still_makes_an_asset_and_another_name_another_one() -> None:
    one, other = (known_segment("cio", "中" * 1000 + end, None) for end in "ab")
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
    assert is_segment(known_segment("cio", "S", None))
    assert not is_segment(cohort_asset("amplitude", "a1b2c3d"))
    assert workspace_asset("{{ var.value.x }}") is None


def test_a_dag_of_ones_own_finds_the_asset_of_a_sync() -> None:
    assert segment_asset("Power users") == known_segment("customer_io_default", "Power users", None)
    assert segment_asset(segment_id=7, customer_io_conn_id="cio") == known_segment("cio", None, 7)
    assert segment_asset(literal("{{ x }}")) == known_segment("customer_io_default", literal("{{ x }}"), None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "exactly one of segment_name and segment_id"),
        ({"segment_name": "S", "segment_id": 7}, "exactly one of segment_name and segment_id"),
        ({"segment_name": "{{ params.x }}"}, "takes no templates"),
        ({"segment_name": "S", "customer_io_conn_id": "{{ var.value.x }}"}, "takes no templates"),
    ],
)
def test_a_segment_that_is_not_known_yet_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        segment_asset(**arguments)
