"""Finds the client's address behind trusted proxies."""

from __future__ import annotations

import functools
import ipaddress
import logging
import re

log = logging.getLogger("auth_agent.server")

LONGEST = 64  # characters of an address with spaces around it
UNIX = "unix"  # a peer without an address, as on a Unix socket
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_WITH_PORT = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}|\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?")


def proxy_problem(text: str) -> str | None:
    """Returns what is wrong with one entry of the list of proxies, or None."""
    if text == UNIX:
        return None
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return f"contains {text!r}, not an address or network; write e.g. 10.0.0.5 or 10.0.0.0/24"
    return None


class Proxies:
    """The proxies whose X-Forwarded-For is trusted; mostly none."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._unix = UNIX in networks
        self._networks = [ipaddress.ip_network(one) for one in networks if one != UNIX]
        self._told = False

    def client(self, peer: str, forwarded: str | None) -> str:
        """Returns the nearest address that is not one of our proxies.

        Reads from the right, because the client itself can write the entries further left.
        """
        if not forwarded or not self._trusts(peer):
            return peer
        nearest = peer
        for text in reversed(forwarded.split(",")):
            address = _forwarded_address(text.strip()) if len(text) <= LONGEST else None
            if address is None:
                self._tell_once()
                break
            nearest = str(address)
            if not self._trusts(nearest):
                break
        return nearest

    def _tell_once(self) -> None:
        if not self._told:
            self._told = True
            log.warning(
                "X-Forwarded-For from a trusted proxy contains an entry that is not an address; "
                "such requests count as the proxy's own"
            )

    def _trusts(self, text: str) -> bool:
        if not text:
            return self._unix
        if not self._networks:
            return False
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _forwarded_address(text: str) -> Address | None:
    """Returns the address of one entry; some proxies add the port (RFC 7239 section 6)."""
    found = _WITH_PORT.fullmatch(text)
    return _address((found[1] or found[2]) if found else text)


def party_of(address: str) -> str:
    """Returns the network that limits count for an address: an IPv6 customer has a whole /64."""
    return _party(address) if ":" in address else address


@functools.lru_cache(4_096)
def _party(address: str) -> str:
    found = _address(address)
    if not isinstance(found, ipaddress.IPv6Address):
        return str(found or address)
    return str(ipaddress.ip_network((found, 64), strict=False).network_address)


@functools.lru_cache(4_096)
def _address(text: str) -> Address | None:
    """Reads an address; IPv4-mapped IPv6 addresses count as IPv4."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found
