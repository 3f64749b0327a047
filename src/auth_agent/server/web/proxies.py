"""Which address a request comes from, when proxies stand before the server."""

from __future__ import annotations

import functools
import ipaddress

LONGEST = 64  # characters of an address with spaces around it
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_problem(text: str) -> str | None:
    """What is wrong with one entry of the list of proxies."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return f"holds {text!r}, which is no address or network; write e.g. 10.0.0.5 or 10.0.0.0/24"
    return None


class Proxies:
    """The proxies whose X-Forwarded-For is believed; mostly none."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def client(self, peer: str, forwarded: str | None) -> str:
        """The nearest address that is not one of our proxies.

        Read from the right: what stands further left was written by whoever sent the request.
        """
        if not self._networks or not forwarded or not self._trusts(peer):
            return peer
        nearest = peer
        for text in reversed(forwarded.split(",")):
            address = _address(text.strip()) if len(text) <= LONGEST else None
            if address is None:
                break
            nearest = str(address)
            if not self._trusts(nearest):
                break
        return nearest

    def _trusts(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def party_of(address: str) -> str:
    """Whom an address stands for when failures are counted: an IPv6 customer has a whole /64."""
    return _party(address) if ":" in address else address


@functools.lru_cache(4_096)
def _party(address: str) -> str:
    found = _address(address)
    if not isinstance(found, ipaddress.IPv6Address):
        return str(found or address)
    return str(ipaddress.ip_network((found, 64), strict=False).network_address)


@functools.lru_cache(4_096)
def _address(text: str) -> Address | None:
    """An IPv4 address in IPv6 clothes is that IPv4 address."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found
