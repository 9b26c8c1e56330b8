"""Decides from which addresses the server fetches: public ones, so that no client reaches the network of the server."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

IPAddress = IPv4Address | IPv6Address

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Addresses by which hosts with IPv6 alone reach IPv4: the last four bytes are the real address."""


def is_public(address: IPAddress) -> bool:
    """Whether the address is public: not private, loopback, link-local, multicast, reserved, or one of these inside another."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
        if address.sixtofour is not None or address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def parsed(text: str) -> IPAddress | None:
    """The address that a text writes, without the zone of a link-local one; None for a name."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None
