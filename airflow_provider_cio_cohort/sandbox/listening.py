"""Where the sandbox may listen: it is no server for others."""

from __future__ import annotations

import ipaddress
import socket


def address_of(host: str, container_network: bool) -> str:
    """
    Return the address that a host stands for, if the sandbox may listen there.

    A container has a loopback of its own, so that containers reach each other only by the network between
    them. There, and only when that is asked for, one address is served: a private one, and never all of them.

    :param host: a loopback address; with ``container_network`` also a name, as containers have them.
    :param container_network: whether a private address is allowed as well.
    :raises ValueError: if the sandbox must not listen there.
    """
    address = _resolved(host) if container_network else ipaddress.ip_address(host)
    if address.is_loopback or (container_network and _is_private(address)):
        return str(address)
    allowed = "loopback and private addresses" if container_network else "loopback addresses"
    raise ValueError(f"The sandbox serves {allowed} only, not {host}.")


def _is_private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    # The unspecified address, which stands for every interface, counts as private too.
    return address.is_private and not (address.is_unspecified or address.is_link_local)


def _resolved(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"The sandbox finds no address of {host}: {error.strerror}.") from error
    return ipaddress.ip_address(found[0][4][0])
