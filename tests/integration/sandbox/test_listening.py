"""The sandbox listens on loopback; on one private address only when that is asked for."""

from __future__ import annotations

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.listening import address_of


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
@pytest.mark.parametrize("container_network", [False, True])
def test_loopback_is_always_allowed(host: str, container_network: bool) -> None:
    assert address_of(host, container_network) == host


@pytest.mark.parametrize("host", ["10.1.2.3", "172.18.0.4", "192.168.7.7", "fd00::2"])
def test_a_private_address_only_when_it_is_asked_for(host: str) -> None:
    assert address_of(host, container_network=True) == host
    with pytest.raises(ValueError, match="loopback addresses only"):
        address_of(host, container_network=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8", "2606:4700::1", "169.254.1.1", "fe80::1"])  # noqa: S104
@pytest.mark.parametrize("container_network", [False, True])
def test_never_all_interfaces_and_never_a_public_address(host: str, container_network: bool) -> None:
    with pytest.raises(ValueError, match="addresses only"):
        address_of(host, container_network)


def test_its_addresses_have_the_name_that_others_know_it_by(http) -> None:
    with Sandbox(host="localhost", container_network=True) as sandbox:
        assert sandbox.urls["control"].startswith("http://localhost:")
        connections = http.get(f"{sandbox.urls['control']}/connections", timeout=10).json()
        assert connections == sandbox.connections()
        assert connections["amplitude_default"]["host"].startswith("http://localhost:")
