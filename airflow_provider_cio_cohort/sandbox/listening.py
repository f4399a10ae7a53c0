"""Checks the address to listen on: the sandbox must not be reachable from other machines."""

from __future__ import annotations

import ipaddress
import socket


def address_of(host: str, container_network: bool) -> str:
    """
    Return the address of a host, if the sandbox may listen there.

    Each container has its own loopback, so containers reach each other only by their network. For this case,
    and only with ``container_network``, a single private address is allowed, never all addresses.

    :param host: a loopback address; with ``container_network`` also a host name.
    :param container_network: whether a private address is allowed as well.
    :raises ValueError: if the sandbox must not listen there.
    """
    address = _resolved(host) if container_network else ipaddress.ip_address(host)
    if address.is_loopback or (container_network and _is_private(address)):
        return str(address)
    allowed = "loopback and private addresses" if container_network else "loopback addresses"
    raise ValueError(f"The sandbox listens on {allowed} only, not {host}.")


def _is_private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    # Python counts the unspecified address, which means every interface, as private.
    return address.is_private and not (address.is_unspecified or address.is_link_local)


def _resolved(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"The sandbox cannot resolve {host}: {error.strerror}.") from error
    return ipaddress.ip_address(found[0][4][0])
