"""From where a connection may come: IP addresses and networks as text."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Networks = list[IPv4Network | IPv6Network]


def networks(texts: Sequence[str]) -> Networks:
    """ValueError where one is no IP address or network, such as "10.0.0.0/8"."""
    return [ip_network(text) for text in texts]


def is_within(address: str, allowed: Networks) -> bool:
    """False for "", a peer that is gone already."""
    return bool(address) and any(ip_address(address) in network for network in allowed)
